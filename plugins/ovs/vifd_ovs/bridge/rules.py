"""A security group as flows of RULES. Pure.

A rule whose other side is anybody or a prefix is a flow for each of its clauses. The rules whose
other side is one set are one conjunctive match: a flow for each address of the set, and one for
each clause of the rules. So one more member is one flow for each direction of each group that names
its set, however many rules and ports there are. Each set has a priority of its own within the
group, so that no flow is a clause of two matches.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from vifd.model.sets import SecurityGroup, SecurityGroupRule, SetKey
from vifd.openflow import action as act
from vifd.openflow.field import IPV4, IPV6, SCTP, TCP, UDP, Value
from vifd.openflow.flow import Flow, entry
from vifd.policy.groups import Clause, clauses, remote, versions
from vifd.policy.rule import ICMP, ICMPV6, Direction
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.admission import PASSES, rules_of
from vifd_ovs.bridge.tables import GROUP_REGISTER, RULES

#: The priority of rules whose other side is no set; those of sets are below.
PLAIN = 60000
_FIRST, _PRIORITIES = 1000, 50000
_TRANSPORTS = {TCP: "tcp", UDP: "udp"}
#: Protocols whose ports OpenFlow shows.
PORTED = frozenset((*_TRANSPORTS, SCTP))
_BITS31 = 0x7FFF_FFFF


def digest(text: str) -> int:
    """A number of 31 bits made of a text, never 0."""
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
    return number & _BITS31 or 1


class Plain(NamedTuple):
    """A clause of a rule whose other side is a prefix, or anybody."""

    direction: Direction
    clause: Clause
    prefix: str | None


class Named(NamedTuple):
    """A clause of a rule whose other side is a set."""

    direction: Direction
    clause: Clause
    other: SetKey


class Use(NamedTuple):
    """The addresses of one IP version of a set, as the other side of rules."""

    direction: Direction
    other: SetKey
    version: int


class Met(NamedTuple):
    """The end of a set's conjunctive match: both clauses were met."""

    direction: Direction
    other: SetKey


Piece = Plain | Named | Use | Met


def pieces(group: SecurityGroup) -> set[Piece]:
    """What the flows of a group are made of."""
    return {piece for rule in group.rules for piece in _pieces(rule)}


@lru_cache(maxsize=16384)
def _pieces(rule: SecurityGroupRule) -> tuple[Piece, ...]:
    other = remote(rule)
    found = [clause for clause in clauses(rule) if enforceable(clause)]
    if not isinstance(other, SetKey):
        return tuple(Plain(rule.direction, clause, other) for clause in found)
    named: list[Piece] = [Named(rule.direction, clause, other) for clause in found]
    if not named:
        return ()
    return (*named, Use(rule.direction, other, rule.ip_version), Met(rule.direction, other))


def enforceable(clause: Clause) -> bool:
    """Whether flows can tell the packets of a clause: OpenFlow shows the ports of TCP, UDP and SCTP
    alone. What cannot be told does not pass (:func:`vifd.policy.groups.unseen`)."""
    return clause.ports is None or clause.protocol in PORTED


def priorities(found: Iterable[Piece]) -> dict[tuple[Direction, SetKey], int]:
    """The priority of each set in each direction, which is the number of its conjunctive match."""
    chosen: dict[tuple[Direction, SetKey], int] = {}
    taken: set[tuple[Direction, int]] = set()
    for direction, other in sorted({(p.direction, p.other) for p in found if isinstance(p, Use)}):
        number = digest(str(other)) % _PRIORITIES
        while (direction, number) in taken:
            number = (number + 1) % _PRIORITIES
        taken.add((direction, number))
        chosen[direction, other] = _FIRST + number
    return chosen


