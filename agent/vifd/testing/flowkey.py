"""What a switch reads from a frame: the fields of :mod:`vifd.openflow.field`, as Open vSwitch does.

So that :class:`vifd.testing.pipeline.Pipeline` can judge the frames that a real switch is sent.
"""

from __future__ import annotations

from vifd.openflow.field import VLAN_PRESENT

_IPV4, _IPV6, _ARP, _RARP = 0x0800, 0x86DD, 0x0806, 0x8035
_TAGS = (0x8100, 0x88A8)
_FIRST, _LATER = 1, 3
_NOT_FRAGMENTED = 0
_PORTS = {6: ("tcp", 20), 17: ("udp", 8), 132: ("sctp", 12)}
#: IPv6 headers that another one follows: hop-by-hop, routing, authentication, options.
_AUTHENTICATION, _FRAGMENT = 51, 44
_EXTENSIONS = (0, 43, _AUTHENTICATION, 60)
#: The flags of TCP, by a name of its own: tracking reads them, no flow.
FLAGS, _TCP = "tracked_flags", 6
_OPTIONS = {135: ("nd_sll", 1), 136: ("nd_tll", 2)}

Key = dict[str, int]


def parse(frame: bytes) -> Key:
    """The fields of a frame; what it does not have, or what cannot be read, is left out.

    Of several VLAN tags the switch looks at the outer one, unless it is told otherwise.
    """
    key = {"eth_dst": _number(frame[:6]), "eth_src": _number(frame[6:12])}
    kind, at = _number(frame[12:14]), 14
    if kind in _TAGS:
        tag = _number(frame[14:16])
        key |= {"vlan_vid": VLAN_PRESENT | tag & 0xFFF, "vlan_pcp": tag >> 13}
        kind, at = _number(frame[16:18]), 18
    key["eth_type"] = kind
    body = frame[at:]
    if kind in (_ARP, _RARP):
        return key | _arp(body)
    return key | (_ipv4(body) if kind == _IPV4 else _ipv6(body) if kind == _IPV6 else {})


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _arp(body: bytes) -> Key:
    if len(body) < 28 or body[:6] != bytes.fromhex("000108000604"):
        return {}
    return {
        "arp_op": _number(body[6:8]), "arp_sha": _number(body[8:14]),
        "arp_spa": _number(body[14:18]), "arp_tha": _number(body[18:24]),
        "arp_tpa": _number(body[24:28]),
    }  # fmt: skip


def _ipv4(body: bytes) -> Key:
    size, length = (body[0] & 15) * 4, _number(body[2:4])
    if len(body) < 20 or body[0] >> 4 != 4 or size < 20 or not size <= length <= len(body):
        return {}
    place = _number(body[6:8])
    fragment = _LATER if place & 0x1FFF else _FIRST if place & 0x2000 else _NOT_FRAGMENTED
    key = {
        "ipv4_src": _number(body[12:16]), "ipv4_dst": _number(body[16:20]),
        "ip_dscp": body[1] >> 2, "ip_proto": body[9], "ip_frag": fragment,
    }  # fmt: skip
    return key if fragment == _LATER else key | _transport(body[9], body[size:length], 4)


def _ipv6(body: bytes) -> Key:
    length = _number(body[4:6])
    if len(body) < 40 or body[0] >> 4 != 6 or 40 + length > len(body):
        return {}
    key = {"ipv6_src": _number(body[8:24]), "ipv6_dst": _number(body[24:40])}
    chain = _follow(body[6], body[40 : 40 + length])
    if chain is None:
        return key
    kind, rest, fragment = chain
    key |= {"ip_proto": kind, "ip_frag": fragment}
    return key if fragment == _LATER else key | _transport(kind, rest, 6)


def _follow(kind: int, rest: bytes) -> tuple[int, bytes, int] | None:
    """Protocol, what follows the extension headers, and which fragment; ``None`` where they end
    too early."""
    fragment = _NOT_FRAGMENTED
    while kind in (*_EXTENSIONS, _FRAGMENT):
        if len(rest) < 8:
            return None
        if kind == _FRAGMENT:
            place = _number(rest[2:4])
            fragment = _FIRST if place else fragment
            if place >> 3:
                return _FRAGMENT, b"", _LATER
            size = 8
        else:
            size = (rest[1] + 2) * 4 if kind == _AUTHENTICATION else (rest[1] + 1) * 8
        if len(rest) < size:
            return None
        kind, rest = rest[0], rest[size:]
    return kind, rest, fragment


def _transport(kind: int, rest: bytes, version: int) -> Key:
    if kind in _PORTS and len(rest) >= _PORTS[kind][1]:
        name = _PORTS[kind][0]
        key = {f"{name}_src": _number(rest[:2]), f"{name}_dst": _number(rest[2:4])}
        return key | ({FLAGS: rest[13]} if kind == _TCP else {})
    if (kind, version) == (1, 4) and len(rest) >= 8:
        return {"icmpv4_type": rest[0], "icmpv4_code": rest[1], **_quoted(rest[8:])}
    if (kind, version) != (58, 6) or len(rest) < 8:
        return {}
    key = {"icmpv6_type": rest[0], "icmpv6_code": rest[1], **_quoted(rest[8:])}
    return key | (_discovery(rest) if rest[0] in _OPTIONS and rest[1] == 0 else {})


def _quoted(packet: bytes) -> Key:
    """The packet that an ICMP error is about, by names of its own: tracking reads it, no flow."""
    if len(packet) >= 28 and packet[0] >> 4 == 4:
        protocol, src, dst, rest = packet[9], packet[12:16], packet[16:20], packet[20:]
    elif len(packet) >= 48 and packet[0] >> 4 == 6:
        protocol, src, dst, rest = packet[6], packet[8:24], packet[24:40], packet[40:]
    else:
        return {}
    ports = (_number(rest[:2]), _number(rest[2:4])) if protocol in (6, 17) else (0, 0)
    if protocol in (1, 58):
        ports = (rest[0], rest[1])
    return {
        "quoted_proto": protocol, "quoted_src": _number(src), "quoted_dst": _number(dst),
        "quoted_sport": ports[0], "quoted_dport": ports[1],
    }  # fmt: skip


def _discovery(message: bytes) -> Key:
    """Target and link-layer address; neither where that is told twice."""
    name, wanted = _OPTIONS[message[0]]
    if len(message) < 24:
        return {}
    key, rest = {"nd_target": _number(message[8:24])}, message[24:]
    while len(rest) >= 8:
        size = rest[1] * 8
        if not 0 < size <= len(rest):
            return key  # nobody takes such a message (RFC 4861, 4.6)
        if rest[0] == wanted and size == 8:
            if name in key:
                return {}
            key[name] = _number(rest[2:8])
        rest = rest[size:]
    return key
