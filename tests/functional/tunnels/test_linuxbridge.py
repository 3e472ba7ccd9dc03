"""VXLAN of Linux bridges by what is known of a network's endpoints, with real frames."""

from __future__ import annotations

import contextlib

import pytest

from functional.tunnels.bridgehost import BridgeHost
from functional.tunnels.hosts import Fabric, VifdHost, behind, underlay_ip
from functional.tunnels.traffic import broadcast, segment, unicast
from vifd.drivers import FdbEntry
from vifd.testing.attachments import attachment, mac
from vifd.testing.guests import assert_only, assert_reaches
from vifd_linuxbridge.overlay import NOBODY

pytestmark = pytest.mark.needs("kernel:vxlan", "program:ip")


@contextlib.contextmanager
def joined(*numbers: int, version: int = 4):
    """Hosts with bridges on one underlay."""
    with Fabric() as fabric:
        yield [fabric.enter_context(BridgeHost(fabric, n, version)) for n in numbers]


def port(number: int):
    return attachment(number, segment=segment(), mtu=1400)


@pytest.mark.parametrize("version", [4, 6])
def test_guests_of_two_hosts_meet(leaks, version):
    with joined(1, 2, version=version) as (here, there):
        here.know(behind(2, 2, version=version))
        there.know(behind(1, 1, version=version))
        (one,), (two,) = here.guests(port(1)), there.guests(port(2))
        assert_reaches(one, two, unicast(1, 2))
        assert_reaches(two, one, unicast(2, 1))
        assert_reaches(one, two, broadcast(1))
        assert not here.scene.findings()
        assert not there.scene.findings()
        other = underlay_ip(2, version)
        assert here.entries == {(NOBODY, other), (mac(2), other)}
        assert not here.ledger.unplug()


def test_frames_to_all_reach_the_networks_endpoints_and_no_other_host(leaks):
    with joined(1, 2, 3) as (here, there, stranger):
        here.know(behind(2, 2))
        there.know(behind(1, 1))
        stranger.know(behind(1, 1))
        (one,), (two,) = here.guests(port(1)), there.guests(port(2))
        three, friend = stranger.guests(port(3), port(4))
        assert_reaches(one, two, broadcast(1))
        assert_only(three, forbidden=[(one, broadcast(1)), (one, unicast(1, 3))],
                    allowed=(friend, unicast(4, 3)))  # fmt: skip


def test_endpoints_come_move_and_go(leaks):
    with joined(1, 2, 3) as (here, there, third):
        here.know(behind(2, 2, 7))
        for host in (there, third):
            host.know(behind(1, 1))
        (one,) = here.guests(port(1))
        (two,), (three,) = there.guests(port(2)), third.guests(port(3))
        assert here.know(behind(2, 2), behind(3, 3, 7)) == {port(1).id}
        assert_reaches(one, three, unicast(1, 3))
        assert_reaches(one, two, unicast(1, 2))
        second, last = underlay_ip(2), underlay_ip(3)
        everyone = {(NOBODY, second), (mac(2), second), (NOBODY, last), (mac(3), last)}
        assert here.entries == everyone | {(mac(7), last)}
        assert not here.scene.findings()
        assert here.know(behind(2, 2), behind(3, 3)) == {port(1).id}
        assert here.know(behind(2, 2), behind(3, 3)) == set()
        assert here.entries == everyone
        here.know(behind(2, 2))
        assert here.entries == {(NOBODY, second), (mac(2), second)}


def test_an_entry_that_another_hand_changed_is_found_and_mended(leaks):
    with joined(1, 2) as (here, there):
        here.know(behind(2, 2))
        there.know(behind(1, 1))
        (one,), (two,) = here.guests(port(1)), there.guests(port(2))
        wrong = [FdbEntry("vxlan-101", mac(2), "172.31.0.77")]
        here.scene.bridging.change_fdb(add=wrong)
        assert set(here.scene.findings()) == {"uplink.forwarding"}
        here.scene.heal()
        assert_reaches(one, two, unicast(1, 2))


def test_a_switch_on_the_other_side(leaks):
    with Fabric() as fabric:
        switch = VifdHost(fabric, 2)
        fabric.host(switch)
        here = fabric.enter_context(BridgeHost(fabric, 1))
        # its address is that of the bridge, and not of the cable as well
        switch.ip("link", "set", "dev", "up", "arp", "off")
        address = here.scene.bridging.get(["up"])["up"].link.mac
        switch.ovs.appctl("tnl/neigh/set", "br-und", underlay_ip(1), address)
        here.know(behind(2, 2))
        switch.know(behind(1, 1))
        (one,), (two,) = here.guests(port(1)), switch.guests(port(2))
        assert_reaches(one, two, unicast(1, 2))
        assert_reaches(two, one, unicast(2, 1))
        assert_reaches(one, two, broadcast(1))
        assert_reaches(two, one, broadcast(2))
        assert not here.scene.findings()
        assert not switch.findings()
