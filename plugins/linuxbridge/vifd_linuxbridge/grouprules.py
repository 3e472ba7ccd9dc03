"""A security group as chains and sets of nftables. Pure.

A group has a chain for each direction and IP version. A rule whose other side is anybody or a
prefix is a rule there. The rules whose other side is one set are a chain of their own, to which the
first one jumps for an address of the set: so one more member is one element, however many rules and
ports there are. A set of the kernel holds the prefixes of one length, so that it is a hash table
and prefixes may overlap.

Packets are judged by what their connection began with, where the group has state; an answer by the
rules for the direction of the first packet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from vifd.drivers.nft.expr import (
    ACCEPT,
    Base,
    Bound,
    Code,
    Compare,
    Connection,
    Expr,
    Key,
    Lookup,
    Mask,
    Meta,
    Payload,
    Tracked,
    Verdict,
    canonical,
)
from vifd.drivers.nft.objects import Chain, Rule
from vifd.model.sets import SecurityGroup, SecurityGroupRule, SetKey, SetKind
from vifd.policy.groups import remote, versions
from vifd.policy.rule import ICMP, ICMPV6, TCP, UDP, Direction

SCTP = 132
#: Protocols whose ports every kernel knows; a rule about those of others lets nothing pass.
PORTED = frozenset((TCP, UDP, SCTP))
_MOST = 65535
_BITS = {4: 32, 6: 128}
_LETTER = {Direction.EGRESS: "e", Direction.INGRESS: "i"}
_TRACKED = {
    (4, Direction.INGRESS): Connection(Tracked.SOURCE4),
    (4, Direction.EGRESS): Connection(Tracked.TARGET4),
    (6, Direction.INGRESS): Connection(Tracked.SOURCE6),
    (6, Direction.EGRESS): Connection(Tracked.TARGET6),
}
_HEADER = {
    (4, Direction.INGRESS): Payload(Base.NETWORK, 12, 4),
    (4, Direction.EGRESS): Payload(Base.NETWORK, 16, 4),
    (6, Direction.INGRESS): Payload(Base.NETWORK, 8, 16),
    (6, Direction.EGRESS): Payload(Base.NETWORK, 24, 16),
}
#: Where a header says the destination port, and ICMP its type and code.
_DESTINATION, _KIND = Payload(Base.TRANSPORT, 2, 2), Payload(Base.TRANSPORT, 0, 2)

#: What all chains of groups begin with, and their sets.
PREFIX = "sg-"
SETS = ("sg-", "ag-")
_SET_PREFIX = {SetKind.SECURITY_GROUP: "sg", SetKind.ADDRESS_GROUP: "ag"}


class Shape(NamedTuple):
    """The prefixes of one length and IP version of a set: a set of the kernel."""

    other: SetKey
    version: int
    length: int

    @property
    def name(self) -> str:
        """Its name in the table."""
        return f"{_SET_PREFIX[self.other.kind]}-{self.other.id}-{self.version}-{self.length}"


@lru_cache(maxsize=65536)
def placed(prefix: str) -> tuple[int, int, str]:
    """IP version and length of a prefix, and the address that stands for it."""
    if "/" not in prefix:
        version = versions(prefix)
        return version, _BITS[version], prefix
    network = ipaddress.ip_network(prefix, strict=False)
    return network.version, network.prefixlen, str(network.network_address)


def chain_name(group_id: str, direction: Direction, version: int) -> str:
    """The chain of a group's rules for one direction and IP version."""
    return f"{PREFIX}{group_id}-{_LETTER[direction]}{version}"


def owner(chain: str) -> str:
    """The id of the group that a chain is of."""
    return chain[len(PREFIX) :][:36]


def named(group: SecurityGroup) -> frozenset[SetKey]:
    """The sets that the rules of a group name."""
    return frozenset(key for rule in group.rules if (key := rule.refers_to) is not None)


def chains(
    group: SecurityGroup, lengths: Mapping[SetKey, Iterable[tuple[int, int]]]
) -> Iterator[Chain]:
    """The chains of a group.

    :param lengths: IP version and length of the prefixes of each set that its rules name
    """
    for direction in Direction:
        for version in _BITS:
            rules = [r for r in group.rules
                     if r.direction is direction and r.ip_version == version]  # fmt: skip
            yield from _Side(group, direction, version).chains(rules, lengths)


