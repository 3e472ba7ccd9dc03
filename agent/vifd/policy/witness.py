"""Packets that tell whether rules have their effect: one that passes, and one that does not. Pure.

Which rule is tried goes by a turn, so that one packet at each look tries every rule in the end.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from vifd.model.sets import SecurityGroup, SecurityGroupRule, SetKey
from vifd.policy.groups import Clause, Lookup, Packet, clauses, judge, remote, versions
from vifd.policy.rule import ICMP, ICMPV6, TCP, UDP, Direction

#: Whether a back end can tell the packets of a clause.
Tells = Callable[[Clause], bool]

#: Addresses that nobody has: of the documentation prefixes (RFC 5737, RFC 3849).
_NOBODY = {
    4: ("192.0.2.1", "198.51.100.1", "203.0.113.1"),
    6: ("2001:db8::1", "2001:db8:ffff::1"),
}
#: What is asked for where rules refuse next to nothing.
_ASKED = ((TCP, 1), (UDP, 1), (TCP, 443), (UDP, 40000))
_SPORT = 50000
_ECHO = {4: 8, 6: 128}
#: Membership of multicast groups is not everybody's to say, and IPv6 has headers by these numbers.
_IGMP, _HEADERS = 2, (0, 43, 44, 51, 59, 60, 135)
#: Messages that pass without a rule, or that no guest may send (RFC 4861, RFC 3810).
_NEIGHBOURS = range(130, 154)
#: So many addresses of a set are looked at for one of an IP version.
_LOOKED_AT = 64


def passing(
    groups: Sequence[SecurityGroup], direction: Direction, own: Iterable[int], lookup: Lookup,
    tells: Tells, turn: int,
) -> Packet | None:  # fmt: skip
    """A packet that a rule lets pass; ``None`` where no rule lets any.

    :param own: the IP versions that the port has an address of
    """
    return next(_allowed(groups, direction, frozenset(own), lookup, tells, turn), None)


def refused(
    groups: Sequence[SecurityGroup], direction: Direction, own: Iterable[int], lookup: Lookup,
    tells: Tells, turn: int,
) -> Packet | None:  # fmt: skip
    """A packet that nothing lets pass, next to one that passes where that can be had."""
    own = frozenset(own)
    near = (p for a in islice(_allowed(groups, direction, own, lookup, tells, turn), 1)
            for p in _beside(a))  # fmt: skip
    tried = (*near, *_strangers(direction, own))
    return next((p for p in tried if judge(groups, p, lookup) is None), None)


def _allowed(
    groups: Sequence[SecurityGroup], direction: Direction, own: frozenset[int], lookup: Lookup,
    tells: Tells, turn: int,
) -> Iterator[Packet]:  # fmt: skip
    rules = [r for g in groups for r in g.rules if r.direction is direction and r.ip_version in own]
    start = turn % len(rules) if rules else 0
    for rule in (*rules[start:], *rules[:start]):
        # by the second round another part of the rule is tried
        packet = _of(rule, lookup, tells, turn // len(rules))
        if packet is not None:
            yield packet


def _of(rule: SecurityGroupRule, lookup: Lookup, tells: Tells, turn: int) -> Packet | None:
    parts = clauses(rule)
    clause = parts[turn % len(parts)]
    other = _other(rule, lookup, turn)
    if other is None or not tells(clause) or not _usual(clause):
        return None
    if clause.protocol in (ICMP, ICMPV6):
        kind = _ECHO[clause.version] if clause.icmp_type is None else clause.icmp_type
        return Packet(direction=rule.direction, remote=other, protocol=clause.protocol or 0,
                      icmp_type=kind, icmp_code=clause.icmp_code or 0)  # fmt: skip
    protocol, port = clause.protocol or TCP, clause.ports.value if clause.ports is not None else 443
    return Packet(direction=rule.direction, remote=other, protocol=protocol, sport=_SPORT,
                  dport=port)  # fmt: skip


def _usual(clause: Clause) -> bool:
    """Whether such a packet is judged by rules alone."""
    if clause.protocol == ICMPV6:
        return clause.icmp_type not in _NEIGHBOURS
    return clause.protocol != _IGMP and (clause.version == 4 or clause.protocol not in _HEADERS)


def _other(rule: SecurityGroupRule, lookup: Lookup, turn: int) -> str | None:
    found = remote(rule)
    if found is None:
        return _NOBODY[rule.ip_version][0]
    if isinstance(found, SetKey):
        there = [a for a in islice(lookup(found), _LOOKED_AT) if versions(a) == rule.ip_version]
        return _address(there[turn % len(there)]) if there else None
    return _address(found)


def _address(prefix: str) -> str:
    """An address of a prefix that may be somebody's."""
    if "/" not in prefix:
        return prefix
    network = ipaddress.ip_network(prefix)
    return str(network.network_address + 1)


def _beside(packet: Packet) -> Iterator[Packet]:
    """Packets that differ in one thing."""
    for port in (packet.dport + 1, packet.dport - 1):
        if packet.dport and 0 < port < 65536:
            yield _changed(packet, dport=port)
    for other in _NOBODY[packet.version]:
        yield _changed(packet, remote=other)


def _changed(packet: Packet, *, dport: int | None = None, remote: str | None = None) -> Packet:
    return Packet(
        direction=packet.direction, remote=remote or packet.remote, protocol=packet.protocol,
        sport=packet.sport, dport=packet.dport if dport is None else dport,
        icmp_type=packet.icmp_type, icmp_code=packet.icmp_code,
    )  # fmt: skip


def _strangers(direction: Direction, own: frozenset[int]) -> Iterator[Packet]:
    for version in sorted(own):
        for protocol, port in _ASKED:
            yield Packet(direction=direction, remote=_NOBODY[version][-1], protocol=protocol,
                         sport=_SPORT, dport=port)  # fmt: skip
