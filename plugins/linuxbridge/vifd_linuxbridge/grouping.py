"""Security groups in the table: what shall be there for the ports of a host, and the difference.

Everything is compared with what was read back, which costs nothing as long as nobody else changed a
table; a change of one member is one element.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from vifd.drivers import Nft
from vifd.drivers.nft.objects import GUARDED, Chain, Change, Element, Set
from vifd.errors import VifError
from vifd.model import Attachment
from vifd.model.members import groups_of, members_of
from vifd.model.sets import SecurityGroup, SetKey, SetKind
from vifd.plugin import Entry, Host, SetChange
from vifd.policy.groups import Packet, Passes, judge, missing
from vifd.policy.rule import Direction
from vifd_linuxbridge import groupbase, grouprules, telling, wiring
from vifd_linuxbridge.batch import Work
from vifd_linuxbridge.groupbase import Judged
from vifd_linuxbridge.grouprules import Shape
from vifd_linuxbridge.groupsets import Prefixes
from vifd_linuxbridge.logparts import LogParts, same
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.zones import Place, Zones, place

LOG = logging.getLogger(__name__)


class Target(NamedTuple):
    """What some groups are in the table.

    :param sets: with their elements
    """

    chains: Mapping[str, Chain]
    sets: Mapping[Shape, Collection[str]]


class Lacking(NamedTuple):
    """How a table differs.

    :param texts: in words
    """

    change: Change
    texts: tuple[str, ...]


class _There(NamedTuple):
    """Chains and sets of groups that may be in the table."""

    chains: set[str]
    sets: set[str]


class Grouping:
    """The groups of a host's ports on bridges of the kernel.

    :param plugin: the name of the plugin whose ports they are
    """

    def __init__(self, host: Host, plugin: str) -> None:
        self._host = host
        self._plugin = plugin
        self._prefixes = Prefixes(host)
        self.zones = Zones()
        self._made: dict[str, tuple[SecurityGroup, object, tuple[Chain, ...]]] = {}
        self._named: dict[str, tuple[SecurityGroup, frozenset[SetKey]]] = {}
        self._there: _There | None = None
        self.logs = LogParts(host)
        #: rules are asked on other threads as well
        self._lock = threading.RLock()

    # --- a port ---

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
        return self.logs.with_logs(judged, attachment, ids)

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

    def lacking(self, nft: Nft, groups: Iterable[str]) -> Lacking:
        """How the table differs from what these groups are."""
        wanted = self.target(groups)
        chains = nft.chains(TABLE, list(wanted.chains))
        sets = nft.addresses(TABLE, [shape.name for shape in wanted.sets])
        unlike = [c for n, c in wanted.chains.items() if not same(chains.get(n), c)]
        texts = [f"{c.name}: {_short(chains.get(c.name))}" for c in unlike]
        made = [Set(shape.name, version=shape.version) for shape in wanted.sets
                if shape.name not in sets]  # fmt: skip
        add: list[Element] = []
        delete: list[Element] = []
        for shape, members in wanted.sets.items():
            have, wants = sets.get(shape.name, frozenset()), frozenset(members)
            add += [_member(shape, address) for address in sorted(wants - have)]
            delete += [_member(shape, address) for address in sorted(have - wants)]
        texts += [f"set {s.name}: missing" for s in made]
        texts += [f"{e.name} is not in {e.set}" for e in add]
        texts += [f"{e.name} is in {e.set}" for e in delete]
        there = self._load(nft)
        there.chains.update(c.name for c in unlike)
        there.sets.update(s.name for s in made)
        return Lacking(Change(sets=made, chains=unlike, add=add, delete=delete), tuple(texts))

    def needed(self, nft: Nft, works: Iterable[Work]) -> Change:
        """What is missing for ports to be held to their groups, and for their networks to be
        followed; nothing while no port of the host has a group."""
        works = list(works)
        groups, _ = self.concerned((), [work.id for work in works])
        if not self.tracked():
            return Change()
        groups |= {group for work in works if work.judged for group in work.judged.groups}
        change = self.foundation(nft) | self.lacking(nft, sorted(groups)).change
        if any(work.judged and work.judged.logged.accepted for work in works):
            change |= self.logs.base(nft)
        return change | self.zone_change(nft, self.bridges())

    # --- what all share ---

    def foundation(self, nft: Nft) -> Change:
        """The chains and sets that all ports with groups share, where they are not as wanted."""
        wanted = groupbase.base()
        found = nft.chains(TABLE, [chain.name for chain in wanted])
        there = all(same(found.get(c.name), c) for c in wanted)
        return Change() if there else Change(sets=groupbase.SETS, chains=wanted)

    def logging(self, nft: Nft, judged: Judged | None) -> bool:
        """Whether a port can be in the map of those of which accepted packets are logged."""
        if judged is not None:
            self._load(nft)
        return self.logs.shared

    def zone_change(self, nft: Nft, bridges: Collection[str]) -> Change:
        """The zones of bridges, if they are not as they shall be: of all of them, because what is
        followed is followed on every bridge of the host."""
        self._load(nft)
        tracked = self.tracked()
        wanted = [self.zones.chain(bridge, tracked) for bridge in sorted(bridges)]
        found = nft.chains(TABLE, [chain.name for chain in wanted])
        elements = [groupbase.zone_element(bridge) for bridge in sorted(bridges)]
        present = nft.elements(TABLE, elements)
        return Change(
            chains=[c for c in wanted if not same(found.get(c.name), c)],
            add=[e for e, have in zip(elements, present, strict=True) if have != e],
        )

    def tracked(self) -> frozenset[Place]:
        """The networks of this host that have a port with groups."""
        return _tracked(self._entries().values())

    def bridges(self) -> frozenset[str]:
        """The bridges that ports of this plugin are meant for."""
        return frozenset(wiring.read(e.wiring).bridge for e in self._entries().values())

    def _entries(self) -> dict[str, Entry]:
        entries = self._host.ledger()
        return {i: e for i, e in entries.items() if e.wiring.plugin == self._plugin}

    def _load(self, nft: Nft) -> _There:
        """Once in a life: what is in the table."""
        if self._there is None:
            chains = nft.list_chains(TABLE)
            self.zones.learn(chains.values())
            sets = nft.list_sets(TABLE)
            self.logs.learn(chains, sets)
            self._there = _There(
                {n for n in chains if n.startswith(grouprules.PREFIX)},
                {n for n in sets if n.startswith(grouprules.SETS)},
            )
        return self._there

    # --- changes of sets ---

    def concerned(
        self, changed: Iterable[SetKey], ports: Iterable[str]
    ) -> tuple[set[str], dict[str, Entry]]:
        """The groups that a change of sets is about, and the ports that are held to one of them.

        :param ports: that joined groups, left them, or have other addresses
        """
        with self._lock:
            keys = {*changed, *self._prefixes.members.update(ports)}
        held = {i: (e, groups) for i, e in self._entries().items()
                if (groups := groups_of(e.attachment))}  # fmt: skip
        used = {group for _, groups in held.values() for group in groups}
        about = {group for group in used if self._is_about(group, keys)}
        return about, {i: e for i, (e, mine) in held.items() if not about.isdisjoint(mine)}

    def _is_about(self, group_id: str, keys: set[SetKey]) -> bool:
        body = self._host.sets.security_group(group_id)
        own = SetKey(SetKind.SECURITY_GROUP, group_id) in keys
        return own or (body is not None and not self._references(body).isdisjoint(keys))

    def refresh(self, nft: Nft, changes: Sequence[SetChange]) -> set[str]:
        """Bring the groups of ports, and the ports themselves, to what sets are now, in one
        transaction.

        :returns: the ports whose rules it changed
        """
        local = {port_id for change in changes for port_id in change.local}
        groups, ports = self.concerned((change.key for change in changes), local)
        change = self.lacking(nft, sorted(groups)).change if groups else Change()
        touched = {*ports} if change else set()
        logs = any(change.key.kind is SetKind.LOG for change in changes)
        change |= self._ports_change(nft, ports, touched, logs=logs)
        if change:
            nft.apply(TABLE, change)
        if changes and self._there is not None:
            self.sweep(nft, self._present(nft))
        return touched

    def _ports_change(
        self, nft: Nft, ports: Mapping[str, Entry], touched: set[str], *, logs: bool
    ) -> Change:
        """The chains of ports that ask other groups now, or of which something else is logged.

        :param touched: takes those of which something differs
        :param logs: whether every port may be such a one
        """
        chosen = self._held() if logs else ports
        judged = {i: j for i, e in chosen.items() if (j := self.judged(e.attachment)) is not None}
        change = Change()
        if logs and judged:
            self._load(nft)
        for port_id, one in judged.items():
            mine = self.logs.port(nft, chosen[port_id], one)
            touched |= {port_id} if mine else set()
            change |= mine
        if any(element.set == telling.LOGGED for element in change.add):
            return self.logs.base(nft) | change
        return change | self.logs.needless(judged.values()) if logs else change

    def _held(self) -> dict[str, Entry]:
        """The ports that are held to groups, if only to none."""
        return {i: e for i, e in self._entries().items() if groups_of(e.attachment) is not None}

    # --- what nobody needs any more ---

    def forget(self, nft: Nft, works: Sequence[Work]) -> None:
        """Ports are gone: so are the connections that only they had, and what nobody needs."""
        if self._there is None and not any(work.judged for work in works):
            return
        self._load(nft)
        for network, mine in _by_place(works).items():
            zone = self.zones.known(network)
            if zone is not None:
                own = {a for work in mine for a in _own(work.item.attachment)}
                nft.forget(zone, own, {mark(work.id) for work in mine})
        self.tidy(nft)

    def tidy(self, nft: Nft) -> None:
        """Have the zones of networks go that have no port with groups, with every connection in
        them, and the chains and sets of groups that no port has. What a port is held to that the
        journal lost stays, because it is in use."""
        self._load(nft)
        devices = nft.list_elements(TABLE, GUARDED)
        present = {i: e for i, e in self._entries().items() if e.wiring.device in devices}
        if devices.keys() <= {e.wiring.device for e in present.values()}:
            self._tidy_zones(nft, present)
        self.sweep(nft, present)

    def _tidy_zones(self, nft: Nft, present: Mapping[str, Entry]) -> None:
        tracked = _tracked(present.values())
        used = {wiring.read(e.wiring).bridge for e in present.values()}
        for network in self.zones.networks() - tracked:
            if network[0] in used:
                rest = {other for other in tracked if other[0] == network[0]}
                nft.apply(TABLE, Change(chains=[self.zones.chain(network[0], rest)]))
            nft.forget(self.zones.number(network), None, ())
            self.zones.free(network)
        for bridge in self.zones.bridges - used:
            gone = groupbase.zone_element(bridge), groupbase.zone_chain_name(bridge)
            nft.apply(TABLE, Change(delete=[gone[0]], delete_chains=[gone[1]]))
            self.zones.bridges.discard(bridge)

    def _present(self, nft: Nft) -> dict[str, Entry]:
        """The ports that are in the table."""
        devices = nft.list_elements(TABLE, GUARDED)
        return {i: e for i, e in self._entries().items() if e.wiring.device in devices}

    def sweep(self, nft: Nft, present: Mapping[str, Entry]) -> None:
        """Remove the chains and sets of groups that no port has.

        :param present: the ports that are there
        """
        there = self._load(nft)
        self.logs.tidy(nft)
        used = {g for e in present.values() for g in groups_of(e.attachment) or ()}
        wanted = self.target(used)
        # a chain that jumps to others goes before them
        chains = sorted(there.chains - wanted.chains.keys(), key=len)
        sets = sorted(there.sets - {shape.name for shape in wanted.sets})
        if not (chains or sets) or self._remove(nft, chains, sets):
            return
        for _, names in groupby(sorted(chains), key=grouprules.owner):
            self._remove(nft, sorted(names, key=len), ())
        for name in sets:
            self._remove(nft, (), (name,))

    def _remove(self, nft: Nft, chains: Sequence[str], sets: Sequence[str]) -> bool:
        try:
            nft.apply(TABLE, Change(delete_chains=chains, delete_sets=sets))
        except VifError as error:
            LOG.debug("%s of table %s stay: %s", ", ".join((*chains, *sets)), TABLE, error)
            return False
        there = self._load(nft)
        there.chains.difference_update(chains)
        there.sets.difference_update(sets)
        return True


def _tracked(entries: Iterable[Entry]) -> frozenset[Place]:
    """The networks that have a port with groups."""
    grouped = (e for e in entries if groups_of(e.attachment) is not None)
    return frozenset(place(wiring.read(entry.wiring)) for entry in grouped)


def _by_place(works: Iterable[Work]) -> dict[Place, list[Work]]:
    found: dict[Place, list[Work]] = {}
    for work in works:
        found.setdefault(place(work.names), []).append(work)
    return found


def _own(attachment: Attachment) -> Iterator[str]:
    """The addresses that nobody else has: none of a prefix that it may use."""
    members = members_of(attachment)
    yield from (m.ip_address for m in members if "/" not in m.ip_address)


def mark(port_id: str) -> int:
    """What marks the connections that a port began; never 0."""
    digest = hashlib.blake2b(port_id.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") or 1


def _short(chain: Chain | None) -> str:
    return "missing" if chain is None else f"{len(chain.rules)} rules, not as wanted"


def _member(shape: Shape, address: str) -> Element:
    return Element(shape.name, address, address=True)
