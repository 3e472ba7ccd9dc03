"""What security groups want of the table: of a port, and of themselves. On any thread."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from vifd.drivers.nft.objects import Chain
from vifd.model import Attachment
from vifd.model.members import groups_of
from vifd.model.sets import SecurityGroup, SetKey, SetKind
from vifd.plugin import Host
from vifd.policy.groups import Packet, Passes, judge, missing
from vifd.policy.rule import Direction
from vifd_linuxbridge import grouprules
from vifd_linuxbridge.groupbase import Judged
from vifd_linuxbridge.grouprules import Shape
from vifd_linuxbridge.groupsets import Prefixes
from vifd_linuxbridge.logparts import LogParts


class Target(NamedTuple):
    """What some groups are in the table.

    :param sets: with their elements
    """

    chains: Mapping[str, Chain]
    sets: Mapping[Shape, Collection[str]]


class GroupWanted:
    """Of the groups of one host."""

    def __init__(self, host: Host, logs: LogParts) -> None:
        self._host = host
        self._logs = logs
        self._prefixes = Prefixes(host)
        self._made: dict[str, tuple[SecurityGroup, object, tuple[Chain, ...]]] = {}
        self._named: dict[str, tuple[SecurityGroup, frozenset[SetKey]]] = {}
        self._lock = threading.RLock()

    # --- ports ---

    def judged(self, attachment: Attachment) -> Judged | None:
        """Which groups are asked for a port; ``None`` for one that is held to none."""
        ids = groups_of(attachment)
        if ids is None:
            return None
        with self._lock:
            return self._judged(attachment, ids)

    def _judged(self, attachment: Attachment, ids: Collection[str]) -> Judged:
        get = self._host.sets.security_group
        stateful: dict[Direction, tuple[str, ...]] = {}
        stateless: dict[Direction, tuple[str, ...]] = {}
        for direction in Direction:
            lacks = next(iter(missing(ids, direction, get, self._prefixes.members.known)), None)
            bodies = [body for i in ids if lacks is None and (body := get(i)) is not None]
            stateful[direction] = tuple(b.id for b in bodies if b.stateful)
            stateless[direction] = tuple(b.id for b in bodies if not b.stateful)
        judged = Judged(mark(attachment.id), stateful, stateless)
        return self._logs.with_logs(judged, attachment, ids)

    def judge(
        self, attachment: Attachment, packet: Packet, groups: Collection[str] | None = None
    ) -> Passes | None:
        """Which rule lets the first packet of a connection of a port pass, if any does; on any
        thread.

        :param groups: of which; of all by default
        """
        ids, get = groups_of(attachment) or (), self._host.sets.security_group
        with self._lock:
            members = self._prefixes.members
            closed = next(iter(missing(ids, packet.direction, get, members.known)), None)
            bodies = [body for i in ids if closed is None and (groups is None or i in groups)
                      and (body := get(i)) is not None]  # fmt: skip
            return judge(bodies, packet, members.addresses)

    def stateless(self, attachment: Attachment) -> tuple[str, ...]:
        """The groups of a port that have no state."""
        get = self._host.sets.security_group
        return tuple(i for i in groups_of(attachment) or ()
                     if (body := get(i)) is not None and not body.stateful)  # fmt: skip

    # --- groups ---

    def target(self, groups: Iterable[str]) -> Target:
        """What these groups are in the table; nothing of those that are not known."""
        chains: dict[str, Chain] = {}
        sets: dict[Shape, Collection[str]] = {}
        bodies = map(self._host.sets.security_group, groups)
        with self._lock:
            for body in [body for body in bodies if body is not None]:
                chains |= {chain.name: chain for chain in self._chains(body)}
                for key in self._references(body):
                    sets |= self._prefixes.shapes(key)
        return Target(chains, sets)

    def _chains(self, body: SecurityGroup) -> tuple[Chain, ...]:
        lengths = {key: self._prefixes.lengths(key) for key in self._references(body)}
        known = self._made.get(body.id)
        if known is not None and known[0] is body and known[1] == lengths:
            return known[2]
        made = tuple(grouprules.chains(body, lengths))
        self._made[body.id] = (body, lengths, made)
        return made

    def _references(self, body: SecurityGroup) -> frozenset[SetKey]:
        known = self._named.get(body.id)
        if known is None or known[0] is not body:
            known = self._named[body.id] = (body, grouprules.named(body))
        return known[1]

    # --- changes of sets ---

    def moved(self, ports: Iterable[str]) -> Collection[SetKey]:
        """The sets that ports joined or left, or in which they have other addresses."""
        with self._lock:
            return self._prefixes.members.update(ports)

    def is_about(self, group_id: str, keys: set[SetKey]) -> bool:
        """Whether a group is one of these sets, or has a rule that names one."""
        body = self._host.sets.security_group(group_id)
        own = SetKey(SetKind.SECURITY_GROUP, group_id) in keys
        return own or (body is not None and not self._references(body).isdisjoint(keys))


def mark(port_id: str) -> int:
    """What marks the connections that a port began; never 0."""
    digest = hashlib.blake2b(port_id.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") or 1
