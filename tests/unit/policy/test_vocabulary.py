"""Every word of a match means the same on both back ends; rules to come will use the others."""

from __future__ import annotations

import pytest

from support.nftmachine import Frame, Machine
from vifd.drivers.nft.expr import DROP
from vifd.drivers.nft.objects import Chain, Hook, Rule
from vifd.openflow.flow import flow
from vifd.policy.rule import ARP, ICMP, ICMPV6, IPV4, IPV6, TCP, UDP, Fragment, Match
from vifd.testing import crafted as c
from vifd.testing import flowkey
from vifd.testing import frames as f
from vifd.testing.attachments import ipv4, ipv6, mac
from vifd.testing.pipeline import matches as taken
from vifd_linuxbridge.policy_match import expressions
from vifd_ovs.bridge.policy_match import fields

ME, YOU = mac(1), mac(2)
UDP4 = f.udp(ME, YOU, ipv4(1), ipv4(2), bytes(64), sport=1024, dport=8081)
UDP6 = f.udp(ME, YOU, ipv6(1), ipv6(2), bytes(64), sport=1024, dport=8081)
TCP4 = f.ipv4(ME, YOU, ipv4(1), ipv4(2), TCP, bytes.fromhex("0400005000000001") + bytes(12))
PING4, PING6 = (f.ping(ME, YOU, *pair) for pair in ((ipv4(1), ipv4(2)), (ipv6(1), ipv6(2))))
FRAMES = {
    "UDP": UDP4, "UDP over IPv6": UDP6, "TCP": TCP4, "ping": PING4, "ping6": PING6,
    "ARP": f.arp_request(ME, ipv4(1), ipv4(2)), "reply": f.arp_reply(ME, ipv4(1), YOU, ipv4(2)),
    "first": c.fragments4(UDP4, 32)[0], "later": c.fragments4(UDP4, 32)[1],
    "first6": c.fragments6(UDP6, 32)[0], "later6": c.fragments6(UDP6, 32)[1],
    "atomic": c.atomic(UDP6), "broadcast": f.udp(ME, f.BROADCAST, ipv4(1), ipv4(9)),
}  # fmt: skip
ALL4 = {"UDP", "TCP", "ping", "first", "later", "broadcast"}
ALL6 = {"UDP over IPv6", "ping6", "first6", "later6", "atomic"}

#: a match, and the frames that it takes
ROWS: list[tuple[Match, set[str]]] = [
    (Match(ethertype=IPV4), ALL4),
    (Match(ethertype=IPV6), ALL6),
    (Match(ethertype=ARP, arp_op=2), {"reply"}),
    (Match(ethertype=ARP, arp_spa="10.0.0.0/24", arp_sha=ME), {"ARP", "reply"}),
    (Match(eth_src=YOU), set()),
    (Match(eth_dst="01:00:00:00:00:00/01:00:00:00:00:00"), {"ARP", "broadcast"}),
    (Match(ethertype=IPV4, src="10.0.0.0/24", dst=ipv4(9)), {"broadcast"}),
    (Match(ethertype=IPV6, src=ipv6(1), dst="fd00::/64"), ALL6),
    (Match(ethertype=IPV4, protocol=UDP), {"UDP", "first", "later", "broadcast"}),
    (Match(ethertype=IPV4, protocol=UDP, dport=8081), {"UDP", "first"}),
    (Match(ethertype=IPV4, protocol=UDP, dport=(8080, 0xFFF0)), {"UDP", "first"}),
    (Match(ethertype=IPV6, protocol=UDP, sport=(1024, 0xFC00)),
     {"UDP over IPv6", "first6", "atomic"}),
    (Match(ethertype=IPV4, protocol=TCP, sport=1024, dport=80), {"TCP"}),
    (Match(ethertype=IPV4, protocol=ICMP, icmp_type=8, icmp_code=0), {"ping"}),
    (Match(ethertype=IPV4, protocol=ICMP, icmp_type=8, icmp_code=1), set()),
    (Match(ethertype=IPV6, protocol=ICMPV6, icmp_type=128, icmp_code=0), {"ping6"}),
    (Match(ethertype=IPV4, fragment=Fragment.WHOLE), {"UDP", "TCP", "ping", "broadcast"}),
    (Match(ethertype=IPV4, fragment=Fragment.FIRST), {"first"}),
    (Match(ethertype=IPV4, fragment=Fragment.LATER), {"later"}),
    (Match(ethertype=IPV4, fragment=Fragment.SOME), {"first", "later"}),
    (Match(ethertype=IPV6, fragment=Fragment.FIRST), {"first6"}),
    (Match(ethertype=IPV6, fragment=Fragment.LATER), {"later6"}),
]  # fmt: skip


#: The same in every process: a set has no order.
NAMES = [f"{n}-{'+'.join(sorted(wanted)) or 'nothing'}" for n, (_, wanted) in enumerate(ROWS)]


@pytest.mark.parametrize(("match", "wanted"), ROWS, ids=NAMES)
def test_on_open_vswitch(match, wanted):
    entry = flow(0, 1, 0, (), None, **fields(match))
    assert {name for name, frame in FRAMES.items() if taken(entry, flowkey.parse(frame))} == wanted


@pytest.mark.parametrize(("match", "wanted"), ROWS, ids=NAMES)
def test_on_a_linux_bridge(match, wanted):
    rule = Rule((*expressions(match), DROP))
    machine = Machine({"all": Chain("all", (rule,), Hook.PREROUTING)})
    dropped = {
        name for name, frame in FRAMES.items() if not machine.passes(Hook.PREROUTING, Frame(frame))
    }
    assert dropped == wanted


def test_the_fields_of_a_match_are_all_tried():
    told = {name for match, _ in ROWS for name in fields(match)}
    assert {"tcp_src", "tcp_dst", "udp_src", "udp_dst", "icmpv4_code", "icmpv6_code"} <= told
