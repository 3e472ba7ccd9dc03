"""Security groups in the table: what shall be there for the ports of a host, and the difference.

Everything is compared with what was read back, which costs nothing as long as nobody else changed a
table; a change of one member is one element.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vifd.drivers import Nft
from vifd.drivers.nft.objects import Chain, Change, Element, Set
from vifd.model.members import groups_of
from vifd.model.sets import SetKey, SetKind
from vifd.plugin import Entry, Host, SetChange
from vifd_linuxbridge import groupbase, telling
from vifd_linuxbridge.batch import Work
from vifd_linuxbridge.grouprules import Shape
from vifd_linuxbridge.grouptable import GroupTable
from vifd_linuxbridge.groupunused import GroupUnused
from vifd_linuxbridge.groupwanted import GroupWanted
from vifd_linuxbridge.logparts import LogParts, same
from vifd_linuxbridge.ruleset import TABLE


class Lacking(NamedTuple):
    """How a table differs.

    :param texts: in words
    """

    change: Change
    texts: tuple[str, ...]


class Grouping:
    """The groups of a host's ports on bridges of the kernel.

    :param plugin: the name of the plugin whose ports they are
    :ivar logs: what is logged of them
    :ivar wanted: what ports and groups want of the table
    :ivar table: what is in it
    :ivar unused: takes out what nobody needs any more
    """

    def __init__(self, host: Host, plugin: str) -> None:
        self.logs = LogParts(host)
        self.wanted = GroupWanted(host, self.logs)
        self.table = GroupTable(host, plugin, self.logs)
        self.unused = GroupUnused(self.table, self.wanted)

    def lacking(self, nft: Nft, groups: Iterable[str]) -> Lacking:
        """How the table differs from what these groups are."""
        wanted = self.wanted.target(groups)
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
        there = self.table.load(nft)
        there.chains.update(c.name for c in unlike)
        there.sets.update(s.name for s in made)
        return Lacking(Change(sets=made, chains=unlike, add=add, delete=delete), tuple(texts))

    def needed(self, nft: Nft, works: Iterable[Work]) -> Change:
        """What is missing for ports to be held to their groups, and for their networks to be
        followed; nothing while no port of the host has a group."""
        works = list(works)
        groups, _ = self.concerned((), [work.id for work in works])
        if not self.table.tracked():
            return Change()
        groups |= {group for work in works if work.judged for group in work.judged.groups}
        change = self.foundation(nft) | self.lacking(nft, sorted(groups)).change
        if any(work.judged and work.judged.logged.accepted for work in works):
            change |= self.logs.base(nft)
        return change | self.table.zone_change(nft, self.table.bridges())

    # --- what all share ---

    def foundation(self, nft: Nft) -> Change:
        """The chains and sets that all ports with groups share, where they are not as wanted."""
        wanted = groupbase.base()
        found = nft.chains(TABLE, [chain.name for chain in wanted])
        there = all(same(found.get(c.name), c) for c in wanted)
        return Change() if there else Change(sets=groupbase.SETS, chains=wanted)

    # --- changes of sets ---

    def concerned(
        self, changed: Iterable[SetKey], ports: Iterable[str]
    ) -> tuple[set[str], dict[str, Entry]]:
        """The groups that a change of sets is about, and the ports that are held to one of them.

        :param ports: that joined groups, left them, or have other addresses
        """
        keys = {*changed, *self.wanted.moved(ports)}
        held = {i: (e, groups) for i, e in self.table.entries().items()
                if (groups := groups_of(e.attachment))}  # fmt: skip
        used = {group for _, groups in held.values() for group in groups}
        about = {group for group in used if self.wanted.is_about(group, keys)}
        return about, {i: e for i, (e, mine) in held.items() if not about.isdisjoint(mine)}

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
        if changes and self.table.there is not None:
            self.unused.sweep(nft, self.table.present(nft))
        return touched

    def _ports_change(
        self, nft: Nft, ports: Mapping[str, Entry], touched: set[str], *, logs: bool
    ) -> Change:
        """The chains of ports that ask other groups now, or of which something else is logged.

        :param touched: takes those of which something differs
        :param logs: whether every port may be such a one
        """
        chosen = self._held() if logs else ports
        judged = {
            i: j for i, e in chosen.items() if (j := self.wanted.judged(e.attachment)) is not None
        }
        change = Change()
        if logs and judged:
            self.table.load(nft)
        for port_id, one in judged.items():
            mine = self.logs.port(nft, chosen[port_id], one)
            touched |= {port_id} if mine else set()
            change |= mine
        if any(element.set == telling.LOGGED for element in change.add):
            return self.logs.base(nft) | change
        return change | self.logs.needless(judged.values()) if logs else change

    def _held(self) -> dict[str, Entry]:
        """The ports that are held to groups, if only to none."""
        return {
            i: e for i, e in self.table.entries().items() if groups_of(e.attachment) is not None
        }


def _short(chain: Chain | None) -> str:
    return "missing" if chain is None else f"{len(chain.rules)} rules, not as wanted"


def _member(shape: Shape, address: str) -> Element:
    return Element(shape.name, address, address=True)