class Compiler:
    """The flows of one group.

    :param number: of the group on the bridge
    :param stateful: whether packets are judged by what their connection began with
    """

    def __init__(
        self, number: int, priorities: Mapping[tuple[Direction, SetKey], int], *, stateful: bool
    ) -> None:
        self._number = number
        self._cookie = cookies.group(number)
        self._priorities = priorities
        self._stateful = stateful

    def flows(self, piece: Piece, addresses: Iterable[str]) -> Iterator[Flow]:
        """The flows of a piece.

        :param addresses: of the set, where the piece is the use of one
        """
        if isinstance(piece, Plain):
            for match in self._clause(piece.clause):
                if piece.prefix is not None:
                    match |= self.other(piece.direction, piece.prefix)
                yield self._flow(PLAIN, piece.direction, PASSES, match)
        elif isinstance(piece, Named):
            number = self._priorities[piece.direction, piece.other]
            for match in self._clause(piece.clause):
                yield self._flow(number, piece.direction, act.conjunction(number, 1, 2), match)
        elif isinstance(piece, Met):
            number = self._priorities[piece.direction, piece.other]
            yield self._flow(number, piece.direction, PASSES, {"conj_id": number})
        else:
            for address in addresses:
                if versions(address) == piece.version:
                    yield self.member(piece, address)

    def member(self, use: Use, address: str) -> Flow:
        """The flow of one address of a set."""
        number = self._priorities[use.direction, use.other]
        match = self._version(use.version) | self.other(use.direction, address)
        return self._flow(number, use.direction, act.conjunction(number, 0, 2), match)

    def _flow(
        self, priority: int, direction: Direction, action: act.Action, match: dict[str, Value]
    ) -> Flow:
        register: dict[str, Value] = {GROUP_REGISTER: rules_of(self._number, direction)}
        return entry(RULES, priority, self._cookie, register | match, [action])

    def _version(self, version: int) -> dict[str, Value]:
        match: dict[str, Value] = {"eth_type": IPV4 if version == 4 else IPV6}
        return match | {"ct_state": "+trk-inv"} if self._stateful else match

    def other(self, direction: Direction, prefix: str) -> dict[str, Value]:
        """The match of the other side: who began the connection, or to whom it was begun."""
        side = "src" if direction is Direction.INGRESS else "dst"
        six = versions(prefix) == 6
        if self._stateful:
            return {f"ct_ipv6_{side}" if six else f"ct_nw_{side}": prefix}
        return {f"ipv6_{side}" if six else f"ipv4_{side}": prefix}

    def _clause(self, clause: Clause) -> Iterator[dict[str, Value]]:
        match = self._version(clause.version)
        if clause.protocol is None:
            yield match
        elif clause.protocol == SCTP and clause.ports is not None:
            yield from self._sctp(match, (clause.ports.value, clause.ports.mask))
        elif self._stateful:
            yield match | self._tracked(clause, clause.protocol)
        else:
            yield match | _header(clause, clause.protocol)

    def _sctp(self, match: dict[str, Value], ports: tuple[int, int]) -> Iterator[dict[str, Value]]:
        """The userspace datapath tracks SCTP without its ports, so that they are read from the
        packet, either way."""
        match = match | {"ip_proto": SCTP}
        if not self._stateful:
            yield match | {"sctp_dst": ports}
            return
        yield match | {"ct_state": "+trk-inv-rpl", "sctp_dst": ports}
        yield match | {"ct_state": "+trk-inv+rpl", "sctp_src": ports}

    @staticmethod
    def _tracked(clause: Clause, protocol: int) -> dict[str, Value]:
        found: dict[str, Value] = {"ct_nw_proto": protocol}
        if clause.ports is not None:
            found["ct_tp_dst"] = (clause.ports.value, clause.ports.mask)
        # of ICMP these fields hold type and code
        for field, value in (("ct_tp_src", clause.icmp_type), ("ct_tp_dst", clause.icmp_code)):
            if value is not None:
                found[field] = value
        return found


def _header(clause: Clause, protocol: int) -> dict[str, Value]:
    found: dict[str, Value] = {"ip_proto": protocol}
    if clause.ports is not None:
        found[f"{_TRANSPORTS[protocol]}_dst"] = (clause.ports.value, clause.ports.mask)
    name = {ICMP: "icmpv4", ICMPV6: "icmpv6"}.get(protocol, "")
    for field, value in (("type", clause.icmp_type), ("code", clause.icmp_code)):
        if value is not None:
            found[f"{name}_{field}"] = value
    return found
