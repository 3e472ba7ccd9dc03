"""Every test here works on a real kernel and must leave it as it was."""

import pytest

from vifd.testing.census import Census


@pytest.fixture(autouse=True)
def _nothing_left(leaks: Census) -> None:
    """Fail on what a test leaves behind."""
