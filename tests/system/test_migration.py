"""A real guest moves between two hosts of libvirt, Open vSwitch and vifd, on libvirt's word."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.moving.figures import Evidence, figures
from support.moving.move import Mover
from support.moving.world import World
from vifd.testing import census
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("libvirt")

#: A guest under TCG dies in one migration of seven (its kernel panics); another one is tried then.
GUESTS = 4


@contextlib.contextmanager
def joined(kind: str) -> Iterator[World]:
    """Two hosts and a third place; afterwards nothing is left of them."""
    before = census.take()
    with tempfile.TemporaryDirectory(prefix="m-") as directory, World(Path(directory), kind) as w:
        w.up()
        w.guest()
        yield w
    until(lambda: not census.take().beyond(before), "nothing of the hosts is left")


def moved(kind: str) -> tuple[Evidence, list[str]]:
    """One migration that the guest survived, and what the destination's vifd logged."""
    for _ in range(GUESTS):
        with joined(kind) as world:
            seen = Mover(world, "destination").move()
            log = world.hosts[1].vifd.log.splitlines()
        if not figures(seen).dead:
            return seen, log
    pytest.skip(f"{GUESTS} guests died under TCG, one after the other")


@pytest.mark.parametrize("kind", ["vlan", "vxlan"])
def test_a_guest_moves_and_keeps_its_connections(kind: str) -> None:
    seen, log = moved(kind)
    found = figures(seen)
    assert seen.migration is not None
    assert seen.migration["trigger"] == "libvirt"
    assert seen.migration["state"] == "done"
    assert "resumed: migrated" in {word["what"] for word in seen.migration["guest"]}
    assert found.tcp is not None, seen.ends
    assert found.leaked == 0
    assert found.frames is not None, "the guest was heard on both hosts"
    assert any("after the word of libvirt" in line for line in log)
