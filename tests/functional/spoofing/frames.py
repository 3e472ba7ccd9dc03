"""What a guest may send and what not, frame by frame, and what any bridge makes of it."""

from __future__ import annotations

from functional.linux_scene import LinuxScene
from functional.scene import Scene
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, ipv6, mac
from vifd.testing.guests import assert_only, assert_reaches

ME, YOU, THIRD = mac(1), mac(2), mac(3)
MY4, YOUR4, THIRD4 = ipv4(1), ipv4(2), ipv4(3)
MY6, YOUR6, THIRD6 = ipv6(1), ipv6(2), ipv6(3)
MY_LL, THIRD_LL = f.link_local(ME), f.link_local(THIRD)
MLD2 = bytes.fromhex("0000000104000000") + f.ip_bytes("ff02::1:ff00:1")

ALLOWED = {
    "IPv4": f.udp(ME, YOU, MY4, YOUR4),
    "IPv6": f.udp(ME, YOU, MY6, YOUR6),
    "IPv6 link-local": f.udp(ME, YOU, MY_LL, YOUR6),
    "broadcast": f.udp(ME, f.BROADCAST, MY4, "255.255.255.255"),
    "multicast": f.udp(ME, f.multicast_mac("224.0.0.251"), MY4, "224.0.0.251"),
    "ARP request": f.arp_request(ME, MY4, YOUR4),
    "ARP reply": f.arp_reply(ME, MY4, YOU, YOUR4),
    "gratuitous ARP": f.gratuitous_arp(ME, MY4),
    "ARP probe": f.arp_request(ME, "0.0.0.0", MY4),
    "RARP": f.ethernet(ME, f.BROADCAST, 0x8035, bytes(28)),
    "DHCP": f.dhcp_discover(ME),
    "DHCPv6": f.dhcpv6_solicit(ME, MY_LL),
    "router solicitation": f.router_solicitation(ME, MY_LL),
    "neighbour solicitation": f.neighbour_solicitation(ME, MY6, YOUR6),
    "duplicate address detection": f.neighbour_solicitation(ME, "::", MY6),
    "neighbour advertisement": f.neighbour_advertisement(ME, MY6, MY6),
    "MLD report": f.icmpv6(ME, "33:33:00:00:00:16", MY_LL, "ff02::16", 143, MLD2),
    "first MLD report": f.icmpv6(ME, "33:33:00:00:00:16", "::", "ff02::16", 143, MLD2),
    "ping": f.ping(ME, YOU, MY4, YOUR4),
    "ping6": f.ping(ME, YOU, MY6, YOUR6),
}

REFUSED = {
    "foreign IPv4": f.udp(ME, YOU, THIRD4, YOUR4),
    "foreign IPv6": f.udp(ME, YOU, THIRD6, YOUR6),
    "foreign link-local": f.udp(ME, YOU, THIRD_LL, YOUR6),
    "foreign MAC": f.udp(THIRD, YOU, MY4, YOUR4),
    "foreign MAC with IPv6": f.udp(THIRD, YOU, MY6, YOUR6),
    "unspecified IPv4": f.udp(ME, YOU, "0.0.0.0", YOUR4),
    "unspecified IPv6": f.udp(ME, YOU, "::", YOUR6),
    "ARP for a foreign address": f.arp_request(ME, THIRD4, YOUR4),
    "ARP with a foreign hardware address": f.arp_request(THIRD, MY4, YOUR4, src=ME),
    "ARP with a foreign Ethernet source": f.arp_request(ME, MY4, YOUR4, src=THIRD),
    "ARP reply for a foreign address": f.arp_reply(ME, THIRD4, YOU, YOUR4),
    "gratuitous ARP for a foreign address": f.gratuitous_arp(ME, THIRD4),
    "RARP of a foreign MAC": f.ethernet(THIRD, f.BROADCAST, 0x8035, bytes(28)),
    "DHCP offer": f.dhcp_offer(ME, MY4, YOU, YOUR4),
    "DHCP of a foreign MAC": f.dhcp_discover(THIRD),
    "DHCP of a foreign address": f.dhcp_discover(ME, src_ip=THIRD4),
    "DHCPv6 advertise": f.dhcpv6_advertise(ME, YOU, MY_LL, YOUR6),
    "DHCPv6 of a foreign address": f.dhcpv6_solicit(ME, THIRD_LL),
    "router advertisement": f.router_advertisement(ME, MY_LL),
    "redirect": f.icmpv6(ME, YOU, MY_LL, YOUR6, 137, bytes(36)),
    "solicitation from a foreign address": f.neighbour_solicitation(ME, THIRD6, YOUR6),
    "detection for a foreign address": f.neighbour_solicitation(ME, "::", THIRD6),
    "advertisement of a foreign address": f.neighbour_advertisement(ME, MY6, THIRD6),
    "advertisement from a foreign address": f.neighbour_advertisement(ME, THIRD6, MY6),
    "advertisement of a foreign MAC": f.neighbour_advertisement(THIRD, MY6, MY6),
    "first MLD report of a foreign MAC": f.icmpv6(
        THIRD, "33:33:00:00:00:16", "::", "ff02::16", 143, MLD2
    ),
    "LLDP": f.ethernet(ME, "01:80:c2:00:00:0e", 0x88CC, b"\x02\x07\x04" + f.mac_bytes(ME)),
    "an unknown protocol": f.ethernet(ME, YOU, 0x88B5, b"experimental"),
}

