"""A real guest moves between two hosts of libvirt, Open vSwitch and vifd, on libvirt's word."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.moving import wire
from support.moving.figures import Evidence, figures, passed
from support.moving.move import TAP, Mover, migrate
from support.moving.world import SUB_PORT, MovingHost, World, as_peers
from vifd.testing import census, vm
from vifd.testing.wait import PATIENCE, until

pytestmark = pytest.mark.needs("libvirt")

Options = Callable[[int], dict[str, Any]]
#: A guest under TCG dies in one migration of seven (its kernel panics); another one is tried then.
GUESTS = 4


@contextlib.contextmanager
def joined(
    kind: str, options: Options = lambda _number: {}, *, guest: bool = True, trunk: bool = False
) -> Iterator[World]:
    """Two hosts and a third place; afterwards nothing is left of them."""
    before = census.take()
    with (
        tempfile.TemporaryDirectory(prefix="m-") as directory,
        World(Path(directory), kind, options, trunk=trunk) as w,
    ):
        w.up()
        if guest:
            w.guest()
        yield w
    until(lambda: not census.take().beyond(before), "nothing of the hosts is left")


def moved(kind: str, how: str) -> tuple[Evidence, list[str]]:
    """One migration that the guest survived, and what the destination's vifd logged. A gap is known
    where both ends saw a frame: a busy host may look too late once, and not every time."""
    unheard: list[list[str]] = []
    for _ in range(GUESTS):
        trunk = how == "source" and trunks()
        options = as_peers if how == "source" else lambda _number: {}
        with joined(kind, options, trunk=trunk) as world:
            seen = Mover(world, how).move(partial(closed_there, world) if trunk else None)
            if trunk and not carried(world):
                continue
            log = world.hosts[1].vifd.log.splitlines()
        if figures(seen).dead:
            continue
        if how != "source" or (seen.migration and seen.migration["gap_ms"] is not None):
            return seen, log
        unheard.append(log)
    assert not unheard, f"of {len(unheard)} moves the gap is not known: {unheard[-1]}"
    pytest.skip(f"{GUESTS} guests died under TCG, one after the other")


def trunks() -> bool:
    """Whether a guest here knows VLANs; where none does, it moves without."""
    found = vm.kernel()
    return found is not None and vm.knows_vlans(found[1])


def closed_there(world: World, source: MovingHost, target: MovingHost) -> None:
    """Of a trunk's sub-port: it passes where the guest is, and where it goes it waits."""
    until(lambda: source.port(SUB_PORT)["status"] == "ACTIVE", "the sub-port passes here")
    until(lambda: "trunk.carried" in str(target.port(SUB_PORT)["findings"]), "it waits there")
    assert target.port(SUB_PORT)["status"] == "DOWN"
    until(lambda: world.third.listening_to_sub_port().answers, "it is reached here", 2 * PATIENCE)


def carried(world: World) -> bool:
    """It passes there since its parent is open, and the guest is reached over it; ``False`` where
    the guest died."""
    target = world.hosts[1]
    until(lambda: target.port(SUB_PORT)["status"] == "ACTIVE", "the sub-port passes there")
    heard = world.third.listening_to_sub_port()
    last = len(heard.sent)

    def reached_over_it() -> bool:
        return any(n >= last for n, _ in world.third.listening_to_sub_port().answers)

    until(lambda: reached_over_it() or world.machine.gave_up, "it is reached", 2 * PATIENCE)
    return not world.machine.gave_up


@pytest.mark.parametrize(("kind", "how"), [("vlan", "source"), ("vxlan", "destination")])
def test_a_guest_moves_and_keeps_its_connections(kind: str, how: str) -> None:
    seen, log = moved(kind, how)
    found = figures(seen)
    assert seen.migration is not None
    assert {"source": "source's agent", "destination": "libvirt"}[how] in {
        word["what"] for word in seen.migration["triggers"]
    }
    assert seen.migration["state"] == "done"
    assert "resumed: migrated" in {word["what"] for word in seen.migration["guest"]}
    assert found.tcp is not None, seen.ends
    if how == "source":
        assert seen.migration["gap_ms"] is not None, log
        assert any("the network gap was" in line for line in log)
    assert found.leaked == 0
    assert found.frames is not None, "the guest was heard on both hosts"
    assert any("after the word of" in line and "migration 1: open" in line for line in log)


@pytest.mark.parametrize("why", ["activated late", "vifd was dead"])
def test_a_guest_that_waited_for_its_port_is_reached_at_once(why: str) -> None:
    """Its own announcements are over by then."""
    heard = "false" if why == "activated late" else "true"
    for _ in range(GUESTS):
        with joined("vlan", lambda _number: {"migration": {"libvirt": heard}}) as world:
            if waited(world, why):
                return
    pytest.skip(f"{GUESTS} guests died under TCG, one after the other")


def waited(world: World, why: str) -> bool:
    """A guest comes to a port that opens two seconds later; whether it lives."""
    source, target = world.hosts
    target.plug("INACTIVE")
    target.write_down("eth0", TAP)
    if why == "vifd was dead":
        target.vifd.kill()
    migrate(source, target)
    arrived = len(world.third.listening().sent)
    until(lambda: len(world.third.listening().sent) > arrived + 200, "two seconds pass")
    assert not talks(world, arrived)
    assert not [one for one in wire.read(target.seen) if passed(one)]
    if why == "vifd was dead":
        target.vifd.start()
    else:
        target.call("activate")
    until(lambda: talks(world, arrived + 200) or world.machine.gave_up, "it is reached")
    if world.machine.gave_up:
        return False
    until(lambda: target.port()["phase"] == "LIVE", "it is on record")
    return True


def talks(world: World, number: int) -> bool:
    """Whether a later ping than this was answered."""
    return any(answered > number for answered, _ in world.third.listening().answers)


def reached(world: World) -> bool:
    """Something that is sent from now on is answered; ``False`` where the guest died."""
    sent = len(world.third.listening().sent)
    until(lambda: talks(world, sent) or world.machine.gave_up, "it is reached", 3 * PATIENCE)
    return not world.machine.gave_up


def merged(options: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    return {**options, "migration": {**options["migration"], name: value}}
