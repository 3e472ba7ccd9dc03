"""A match of the policy as expressions of nftables. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from vifd.drivers.nft.expr import (
    Base,
    Compare,
    Expr,
    Extension,
    Key,
    Mask,
    Meta,
    Payload,
    mac,
    prefix,
)
from vifd.policy.rule import IPV4, IPV6, Fragment, Match

#: What is refused because nftables reads headers at fixed places, for the enforcement report.
CAVEAT = (
    "refused as well: neighbour discovery whose link-layer address is not the first option; "
    "ICMPv6, UDP and extension headers behind an authentication header; first fragments with "
    "extension headers behind the fragment header"
)
ETH_SOURCE = Payload(Base.LINK, 6, 6)
_ETH_DESTINATION = Payload(Base.LINK, 0, 6)
_ARP_OPERATION = Payload(Base.NETWORK, 6, 2)
_ARP_HARDWARE = Payload(Base.NETWORK, 8, 6)
_ARP_ADDRESS = Payload(Base.NETWORK, 14, 4)
_SOURCE = {4: Payload(Base.NETWORK, 12, 4), 6: Payload(Base.NETWORK, 8, 16)}
_DESTINATION = {4: Payload(Base.NETWORK, 16, 4), 6: Payload(Base.NETWORK, 24, 16)}
_SOURCE_PORT, _DESTINATION_PORT = Payload(Base.TRANSPORT, 0, 2), Payload(Base.TRANSPORT, 2, 2)
_TYPE, _CODE = Payload(Base.TRANSPORT, 0, 1), Payload(Base.TRANSPORT, 1, 1)
TARGET = Payload(Base.TRANSPORT, 8, 16)
#: The first option of neighbour discovery: its kind, and what a link-layer address option holds.
OPTION, OPTION_ADDRESS = Payload(Base.TRANSPORT, 24, 1), Payload(Base.TRANSPORT, 26, 6)

_FRAGMENT_HEADER = 44
#: Where a fragment says its place, with the masks and values of each kind; offset and flag each by
#: itself, as the tools know them.
_PLACE4, _PLACE6 = Payload(Base.NETWORK, 6, 2), Extension(_FRAGMENT_HEADER, 2, 2)
_PLACES: dict[int, tuple[Expr, dict[Fragment, tuple[tuple[int, int, bool], ...]]]] = {
    IPV4: (_PLACE4, {
        Fragment.WHOLE: ((0x3FFF, 0, True),), Fragment.FIRST: ((0x3FFF, 0x2000, True),),
        Fragment.LATER: ((0x1FFF, 0, False),), Fragment.SOME: ((0x3FFF, 0, False),),
    }),
    IPV6: (_PLACE6, {
        Fragment.FIRST: ((0xFFF8, 0, True), (1, 1, True)), Fragment.LATER: ((0xFFF8, 0, False),),
    }),
}  # fmt: skip


def expressions(match: Match) -> tuple[Expr, ...]:
    """The expressions in the order of the headers. Not said here is what a row of expressions
    cannot say: headers that cannot be read, and the option of neighbour discovery."""
    return tuple(_all(match))


def _all(match: Match) -> Iterator[Expr]:
    if match.ethertype is not None:
        yield from protocol(match.ethertype)
    for load, text in ((ETH_SOURCE, match.eth_src), (_ETH_DESTINATION, match.eth_dst)):
        if text is not None:
            yield from _mac(load, text)
    for loads, text in ((_SOURCE, match.src), (_DESTINATION, match.dst)):
        if text is not None:
            yield from prefix(loads[6 if ":" in text else 4], text)
    if match.protocol is not None:
        yield from transport(match.protocol)
    yield from _arp(match)
    if match.fragment is not None and match.ethertype is not None:
        yield from fragment(match.ethertype, match.fragment)
    yield from _ports(match)
    for load, number in ((_TYPE, match.icmp_type), (_CODE, match.icmp_code)):
        if number is not None:
            yield from (load, Compare(bytes((number,))))
    if match.nd_target is not None:
        yield from prefix(TARGET, match.nd_target)


def protocol(ethertype: int) -> tuple[Expr, ...]:
    """Of this Ethernet type, behind a priority tag as well."""
    return Meta(Key.PROTOCOL), Compare(ethertype.to_bytes(2, "big"))


def transport(number: int) -> tuple[Expr, ...]:
    """Of this protocol above IP."""
    return Meta(Key.L4PROTO), Compare(bytes((number,)))


def fragment(ethertype: int, kind: Fragment) -> tuple[Expr, ...]:
    """Fragments of this kind; of IPv6 the first and the later ones alone can be told this way."""
    load, kinds = _PLACES[ethertype]
    return tuple(
        expr
        for mask, value, equal in kinds[kind]
        for expr in (
            load, Mask(mask.to_bytes(2, "big")), Compare(value.to_bytes(2, "big"), equal)
        )
    )  # fmt: skip


def _mac(load: Payload, text: str) -> tuple[Expr, ...]:
    value, _, mask = text.partition("/")
    return (load, *([Mask(mac(mask))] if mask else []), Compare(mac(value)))


def _arp(match: Match) -> Iterator[Expr]:
    if match.arp_op is not None:
        yield from (_ARP_OPERATION, Compare(match.arp_op.to_bytes(2, "big")))
    if match.arp_sha is not None:
        yield from (_ARP_HARDWARE, Compare(mac(match.arp_sha)))
    if match.arp_spa is not None:
        yield from prefix(_ARP_ADDRESS, match.arp_spa)


def _ports(match: Match) -> Iterator[Expr]:
    for load, port in ((_SOURCE_PORT, match.sport), (_DESTINATION_PORT, match.dport)):
        if isinstance(port, tuple):
            value, mask = port
            yield from (load, Mask(mask.to_bytes(2, "big")), Compare(value.to_bytes(2, "big")))
        elif port is not None:
            yield from (load, Compare(port.to_bytes(2, "big")))
