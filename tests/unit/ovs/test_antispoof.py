"""What a guest may claim to be, rule by rule."""

from __future__ import annotations

import pytest

from unit.ovs.world import World, port
from vifd.policy.addresses import link_local
from vifd.testing.attachments import attachment, ipv4, ipv6, mac

ME, OTHER = mac(1), mac(2)
MY4, OTHER4, MY6, OTHER6 = ipv4(1), ipv4(2), ipv6(1), ipv6(2)
MY_LL, OTHER_LL = link_local(ME), link_local(OTHER)
ALL = "dl_dst=ff:ff:ff:ff:ff:ff"
ALL6 = "dl_dst=33:33:00:00:00:01,ipv6_dst=ff02::1"


def ip4(src=MY4, eth=ME, rest="udp,tp_src=1,tp_dst=2"):
    return f"{rest},dl_src={eth},dl_dst={OTHER},nw_src={src},nw_dst={OTHER4}"


def ip6(src=MY6, eth=ME, rest="udp6,tp_src=1,tp_dst=2"):
    return f"{rest},dl_src={eth},dl_dst={OTHER},ipv6_src={src},ipv6_dst={OTHER6}"


def arp(eth=ME, sha=ME, spa=MY4, op=1):
    return f"arp,dl_src={eth},{ALL},arp_op={op},arp_sha={sha},arp_spa={spa},arp_tpa={OTHER4}"


def nd(kind, src=MY6, eth=ME, target=MY6):
    return f"icmp6,dl_src={eth},{ALL6},ipv6_src={src},icmpv6_type={kind},nd_target={target}"


def icmp6(kind, src=MY_LL, eth=ME):
    return f"icmp6,dl_src={eth},{ALL6},ipv6_src={src},icmpv6_type={kind}"


def dhcp(src="0.0.0.0", eth=ME, ports=(68, 67)):
    return (
        f"udp,dl_src={eth},{ALL},nw_src={src},nw_dst=255.255.255.255,"
        f"tp_src={ports[0]},tp_dst={ports[1]}"
    )


def dhcp6(src=MY_LL, eth=ME, ports=(546, 547)):
    return f"udp6,dl_src={eth},{ALL6},ipv6_src={src},tp_src={ports[0]},tp_dst={ports[1]}"


ALLOWED = {
    "its IPv4 address": ip4(),
    "its IPv6 address": ip6(),
    "its link-local address": ip6(MY_LL),
    "ARP request": arp(),
    "ARP reply": arp(op=2),
    "ARP probe": arp(spa="0.0.0.0"),
    "RARP of its MAC": f"rarp,dl_src={ME},{ALL}",
    "DHCP request": dhcp(),
    "DHCP renewal": dhcp(MY4),
    "DHCPv6 request": dhcp6(),
    "router solicitation": icmp6(133),
    "neighbour solicitation": nd(135, target=OTHER6),
    "duplicate address detection": nd(135, src="::"),
    "duplicate address detection, link-local": nd(135, src="::", target=MY_LL),
    "neighbour advertisement": nd(136),
    "neighbour advertisement, link-local": nd(136, src=MY_LL, target=MY_LL),
    "MLD report": icmp6(143),
    "MLD report before it has an address": icmp6(143, "::"),
    "MLDv1 report before it has an address": icmp6(131, "::"),
    "MLDv1 done before it has an address": icmp6(132, "::"),
    "ping": icmp6(128, MY6),
}

REFUSED = {
    "foreign IPv4 address": ip4(OTHER4),
    "foreign IPv6 address": ip6(OTHER6),
    "foreign link-local address": ip6(OTHER_LL),
    "foreign MAC": ip4(eth=OTHER),
    "foreign MAC, IPv6": ip6(eth=OTHER),
    "foreign MAC and its address": ip4(OTHER4, OTHER),
    "unspecified IPv4": ip4("0.0.0.0"),
    "unspecified IPv6": ip6("::"),
    "multicast source": ip4("224.0.0.1"),
    "ARP for a foreign address": arp(spa=OTHER4),
    "ARP with a foreign hardware address": arp(sha=OTHER),
    "ARP with a foreign Ethernet source": arp(eth=OTHER),
    "ARP wholly foreign": arp(OTHER, OTHER, OTHER4),
    "ARP reply without an address": arp(spa="0.0.0.0", op=2),
    "ARP probe of a foreign MAC": arp(OTHER, OTHER, "0.0.0.0"),
    "RARP of a foreign MAC": f"rarp,dl_src={OTHER},{ALL}",
    "DHCP offer": dhcp(MY4, ports=(67, 68)),
    "DHCP offer without an address": dhcp(ports=(67, 68)),
    "DHCP request of a foreign MAC": dhcp(eth=OTHER),
    "DHCP request of a foreign address": dhcp(OTHER4),
    "DHCPv6 advertise": dhcp6(ports=(547, 546)),
    "DHCPv6 request of a foreign address": dhcp6(OTHER_LL),
    "router advertisement": icmp6(134),
    "redirect": icmp6(137),
    "neighbour solicitation from a foreign address": nd(135, src=OTHER6, target=OTHER6),
    "neighbour solicitation of a foreign MAC": nd(135, eth=OTHER),
    "duplicate address detection for a foreign address": nd(135, src="::", target=OTHER6),
    "neighbour advertisement of a foreign address": nd(136, target=OTHER6),
    "neighbour advertisement from a foreign address": nd(136, src=OTHER6),
    "neighbour advertisement of a foreign MAC": nd(136, eth=OTHER),
    "MLD report of a foreign MAC": icmp6(143, "::", OTHER),
    "MLD report from a foreign address": icmp6(143, OTHER_LL),
    "a protocol that is no IP": f"dl_type=0x88cc,dl_src={ME},dl_dst=01:80:c2:00:00:0e",
    "PPPoE discovery": f"dl_type=0x8863,dl_src={ME},{ALL}",
}


