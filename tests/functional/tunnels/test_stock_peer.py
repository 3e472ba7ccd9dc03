"""A host with the flows of Neutron's own agent on the other side, with ``l2population`` and
without."""

from __future__ import annotations

import pytest

from functional.tunnels.hosts import Fabric, VifdHost, behind
from functional.tunnels.stock import StockHost
from functional.tunnels.traffic import asks, broadcast, segment, unicast
from vifd.testing.attachments import attachment, mac
from vifd.testing.guests import assert_only, assert_reaches

KINDS = [("vxlan", 4), ("vxlan", 6), ("gre", 4), ("gre", 6), ("geneve", 4)]


@pytest.mark.parametrize("l2population", [True, False], ids=["l2pop", "learning"])
@pytest.mark.parametrize(("kind", "version"), KINDS, ids=[f"{k}-ipv{v}" for k, v in KINDS])
def test_a_stock_agent_on_the_other_side(leaks, kind, version, l2population):
    with Fabric() as fabric:
        here = VifdHost(fabric, 1, version)
        fabric.host(here)
        there = StockHost(fabric, 2, kind, 101, version)
        fabric.host(there)
        there.tunnel(1, known={1: [mac(1)]} if l2population else None)
        here.know(behind(2, *([2] if l2population else []), version=version))
        (one,) = here.guests(attachment(1, segment=segment(kind), mtu=1400))
        two = there.guest("g2")
        assert_reaches(one, two, broadcast(1))
        assert_reaches(two, one, broadcast(2))
        assert_reaches(one, two, unicast(1, 2))
        assert_reaches(two, one, unicast(2, 1))
        assert_reaches(two, one, asks(2, 1))
        assert not here.findings()


def test_without_l2population_the_peer_learns_from_our_frames(leaks):
    """Unknown unicast goes to every endpoint of the network; what the peer learned it sends to our
    host alone."""
    with Fabric() as fabric:
        here, third = VifdHost(fabric, 1), VifdHost(fabric, 3)
        there = StockHost(fabric, 2, "vxlan", 101)
        for host in (here, third, there):
            fabric.host(host)
        there.tunnel(1, 3)
        here.know(behind(2), behind(3))
        third.know(behind(1), behind(2))
        (one,) = here.guests(attachment(1, segment=segment(), mtu=1400))
        (three,) = third.guests(attachment(3, segment=segment(), mtu=1400))
        two = there.guest("g2")
        assert_reaches(one, two, unicast(1, 2))
        assert_reaches(one, three, unicast(1, 3))
        assert_reaches(two, one, unicast(2, 1))
        there.ovs.revalidated()
        for _ in range(2):
            assert_reaches(two, one, unicast(2, 1))
        assert_only(
            there.wire, forbidden=[], allowed=(two, unicast(2, 1, b"one copy")),
            expect=lambda packet: b"one copy" in packet and packet[30:34] == bytes([172, 31, 0, 1]),
        )  # fmt: skip
