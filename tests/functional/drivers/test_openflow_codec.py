"""Flows on a real switch: every field and action, byte for byte and word for word."""

from collections.abc import Iterator

import pytest

from support.openflow_suite import ONE
from vifd.drivers.openflow import LocalOpenFlow
from vifd.openflow import action as act
from vifd.openflow import field as fd
from vifd.openflow.flow import Flow, flow
from vifd.openflow.match import TAGGED, UNTAGGED, Value
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs

MAC = "fa:16:3e:00:00:05"
GROUP = "01:00:00:00:00:00/01:00:00:00:00:00"


@pytest.fixture
def bridge(ovs: PrivateOvs) -> str:
    netdev = (OF_DATAPATH, "fail_mode=secure")
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", *netdev)
    return "br-int"


@pytest.fixture
def openflow(ovs: PrivateOvs) -> Iterator[LocalOpenFlow]:
    driver = LocalOpenFlow(str(ovs.rundir))
    yield driver
    driver.close()


_ANY: dict[str, Value] = {
    "in_port": 1, "metadata": (5, 0xFF), "eth_dst": GROUP, "eth_src": MAC, "vlan_vid": 101,
    "vlan_pcp": 3, "ct_state": "+trk-new+est", "ct_zone": 5, "ct_mark": (1, 1), "tun_id": 77,
    "tun_src": "192.0.2.1", "tun_dst": "192.0.2.0/24",
    "tun_ipv6_src": "fd00::1", "tun_ipv6_dst": "fd00::/64",
    **{f"reg{n}": n + 1 for n in range(16)},
}  # fmt: skip
_ND: dict[str, Value] = {"eth_type": 0x86DD, "ip_proto": 58, "nd_target": "fd00::5"}

