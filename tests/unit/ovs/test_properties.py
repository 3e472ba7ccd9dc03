"""Laws of the pipeline, for ports and packets as hypothesis invents them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from unit.ovs.world import UPLINK, World, mac_number, port
from vifd.openflow import field as fd
from vifd.openflow.field import BY_NAME
from vifd.policy.addresses import link_local
from vifd.testing.attachments import attachment, ipv4, ipv6, mac, vlan
from vifd_ovs.bridge.ports import SwitchPort

VRRP = "00:00:5e:00:01:01"
PAIRS: tuple[list[dict[str, str]], ...] = (
    [],
    [{"ip_address": "10.9.0.0/24"}],
    [{"ip_address": "10.9.0.1", "mac_address": VRRP}],
    [{"ip_address": "fd09::/64"}],
)

#: network -> its local VLAN id and segment
NETWORKS = {1: (1, vlan(101)), 2: (2, vlan(102)), 3: (3, None)}


@st.composite
def ports(draw: st.DrawFn) -> list[SwitchPort]:
    count = draw(st.integers(1, 6))
    made = []
    for number in range(1, count + 1):
        tag, segment = NETWORKS[draw(st.sampled_from(sorted(NETWORKS)))]
        wanted = attachment(
            number,
            network=tag,
            segment=segment,
            port_security_enabled=draw(st.booleans()),
            allowed_address_pairs=draw(st.sampled_from(PAIRS)),
        )
        made.append(port(wanted, tag=tag, opened=draw(st.booleans())))
    return made


def _number(field: str, text: str) -> int:
    return fd.parse(BY_NAME[field], text)[0]


MACS = [*(mac(n) for n in range(1, 7)), VRRP, "0e:00:00:00:00:99"]
DESTINATIONS = [*MACS, "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"]
IPV4 = ["0.0.0.0", *(ipv4(n) for n in range(1, 7)), "10.9.0.1", "10.9.0.200", "192.0.2.1"]
IPV6 = ["::", *(ipv6(n) for n in range(1, 7)), *map(link_local, MACS), "fd09::1", "2001:db8::1"]


@st.composite
def packets(draw: st.DrawFn) -> dict[str, int]:
    """Packets made of the addresses that are about, and of some that are not."""
    made = {
        "eth_src": mac_number(draw(st.sampled_from(MACS))),
        "eth_dst": mac_number(draw(st.sampled_from(DESTINATIONS))),
        "eth_type": draw(st.sampled_from([fd.IPV4, fd.IPV6, fd.ARP, fd.RARP, 0x88CC])),
        "vlan_vid": draw(st.sampled_from([0, 0, 0, 0x1000, 0x1001, 0x1065, 0x1066])),
    }
    if made["eth_type"] == fd.ARP:
        made["arp_op"] = draw(st.sampled_from([1, 2]))
        made["arp_sha"] = mac_number(draw(st.sampled_from(MACS)))
        made["arp_spa"] = _number("arp_spa", draw(st.sampled_from(IPV4)))
    elif made["eth_type"] == fd.IPV4:
        made["ipv4_src"] = _number("ipv4_src", draw(st.sampled_from(IPV4)))
        made["ip_proto"] = draw(st.sampled_from([fd.UDP, fd.TCP, fd.ICMP]))
    elif made["eth_type"] == fd.IPV6:
        made["ipv6_src"] = _number("ipv6_src", draw(st.sampled_from(IPV6)))
        made["ip_proto"] = draw(st.sampled_from([fd.UDP, fd.TCP, fd.ICMPV6]))
        if made["ip_proto"] == fd.ICMPV6:
            made["icmpv6_type"] = draw(st.sampled_from([128, 131, 132, *range(133, 138), 143]))
            if made["icmpv6_type"] in (135, 136):
                made["nd_target"] = _number("nd_target", draw(st.sampled_from(IPV6)))
                option = "nd_sll" if made["icmpv6_type"] == 135 else "nd_tll"
                made[option] = draw(st.sampled_from([0, *map(mac_number, MACS)]))
    if made.get("ip_proto") == fd.UDP:
        made["udp_src"] = draw(st.sampled_from([67, 68, 546, 547, 5000]))
        made["udp_dst"] = draw(st.sampled_from([67, 68, 546, 547, 5000]))
    return made


def allows(port_: SwitchPort, packet: dict[str, int]) -> bool:
    """The law, said once more without flows: may this port send this packet?"""
    if packet["vlan_vid"] & 0xFFF:
        return False
    if not port_.secured:
        return True
    pairs = {mac_number(pair.mac): pair for pair in port_.allowed}
    pair = pairs.get(packet["eth_src"])
    if pair is None:
        return False
    kind, proto = packet["eth_type"], packet.get("ip_proto")
    udp = (packet.get("udp_src"), packet.get("udp_dst"))
    if kind == fd.RARP:
        return True
    if kind == fd.ARP:
        probe = packet["arp_spa"] == 0 and packet["arp_op"] == 1
        other = pairs.get(packet["arp_sha"])
        both = [] if other is None else [pair.ipv4, other.ipv4]
        mine = all(within(packet["arp_spa"], prefixes, "ipv4_src") for prefixes in both)
        return other is not None and (probe or mine)
    if kind == fd.IPV4:
        if proto == fd.UDP and udp[1] == 68:
            return False
        asking = proto == fd.UDP and udp == (68, 67) and packet["ipv4_src"] == 0
        return asking or within(packet["ipv4_src"], pair.ipv4, "ipv4_src")
    if kind != fd.IPV6 or (proto == fd.UDP and udp[1] == 546):
        return False
    icmp = packet.get("icmpv6_type")
    source_ok = within(packet["ipv6_src"], pair.ipv6, "ipv6_src")
    if icmp in (134, 137):
        return False
    told = packet.get("nd_tll" if icmp == 136 else "nd_sll", 0)
    known = pair if told == 0 else pairs.get(told)
    if known is None:
        return False
    if icmp == 136:
        owners = [pair.ipv6, known.ipv6]
        return source_ok and all(within(packet["nd_target"], p, "ipv6_src") for p in owners)
    if icmp == 135 and (packet["nd_target"] == 0 or (packet["ipv6_src"] == 0 and told)):
        return False
    if icmp == 135 and packet["ipv6_src"] == 0:
        return within(packet["nd_target"], pair.ipv6, "ipv6_src")
    if icmp == 135:
        return source_ok and within(packet["ipv6_src"], known.ipv6, "ipv6_src")
    if icmp in (131, 132, 133, 143) and packet["ipv6_src"] == 0:
        return True
    return source_ok


def within(number: int, prefixes: tuple[str, ...], field: str) -> bool:
    parsed = [fd.parse(BY_NAME[field], prefix) for prefix in prefixes]
    return any(number & mask == value for value, mask in parsed)


def expected(source: SwitchPort, packet: dict[str, int], everyone: list[SwitchPort]) -> set[int]:
    """The law of delivery, said once more without flows."""
    if not (source.is_open and allows(source, packet)):
        return set()
    others = [p for p in everyone if p.tag == source.tag and p.is_open and p is not source]
    dst = packet["eth_dst"]
    uplink = {UPLINK} if source.patch else set()
    if dst >> 40 & 1:
        return {p.ofport for p in others} | uplink
    present = [p for p in everyone if p.tag == source.tag and p.is_open]
    holders = {p.ofport for p in present if dst in {mac_number(a.mac) for a in p.allowed}}
    if holders:
        # an address that is one port's own and nobody else's is here; any other may be elsewhere
        own = {p.ofport for p in present if mac_number(p.mac) == dst} == holders
        alone = own and len(holders) == 1
        return (holders if alone else holders | uplink) - {source.ofport}
    return {p.ofport for p in others if not p.secured} | uplink


@settings(max_examples=400, deadline=None)
@given(ports(), packets(), st.data())
def test_a_packet_goes_exactly_where_the_law_says(made, packet, data):
    source = data.draw(st.sampled_from(made))
    world = World(made)
    journey = world.pipeline.send("br-int", {**packet, "in_port": source.ofport})
    assert {sent.port for sent in journey.sent} == expected(source, packet, made)
    assert not journey.ambiguous
    assert len(journey.sent) == len({sent.port for sent in journey.sent})


@settings(max_examples=300, deadline=None)
@given(ports(), packets(), st.data())
def test_no_packet_of_one_network_reaches_another(made, packet, data):
    source = data.draw(st.sampled_from(made))
    world = World(made)
    by_number = {p.ofport: p for p in made}
    for sent in world.pipeline.send("br-int", {**packet, "in_port": source.ofport}).sent:
        if sent.port == UPLINK:
            assert sent.vlan == source.segment[2]
        else:
            receiver = by_number[sent.port]
            assert receiver.tag == source.tag
            assert receiver.is_open
            assert source.is_open
            assert sent.vlan is None


@settings(max_examples=300, deadline=None)
@given(ports(), packets())
def test_what_comes_in_reaches_its_own_network_only(made, packet):
    world = World(made)
    by_number = {p.ofport: p for p in made}
    vid = packet["vlan_vid"] & 0xFFF
    for sent in world.pipeline.send("br-int", {**packet, "in_port": UPLINK}).sent:
        receiver = by_number[sent.port]
        assert receiver.is_open
        assert receiver.segment == ("vlan", "physnet1", vid)
        assert sent.vlan is None


@settings(max_examples=100, deadline=None)
@given(ports())
def test_no_two_flows_contend_for_one_entry(made):
    world = World(made)
    assert len({f.key for f in world.flows}) == len(world.flows)
