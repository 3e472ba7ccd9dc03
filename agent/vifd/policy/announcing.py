"""What is said for a port where it was opened, so that others send its frames here. Pure.

Switches that learn forward by the MAC of the last frame they saw, and neighbours by what ARP and
ND told them. A reverse ARP request (RFC 903) says nothing but a MAC, as QEMU does for a guest that
has migrated; a gratuitous ARP (RFC 5227, section 3) and an unsolicited neighbour advertisement (RFC
4861, section 7.2.6) say an address as well.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from vifd.model import Attachment
from vifd.policy.addresses import Allowed, allowed, link_local

_BROADCAST = bytes.fromhex("ffffffffffff")
_RARP, _ARP, _IPV6 = bytes.fromhex("8035"), bytes.fromhex("0806"), bytes.fromhex("86dd")
#: Ethernet and IPv4, with addresses of 6 and 4 bytes.
_FORMAT = bytes.fromhex("0001 0800 06 04")
_ASK, _REVERSE = bytes.fromhex("0001"), bytes.fromhex("0003")
_NO_ADDRESS = bytes(4)
#: All nodes of the link, and the MAC that stands for them.
_ALL_NODES = ipaddress.IPv6Address("ff02::1").packed
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ICMPV6, _ADVERTISEMENT, _OVERRIDE, _TARGET_LINK_LAYER = 58, 136, 0x20, 2
#: Bytes of the shortest frame, without its checksum.
_SHORTEST = 60


def announcement(mac: str) -> bytes:
    """The frame by which a MAC is announced."""
    source = _bytes(mac)
    body = _FORMAT + _REVERSE + (source + _NO_ADDRESS) * 2
    return (_BROADCAST + source + _RARP + body).ljust(_SHORTEST, b"\0")


def gratuitous_arp(mac: str, address: str) -> bytes:
    """The frame by which an IPv4 address is announced: a request for itself, which also those take
    notice of who ignore answers that they did not ask for."""
    source, own = _bytes(mac), ipaddress.IPv4Address(address).packed
    body = _FORMAT + _ASK + source + own + bytes(6) + own
    return (_BROADCAST + source + _ARP + body).ljust(_SHORTEST, b"\0")


def advertisement(mac: str, address: str) -> bytes:
    """The frame by which an IPv6 address is announced."""
    source, own = _bytes(mac), ipaddress.IPv6Address(address).packed
    flags = bytes((_OVERRIDE, 0, 0, 0))
    option = bytes((_TARGET_LINK_LAYER, 1)) + source
    rest = flags + own + option
    head = bytes((_ADVERTISEMENT, 0))
    length = len(head) + 2 + len(rest)
    pseudo = own + _ALL_NODES + length.to_bytes(4, "big") + bytes((0, 0, 0, _ICMPV6))
    checksum = _checksum(pseudo + head + bytes(2) + rest).to_bytes(2, "big")
    ip = bytes((0x60, 0, 0, 0)) + length.to_bytes(2, "big") + bytes((_ICMPV6, 255))
    return _ALL_NODES_MAC + source + _IPV6 + ip + own + _ALL_NODES + head + checksum + rest


def frames(attachment: Attachment, others: Iterable[Attachment] = ()) -> list[bytes]:
    """Everything that is said for a port: its MACs, its fixed IPs, the single addresses of its
    allowed pairs, its link-local addresses; the port's own first.

    An address that another port of the network may use as well is shared, by VRRP say: which of
    them has it now is for the guests to say, and a wrong word would cut it off.

    :param others: the other ports of this host
    """
    mine = allowed(attachment)
    shared = _shared(attachment, others) if attachment.port.allowed_address_pairs else set()
    found: dict[bytes, None] = {}
    for one in mine:
        if one.mac == attachment.mac or ("", one.mac) not in shared:
            found.update(dict.fromkeys(_of_mac(attachment, one, shared)))
    return list(found)


def _of_mac(attachment: Attachment, one: Allowed, shared: set[tuple[str, str]]) -> Iterator[bytes]:
    yield announcement(one.mac)
    fixed = {str(ipaddress.ip_address(ip.ip_address)) for ip in attachment.fixed_ips}
    kept = [a for a in (*one.ipv4, *one.ipv6) if a in fixed or ("address", a) not in shared]
    for address in sorted(kept, key=lambda a: a not in fixed):
        if "/" not in address:
            yield (
                gratuitous_arp(one.mac, address)
                if ":" not in address
                else advertisement(one.mac, address)
            )


def _shared(attachment: Attachment, others: Iterable[Attachment]) -> set[tuple[str, str]]:
    """The MACs and addresses that other ports of the network may use."""
    found: set[tuple[str, str]] = set()
    for other in others:
        if other.id != attachment.id and other.network.id == attachment.network.id:
            for one in allowed(other):
                found.add(("", one.mac))
                addresses = (a for a in (*one.ipv4, *one.ipv6) if a != link_local(one.mac))
                found.update(("address", a) for a in addresses)
    return found


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
