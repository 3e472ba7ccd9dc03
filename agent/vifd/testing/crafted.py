"""Frames that are cut, wrapped and lied into, made from those of :mod:`vifd.testing.frames`."""

from __future__ import annotations

import struct

from vifd.testing import frames as f

HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, OPTIONS = 0, 43, 44, 51, 60
IGMP = 2
_MORE = 0x2000
_HEAD4, _HEAD6 = 34, 54


def tagged(frame: bytes, vlan: int = 0, *, priority: int = 0, kind: int = f.ETH_VLAN) -> bytes:
    """The frame with one more VLAN tag in front."""
    tag = struct.pack("!HH", kind, priority << 13 | vlan)
    return frame[:12] + tag + frame[12:]


# --- IPv4 -----------------------------------------------------------------------------------------


def fragments4(frame: bytes, size: int, *, number: int = 0x7669) -> list[bytes]:
    """An IPv4 frame without options in fragments whose payload has ``size`` bytes.

    :param size: a multiple of 8; 0 for one empty first fragment and the rest
    """
    payload = frame[_HEAD4 : 14 + int.from_bytes(frame[16:18])]
    cuts = list(range(0, len(payload), size)) if size else [0, 0]
    pieces = [payload[at : at + size] for at in cuts] if size else [b"", payload]
    last = len(pieces) - 1
    return [
        _fragment4(frame, piece, at, number, more=i < last)
        for i, (at, piece) in enumerate(zip(cuts, pieces, strict=True))
    ]


def _fragment4(frame: bytes, piece: bytes, at: int, number: int, *, more: bool) -> bytes:
    place = at // 8 | (_MORE if more else 0)
    head = bytearray(frame[14:_HEAD4])
    struct.pack_into("!HHH", head, 2, 20 + len(piece), number, place)
    head[10:12] = b"\0\0"
    struct.pack_into("!H", head, 10, f.checksum(bytes(head)))
    return (frame[:14] + bytes(head) + piece).ljust(60, b"\0")


def igmp(src: str, src_ip: str, dst_ip: str, kind: int, *, dst: str = "", group: str = "") -> bytes:
    """An IGMP message (RFC 2236) with the router alert option.

    :param dst: of Ethernet; that of the group by default
    """
    rest = f.ip_bytes(group or dst_ip)
    message = struct.pack("!BBH", kind, 0, 0) + rest
    message = struct.pack("!BBH", kind, 0, f.checksum(message)) + rest
    head = struct.pack("!BBHHHBBH", 0x46, 0xC0, 24 + len(message), 0, 0x4000, 1, IGMP, 0)
    head += f.ip_bytes(src_ip) + f.ip_bytes(dst_ip) + bytes((0x94, 4, 0, 0))
    head = head[:10] + struct.pack("!H", f.checksum(head)) + head[12:]
    return f.ethernet(src, dst or f.multicast_mac(dst_ip), f.ETH_IPV4, head + message)


# --- IPv6 -----------------------------------------------------------------------------------------


def _payload6(frame: bytes) -> bytes:
    return frame[_HEAD6 : _HEAD6 + int.from_bytes(frame[18:20])]


def _packet6(frame: bytes, kind: int, payload: bytes) -> bytes:
    length = struct.pack("!HB", len(payload), kind)
    return (frame[:18] + length + frame[21:_HEAD6] + payload).ljust(60, b"\0")


def extended(frame: bytes, kind: int, body: bytes = b"\1\4\0\0\0\0") -> bytes:
    """An IPv6 frame with one more extension header in front, of 8 bytes times a number."""
    units = (len(body) + 2) // (4 if kind == AUTHENTICATION else 8)
    size = units - (2 if kind == AUTHENTICATION else 1)
    return _packet6(frame, kind, bytes((frame[20], size)) + body + _payload6(frame))


def fragments6(frame: bytes, size: int, *, number: int = 0x7669, skip: int = 0) -> list[bytes]:
    """An IPv6 frame in fragments whose payload has ``size`` bytes.

    :param size: a multiple of 8
    :param skip: bytes of extension headers in front that stay in front of every fragment
    """
    payload = _payload6(frame)
    front, kind, payload = payload[:skip], frame[20], payload[skip:]
    following = front[0] if skip else kind
    front = bytes((FRAGMENT,)) + front[1:] if skip else front
    cuts = range(0, max(len(payload), 1), size)
    return [
        _packet6(
            frame, kind if skip else FRAGMENT,
            front + struct.pack("!BBHI", following, 0, at | (at + size < len(payload)), number)
            + payload[at : at + size],
        )
        for at in cuts
    ]  # fmt: skip


def atomic(frame: bytes) -> bytes:
    """An IPv6 frame with a fragment header that holds all of it (RFC 6946)."""
    return fragments6(frame, 65528)[0]


# --- neighbour discovery --------------------------------------------------------------------------


def link_layer(kind: int, mac: str) -> bytes:
    """A link-layer address option (RFC 4861, 4.6.1): kind 1 of the source, 2 of the target."""
    return bytes((kind, 1)) + f.mac_bytes(mac)


NONCE = bytes((14, 1)) + b"vifd00"


def solicitation(src: str, src_ip: str, target: str, *options: bytes) -> bytes:
    """A neighbour solicitation with these options."""
    group = f.solicited_node(target)
    rest = bytes(4) + f.ip_bytes(target) + b"".join(options)
    return f.icmpv6(src, f.multicast_mac(group), src_ip, group, 135, rest)


def advertisement(
    src: str, dst: str, src_ip: str, dst_ip: str, target: str, *options: bytes
) -> bytes:
    """A solicited neighbour advertisement with these options."""
    rest = b"\x60\0\0\0" + f.ip_bytes(target) + b"".join(options)
    return f.icmpv6(src, dst, src_ip, dst_ip, 136, rest)


def rarp(op: int, mac: str, *, src: str = "") -> bytes:
    """A RARP message (RFC 903); QEMU announces a guest with a request of this form."""
    body = struct.pack("!HHBBH", 1, f.ETH_IPV4, 6, 4, op) + 2 * (f.mac_bytes(mac) + bytes(4))
    return f.ethernet(src or mac, f.BROADCAST, 0x8035, body)