MATCHES: list[dict[str, Value]] = [
    {},
    {**_ANY, "eth_type": 0x0800, "ip_proto": 6, "ip_dscp": 10, "ipv4_src": "10.0.0.5/24",
     "ipv4_dst": "10.0.0.1", "tcp_src": 80, "tcp_dst": (0x100, 0xFF00)},
    {**_ANY, "eth_type": 0x0800, "ip_proto": 17, "udp_src": 67, "udp_dst": 68},
    {**_ANY, "eth_type": 0x0800, "ip_proto": 1, "icmpv4_type": 8, "icmpv4_code": 0},
    {**_ANY, **_ND, "icmpv6_type": 135, "icmpv6_code": 0, "nd_sll": MAC, "ip_dscp": 1,
     "ipv6_src": "fd00::/64", "ipv6_dst": "ff02::1"},
    {**_ANY, **_ND, "icmpv6_type": 136, "nd_tll": MAC + "/ff:ff:ff:00:00:00"},
    {**_ND, "icmpv6_type": 135, "nd_target": "fd00::5/96"},
    {**_ND, "icmpv6_type": 135, "nd_reserved": 5, "nd_options_type": 1},
    {**_ANY, "eth_type": 0x0806, "arp_op": 1, "arp_spa": "10.0.0.5", "arp_tpa": "10.0.0.0/8",
     "arp_sha": MAC, "arp_tha": "00:00:00:00:00:00"},
    {**_ANY, "eth_type": 0x86DD, "ip_proto": 17, "udp_src": 546, "udp_dst": (546, 0xFFFE)},
    {**_ANY, "eth_type": 0x86DD, "ip_proto": 6, "tcp_src": 1, "tcp_dst": 2},
    {"eth_type": 0x8035, "arp_op": 3},
    {"eth_type": 0x0800, "ip_proto": 47},
    {"eth_type": 0x0800, "ip_proto": 132},
    {"eth_type": 0x86DD, "ip_proto": 89},
    {"eth_type": 0x88CC},
    {"eth_type": 0x0800, "ip_dscp": 1},
    {"eth_type": 0x0800, "ip_frag": 0},
    {"eth_type": 0x0800, "ip_frag": 1},
    {"eth_type": 0x0800, "ip_frag": 3},
    {"eth_type": 0x86DD, "ip_frag": (1, 1)},
    {"eth_type": 0x86DD, "ip_frag": (0, 2), "ip_proto": 17, "udp_dst": 546},
    {"eth_type": 0x0800, "ipv4_src": ("10.0.0.1", "255.0.0.1")},
    {"eth_type": 0x0800, "ipv4_src": "0.0.0.0/0", "ipv4_dst": "10.1.2.3/32"},
    {"eth_type": 0x86DD, "ipv6_src": ("fe80::1", "ffff::1")},
    {"eth_type": 0x86DD, "ipv6_src": "::/0", "ipv6_dst": "fd00::1/128"},
    {"vlan_vid": UNTAGGED},
    {"vlan_vid": TAGGED},
    {"vlan_vid": 0},
    {"vlan_vid": TAGGED, "vlan_pcp": 2},
    {"vlan_vid": (0x1064, 0x1FFE)},
    {"in_port": "LOCAL"},
    {"ct_state": 0x21},
    {"ct_state": "+inv"},
    {"reg3": 0, "metadata": 0, "tun_id": 0, "ct_mark": 0, "ct_zone": 0, "ct_state": 0},
    {"reg3": (0, 1), "metadata": (0, 1), "tun_id": (0, 1), "ct_mark": (0, 1), "ct_state": "-trk"},
    {"eth_type": 0x0800, "ip_proto": 6, "tcp_src": 0, "tcp_dst": (0, 1), "ip_dscp": 0},
    {"eth_type": 0x0800, "ip_proto": 132, "sctp_src": 5, "sctp_dst": (0x100, 0xFF00)},
    {"eth_type": 0x86DD, "ip_proto": 132, "sctp_dst": 5},
    {**_ANY, "conj_id": 7, "eth_type": 0x0800, "ct_state": "+trk-inv-rpl", "ct_nw_proto": 6,
     "ct_nw_src": "10.0.0.0/24", "ct_nw_dst": "10.0.0.5", "ct_tp_src": 5,
     "ct_tp_dst": (80, 0xFFF0)},
    {**_ANY, "eth_type": 0x86DD, "ct_state": "+est", "ct_nw_proto": 58, "ct_tp_src": 128,
     "ct_tp_dst": 0, "ct_ipv6_src": "fd00::5", "ct_ipv6_dst": "fd00::/64"},
    {"conj_id": 1, "ct_state": "+trk-inv", "ct_nw_proto": 47},
    {"eth_type": 0x0800, "ct_state": "+trk-inv", "ct_nw_src": "10.0.0.1", "reg3": 9},
]  # fmt: skip

LISTS: list[list[act.Action]] = [
    [],
    [act.output(3), act.output(fd.LOCAL), act.in_port(), act.normal()],
    [act.controller(), act.controller(128)],
    [act.push_vlan(), act.set_vlan(101), act.set_field("vlan_pcp", 2), act.pop_vlan()],
    [act.set_field("reg5", 7), act.set_field("metadata", 3), act.set_field("eth_dst", MAC)],
    [act.set_field("tun_id", 3), act.set_field("tun_dst", "192.0.2.1"), act.set_field("reg15", 0)],
    [act.resubmit(None, 60), act.resubmit(5), act.resubmit(5, 9), act.resubmit(None, 2)],
    [act.set_field("metadata", 0), act.set_field("tun_id", 0)],
    [act.set_field("ip_dscp", 3), act.set_field("ipv4_src", "192.0.2.1")],
    [act.ct(), act.ct(zone="reg6", table=70)],
    [act.set_field("tun_ipv6_dst", "fd00::1"), act.set_field("tun_dst", "0.0.0.0")],
    [act.move("eth_src", "eth_dst")],
    [
        act.ct(commit=True, zone=5, actions=[act.set_field("ct_mark", 1)]),
        act.ct(commit=True, zone="reg4", actions=[act.move("reg12", "ct_mark")]),
    ],
    [act.ct(commit=True, zone="reg4"), act.output_register("reg4")],
    [act.conjunction(7, 0, 2), act.conjunction(0xFFFFFFFF, 2, 3)],
]