TAGGED = {
    "tagged IPv4": f.udp(ME, YOU, MY4, YOUR4, vlan=7),
    "tagged with the local VLAN": f.udp(ME, YOU, MY4, YOUR4, vlan=1),
    "tagged with the last VLAN": f.udp(ME, YOU, MY4, YOUR4, vlan=4095),
}

SENTINEL = f.udp(ME, YOU, MY4, YOUR4, b"sentinel")

VRRP = "00:00:5e:00:01:01"
#: More addresses than its own.
PAIRS = [
    {"ip_address": "10.9.0.0/24"},
    {"ip_address": "10.8.0.1", "mac_address": VRRP},
    {"ip_address": "fd09::/64"},
]
#: What a port with :data:`PAIRS` may send, and what not.
WITH_PAIRS = [
    f.udp(ME, YOU, "10.9.0.77", YOUR4),
    f.arp_request(ME, "10.9.0.77", YOUR4),
    f.udp(VRRP, YOU, "10.8.0.1", YOUR4),
    f.gratuitous_arp(VRRP, "10.8.0.1"),
    f.udp(ME, YOU, "fd09::1", YOUR6),
    f.neighbour_advertisement(ME, "fd09::1", "fd09::1"),
    f.dhcp_discover(VRRP),
]
BEYOND_PAIRS = [
    f.udp(ME, YOU, "10.9.1.1", YOUR4),
    f.udp(ME, YOU, "10.8.0.1", YOUR4),
    f.udp(VRRP, YOU, MY4, YOUR4),
    f.arp_request(VRRP, MY4, YOUR4),
    f.udp(ME, YOU, "fd0a::1", YOUR6),
    f.neighbour_advertisement(ME, MY6, "fd0a::1"),
    f.udp(THIRD, YOU, "10.9.0.77", YOUR4),
]


def without_tag(sent: bytes, arrived: bytes) -> bool:
    """Whether it is the same frame but for its tags."""
    return f.untagged(sent)[:60] == f.untagged(arrived)[:60]


def assert_pairs(scene: Scene | LinuxScene) -> None:
    """A port may use the addresses that it is allowed, each with its own MAC."""
    me, you = scene.guests(attachment(1, allowed_address_pairs=PAIRS), attachment(2))
    for frame in WITH_PAIRS:
        assert_reaches(me, you, frame)
    assert_only(you, forbidden=[(me, frame) for frame in BEYOND_PAIRS], allowed=(me, SENTINEL))


def assert_every_address_but_no_server(scene: Scene | LinuxScene) -> None:
    """A port that may use every address is no router and no DHCP server for all that."""
    pairs = [{"ip_address": "0.0.0.0/0"}, {"ip_address": "::/0"}]
    me, you = scene.guests(attachment(1, allowed_address_pairs=pairs), attachment(2))
    assert_reaches(me, you, f.udp(ME, YOU, "192.0.2.1", YOUR4))
    assert_reaches(me, you, f.udp(ME, YOU, "2001:db8::1", YOUR6))
    names = ("DHCP offer", "DHCPv6 advertise", "router advertisement", "redirect", "foreign MAC")
    assert_only(you, forbidden=[(me, REFUSED[name]) for name in names], allowed=(me, SENTINEL))
