"""A real guest moves between two hosts that OVN wires. Who holds the port closed and lets the guest
through is OVN (``requested-chassis`` and ``activation-strategy=rarp``); vifd has tap and row there
before, and tells how long nothing passed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ovn
from support.moving.figures import Evidence, figures
from support.moving.move import TAP, Mover
from support.moving.ovnworld import OvnWorld
from support.moving.world import MovingHost, as_peers
from system.test_migration import GUESTS
from unit.docs import port_id
from vifd.testing import census
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("libvirt")


@contextlib.contextmanager
def world() -> Iterator[OvnWorld]:
    """With a guest on the first host."""
    if reason := ovn.lacking():
        pytest.skip(f"needs ovn: {reason}")
    before = census.take()
    with (
        tempfile.TemporaryDirectory(prefix="m-") as directory,
        OvnWorld(Path(directory), as_peers) as made,
    ):
        made.up()
        made.guest()
        yield made
    until(lambda: not census.take().beyond(before), "nothing of the hosts is left")


def named(host: MovingHost) -> str:
    """The logical port that the row of the guest's device names."""
    return host.ovs.vsctl("get", "Interface", TAP, "external_ids:iface-id").strip().strip('"')


def moved(there: OvnWorld) -> tuple[Evidence, str]:
    """What was seen, and what the destination's vifd logged."""
    target = there.hosts[1]
    there.wanted_on_both()

    def ready(_source: MovingHost, target: MovingHost) -> None:
        assert named(target) == port_id(1), "its row is there before the guest moves"
        assert target.port()["status"] == "DOWN"

    seen = Mover(there, "source").move(ready, there.wanted_there)
    assert target.port()["status"] == "ACTIVE"
    return seen, target.vifd.log


def test_the_gap_is_told_where_ovn_lets_the_guest_through() -> None:
    unheard = []
    for _ in range(GUESTS):
        with world() as there:
            seen, log = moved(there)
        found = figures(seen)
        if found.dead:
            continue
        assert seen.migration is not None
        assert seen.migration["state"] == "done"
        assert seen.migration["trigger"] == "source's agent"
        assert found.tcp is not None, seen.ends
        assert found.leaked == 0
        if seen.migration["gap_ms"] is None or found.frames is None:
            # a busy host may look too late once, and not every time
            unheard.append(log)
            continue
        told, within = seen.migration["gap_ms"], seen.migration["gap_within_ms"]
        print(f"gap told {told} ms (to within {within}), frames {found.frames:.0f}, pings "
              f"{found.gap:.0f}, QEMU's downtime {found.downtime}, added {found.said}, tcp "
              f"{found.tcp:.0f}, lost {found.lost}, doubled {found.doubled}")  # fmt: skip
        assert "the network gap was" in log
        return
    assert not unheard, f"of {len(unheard)} moves the gap is not known: {unheard[-1][-4000:]}"
    pytest.skip(f"{GUESTS} guests died under TCG, one after the other")
