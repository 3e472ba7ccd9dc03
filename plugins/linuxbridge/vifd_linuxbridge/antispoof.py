"""The anti-spoofing rules: what a guest may claim to be. Pure.

The meaning is that of the flows on Open vSwitch: address resolution is judged as a whole, other IP
by allowed (MAC, IP) pairs, what has no IP address yet by the allowed MACs, and what
none of them lets through is counted and dropped.

A rule accepts for one (MAC, prefix) pair, so that a pair never lends its IP to another's MAC. What
a port's own rules do not know comes back from its chain if its MAC is one of the port's; the few
things that may come without an address are judged there, by rules that all ports share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from vifd.nft.expr import (
    ACCEPT,
    DROP,
    Base,
    Code,
    Compare,
    Counter,
    Expr,
    Key,
    Meta,
    Payload,
    Verdict,
    canonical,
    mac,
    prefix,
)
from vifd.nft.objects import Rule
from vifd.policy.addresses import Allowed

#: The chain of what no guest may send.
TAGGED = "tagged"
#: The chain of what no secured guest may send.
REFUSED = "refused"
#: The chain of what a secured guest may send without an address.
UNADDRESSED = "unaddressed"
#: So many prefixes fit into one rule that says "none of these".
ONE_RULE = 24

_ETH_SOURCE = Payload(Base.LINK, 6, 6)
_ETH_TYPE = Payload(Base.LINK, 12, 2)
_ARP_OPERATION = Payload(Base.NETWORK, 6, 2)
_ARP_HARDWARE = Payload(Base.NETWORK, 8, 6)
_ARP_ADDRESS = Payload(Base.NETWORK, 14, 4)
_IPV4_SOURCE = Payload(Base.NETWORK, 12, 4)
_IPV6_SOURCE = Payload(Base.NETWORK, 8, 16)
_PORTS = Payload(Base.TRANSPORT, 0, 4)
_ICMP_TYPE = Payload(Base.TRANSPORT, 0, 1)
_TARGET = Payload(Base.TRANSPORT, 8, 16)

_SOLICITATION, _ADVERTISEMENT = 135, 136
_ROUTER_ADVERTISEMENT, _REDIRECT = 134, 137
#: Multicast listener reports and done (RFC 2710), version 2 reports (RFC 3810).
_LISTENER_REPORTS = (131, 132, 143)


def _eth_type(number: int) -> tuple[Expr, ...]:
    return _ETH_TYPE, Compare(number.to_bytes(2, "big"))


def _protocol(number: int) -> tuple[Expr, ...]:
    return Meta(Key.L4PROTO), Compare(bytes((number,)))


def _ports(source: int, destination: int) -> tuple[Expr, ...]:
    return _PORTS, Compare(source.to_bytes(2, "big") + destination.to_bytes(2, "big"))


_IPV4, _ARP, _IPV6, _RARP = (_eth_type(n) for n in (0x0800, 0x0806, 0x86DD, 0x8035))
_VLANS = tuple(_eth_type(n) for n in (0x8100, 0x88A8, 0x9100))
_UDP = _protocol(17)
_UNSPECIFIED = _IPV6_SOURCE, Compare(bytes(16))


def _icmpv6(kind: int) -> tuple[Expr, ...]:
    """Of whatever IP version: nobody speaks ICMPv6 over IPv4."""
    return (*_protocol(58), _ICMP_TYPE, Compare(bytes((kind,))))


def _rule(*exprs: Expr) -> Rule:
    return Rule(tuple(map(canonical, exprs)))


def tagged() -> Iterator[Rule]:
    """Frames with a VLAN tag: behind the bridge they would be those of another network."""
    for kind in _VLANS:
        yield _rule(*kind, Counter(), DROP)


@lru_cache(maxsize=1)
def refused() -> tuple[Rule, ...]:
    """Answers of a DHCP server, router advertisements, redirects."""
    return (
        _rule(*_IPV4, *_UDP, *_ports(67, 68), Counter(), DROP),
        _rule(*_IPV6, *_UDP, *_ports(547, 546), Counter(), DROP),
        *(_rule(*_icmpv6(k), Counter(), DROP) for k in (_ROUTER_ADVERTISEMENT, _REDIRECT)),
    )


@lru_cache(maxsize=1)
def without_address() -> tuple[Rule, ...]:
    """What may come from an allowed MAC before it has an address: a DHCP client, the listener
    reports that go with duplicate address detection (RFC 3810), and the announcement that QEMU
    makes for a migrated guest by RARP."""
    nothing = prefix(_IPV4_SOURCE, "0.0.0.0")
    return (
        _rule(*_IPV4, *nothing, *_UDP, *_ports(68, 67), ACCEPT),
        *(_rule(*_icmpv6(kind), *_UNSPECIFIED, ACCEPT) for kind in _LISTENER_REPORTS),
        _rule(*_RARP, ACCEPT),
    )


@lru_cache(maxsize=4096)
def port_rules(device: str, pairs: tuple[Allowed, ...]) -> Mapping[str, tuple[Rule, ...]]:
    """The chains of a secured port by name; the first has the device's name.

    More than one is needed only for a MAC with very many IPv6 prefixes.
    """
    rules: list[Rule] = []
    targets: list[Rule] = []
    if len(pairs) == 1:
        # one look at the MAC is enough then
        rules.append(_rule(_ETH_SOURCE, Compare(mac(pairs[0].mac), False), Counter(), DROP))
    for pair in pairs:
        source = (_ETH_SOURCE, Compare(mac(pair.mac))) if len(pairs) > 1 else ()
        rules += _ipv4(source, pair)
        if len(pair.ipv6) <= ONE_RULE:
            rules.append(_foreign_target(source, pair))
        else:
            targets += _targets(source, pair)
            advertises = (*source, *_icmpv6(_ADVERTISEMENT))
            rules.append(_rule(*advertises, Verdict(Code.JUMP, target_chain(device))))
        rules += _ipv6(source, pair)
        rules += _arp(source, pair)
    if len(pairs) > 1:
        for pair in pairs:
            rules.append(_rule(_ETH_SOURCE, Compare(mac(pair.mac)), Verdict(Code.RETURN)))
        rules.append(_rule(Counter(), DROP))
    if not targets:
        return {device: tuple(rules)}
    return {device: tuple(rules), target_chain(device): (*targets, _rule(Counter(), DROP))}


def target_chain(device: str) -> str:
    """The chain that judges advertisements of MACs with very many prefixes."""
    return f"{device}-nd"


def _ipv4(source: Sequence[Expr], pair: Allowed) -> Iterator[Rule]:
    for text in pair.ipv4:
        yield _rule(*source, *_IPV4, *prefix(_IPV4_SOURCE, text), ACCEPT)


def _foreign_target(source: Sequence[Expr], pair: Allowed) -> Rule:
    """An advertisement of none of its addresses."""
    others = [expr for text in pair.ipv6 for expr in prefix(_TARGET, text, equal=False)]
    return _rule(*source, *_icmpv6(_ADVERTISEMENT), *others, Counter(), DROP)


def _targets(source: Sequence[Expr], pair: Allowed) -> Iterator[Rule]:
    for text in pair.ipv6:
        yield _rule(*source, *prefix(_TARGET, text), Verdict(Code.RETURN))


def _ipv6(source: Sequence[Expr], pair: Allowed) -> Iterator[Rule]:
    """Its addresses, and before there is one duplicate address detection (RFC 4862) for them."""
    for text in pair.ipv6:
        yield _rule(*source, *_IPV6, *prefix(_IPV6_SOURCE, text), ACCEPT)
    for text in pair.ipv6:
        detects = (*_icmpv6(_SOLICITATION), *_UNSPECIFIED)
        yield _rule(*source, *detects, *prefix(_TARGET, text), ACCEPT)


def _arp(source: Sequence[Expr], pair: Allowed) -> Iterator[Rule]:
    """From its own MAC, for its own addresses; a probe (RFC 5227) has no address yet."""
    own = (*source, *_ARP, _ARP_HARDWARE, Compare(mac(pair.mac)))
    for text in pair.ipv4:
        yield _rule(*own, *prefix(_ARP_ADDRESS, text), ACCEPT)
    request = (_ARP_OPERATION, Compare(b"\0\1"))
    yield _rule(*own, *request, *prefix(_ARP_ADDRESS, "0.0.0.0"), ACCEPT)
