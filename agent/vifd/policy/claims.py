"""What a port may say of itself: the rules that its allowed pairs make. Pure.

A message of address resolution names three things: the Ethernet address it comes from, a hardware
address and an IP address. Both hardware addresses may differ; each must be allowed for the IP.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from vifd.policy.rule import ARP, ICMPV6, IPV6, NO_OPTION, Match, Rule, Verdict
from vifd.policy.spoofing import ADVERTISEMENT, ARP_REQUEST, SOLICITATION

#: A MAC address with the IPv4 and the IPv6 prefixes that it may use, as text.
Pair = tuple[str, tuple[str, ...], tuple[str, ...]]
#: An IP prefix as (version, first address, prefix length).
_Prefix = tuple[int, int, int]


class Claim(NamedTuple):
    """Frames from ``ethernet`` may say that ``prefix`` is at ``hardware``."""

    ethernet: str
    hardware: str
    prefix: str


@lru_cache(maxsize=16384)
def _parse(text: str) -> _Prefix:
    network = ipaddress.ip_network(text, strict=False)
    return network.version, int(network.network_address), network.prefixlen


@lru_cache(maxsize=16384)
def _common(one: str, other: str) -> str | None:
    """What is in both prefixes: the smaller one, if it lies in the other."""
    if one == other:
        return one
    (version, first, length), (_, second, longer) = _parse(one), _parse(other)
    short = min(length, longer)
    shift = (32 if version == 4 else 128) - short
    if first >> shift != second >> shift:
        return None
    return one if length >= longer else other


def allowed_claims(pairs: Sequence[Pair], version: int) -> list[Claim]:
    """Every claim that these pairs allow."""
    family = 1 if version == 4 else 2
    return [
        Claim(ethernet[0], hardware[0], prefix)
        for ethernet in pairs
        for hardware in pairs
        for one in ethernet[family]
        for other in (hardware[family] if ethernet is not hardware else (one,))
        if (prefix := _common(one, other)) is not None
    ]


def claims(pairs: Sequence[Pair]) -> Iterator[Rule]:
    """The rules of one port. Those for the unspecified address come before others: a prefix of
    every address holds it. Else no frame meets two."""
    yield from _resolution(pairs)
    yield from _probes(pairs)
    yield from _solicitations(pairs)
    yield from _advertisements(pairs)


def _resolution(pairs: Sequence[Pair]) -> Iterator[Rule]:
    for claim in allowed_claims(pairs, 4):
        match = Match(
            ethertype=ARP, eth_src=claim.ethernet, arp_sha=claim.hardware, arp_spa=claim.prefix
        )
        yield Rule("address resolution", match, Verdict.ACCEPT, "RFC 826")


def _probes(pairs: Sequence[Pair]) -> Iterator[Rule]:
    for ethernet, _, _ in pairs:
        for hardware, _, _ in pairs:
            match = Match(
                ethertype=ARP, eth_src=ethernet, arp_sha=hardware, arp_spa="0.0.0.0",
                arp_op=ARP_REQUEST,
            )  # fmt: skip
            yield Rule("a probe for an address", match, Verdict.ACCEPT, "RFC 5227, 2.1.1")


def _solicitations(pairs: Sequence[Pair]) -> Iterator[Rule]:
    def match(mac: str, src: str, option: str, target: str | None = None) -> Match:
        return Match(
            ethertype=IPV6, protocol=ICMPV6, icmp_type=SOLICITATION, eth_src=mac,
             src=src, nd_option=option, nd_target=target,
        )  # fmt: skip

    for mac, _, prefixes in pairs:
        for prefix in prefixes:
            detects = match(mac, "::", NO_OPTION, prefix)
            yield Rule("duplicate address detection", detects, Verdict.ACCEPT, "RFC 4862, 5.4.2")
    for claim in allowed_claims(pairs, 6):
        if _common(claim.prefix, "::") is not None:
            # a prefix of every address holds this one, which has no link-layer address
            nobody = match(claim.ethernet, "::", claim.hardware)
            yield Rule("address detection that tells a link-layer address", nobody,
                       Verdict.REFUSE, "RFC 4861, 7.1.1")  # fmt: skip
        asks = match(claim.ethernet, claim.prefix, claim.hardware)
        yield Rule("a neighbour solicitation", asks, Verdict.ACCEPT, "RFC 4861, 4.3")


def _advertisements(pairs: Sequence[Pair]) -> Iterator[Rule]:
    def rule(mac: str, target: str, option: str) -> Rule:
        match = Match(
            ethertype=IPV6, protocol=ICMPV6, icmp_type=ADVERTISEMENT, eth_src=mac,
             nd_target=target, nd_option=option,
        )  # fmt: skip
        return Rule("a neighbour advertisement", match, Verdict.BY_ADDRESS, "RFC 4861, 4.4")

    for mac, _, prefixes in pairs:
        yield from (rule(mac, prefix, NO_OPTION) for prefix in prefixes)
    for claim in allowed_claims(pairs, 6):
        yield rule(claim.ethernet, claim.prefix, claim.hardware)