_ARP_REQUEST: dict[str, Value] = {"eth_type": 0x0806, "arp_op": 1}
#: Lists of actions with what must be matched for them.
ANSWERS: list[tuple[dict[str, Value], list[act.Action]]] = [
    (_ARP_REQUEST, [act.set_field("arp_op", 2), act.move("arp_sha", "arp_tha"),
                    act.move("arp_spa", "arp_tpa"), act.set_field("arp_sha", MAC),
                    act.set_field("arp_spa", "10.0.0.5"), act.in_port()]),
    ({**_ND, "icmpv6_type": 135}, [act.move("ipv6_src", "ipv6_dst"),
                                   act.set_field("ipv6_src", "fd00::5"),
                                   act.set_field("icmpv6_type", 136),
                                   act.set_field("nd_reserved", 0x6000_0000),
                                   act.set_field("nd_options_type", 2)]),
    ({**_ND, "icmpv6_type": 136}, [act.move("eth_src", "nd_tll")]),
]  # fmt: skip


def scene() -> list[Flow]:
    """A flow for every match, and one for every list of actions."""
    by_match = [
        flow(2, 100 + n, ONE + n, [], 60 if n % 2 else None, **match)
        for n, match in enumerate(MATCHES)
    ]
    by_actions = [
        flow(3, 100 + n, ONE + n, actions, goto=60 if n % 2 else None, eth_type=0x0800)
        for n, actions in enumerate(LISTS)
    ]
    answers = [
        flow(4, 100 + n, ONE + n, actions, None, **match)
        for n, (match, actions) in enumerate(ANSWERS)
    ]
    return by_match + by_actions + answers


def words(ovs: PrivateOvs, bridge: str) -> list[str]:
    text = ovs.ofctl("dump-flows", bridge, "--no-stats", "--no-names")
    return sorted(line.strip() for line in text.splitlines() if "cookie=" in line)


def test_every_field_and_action_comes_back_as_it_was_sent(
    openflow: LocalOpenFlow, bridge: str
) -> None:
    flows = scene()
    openflow.apply(bridge, add=flows)
    assert {f.key: f for f in openflow.dump(bridge, 0, 0)} == {f.key: f for f in flows}


def test_every_field_has_a_case() -> None:
    assert {name for match in MATCHES for name in match} == set(fd.BY_NAME)


def test_flows_read_as_the_switch_itself_writes_them(
    ovs: PrivateOvs, openflow: LocalOpenFlow, bridge: str
) -> None:
    flows = scene()
    openflow.apply(bridge, add=flows)
    assert set(map(str, flows)) == set(words(ovs, bridge))


def test_the_words_of_a_flow_make_the_same_flow(
    ovs: PrivateOvs, openflow: LocalOpenFlow, bridge: str
) -> None:
    flows = scene()
    listing = ovs.rundir / "flows"
    listing.write_text("".join(f"{f}\n" for f in flows))
    ovs.ofctl("add-flows", bridge, str(listing))
    assert {f.key: f for f in openflow.dump(bridge, 0, 0)} == {f.key: f for f in flows}


def test_foreign_instructions_are_no_match_for_ours(
    ovs: PrivateOvs, openflow: LocalOpenFlow, bridge: str
) -> None:
    ours = flow(0, 5, ONE, goto=3, in_port=1)
    ovs.ofctl(
        "add-flow",
        bridge,
        f"cookie={ONE:#x},priority=5,in_port=1,actions=write_metadata:0x1,goto_table:3",
    )
    (seen,) = openflow.dump(bridge, ONE)
    assert seen != ours
    assert "instructions" in str(seen)
