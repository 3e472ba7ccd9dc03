"""Ten real guests leave one host for the other at once: by ``make test-migration``, as ten guests
take a small machine a minute to start."""

from __future__ import annotations

import os

import pytest

from support.moving.figures import figures
from support.moving.many import moved_at_once
from support.moving.world import MovingHost, as_peers
from system.test_migration import joined
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("libvirt")

SIZE = 10
#: So many are to survive: under TCG one of seven dies of a move.
ALIVE = 5


@pytest.mark.skipif(os.environ.get("VIFD_MOVES") != "all", reason="make test-migration")
def test_ten_guests_at_once() -> None:
    """Each keeps its connection; nothing passes a closed port, and nothing is left behind."""
    with joined("vlan", as_peers, guest=False) as world:
        seen = list(moved_at_once(world, SIZE))
        source, target = world.hosts
        assert source.vifd.get("/v1/ports")["ports"] == []
        assert "tap" not in source.host.run("ip", "-brief", "link")
        assert "tap" not in source.ovs.vsctl("list-ports", "br-int")
        assert len(target.vifd.get("/v1/ports")["ports"]) == SIZE
        until(lambda: states(target) == ["done"] * SIZE, "all moves are on record")
    found = [figures(one) for one in seen]
    for one in found:
        print(f"gap {one.gap:.0f} ms, downtime {one.downtime}, lost {one.lost}, doubled "
              f"{one.doubled}, tcp {one.tcp}, leaked {one.leaked}, dead {one.dead}")  # fmt: skip
    assert [one.leaked for one in found] == [0] * SIZE
    assert [one.doubled for one in found] == [0] * SIZE
    living = [one for one in found if not one.dead]
    assert None not in [one.tcp for one in living], "connections that broke"
    if len(living) < ALIVE:
        pytest.skip(f"{SIZE - len(living)} guests died under TCG")


def states(host: MovingHost) -> list[str]:
    """What became of the moves to a host."""
    return [move["state"] for move in host.vifd.get("/v1/migrations")["migrations"]]
