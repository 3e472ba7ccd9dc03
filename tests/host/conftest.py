"""Hosts that boot: a target of its own, since the image and the packages are made for it."""

import os

import pytest

from host.booted import IMAGE

CHOSEN = "VIFD_TEST_HOST"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = ""
    if not os.environ.get(CHOSEN):
        reason = "boots a Debian with the packages: make test-host"
    elif not (IMAGE / ".made").exists():
        reason = "there is no image to boot: tools/host-image"
    if reason:
        for item in items:
            if "tests/host/" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=reason))
