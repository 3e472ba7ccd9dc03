"""Sub-ports, and tags that guests set themselves, of vhost-user ports: by frames through the rings
of a real Open vSwitch with DPDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from functional.owntags import test_frames as owntags
from functional.trunks import test_frames as frames
from functional.trunks import test_networks as networks
from functional.vhost_scene import VhostScene
from vifd.testing.census import Census
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.guests import PacketGuest

pytestmark = pytest.mark.needs("dpdk")


@pytest.fixture
def ovs(leaks: Census) -> Iterator[DpdkOvs]:
    switch = DpdkOvs()
    with switch:
        yield switch


PLAYS: tuple[Callable[[VhostScene], None], ...] = (
    partial(frames.test_each_vlan_is_a_port_on_its_network, six=False),
    frames.test_a_sub_port_is_held_to_its_own_addresses,
    frames.test_a_tag_that_no_sub_port_has_is_dropped,
    frames.test_a_broadcast_comes_to_every_port_of_the_network_but_its_sender,
    networks.test_sub_ports_come_and_go_under_traffic_of_the_others,
    owntags.test_beneath_a_tag_a_guest_is_held_to_its_addresses,
    owntags.test_of_a_sub_port_beneath_its_own,
)


def test_as_on_taps(ovs: DpdkOvs) -> None:
    """All on one switch: one with DPDK takes seconds to start."""
    for play in PLAYS:
        with VhostScene(ovs) as scene:
            play(scene)


def test_by_the_physical_network(ovs: DpdkOvs, wire: PacketGuest) -> None:
    with VhostScene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        networks.test_the_vlan_is_inherited_from_the_network(scene, wire)
