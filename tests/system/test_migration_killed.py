"""A guest moves between two hosts, and the daemon of one of them is killed on the way; or the
agents cannot hear each other. In the end the guest is reached on its new host, and nothing has
passed its port there before it stopped on the old one.

Each trouble has hosts of its own: a guest under TCG dies in one migration of seven.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from support.moving import wire
from support.moving.figures import passed
from support.moving.move import TAP, Ears, migrate
from support.moving.world import World, as_peers
from system.test_migration import GUESTS, joined, talks
from unit.docs import port_id
from vifd.testing.wait import PATIENCE, until

pytestmark = pytest.mark.needs("libvirt")

Trouble = Callable[[World, Ears], contextlib.AbstractContextManager[object]]
#: On which host's word the daemon of which host is killed; 0 is the source.
STEPS = {
    "destination, as a place for the guest is made": (1, "started: migrated", 1),
    "destination, as the guest stops at the source": (0, "suspended: migrated", 1),
    "source, as the guest stops there": (0, "suspended: migrated", 0),
    "destination, as the guest goes on there": (1, "resumed: migrated", 1),
}
CUT = (
    "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; "
    "add rule inet cut in tcp dport 7443 drop; add rule inet cut in tcp sport 7443 drop"
)


@contextlib.contextmanager
def killed_at(world: World, ears: Ears, where: int, what: str, whom: int) -> Iterator[None]:
    """Kill a host's vifd as soon as libvirt says that on a host."""
    done, stopping = threading.Event(), threading.Event()

    def watch() -> None:
        while not stopping.wait(0.001):
            if ears.at(world.hosts[where].number, what) is not None:
                world.hosts[whom].vifd.kill()
                done.set()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
        assert done.wait(PATIENCE), f"libvirt never said {what}"
    finally:
        stopping.set()
        thread.join()


def reached(world: World) -> bool:
    """Something that is sent from now on is answered; ``False`` where the guest died."""
    sent = len(world.third.listening().sent)
    until(lambda: talks(world, sent) or world.machine.gave_up, "it is reached", 3 * PATIENCE)
    return not world.machine.gave_up


def survives(trouble: Trouble) -> None:
    """A move with that on the way."""
    for _ in range(GUESTS):
        with joined("vlan", as_peers) as world:
            if moved_through(world, trouble):
                return
    pytest.skip(f"{GUESTS} guests died under TCG, one after the other")


def moved_through(world: World, trouble: Trouble) -> bool:
    source, target = world.hosts
    target.plug("INACTIVE")
    until(lambda: [*source.vifd.get("/v1/status")["peers"].values()] == [""], "they are connected")
    target.write_down("eth0", TAP)
    with Ears(world.hosts).listening() as ears:
        with trouble(world, ears):
            migrate(source, target)
        stopped = ears.at(source.number, "suspended: migrated")
    for host in world.hosts:
        host.vifd.start()
        host.vifd.ready()
    if not reached(world):
        return False
    until(lambda: target.port()["phase"] == "LIVE", "it is on record", 3 * PATIENCE)
    assert stopped is not None
    early = [one for one in wire.read(target.seen) if passed(one) and one.at < stopped]
    assert early == []
    source.call("deactivate")
    status, answer = source.vifd.unplug(port_id(1))
    assert status in (200, 204), answer
    assert TAP not in source.ovs.vsctl("list-ports", "br-int")
    return reached(world)


@pytest.mark.parametrize("step", STEPS)
def test_a_daemon_that_is_killed_on_the_way(step: str) -> None:
    survives(lambda world, ears: killed_at(world, ears, *STEPS[step]))


def test_agents_that_cannot_hear_each_other_any_more() -> None:
    """The link between them is cut before the guest stops: libvirt's word opens the port."""

    @contextlib.contextmanager
    def cut(world: World, _ears: Ears) -> Iterator[None]:
        for host in world.hosts:
            host.host.run("nft", CUT)
        yield
        (move,) = world.hosts[1].vifd.get("/v1/migrations")["migrations"]
        assert move["trigger"] == "libvirt"
        for host in world.hosts:
            host.host.run("nft", "delete table inet cut")

    survives(cut)
