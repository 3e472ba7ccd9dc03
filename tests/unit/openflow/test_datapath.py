"""Ports and actions of a datapath in the words of the switch."""

from __future__ import annotations

from vifd.openflow import datapath

SHOW = """netdev@ovs-netdev: hit:9 missed:3
  br-ex:
    br-ex 65534/1: (tap)
    nic0 1/4: (system)
    phy-br-ex 2/none: (patch: peer=int-br-ex)
  br-int:
    tap00000001-00 1000/12: (system)
"""


def test_ports() -> None:
    assert datapath.ports(SHOW) == {"br-ex": 1, "nic0": 4, "tap00000001-00": 12}


def test_outputs() -> None:
    line = "push_vlan(vid=7,pcp=0),4,pop_vlan,12,clone(push_vlan(vid=8,pcp=0),5),6,recirc(0x1)"
    assert datapath.outputs([line]) == {(4, 7), (12, None), (5, 8), (6, None)}
    assert datapath.outputs(["drop"]) == set()
    assert datapath.outputs(["push_vlan(tpid=0x88a8,vid=9,pcp=1),2", "3"]) == {(2, 9), (3, None)}
