"""Packets of a connection by a short name: ``tcp:443``, ``udp:53``, ``icmp:8/0``, ``proto:47``."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vifd.testing import frames as f

FIN, SYN, ACK = 0x01, 0x02, 0x10
#: Sequence and acknowledgement of each step of the handshake.
_NUMBERS = {SYN: (1000, 0), SYN | ACK: (2000, 1001), ACK: (1001, 2001)}
_SCTP, _INIT, _INIT_ACK = 132, 1, 2
_DCCP, _UDPLITE = 33, 136


@dataclass(frozen=True)
class Station:
    """Who has which addresses."""

    mac: str
    ip4: str
    ip6: str

    def ip(self, version: int) -> str:
        return self.ip4 if version == 4 else self.ip6


def transport(src: Station, dst: Station, version: int, protocol: int, segment: bytes) -> bytes:
    """A packet of any protocol."""
    build = f.ipv4 if version == 4 else f.ipv6
    return build(src.mac, dst.mac, src.ip(version), dst.ip(version), protocol, segment)


def tcp(src: Station, dst: Station, version: int, sport: int, dport: int, flags: int) -> bytes:
    """A TCP segment without data (RFC 9293), with the numbers that it has in a handshake."""
    numbers = _NUMBERS.get(flags, (1000, 0))
    return segment(src, dst, version, (sport, dport), flags, numbers)


def segment(
    src: Station, dst: Station, version: int, ports: tuple[int, int], flags: int,
    numbers: tuple[int, int], data: bytes = b"",
) -> bytes:  # fmt: skip
    """A TCP segment.

    :param numbers: of its first byte, and of the one that is expected
    """
    head = struct.pack("!HHIIBBHHH", *ports, *numbers, 0x50, flags, 8192, 0, 0)
    length = len(head) + len(data)
    check = f.checksum(_pseudo(src, dst, version, f.TCP, length) + head + data)
    head = head[:16] + struct.pack("!H", check) + head[18:]
    return transport(src, dst, version, f.TCP, head + data)


def icmp(
    src: Station, dst: Station, version: int, kind: int, code: int, rest: bytes = b"\0\1\0\1"
) -> bytes:
    """An ICMP or ICMPv6 message."""
    head, protocol = struct.pack("!BBH", kind, code, 0), f.ICMP if version == 4 else f.ICMPV6
    pseudo = _pseudo(src, dst, version, protocol, 4 + len(rest)) if version == 6 else b""
    check = f.checksum(pseudo + head + rest)
    return transport(src, dst, version, protocol, struct.pack("!BBH", kind, code, check) + rest)


def first(name: str, src: Station, dst: Station, version: int, sport: int) -> bytes:
    """The first packet of a connection."""
    kind, _, number = name.partition(":")
    if kind == "tcp":
        return tcp(src, dst, version, sport, int(number), SYN)
    if kind == "udp":
        return f.udp(src.mac, dst.mac, src.ip(version), dst.ip(version), sport=sport,
                     dport=int(number))  # fmt: skip
    if kind == "icmp":
        asked, code = map(int, number.split("/"))
        if version == 6:
            asked = {8: 128}.get(asked, asked)
        return icmp(src, dst, version, asked, code, struct.pack("!HH", sport, 1) + b"vifd")
    protocol, _, port = number.partition("/")
    return _other(src, dst, version, int(protocol), (sport, int(port or 0)), _INIT)


def answer(name: str, src: Station, dst: Station, version: int, sport: int) -> bytes:
    """The answer to it.

    :param src: who answers
    """
    kind, _, number = name.partition(":")
    if kind == "tcp":
        return tcp(src, dst, version, int(number), sport, SYN | ACK)
    if kind == "udp":
        return f.udp(src.mac, dst.mac, src.ip(version), dst.ip(version), sport=int(number),
                     dport=sport)  # fmt: skip
    if kind == "icmp":
        asked = int(number.split("/")[0])
        told = {8: 0, 13: 14}[asked] if version == 4 else {8: 129}[asked]
        return icmp(src, dst, version, told, 0, struct.pack("!HH", sport, 1) + b"vifd")
    protocol, _, port = number.partition("/")
    ports = (int(port), sport) if port else (0, 0)
    return _other(src, dst, version, int(protocol), ports, _INIT_ACK)


def _other(
    src: Station, dst: Station, version: int, protocol: int, ports: tuple[int, int], step: int
) -> bytes:
    """:param step: of the handshake, where the protocol has one: an SCTP chunk"""
    if protocol == _SCTP:
        return transport(src, dst, version, protocol, _sctp(*ports, step))
    if protocol not in (_DCCP, _UDPLITE):
        return transport(src, dst, version, protocol, bytes((0, 0, 8, 0)) + bytes(20))
    body = _dccp(*ports, step) if protocol == _DCCP else struct.pack("!HHI", *ports, 0) + b"vifd"
    # both have their checksum at the same place
    check = f.checksum(_pseudo(src, dst, version, protocol, len(body)) + body)
    return transport(src, dst, version, protocol, body[:6] + struct.pack("!H", check) + body[8:])


def _pseudo(src: Station, dst: Station, version: int, protocol: int, length: int) -> bytes:
    """What a checksum covers besides the packet (RFC 793, RFC 8200, 8.1)."""
    ends = f.ip_bytes(src.ip(version)) + f.ip_bytes(dst.ip(version))
    if version == 4:
        return ends + struct.pack("!BBH", 0, protocol, length)
    return ends + struct.pack("!II", length, protocol)


def _dccp(sport: int, dport: int, step: int) -> bytes:
    """A DCCP request, or the response to it, with long sequence numbers (RFC 4340, 5)."""
    kind, number, tail = (0, 7, b"") if step == _INIT else (1, 9, struct.pack("!HHI", 0, 0, 7))
    words = (16 + len(tail) + 4) // 4
    head = struct.pack("!HHBBHBBHI", sport, dport, words, 0, 0, kind << 1 | 1, 0, 0, number)
    return head + tail + bytes(4)  # the service code


def _sctp(sport: int, dport: int, step: int) -> bytes:
    """An SCTP packet with one chunk, INIT or INIT ACK (RFC 9260, 3)."""
    tag = 0 if step == _INIT else 7
    head = struct.pack("!HHI", sport, dport, tag)
    chunk = struct.pack("!BBHIIHHI", step, 0, 20, 7 if step == _INIT else 9, 65535, 1, 1, 1)
    check = _crc32c(head + bytes(4) + chunk).to_bytes(4, "little")
    return head + check + chunk


def _crc32c(data: bytes) -> int:
    """The checksum of SCTP (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def unreachable(quoted: bytes, src: Station, dst: Station, version: int) -> bytes:
    """The ICMP error (RFC 792, RFC 4443) about a packet of ``dst``, as ``src`` sends it."""
    kind, code = (3, 3) if version == 4 else (1, 4)
    # eight bytes of it at least (RFC 792), as much as there is room for (RFC 4443, 2.4)
    packet = quoted[14:42] if version == 4 else quoted[14:]
    return icmp(src, dst, version, kind, code, bytes(4) + packet)