class _Side:
    """The rules of a group for one direction and IP version."""

    def __init__(self, group: SecurityGroup, direction: Direction, version: int) -> None:
        self._name = chain_name(group.id, direction, version)
        self._version = version
        self._stateful = group.stateful
        other = _TRACKED if group.stateful else _HEADER
        self._other: Expr = other[version, direction]

    def chains(
        self, rules: Iterable[SecurityGroupRule],
        lengths: Mapping[SetKey, Iterable[tuple[int, int]]],
    ) -> Iterator[Chain]:  # fmt: skip
        """The chain of the side, and one for each set that its rules name."""
        plain: list[Rule] = []
        by_set: dict[SetKey, list[Rule]] = {}
        for rule in rules:
            packet, other = self._packet(rule), remote(rule)
            if packet is None:
                continue
            if isinstance(other, SetKey):
                by_set.setdefault(other, []).append(_rule(*packet, ACCEPT))
            else:
                where = self._within(other) if other is not None else ()
                plain.append(_rule(*packet, *where, ACCEPT))
        for key in by_set:
            jump = Verdict(Code.JUMP, self._of_set(key))
            found = sorted(n for v, n in lengths.get(key, ()) if v == self._version)
            plain += [_rule(*self._in(Shape(key, self._version, n)), jump) for n in found]
        yield Chain(self._name, tuple(dict.fromkeys(plain)))
        for key, found_rules in by_set.items():
            yield Chain(self._of_set(key), tuple(dict.fromkeys(found_rules)))

    def _of_set(self, key: SetKey) -> str:
        return f"{self._name}-{_SET_PREFIX[key.kind]}-{key.id}"

    def _in(self, shape: Shape) -> tuple[Expr, ...]:
        return (self._other, *_cut(shape.version, shape.length), Lookup(shape.name))

    def _within(self, prefix: str) -> tuple[Expr, ...]:
        version, length, address = placed(prefix)
        value = Compare(ipaddress.ip_address(address).packed)
        return (self._other, *_cut(version, length), value)

    def _packet(self, rule: SecurityGroupRule) -> tuple[Expr, ...] | None:
        """What a rule says of the packet itself; ``None`` where that cannot be told."""
        number, ports = rule.number, _ports(rule)
        if number is None:
            return ()
        protocol: Expr = Connection(Tracked.PROTOCOL) if self._stateful else Meta(Key.L4PROTO)
        told = (protocol, Compare(bytes((number,))))
        if ports is not None:
            return (*told, *self._between(ports)) if number in PORTED else None
        if number in (ICMP, ICMPV6):
            return (*told, *self._icmp(*rule.icmp))
        return told

    def _between(self, ports: tuple[int, int]) -> tuple[Expr, ...]:
        load: Expr = Connection(Tracked.PORT) if self._stateful else _DESTINATION
        low, high = (port.to_bytes(2, "big") for port in ports)
        if low == high:
            return load, Compare(low)
        return load, Bound(low, least=True), Bound(high, least=False)

    def _icmp(self, kind: int | None, code: int | None) -> tuple[Expr, ...]:
        if kind is None:
            return ()
        load: Expr = Connection(Tracked.PORT) if self._stateful else _KIND
        if code is None:
            return load, Mask(b"\xff\0"), Compare(bytes((kind, 0)))
        return load, Compare(bytes((kind, code)))


def _ports(rule: SecurityGroupRule) -> tuple[int, int] | None:
    """The destination ports of a rule; ``None`` for all of them, as 0 is no port (RFC 6335, 6)."""
    found = rule.ports
    return None if found is None or (found[0] <= 1 and found[1] == _MOST) else found


def _cut(version: int, length: int) -> tuple[Expr, ...]:
    bits = _BITS[version]
    if length == bits:
        return ()
    return (Mask((((1 << length) - 1) << (bits - length)).to_bytes(bits // 8, "big")),)


def _rule(*exprs: Expr) -> Rule:
    return Rule(tuple(map(canonical, exprs)))
