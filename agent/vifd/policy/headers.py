"""What a frame says of itself, as far as a log shows it: the five-tuple. Pure.

Frames come from guests: whatever is cut off, or does not add up, is left out.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

from vifd.policy.groups import Packet
from vifd.policy.rule import ICMP, ICMPV6, IPV4, IPV6, TCP, UDP, Direction

_ETHERNET, _ADDRESSES = 14, 12
_VLANS = frozenset((0x8100, 0x88A8))
_PORTED = {TCP: "tcp", UDP: "udp", 132: "sctp", 33: "dccp", 136: "udplite"}
_NAMES = {**_PORTED, ICMP: "icmp", ICMPV6: "icmpv6"}
#: Extension headers of IPv6 that are passed over, with the unit of their length (RFC 8200, 4).
_EXTENSIONS = frozenset((0, 43, 60, 135))
_FRAGMENT, _MOST_EXTENSIONS = 44, 8
_FLAGS = "FSRPAUEC"
_OFFSET = 0x1FFF


class Headers(NamedTuple):
    """The headers of a frame.

    :param protocol: of the IP packet; ``None`` where it is none, or cannot be read
    :param ports: source and destination; of ICMP, type and code
    :param flags: of TCP, as letters
    :param fragment: whether it is a fragment that is not the first
    """

    src_mac: str = ""
    dst_mac: str = ""
    ethertype: int = 0
    source: str = ""
    target: str = ""
    protocol: int | None = None
    ports: tuple[int, int] | None = None
    flags: str = ""
    fragment: bool = False

    @property
    def name(self) -> str:
        """The protocol for a reader."""
        if self.protocol is None:
            return f"ethertype-{self.ethertype:#06x}"
        return _NAMES.get(self.protocol, str(self.protocol))

    def packet(self, direction: Direction) -> Packet | None:
        """As rules see it, if it is the first of its connection; ``None`` where they see none.

        :param direction: as seen from the guest
        """
        if self.protocol is None:
            return None
        remote = self.source if direction is Direction.INGRESS else self.target
        first, second = self.ports or (0, 0)
        if self.protocol in (ICMP, ICMPV6):
            kind = (None, None) if self.ports is None else (first, second)
            return Packet(direction=direction, remote=remote, protocol=self.protocol,
                          icmp_type=kind[0], icmp_code=kind[1])  # fmt: skip
        return Packet(
            direction=direction, remote=remote, protocol=self.protocol, sport=first, dport=second
        )  # fmt: skip


def read(frame: bytes) -> Headers:
    """The headers of a frame, or of its beginning."""
    if len(frame) < _ETHERNET:
        return Headers()
    dst, src = (_mac(frame[at : at + 6]) for at in (0, 6))
    at, kind = _ADDRESSES, int.from_bytes(frame[12:14], "big")
    while kind in _VLANS and len(frame) >= at + 6:
        at += 4
        kind = int.from_bytes(frame[at : at + 2], "big")
    found = Headers(src, dst, kind)
    packet = frame[at + 2 :]
    if kind == IPV4:
        return _ipv4(found, packet)
    return _ipv6(found, packet) if kind == IPV6 else found


def _mac(raw: bytes) -> str:
    return raw.hex(":")


def _ipv4(found: Headers, packet: bytes) -> Headers:
    if len(packet) < 20 or packet[0] >> 4 != 4 or (size := (packet[0] & 15) * 4) < 20:
        return found
    source, target = (str(ipaddress.IPv4Address(packet[at : at + 4])) for at in (12, 16))
    later = bool(int.from_bytes(packet[6:8], "big") & _OFFSET)
    found = found._replace(source=source, target=target, protocol=packet[9], fragment=later)
    return found if later else _transport(found, packet[size:])


def _ipv6(found: Headers, packet: bytes) -> Headers:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return found
    source, target = (str(ipaddress.IPv6Address(packet[at : at + 16])) for at in (8, 24))
    found = found._replace(source=source, target=target, protocol=packet[6])
    at = 40
    for _ in range(_MOST_EXTENSIONS):
        kind = found.protocol
        if (kind not in _EXTENSIONS and kind != _FRAGMENT) or len(packet) < at + 8:
            break
        found = found._replace(protocol=packet[at])
        if kind == _FRAGMENT:
            if int.from_bytes(packet[at + 2 : at + 4], "big") & 0xFFF8:
                return found._replace(fragment=True)
            at += 8
        else:
            at += 8 * (packet[at + 1] + 1)
    return _transport(found, packet[at:])


def _transport(found: Headers, rest: bytes) -> Headers:
    if found.protocol in _PORTED and len(rest) >= 4:
        source, target = struct.unpack_from("!HH", rest)
        flags = rest[13] if found.protocol == TCP and len(rest) >= 14 else 0
        text = "".join(letter for bit, letter in enumerate(_FLAGS) if flags >> bit & 1)
        return found._replace(ports=(source, target), flags=text)
    if found.protocol in (ICMP, ICMPV6) and len(rest) >= 2:
        return found._replace(ports=(rest[0], rest[1]))
    return found