@pytest.fixture(scope="module")
def world():
    return World([port(attachment(1)), port(attachment(2))])


@pytest.fixture(scope="module")
def me(world):
    return world.ports[attachment(1).id]


@pytest.mark.parametrize("frame", ALLOWED.values(), ids=ALLOWED)
def test_allowed(world, me, frame):
    assert world.passes(me, frame)
    assert not world.journey(me, frame).ambiguous


@pytest.mark.parametrize("frame", REFUSED.values(), ids=REFUSED)
def test_refused_and_counted_at_the_port(world, me, frame):
    assert world.spoofed(me, frame)
    assert not world.journey(me, frame).ambiguous


@pytest.mark.parametrize("frame", [*ALLOWED.values(), *REFUSED.values()])
@pytest.mark.parametrize("tag", ["dl_vlan=1", "dl_vlan=101"])
def test_tagged_frames_are_dropped_at_the_door(world, me, frame, tag):
    journey = world.journey(me, f"{frame},{tag}")
    assert [visit.table for visit in journey.path] == [0]
    assert not journey.sent


@pytest.mark.parametrize("frame", [*ALLOWED.values(), *REFUSED.values()])
def test_a_priority_tag_changes_no_verdict(world, me, frame):
    plain = world.journey(me, frame)
    journey = world.journey(me, f"{frame},dl_vlan=0")
    assert journey.places == plain.places
    assert all(sent.vlan is None for sent in journey.sent)
    assert world.spoofed(me, f"{frame},dl_vlan=0") is world.spoofed(me, frame)


@pytest.mark.parametrize("frame", [*ALLOWED.values(), *REFUSED.values()])
def test_without_port_security_everything_untagged_passes(frame):
    free = port(attachment(1, port_security_enabled=False))
    world = World([free, port(attachment(2))])
    assert world.passes(free, frame)
    assert not world.passes(free, f"{frame},dl_vlan=7")


class TestAllowedAddressPairs:
    def world(self, *pairs, **fields):
        me = port(attachment(1, allowed_address_pairs=list(pairs), **fields))
        return World([me, port(attachment(2))]), me

    def test_address_with_the_ports_mac(self):
        world, me = self.world({"ip_address": "10.9.0.1"})
        assert world.passes(me, ip4("10.9.0.1"))
        assert world.passes(me, arp(spa="10.9.0.1"))
        assert world.spoofed(me, ip4("10.9.0.2"))

    def test_prefix(self):
        world, me = self.world({"ip_address": "10.9.0.0/24"})
        assert world.passes(me, ip4("10.9.0.77"))
        assert world.passes(me, arp(spa="10.9.0.77"))
        assert world.spoofed(me, ip4("10.9.1.1"))
        assert world.spoofed(me, arp(spa="10.9.1.1"))

    def test_own_mac_of_a_pair(self):
        vrrp = "00:00:5e:00:01:01"
        world, me = self.world({"ip_address": "10.9.0.1", "mac_address": vrrp})
        assert world.passes(me, ip4("10.9.0.1", vrrp))
        assert world.passes(me, arp(vrrp, vrrp, "10.9.0.1"))
        assert world.passes(me, f"rarp,dl_src={vrrp},{ALL}")
        assert world.passes(me, ip6(link_local(vrrp), vrrp))
        assert world.passes(me, nd(136, link_local(vrrp), vrrp, link_local(vrrp)))
        assert world.spoofed(me, ip4("10.9.0.1", ME))
        assert world.spoofed(me, ip4(MY4, vrrp))
        assert world.spoofed(me, arp(ME, vrrp, "10.9.0.1"))

    def test_every_address(self):
        world, me = self.world({"ip_address": "0.0.0.0/0"}, {"ip_address": "::/0"})
        assert world.passes(me, ip4("192.0.2.1"))
        assert world.passes(me, arp(spa="192.0.2.1"))
        assert world.passes(me, ip6("2001:db8::1"))
        assert world.passes(me, nd(136, "2001:db8::1", target="2001:db8::2"))
        assert world.passes(me, nd(135, "::", target="2001:db8::2"))
        assert world.spoofed(me, ip4("192.0.2.1", OTHER))
        assert world.spoofed(me, arp(OTHER, OTHER, "192.0.2.1"))

    def test_every_address_does_not_make_a_dhcp_server_or_router(self):
        world, me = self.world({"ip_address": "0.0.0.0/0"}, {"ip_address": "::/0"})
        for name in ("DHCP offer", "DHCPv6 advertise", "router advertisement", "redirect"):
            assert world.spoofed(me, REFUSED[name]), name

    def test_covered_prefixes_make_no_flow_of_their_own(self):
        plain, _ = self.world({"ip_address": "10.9.0.0/24"})
        more, _ = self.world({"ip_address": "10.9.0.0/24"}, {"ip_address": "10.9.0.7"})
        assert len(more.flows) == len(plain.flows)

    def test_upper_case_mac(self):
        world, me = self.world({"ip_address": "10.9.0.1", "mac_address": ME.upper()})
        assert world.passes(me, ip4("10.9.0.1"))


def test_a_port_without_fixed_ips_may_still_ask_for_one():
    bare = port(attachment(1, ips=[]))
    world = World([bare, port(attachment(2))])
    for name in ("DHCP request", "ARP probe", "DHCPv6 request", "router solicitation"):
        assert world.passes(bare, ALLOWED[name]), name
    assert world.spoofed(bare, ip4())
    assert world.spoofed(bare, arp())
