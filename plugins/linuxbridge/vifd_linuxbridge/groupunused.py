"""What of security groups nobody needs any more: connections, zones, chains and sets go with it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from vifd.drivers import Nft
from vifd.drivers.nft.objects import GUARDED, Change
from vifd.errors import VifError
from vifd.model import Attachment
from vifd.model.members import groups_of, members_of
from vifd.plugin import Entry
from vifd_linuxbridge import groupbase, grouprules, wiring
from vifd_linuxbridge.batch import Work
from vifd_linuxbridge.grouptable import GroupTable, followed
from vifd_linuxbridge.groupwanted import GroupWanted, mark
from vifd_linuxbridge.ruleset import TABLE
from vifd_linuxbridge.zones import Place, place

LOG = logging.getLogger(__name__)


class GroupUnused:
    """Of the ports of one host."""

    def __init__(self, table: GroupTable, wanted: GroupWanted) -> None:
        self._table = table
        self._wanted = wanted

    def forget(self, nft: Nft, works: Sequence[Work]) -> None:
        """Ports are gone: so are the connections that only they had, and what nobody needs."""
        if self._table.there is None and not any(work.judged for work in works):
            return
        self._table.load(nft)
        for network, mine in _by_place(works).items():
            zone = self._table.zones.known(network)
            if zone is not None:
                own = {a for work in mine for a in _own(work.item.attachment)}
                nft.forget(zone, own, {mark(work.id) for work in mine})
        self.tidy(nft)

    def tidy(self, nft: Nft) -> None:
        """Have the zones of networks go that have no port with groups, with every connection in
        them, and the chains and sets of groups that no port has. What a port is held to that the
        journal lost stays, because it is in use."""
        self._table.load(nft)
        devices = nft.list_elements(TABLE, GUARDED)
        present = {i: e for i, e in self._table.entries().items() if e.wiring.device in devices}
        if devices.keys() <= {e.wiring.device for e in present.values()}:
            self._tidy_zones(nft, present)
        self.sweep(nft, present)

    def _tidy_zones(self, nft: Nft, present: Mapping[str, Entry]) -> None:
        tracked = followed(present.values())
        used = {wiring.read(e.wiring).bridge for e in present.values()}
        for network in self._table.zones.networks() - tracked:
            if network[0] in used:
                rest = {other for other in tracked if other[0] == network[0]}
                nft.apply(TABLE, Change(chains=[self._table.zones.chain(network[0], rest)]))
            nft.forget(self._table.zones.number(network), None, ())
            self._table.zones.free(network)
        for bridge in self._table.zones.bridges - used:
            gone = groupbase.zone_element(bridge), groupbase.zone_chain_name(bridge)
            nft.apply(TABLE, Change(delete=[gone[0]], delete_chains=[gone[1]]))
            self._table.zones.bridges.discard(bridge)

    def sweep(self, nft: Nft, present: Mapping[str, Entry]) -> None:
        """Remove the chains and sets of groups that no port has.

        :param present: the ports that are there
        """
        there = self._table.load(nft)
        self._table.logs.tidy(nft)
        used = {g for e in present.values() for g in groups_of(e.attachment) or ()}
        wanted = self._wanted.target(used)
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
        there = self._table.load(nft)
        there.chains.difference_update(chains)
        there.sets.difference_update(sets)
        return True


def _by_place(works: Iterable[Work]) -> dict[Place, list[Work]]:
    found: dict[Place, list[Work]] = {}
    for work in works:
        found.setdefault(place(work.names), []).append(work)
    return found


def _own(attachment: Attachment) -> Iterator[str]:
    """The addresses that nobody else has: none of a prefix that it may use."""
    members = members_of(attachment)
    yield from (m.ip_address for m in members if "/" not in m.ip_address)
