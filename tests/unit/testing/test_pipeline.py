"""The evaluator of flow tables, and packets in words."""

import pytest

from vifd.openflow import action as act
from vifd.openflow import trace
from vifd.openflow.field import IN_PORT
from vifd.openflow.flow import Flow, flow
from vifd.openflow.match import TAGGED, UNTAGGED
from vifd.testing import packet
from vifd.testing.openflow import FakeOpenFlow
from vifd.testing.pipeline import Journey, Pipeline
from vifd.testing.tracer import FakeTracer


def send(flows: list[Flow], text: str) -> Journey:
    return Pipeline({"br": flows}).send("br", packet.parse(text))


def ports(journey: Journey) -> list[tuple[int, int | None]]:
    return [(sent.port, sent.vlan) for sent in journey.sent]


def test_the_highest_priority_wins() -> None:
    flows = [flow(0, 1, 1, [act.output(1)]), flow(0, 9, 2, [act.output(2)], in_port=5),
             flow(0, 5, 3, [act.output(3)])]  # fmt: skip
    assert ports(send(flows, "in_port=5")) == [(2, None)]
    assert ports(send(flows, "in_port=6")) == [(3, None)]
    assert send([], "in_port=5").path[0].flow is None


def test_equal_priorities_are_pointed_out() -> None:
    flows = [flow(0, 1, 1, in_port=5), flow(0, 1, 2, eth_type=0x0806), flow(0, 0, 3)]
    assert send(flows, "in_port=5").ambiguous == []
    (visit,) = send(flows, "in_port=5,arp").ambiguous
    assert visit.rivals == (flows[1],)


def test_registers_and_goto() -> None:
    flows = [
        flow(0, 1, 1, [act.set_field("reg5", 7)], goto=9),
        flow(9, 1, 1, [act.output(7)], goto=12, reg5=7),
        flow(12, 1, 1, [act.output(8)], reg5=(5, 5)),
        flow(12, 9, 1, [act.output(9)], reg5=8),
    ]
    assert ports(send(flows, "in_port=1")) == [(7, None), (8, None)]


def test_tags() -> None:
    flows = [
        flow(0, 1, 1, [act.push_vlan(), act.set_vlan(101), act.output(2), act.pop_vlan(),
                       act.output(3)], vlan_vid=UNTAGGED),
        flow(0, 1, 1, [act.output(4), act.pop_vlan(), act.output(5)], vlan_vid=TAGGED),
    ]  # fmt: skip
    assert ports(send(flows, "in_port=1")) == [(2, 101), (3, None)]
    assert ports(send(flows, "in_port=1,dl_vlan=9")) == [(4, 9), (5, None)]
    double = [flow(0, 1, 1, [act.push_vlan(), act.set_vlan(101), act.output(2), act.pop_vlan(),
                             act.output(3)])]  # fmt: skip
    assert ports(send(double, "in_port=1,vlan_tci=0x1009")) == [(2, 101), (3, 9)]


def test_a_frame_does_not_go_back_unless_asked() -> None:
    flows = [flow(0, 1, 1, [act.output(1), act.output(2), act.output(IN_PORT)])]
    assert ports(send(flows, "in_port=1")) == [(2, None), (1, None)]


def test_resubmit_goes_on_behind_it() -> None:
    flows = [
        flow(0, 1, 1, [act.resubmit(None, 5), act.output(2)]),
        flow(5, 1, 1, [act.set_field("reg1", 3), act.output(7)], goto=6),
        flow(6, 1, 1, [act.output(8)], reg1=3),
    ]
    assert ports(send(flows, "in_port=1")) == [(7, None), (8, None), (2, None)]


def test_a_loop_ends() -> None:
    journey = send([flow(0, 1, 1, [act.resubmit(None, 0)])], "in_port=1")
    assert journey.failure == "Recursion too deep"


def test_tracking_forks() -> None:
    flows = [
        flow(0, 1, 1, [act.ct(table=5, zone=3), act.output(2)], eth_type=0x0800),
        flow(5, 1, 1, [act.output(9)], ct_state="+trk+new", ct_zone=3),
    ]
    assert ports(send(flows, "in_port=1,ip")) == [(9, None), (2, None)]


def test_patch_ports_lead_to_another_bridge() -> None:
    fake = FakeOpenFlow()
    fake.patch(("br-int", 9), ("br-ex", 2))
    fake.install("br-int", flow(0, 1, 1, [
        act.set_field("reg1", 1), act.push_vlan(), act.set_vlan(101), act.output(9),
        act.pop_vlan(), act.output(3),
    ], in_port=1))  # fmt: skip
    fake.install("br-ex", flow(0, 5, 7, [act.set_vlan(7), act.output(4)], in_port=2, vlan_vid=101,
                               reg1=0))  # fmt: skip
    tracer = FakeTracer(fake)
    journey = tracer.journey("br-int", "in_port=1")
    assert [(s.bridge, s.port, s.vlan) for s in journey.sent] == [
        ("br-ex", 4, 7), ("br-int", 3, None),
    ]  # fmt: skip
    seen = trace.parse(tracer.trace("br-int", "in_port=1"))
    assert [(hop.bridge, hop.cookie) for hop in seen.hops] == [("br-int", 1), ("br-ex", 7)]
    assert seen.hops[0].actions[-2:] == ("pop_vlan", "output:3")


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("in_port=LOCAL, arp,arp_op=1", {"in_port": 0xFFFFFFFE, "eth_type": 0x0806, "arp_op": 1}),
        ("udp,tp_src=68,tp_dst=67,nw_ttl=64",
         {"eth_type": 0x0800, "ip_proto": 17, "udp_src": 68, "udp_dst": 67}),
        ("icmp6,icmpv6_type=134", {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 134}),
        ("ip,nw_tos=8,dl_vlan=5,dl_vlan_pcp=2",
         {"eth_type": 0x0800, "ip_dscp": 2, "vlan_vid": 0x1005, "vlan_pcp": 2}),
        ("vlan_tci=0x5005", {"vlan_vid": 0x1005, "vlan_pcp": 2}),
        ("vlan_vid=0x1005/0x1fff", {"vlan_vid": 0x1005}),
        ("eth_type=0x806,eth_src=00:00:00:00:00:01", {"eth_type": 0x0806, "eth_src": 1}),
    ],
)  # fmt: skip
def test_packets_in_words(text: str, fields: dict[str, int]) -> None:
    assert packet.parse(text) == fields
