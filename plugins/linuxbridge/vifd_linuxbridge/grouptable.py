"""What of security groups is in the table, and the networks of the host that are followed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from vifd.drivers import Nft
from vifd.drivers.nft.objects import GUARDED, Change
from vifd.model.members import groups_of
from vifd.plugin import Entry, Host
from vifd_linuxbridge import groupbase, grouprules, wiring
from vifd_linuxbridge.groupbase import Judged
from vifd_linuxbridge.logparts import LogParts, same
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.zones import Place, Zones, place


class There(NamedTuple):
    """Chains and sets of groups that may be in the table."""

    chains: set[str]
    sets: set[str]


class GroupTable:
    """Of the ports of one plugin on one host.

    :ivar zones: the zones of connections, by network
    :ivar there: what may be there; ``None`` until it was read
    """

    def __init__(self, host: Host, plugin: str, logs: LogParts) -> None:
        self.logs = logs
        self.zones = Zones()
        self.there: There | None = None
        self._host = host
        self._plugin = plugin

    def logging(self, nft: Nft, judged: Judged | None) -> bool:
        """Whether a port can be in the map of those of which accepted packets are logged."""
        if judged is not None:
            self.load(nft)
        return self.logs.shared

    def zone_change(self, nft: Nft, bridges: Collection[str]) -> Change:
        """The zones of bridges, if they are not as they shall be: of all of them, because what is
        followed is followed on every bridge of the host."""
        self.load(nft)
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
        return followed(self.entries().values())

    def bridges(self) -> frozenset[str]:
        """The bridges that ports of this plugin are meant for."""
        return frozenset(wiring.read(e.wiring).bridge for e in self.entries().values())

    def entries(self) -> dict[str, Entry]:
        """The ports of this plugin."""
        entries = self._host.ledger()
        return {i: e for i, e in entries.items() if e.wiring.plugin == self._plugin}

    def load(self, nft: Nft) -> There:
        """What is in the table; read once in a life."""
        if self.there is None:
            chains = nft.list_chains(TABLE)
            self.zones.learn(chains.values())
            sets = nft.list_sets(TABLE)
            self.logs.learn(chains, sets)
            self.there = There(
                {n for n in chains if n.startswith(grouprules.PREFIX)},
                {n for n in sets if n.startswith(grouprules.SETS)},
            )
        return self.there

    def present(self, nft: Nft) -> dict[str, Entry]:
        """The ports that are in the table."""
        devices = nft.list_elements(TABLE, GUARDED)
        return {i: e for i, e in self.entries().items() if e.wiring.device in devices}


def followed(entries: Iterable[Entry]) -> frozenset[Place]:
    """The networks that have a port with groups."""
    grouped = (e for e in entries if groups_of(e.attachment) is not None)
    return frozenset(place(wiring.read(entry.wiring)) for entry in grouped)
