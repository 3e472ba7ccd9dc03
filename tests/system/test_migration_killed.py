"""A guest moves between two hosts, and the daemon of one of them is killed on the way; or the
agents cannot hear each other. In the end the guest is reached on its new host, and nothing has
passed its port there before it stopped on the old one.

Each trouble has hosts of its own: a guest under TCG dies in one migration of seven.
``VIFD_MOVES=all`` (``make test-migration``) has each of them by VLAN and by VXLAN, with the guest's
memory before and after it; else each is there once.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from support.moving import wire
from support.moving.figures import last_frame, passed
from support.moving.move import TAP, Ears, migrate
from support.moving.world import World, as_peers
from system.test_migration import GUESTS, joined, reached
from unit.docs import port_id
from vifd.testing.wait import PATIENCE, until

pytestmark = pytest.mark.needs("libvirt")

ALL = os.environ.get("VIFD_MOVES") == "all"
Trouble = Callable[[World, Ears], contextlib.AbstractContextManager[object]]
#: By which the hosts are joined, and whether the guest goes on there before its memory has come.
WAYS = {
    "vlan": ("vlan", False), "vxlan": ("vxlan", False),
    "vlan, post-copy": ("vlan", True), "vxlan, post-copy": ("vxlan", True),
}  # fmt: skip
#: On which host's word the daemon of which host is killed; 0 is the source. And by which way, where
#: not all are tried.
STEPS = {
    "destination, as a place for the guest is made": (1, "started", 1, "vxlan"),
    "destination, as the guest stops at the source": (0, "suspended", 1, "vlan"),
    "source, as the guest stops there": (0, "suspended", 0, "vxlan, post-copy"),
    "destination, as the guest goes on there": (1, "resumed", 1, "vlan, post-copy"),
}
CUT = (
    "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; "
    "add rule inet cut in tcp dport 7443 drop; add rule inet cut in tcp sport 7443 drop"
)


@contextlib.contextmanager
def killed_at(world: World, ears: Ears, where: int, what: str, whom: int) -> Iterator[None]:
    """Kill a host's vifd as soon as libvirt says that on a host, of either kind of move."""
    words = (f"{what}: migrated", f"{what}: postcopy")
    done, stopping = threading.Event(), threading.Event()

    def watch() -> None:
        while not stopping.wait(0.001):
            if ears.at(world.hosts[where].number, *words) is not None:
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


def survives(trouble: Trouble, kind: str = "vlan", *, postcopy: bool = False) -> None:
    """A move with that on the way."""
    for _ in range(GUESTS):
        with joined(kind, as_peers) as world:
            if moved_through(world, trouble, postcopy=postcopy):
                return
    pytest.skip(f"{GUESTS} guests died under TCG, one after the other")


def moved_through(world: World, trouble: Trouble, *, postcopy: bool) -> bool:
    source, target = world.hosts
    target.plug("INACTIVE")
    until(lambda: [*source.vifd.get("/v1/status")["peers"].values()] == [""], "they are connected")
    for host in world.hosts:
        host.write_down("eth0", TAP)
    until(lambda: last_frame(wire.read(source.seen)), "the guest is heard")
    with Ears(world.hosts).listening() as ears, trouble(world, ears):
        migrate(source, target, postcopy=postcopy)
    for host in world.hosts:
        host.vifd.start(3 * PATIENCE)
        host.vifd.ready(3 * PATIENCE)
    if not reached(world):
        return False
    until(lambda: target.port()["phase"] == "LIVE", "it is on record", 3 * PATIENCE)
    stopped = last_frame(wire.read(source.seen))
    assert stopped is not None
    early = [one for one in wire.read(target.seen) if passed(one) and one.at < stopped]
    assert early == []
    source.call("deactivate")
    status, answer = source.vifd.unplug(port_id(1))
    assert status in (200, 204), answer
    assert TAP not in source.ovs.vsctl("list-ports", "br-int")
    return reached(world)


CASES = [(step, way) for step in STEPS for way in WAYS if ALL or way == STEPS[step][3]]


@pytest.mark.parametrize(("step", "way"), CASES)
def test_a_daemon_that_is_killed_on_the_way(step: str, way: str) -> None:
    where, what, whom, _ = STEPS[step]
    kind, postcopy = WAYS[way]
    survives(lambda w, ears: killed_at(w, ears, where, what, whom), kind, postcopy=postcopy)


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
