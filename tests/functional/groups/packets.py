"""Packets of a connection by a short name: ``tcp:443``, ``udp:53``, ``icmp:8/0``, ``proto:47``."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from vifd.testing import frames as f

FIN, SYN, ACK = 0x01, 0x02, 0x10
#: Sequence and acknowledgement of each step of the handshake.
_NUMBERS = {SYN: (1000, 0), SYN | ACK: (2000, 1001), ACK: (1001, 2001)}
_SCTP, _INIT, _INIT_ACK = 132, 1, 2


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
    head = struct.pack(
        "!HHIIBBHHH", sport, dport, *_NUMBERS.get(flags, (1000, 0)), 0x50, flags, 8192, 0, 0
    )
    pseudo = f.ip_bytes(src.ip(version)) + f.ip_bytes(dst.ip(version))
    pseudo += struct.pack("!BBH", 0, f.TCP, 20) if version == 4 else struct.pack("!II", 20, f.TCP)
    head = head[:16] + struct.pack("!H", f.checksum(pseudo + head)) + head[18:]
    return transport(src, dst, version, f.TCP, head)


def icmp(
    src: Station, dst: Station, version: int, kind: int, code: int, rest: bytes = b"\0\1\0\1"
) -> bytes:
    """An ICMP or ICMPv6 message."""
    head, protocol = struct.pack("!BBH", kind, code, 0), f.ICMP if version == 4 else f.ICMPV6
    pseudo = b""
    if version == 6:
        pseudo = f.ip_bytes(src.ip6) + f.ip_bytes(dst.ip6)
        pseudo += struct.pack("!II", 4 + len(rest), protocol)
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
    body = _other(int(protocol), sport, int(port or 0), _INIT)
    return transport(src, dst, version, int(protocol), body)


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
    body = _other(int(protocol), *ports, _INIT_ACK)
    return transport(src, dst, version, int(protocol), body)


def _other(protocol: int, sport: int, dport: int, step: int) -> bytes:
    """:param step: of the handshake, where the protocol has one: an SCTP chunk"""
    if protocol == _SCTP:
        return _sctp(sport, dport, step)
    if protocol in (33, 136):
        return struct.pack("!HH", sport, dport) + bytes(20)
    return bytes((0, 0, 8, 0)) + bytes(20)


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
