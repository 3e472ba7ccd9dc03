"""Ethernet frames as guests and their enemies would send them.

Small pure builders with correct checksums. Addresses are text; results are whole frames without
frame check sequence. Lies are told by naming them: the Ethernet source of an ARP, say, is an
argument of its own.
"""

from __future__ import annotations

import ipaddress
import struct

BROADCAST = "ff:ff:ff:ff:ff:ff"

ETH_IPV4 = 0x0800
ETH_ARP = 0x0806
ETH_VLAN = 0x8100
ETH_IPV6 = 0x86DD

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58


def mac_bytes(mac: str) -> bytes:
    """``fa:16:3e:00:00:05`` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(raw: bytes) -> str:
    """Six bytes as ``fa:16:3e:00:00:05``."""
    return raw.hex(":")


def ip_bytes(address: str) -> bytes:
    """An IPv4 or IPv6 address as bytes."""
    return ipaddress.ip_address(address).packed


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(src: str, dst: str, ethertype: int, payload: bytes, vlan: int | None = None) -> bytes:
    """A frame, padded to the 60 bytes that Ethernet demands; ``vlan`` adds an 802.1Q tag."""
    tag = b"" if vlan is None else struct.pack("!HH", ETH_VLAN, vlan)
    head = mac_bytes(dst) + mac_bytes(src) + tag + struct.pack("!H", ethertype)
    return (head + payload).ljust(60 + len(tag), b"\0")


def vlan_of(frame: bytes) -> int | None:
    """The VLAN id of a tagged frame, ``None`` for an untagged one."""
    if frame[12:14] != struct.pack("!H", ETH_VLAN):
        return None
    return int.from_bytes(frame[14:16]) & 0xFFF


def untagged(frame: bytes) -> bytes:
    """The frame without its 802.1Q tag."""
    return frame if vlan_of(frame) is None else frame[:12] + frame[16:]


# --- ARP ------------------------------------------------------------------------------------------


def arp(
    op: int,
    sha: str,
    spa: str,
    tha: str,
    tpa: str,
    *,
    src: str | None = None,
    dst: str = BROADCAST,
) -> bytes:
    """An ARP message (RFC 826); the Ethernet source is ``sha`` unless named."""
    body = struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, op)
    body += mac_bytes(sha) + ip_bytes(spa) + mac_bytes(tha) + ip_bytes(tpa)
    return ethernet(src or sha, dst, ETH_ARP, body)


def arp_request(mac: str, ip: str, target: str, *, src: str | None = None) -> bytes:
    """Who has ``target``? Tell ``ip``."""
    return arp(1, mac, ip, "00:00:00:00:00:00", target, src=src)


def arp_reply(mac: str, ip: str, to_mac: str, to_ip: str, *, src: str | None = None) -> bytes:
    """``ip`` is at ``mac``."""
    return arp(2, mac, ip, to_mac, to_ip, src=src, dst=to_mac)


def gratuitous_arp(mac: str, ip: str) -> bytes:
    """An announcement of ``ip`` at ``mac`` (RFC 5227)."""
    return arp_request(mac, ip, ip)


# --- IP -------------------------------------------------------------------------------------------


def ipv4(
    src: str,
    dst: str,
    src_ip: str,
    dst_ip: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    vlan: int | None = None,
) -> bytes:
    """An IPv4 packet in a frame from ``src`` to ``dst``."""

    def head(check: int) -> bytes:
        fixed = struct.pack(
            "!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, ttl, protocol, check
        )
        return fixed + ip_bytes(src_ip) + ip_bytes(dst_ip)

    return ethernet(src, dst, ETH_IPV4, head(checksum(head(0))) + payload, vlan)


def ipv6(
    src: str,
    dst: str,
    src_ip: str,
    dst_ip: str,
    protocol: int,
    payload: bytes,
    *,
    hops: int = 64,
    vlan: int | None = None,
) -> bytes:
    """An IPv6 packet in a frame from ``src`` to ``dst``."""
    head = struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops)
    return ethernet(src, dst, ETH_IPV6, head + ip_bytes(src_ip) + ip_bytes(dst_ip) + payload, vlan)


def _pseudo(src_ip: str, dst_ip: str, protocol: int, length: int) -> bytes:
    addresses = ip_bytes(src_ip) + ip_bytes(dst_ip)
    if len(addresses) == 8:
        return addresses + struct.pack("!BBH", 0, protocol, length)
    return addresses + struct.pack("!II", length, protocol)


def udp(
    src: str,
    dst: str,
    src_ip: str,
    dst_ip: str,
    payload: bytes = b"vifd",
    *,
    sport: int = 40000,
    dport: int = 40001,
    vlan: int | None = None,
) -> bytes:
    """A UDP datagram over IPv4 or IPv6, as the addresses say."""
    length = 8 + len(payload)
    head = struct.pack("!HHH", sport, dport, length)
    pseudo = _pseudo(src_ip, dst_ip, UDP, length)
    check = checksum(pseudo + head + b"\0\0" + payload) or 0xFFFF
    build = ipv6 if ":" in src_ip else ipv4
    datagram = head + struct.pack("!H", check) + payload
    return build(src, dst, src_ip, dst_ip, UDP, datagram, vlan=vlan)


def ping(
    src: str, dst: str, src_ip: str, dst_ip: str, *, number: int = 1, payload: bytes = b"vifd"
) -> bytes:
    """An ICMP echo request over IPv4 (RFC 792) or IPv6 (RFC 4443)."""
    if ":" in src_ip:
        return icmpv6(src, dst, src_ip, dst_ip, 128, struct.pack("!HH", 1, number) + payload)
    rest = struct.pack("!HH", 1, number) + payload
    check = checksum(struct.pack("!BBH", 8, 0, 0) + rest)
    return ipv4(src, dst, src_ip, dst_ip, ICMP, struct.pack("!BBH", 8, 0, check) + rest)


# --- DHCP -----------------------------------------------------------------------------------------


def _bootp(op: int, kind: int, client: str, your: str, server: str) -> bytes:
    fixed = struct.pack("!BBBBIHH", op, 1, 6, 0, 0x56494644, 0, 0x8000)
    addresses = ip_bytes("0.0.0.0") + ip_bytes(your) + ip_bytes(server) + ip_bytes("0.0.0.0")
    names = mac_bytes(client).ljust(16, b"\0") + bytes(64 + 128)
    options = b"\x63\x82\x53\x63" + bytes((53, 1, kind))
    if op == 2:
        options += bytes((54, 4)) + ip_bytes(server)
    return fixed + addresses + names + options + b"\xff"


def dhcp_discover(mac: str, *, src: str | None = None, src_ip: str = "0.0.0.0") -> bytes:
    """A DHCPDISCOVER (RFC 2131) from a client."""
    body = _bootp(1, 1, mac, "0.0.0.0", "0.0.0.0")
    return udp(src or mac, BROADCAST, src_ip, "255.255.255.255", body, sport=68, dport=67)


def dhcp_offer(src: str, src_ip: str, client: str, your: str) -> bytes:
    """A DHCPOFFER from a server; what a guest must not send."""
    body = _bootp(2, 2, client, your, src_ip)
    return udp(src, BROADCAST, src_ip, "255.255.255.255", body, sport=67, dport=68)


def dhcpv6_solicit(src: str, src_ip: str) -> bytes:
    """A DHCPv6 SOLICIT (RFC 8415) from a client."""
    body = bytes((1, 0, 0, 1))
    return udp(src, multicast_mac("ff02::1:2"), src_ip, "ff02::1:2", body, sport=546, dport=547)


def dhcpv6_advertise(src: str, dst: str, src_ip: str, dst_ip: str) -> bytes:
    """A DHCPv6 ADVERTISE from a server; what a guest must not send."""
    return udp(src, dst, src_ip, dst_ip, bytes((2, 0, 0, 1)), sport=547, dport=546)


# --- IPv6 neighbour discovery ---------------------------------------------------------------------


def multicast_mac(address: str) -> str:
    """The Ethernet address of an IP multicast group (RFC 1112, RFC 2464)."""
    packed = ip_bytes(address)
    if len(packed) == 4:
        return mac_text(bytes((0x01, 0x00, 0x5E, packed[1] & 0x7F)) + packed[2:])
    return mac_text(b"\x33\x33" + packed[-4:])


def link_local(mac: str) -> str:
    """The link-local address that a guest derives from its MAC (RFC 4291, appendix A)."""
    raw = mac_bytes(mac)
    eui = bytes((raw[0] ^ 2,)) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + eui))


def solicited_node(address: str) -> str:
    """The solicited-node multicast group of an address (RFC 4291)."""
    prefix = ip_bytes("ff02::1:ff00:0")[:13]
    return str(ipaddress.IPv6Address(prefix + ip_bytes(address)[13:]))


def icmpv6(
    src: str, dst: str, src_ip: str, dst_ip: str, kind: int, rest: bytes, *, hops: int = 255
) -> bytes:
    """An ICMPv6 message of a type, with what follows its checksum."""
    pseudo = _pseudo(src_ip, dst_ip, ICMPV6, 4 + len(rest))
    check = checksum(pseudo + struct.pack("!BBH", kind, 0, 0) + rest)
    return ipv6(
        src, dst, src_ip, dst_ip, ICMPV6, struct.pack("!BBH", kind, 0, check) + rest, hops=hops
    )


def neighbour_solicitation(
    src: str, src_ip: str, target: str, *, lladdr: str | None = None
) -> bytes:
    """Who has ``target``? (RFC 4861); from ``::`` it is duplicate address detection."""
    group = solicited_node(target)
    option = b"" if src_ip == "::" else b"\x01\x01" + mac_bytes(lladdr or src)
    rest = bytes(4) + ip_bytes(target) + option
    return icmpv6(src, multicast_mac(group), src_ip, group, 135, rest)


def neighbour_advertisement(
    src: str,
    src_ip: str,
    target: str,
    *,
    lladdr: str | None = None,
    dst: str = "33:33:00:00:00:01",
    dst_ip: str = "ff02::1",
) -> bytes:
    """``target`` is at ``lladdr`` (RFC 4861), unasked and overriding."""
    rest = b"\x20\0\0\0" + ip_bytes(target) + b"\x02\x01" + mac_bytes(lladdr or src)
    return icmpv6(src, dst, src_ip, dst_ip, 136, rest)


def router_solicitation(src: str, src_ip: str) -> bytes:
    """Is there a router? (RFC 4861)."""
    return icmpv6(src, "33:33:00:00:00:02", src_ip, "ff02::2", 133, bytes(4))


def router_advertisement(src: str, src_ip: str) -> bytes:
    """I am a router (RFC 4861); what a guest must not send."""
    rest = struct.pack("!BBHII", 64, 0, 1800, 0, 0)
    return icmpv6(src, "33:33:00:00:00:01", src_ip, "ff02::1", 134, rest)
