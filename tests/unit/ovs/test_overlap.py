"""Which flows of others are in the way of a port."""

from __future__ import annotations

import pytest

from vifd.openflow import action as act
from vifd.openflow.field import TAGGED
from vifd.openflow.flow import flow
from vifd.testing.attachments import attachment, vlan
from vifd_ovs.bridge.overlap import in_the_way
from vifd_ovs.bridge.ports import SwitchPort, switch_port
from vifd_ovs.bridge.wiring import OvsWiring

UPLINK = 7
FOREIGN = 0xBAD


def port() -> SwitchPort:
    names = OvsWiring(
        bridge="br-int", ofport=5001, tag=3, generation=9, patch="int-br-ex",
        network_type="vlan", physical_network="physnet1", segmentation_id=12,
    )  # fmt: skip
    return switch_port(attachment(1, segment=vlan(12)), names, opened=True)


OUT = [act.output(1)]
CASES = {
    "everything of the port": (flow(0, 5000, FOREIGN, in_port=5001), True),
    "one kind of its frames": (flow(0, 5000, FOREIGN, OUT, in_port=5001, eth_type=0x806), True),
    "everything": (flow(0, 90, FOREIGN), True),
    "below ours": (flow(0, 89, FOREIGN), False),
    "another port": (flow(0, 5000, FOREIGN, in_port=5002), False),
    "what the guard drops as well": (flow(0, 65535, FOREIGN, vlan_vid=4095), False),
    "any tag, dropped": (flow(0, 5000, FOREIGN, in_port=5001, vlan_vid=TAGGED), False),
    "any tag, let out": (flow(0, 5000, FOREIGN, OUT, in_port=5001, vlan_vid=TAGGED), True),
    "the network's frames": (flow(0, 5000, FOREIGN, in_port=UPLINK, vlan_vid=12), True),
    "those of another network": (flow(0, 5000, FOREIGN, in_port=UPLINK, vlan_vid=13), False),
    "those to the port": (flow(0, 5000, FOREIGN, in_port=UPLINK, eth_dst=port().mac), True),
    "those to another": (
        flow(0, 5000, FOREIGN, in_port=UPLINK, eth_dst="02:00:00:00:00:01"), False,
    ),
    "in a table of ours": (flow(120, 1, FOREIGN, goto=160), True),
    "there, of another network": (flow(160, 1, FOREIGN, reg6=4), False),
    "there, of this one": (flow(160, 500, FOREIGN, reg6=3), True),
    "deliveries to it": (flow(160, 500, FOREIGN, reg6=3, eth_dst=port().mac), True),
    "deliveries to another": (
        flow(160, 500, FOREIGN, reg6=3, eth_dst="02:00:00:00:00:01"), False,
    ),
    "spoofed frames let out": (flow(140, 500, FOREIGN, OUT, in_port=5001), True),
    "behind deliver": (flow(161, 500, FOREIGN, reg6=3), True),
    "a table of others": (flow(60, 500, FOREIGN), False),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_in_the_way(case: str) -> None:
    stranger, wanted = CASES[case]
    assert in_the_way(stranger, port(), UPLINK) is wanted


def test_without_an_uplink_only_what_comes_from_guests_counts() -> None:
    assert not in_the_way(flow(0, 5000, FOREIGN, in_port=UPLINK), port(), None)
