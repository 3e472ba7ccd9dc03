"""By which frame a guest says that it is here now. Pure.

What is said for a port in :mod:`vifd.policy.announcing`, judged: a guest that has migrated, or QEMU
for it, sends a reverse ARP, a gratuitous ARP or an unsolicited neighbour advertisement. Here nobody
else judges the frame, so it must be of the port's own addresses to the last byte that counts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from vifd.policy.addresses import Allowed

_RARP, _ARP, _IPV6 = 0x8035, 0x0806, 0x86DD
#: Ethernet and IPv4, with addresses of 6 and 4 bytes.
_FORMAT = bytes.fromhex("0001 0800 06 04")
_REQUEST, _ANSWER, _REVERSE = 1, 2, 3
_ICMPV6, _ADVERTISEMENT, _FAR = 58, 136, 255
_ALL_NODES = ipaddress.IPv6Address("ff02::1").packed
#: Bytes to the end of an ARP body, and to that of an advertisement's target.
_OF_ARP, _OF_ADVERTISEMENT = 42, 78


def announces(frame: bytes, own: Iterable[Allowed]) -> bool:
    """Whether an untagged frame announces one of these.

    :param own: what the port's guest may claim to be, see :func:`vifd.policy.addresses.allowed`
    """
    source = frame[6:12]
    mine = next((one for one in own if _bytes(one.mac) == source), None)
    if mine is None or len(frame) < _OF_ARP:
        return False
    match int.from_bytes(frame[12:14]):
        case kind if kind == _RARP:
            return _of_mac(frame, source)
        case kind if kind == _ARP:
            return _of_address(frame, source, mine)
        case kind if kind == _IPV6:
            return _of_neighbour(frame, mine)
    return False


def _of_mac(frame: bytes, source: bytes) -> bool:
    """RFC 903: who asks for its own address by its own MAC."""
    asks = frame[14:20] == _FORMAT and int.from_bytes(frame[20:22]) == _REVERSE
    return asks and frame[22:28] == source == frame[32:38]


def _of_address(frame: bytes, source: bytes, own: Allowed) -> bool:
    """RFC 5227, section 3: a question or an answer by which it tells its own address."""
    kind = int.from_bytes(frame[20:22])
    told = frame[14:20] == _FORMAT and kind in (_REQUEST, _ANSWER) and frame[22:28] == source
    address = frame[28:32]
    return told and address == frame[38:42] and _among(address, own.ipv4)


def _of_neighbour(frame: bytes, own: Allowed) -> bool:
    """RFC 4861, section 7.2.6: to all nodes, not forwarded by any router."""
    if len(frame) < _OF_ADVERTISEMENT or frame[38:54] != _ALL_NODES:
        return False
    kind = (frame[20], frame[21], frame[54], frame[55])
    if kind != (_ICMPV6, _FAR, _ADVERTISEMENT, 0):
        return False
    return _among(frame[22:38], own.ipv6) and _among(frame[62:78], own.ipv6)


def _among(address: bytes, prefixes: Iterable[str]) -> bool:
    """Whether an address is one of these, or in one of them."""
    found = ipaddress.ip_address(address)
    return any(found in ipaddress.ip_network(text) for text in prefixes)


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
