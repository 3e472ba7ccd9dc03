"""The rules of the security groups of a bridge's ports: made once, and changed by what changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from vifd.model.sets import SecurityGroup, SetKey, SetKind
from vifd.openflow.flow import Flow, by_key
from vifd.plugin import Host
from vifd.plugin.membership import Membership
from vifd.policy import witness
from vifd.policy.groups import UNSEEN, Packet, Passes, judge, missing, unseen, versions
from vifd.policy.logged import NOTHING, Logged, about, logged
from vifd.policy.rule import Direction
from vifd_ovs.bridge import admission, cookies, rules
from vifd_ovs.bridge.admission import Policy
from vifd_ovs.bridge.entries import Entries, changed
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.ruleproofs import Probe
from vifd_ovs.bridge.rules import Compiler, Piece, Use

LOG = logging.getLogger(__name__)

_NOBODY: Entries = {}


@dataclass(frozen=True)
class Made:
    """The flows of a group.

    :param base: the flows before the last change, of which this differs by the two that follow
    """

    body: SecurityGroup
    pieces: frozenset[Piece]
    priorities: Mapping[tuple[Direction, SetKey], int]
    versions: Mapping[SetKey, int]
    entries: Entries
    base: Entries
    added: tuple[Flow, ...] = ()
    removed: tuple[Flow, ...] = ()


#: Of a group that no port has, or that is not known.
NO_RULES = Made(SecurityGroup(id=""), frozenset(), {}, {}, _NOBODY, {})


class Rulesets:
    """The rules of a host's groups, as flows. Its user holds a lock whenever it calls.

    :param meters: whether the bridge has meters, without which nothing is logged
    """

    def __init__(self, host: Host, meters: Callable[[], bool] = lambda: True) -> None:
        self._host = host
        self._meters = meters
        self.members = Membership(host)
        self._numbers: dict[str, int] = {}
        self._taken: dict[int, str] = {}
        self._made: dict[str, Made] = {}
        #: by group, its rules that let nothing pass, as the log was told
        self._vain: dict[str, list[str]] = {}
        self._named: dict[str, tuple[SecurityGroup, frozenset[SetKey]]] = {}

    # --- numbers ---

    def number(self, group_id: str) -> int:
        """The number of a group: made of its id, so that it is the same after a restart."""
        number = self._numbers.get(group_id)
        if number is None:
            number = rules.digest(group_id)
            while self._taken.setdefault(number, group_id) != group_id:
                number += 1
            self._numbers[group_id] = number
        return number

    def cookie(self, group_id: str) -> int:
        """The cookie of a group's flows."""
        return cookies.group(self.number(group_id))

    # --- a port ---

    def policy(self, port: SwitchPort) -> Policy | None:
        """Which rules count for a port; ``None`` for one without security groups."""
        if port.groups is None:
            return None
        stateful: dict[Direction, tuple[int, ...]] = {}
        stateless: dict[Direction, tuple[int, ...]] = {}
        for direction in Direction:
            closed = next(iter(self.missing(port, direction)), None) is not None
            bodies = [] if closed else [self._host.sets.security_group(i) for i in port.groups]
            there = [body for body in bodies if body is not None]
            stateful[direction] = tuple(self.number(b.id) for b in there if b.stateful)
            stateless[direction] = tuple(self.number(b.id) for b in there if not b.stateful)
        return Policy(
            stateful[Direction.EGRESS], stateful[Direction.INGRESS],
            stateless[Direction.EGRESS], stateless[Direction.INGRESS],
        )  # fmt: skip

    def missing(self, port: SwitchPort, direction: Direction) -> list[SetKey]:
        """The sets without which a direction of a port is closed."""
        group = self._host.sets.security_group
        found = missing(port.groups or (), direction, group, self.members.known)
        return list(dict.fromkeys(found))

    def port_flows(self, port: SwitchPort) -> tuple[Flow, ...]:
        """The flows by which a port has its groups; none where nothing of it is judged."""
        policy = self.policy(port) if port.judged else None
        if policy is None:
            return ()
        return admission.port_flows(port.cookie, port.ofport, policy, self.logged(port))

    def logged(self, port: SwitchPort) -> Logged:
        """What of a port is written down."""
        logs = self._host.sets.logs() if self._host.logs is not None and port.judged else ()
        if not logs or not self._meters():
            return NOTHING
        return logged(about(logs, port.id, port.groups, port.project))

    def judge(
        self, port: SwitchPort, packet: Packet, groups: Collection[str] | None = None
    ) -> Passes | None:
        """Which rule lets the first packet of a connection pass, if any does.

        :param groups: of which; of all by default
        """
        asked = self._asked(port, packet.direction)
        chosen = [g for g in asked if groups is None or g.id in groups]
        return judge(chosen, packet, self.members.addresses)

    def _asked(self, port: SwitchPort, direction: Direction) -> list[SecurityGroup]:
        """The groups whose rules count in a direction."""
        closed = self.missing(port, direction)
        bodies = [] if closed else map(self._host.sets.security_group, port.groups or ())
        return [body for body in bodies if body is not None]

    def probes(self, port: SwitchPort, turn: int) -> list[Probe]:
        """In each direction a packet that passes and one that does not, where there are such.

        :param turn: which of the rules are tried
        """
        if not port.judged:
            return []
        own = port.allowed[0]
        versions_ = [v for v, there in ((4, own.ipv4), (6, own.ipv6)) if there]
        found = []
        for direction in Direction:
            said = (self._asked(port, direction), direction, versions_, self.members.addresses,
                    rules.enforceable, turn)  # fmt: skip
            packets = (witness.passing(*said), witness.refused(*said))
            for packet, passes in zip(packets, (True, False), strict=True):
                found += [Probe(packet, passes)] if packet is not None else []
        return found

    def naming(self, changed: Collection[SetKey], groups: Iterable[str]) -> set[str]:
        """Those of some groups that are among these sets, or have rules that name one."""
        if not changed:
            return set()
        return {
            group for group in groups
            if SetKey(SetKind.SECURITY_GROUP, group) in changed
            or not self._references(group).isdisjoint(changed)
        }  # fmt: skip

    def _references(self, group_id: str) -> frozenset[SetKey]:
        """The sets that the rules of a group name."""
        body = self._host.sets.security_group(group_id)
        if body is None:
            return frozenset()
        known = self._named.get(group_id)
        if known is None or known[0] is not body:
            keys = frozenset(key for rule in body.rules if (key := rule.refers_to) is not None)
            known = self._named[group_id] = (body, keys)
        return known[1]

    # --- a group ---

    def entries(self, group_id: str) -> Entries:
        """The flows of a group; none while it is not known."""
        made = self.made(group_id)
        return _NOBODY if made is None else made.entries

    def made(self, group_id: str) -> Made | None:
        """The flows of a group as it is now, and how they differ from those before."""
        body = self._host.sets.security_group(group_id)
        if body is None:
            self._made.pop(group_id, None)
            self._vain.pop(group_id, None)
            return None
        before = self._made.get(group_id)
        if before is None or before.body.stateful is not body.stateful:
            made = self._anew(body)
        elif body is before.body and self._current(before):
            return before
        else:
            made = self._changed(before, body) or self._anew(body)
        self._made[group_id] = made
        if before is None or body.rules is not before.body.rules:
            self._tell(body)
        return made

    def _tell(self, body: SecurityGroup) -> None:
        """Say in the log which rules of a group let nothing pass, once."""
        vain = [rule.id for rule in body.rules if unseen(rule, UNSEEN)]
        if vain and vain != self._vain.get(body.id):
            LOG.warning(
                "security group %s: %d of its rules let nothing pass, as OpenFlow has no fields "
                "for ports of DCCP and UDP-Lite: %s. Next: name the protocol without ports there",
                body.id, len(vain), ", ".join(vain[:3]) + (", …" if len(vain) > 3 else ""),
            )  # fmt: skip
        self._vain[body.id] = vain

    def _current(self, made: Made) -> bool:
        return all(self.members.version(key) == v for key, v in made.versions.items())

    def _compiler(
        self, body: SecurityGroup, priorities: Mapping[tuple[Direction, SetKey], int]
    ) -> Compiler:
        return Compiler(self.number(body.id), priorities, stateful=body.stateful)

    def _versions(self, found: Iterable[Piece]) -> dict[SetKey, int]:
        keys = {piece.other for piece in found if isinstance(piece, Use)}
        return {key: self.members.version(key) for key in keys}

    def _flows(self, compiler: Compiler, found: Iterable[Piece]) -> Iterable[Flow]:
        for piece in found:
            addresses = self.members.addresses(piece.other) if isinstance(piece, Use) else ()
            yield from compiler.flows(piece, addresses)

    def _anew(self, body: SecurityGroup) -> Made:
        found = frozenset(rules.pieces(body))
        priorities = rules.priorities(found)
        compiler = self._compiler(body, priorities)
        entries = by_key(self._flows(compiler, found))
        return Made(body, found, priorities, self._versions(found), entries, _NOBODY)

    def _changed(self, before: Made, body: SecurityGroup) -> Made | None:
        """The flows changed by what changed; ``None`` where that cannot be told."""
        found = before.pieces
        if body.rules is not before.body.rules:
            found = frozenset(rules.pieces(body))
        priorities = before.priorities if found == before.pieces else rules.priorities(found)
        if any(before.priorities.get(use, number) != number for use, number in priorities.items()):
            return None
        old, new = (self._compiler(before.body, before.priorities),
                    self._compiler(body, priorities))  # fmt: skip
        removed: list[Flow] = []
        added: list[Flow] = list(self._flows(new, found - before.pieces))
        for piece in before.pieces:
            if not isinstance(piece, Use):
                removed += old.flows(piece, ()) if piece not in found else ()
                continue
            deltas = self.members.since(piece.other, before.versions[piece.other])
            if deltas is None:
                return None
            now = self.members.addresses(piece.other) if piece in found else ()
            touched = {a for delta in deltas for a in (*delta.added, *delta.removed)}
            if piece not in found:
                touched |= {*self.members.addresses(piece.other)}
            removed += _members(old, piece, (a for a in touched if a not in now))
            added += _members(new, piece, (a for a in touched if a in now))
        return self._put(before, body, found, priorities, added, removed)

    def _put(
        self, before: Made, body: SecurityGroup, found: frozenset[Piece],
        priorities: Mapping[tuple[Direction, SetKey], int], added: list[Flow], removed: list[Flow],
    ) -> Made:  # fmt: skip
        had, coming = before.entries, by_key(added)
        came = tuple(flow for key, flow in coming.items() if had.get(key) != flow)
        going = {flow.key: flow for flow in removed if flow.key not in coming}
        went = tuple(flow for key, flow in going.items() if key in had)
        return Made(
            body, found, priorities, self._versions(found), changed(had, went, came), had, came,
            went,
        )  # fmt: skip


def _members(compiler: Compiler, use: Use, addresses: Iterable[str]) -> list[Flow]:
    return [compiler.member(use, a) for a in addresses if versions(a) == use.version]
