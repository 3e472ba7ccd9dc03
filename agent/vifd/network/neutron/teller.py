"""Tells the server which ports work and which do not, in such parts as it is quick enough for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TypeVar

from vifd.network import Inbox
from vifd.network.neutron import statuses, translate
from vifd.network.neutron.bus import Unanswered
from vifd.network.neutron.following import Following
from vifd.network.neutron.pace import Pace
from vifd.network.neutron.server import Server
from vifd.network.neutron.tunnels import OVERLAYS
from vifd.store import Outgoing

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Teller:
    """What is told, and what the server is asked to tell in return."""

    def __init__(self, server: Server, inbox: Inbox, following: Following) -> None:
        self._server = server
        self._inbox = inbox
        self._following = following
        #: networks of which the service has been asked for everything since it was last away
        self._refreshed: set[str] = set()

    def report(self, outgoing: Sequence[Outgoing]) -> Iterator[Outgoing]:
        """Tell statuses; those that were taken, one part after the other.

        :raises Exception: the bus or the server is away
        """
        records = {r.id: r for r in self._inbox.ports()}
        unheard = self._unheard()
        ports = self._following.cache.all("Port")
        telling = statuses.sorted_out(outgoing, records, ports, unheard)
        yield from telling.silent
        todo = [*((o, True) for o in telling.up), *((o, False) for o in telling.down)]
        for part in _parts(todo, self._server.pace):
            networks = {o.network_id for o, works in part if works} & unheard
            try:
                up, down = self._server.tell(
                    [o.port_id for o, works in part if works],
                    [o.port_id for o, works in part if not works], refresh=bool(networks),
                )  # fmt: skip
            except Unanswered as error:
                # the server works on: what it has done meanwhile is not told again
                LOG.info("neutron: statuses of %d ports: %s. Next: told again, fewer at once",
                         len(part), error)  # fmt: skip
                return
            yield from (o for o, works in part if o.port_id in (up if works else down))
            self._refreshed |= networks

    def agree(self) -> None:
        """Say once more what the server has otherwise, but for what is about to be told: a server
        that is slow would do the same work twice."""
        verdicts = self._following.disagreements()
        coming = verdicts.keys() & self._inbox.untold() if verdicts else set()
        self._following.doubted(coming)
        verdicts = {i: works for i, works in verdicts.items() if i not in coming}
        for part in _parts(list(verdicts), self._server.pace):
            up = [i for i in part if verdicts[i]]
            try:
                self._server.tell(up, [i for i in part if not verdicts[i]])
            except Unanswered as error:
                LOG.info("neutron: %d ports that the server has otherwise: %s. Next: told again if "
                         "that stands", len(part), error)  # fmt: skip
                self._following.doubted(verdicts)
                return

    def ask_behind(self) -> None:
        """Have the service tell who is behind the tunnels of each network that has a port which
        works; where none does yet, the first that does has that told."""
        self._refreshed.clear()
        works = {r.id for r in self._inbox.ports() if r.open}
        networks: dict[str, str] = {}
        for port_id, port in self._following.cache.all("Port").items():
            if port_id in works and translate.active_here(port, self._inbox.hostname):
                networks.setdefault(str(port.get("network_id")), port_id)
        unheard = self._unheard()
        wanted = {n: p for n, p in networks.items() if n in unheard}
        self._following.tunnels.asked(wanted)
        for part in _parts(list(wanted.values()), self._server.pace):
            self._server.tell(part, [], refresh=True)
        self._refreshed |= wanted.keys()

    def _unheard(self) -> set[str]:
        """The networks that the service is to be asked about."""
        if not self._following.tunnels.populated:
            return set()
        kinds = self._following.networks()
        return {n for n, kind in kinds.items() if kind in OVERLAYS} - self._refreshed


def _parts(items: Sequence[T], pace: Pace) -> Iterator[Sequence[T]]:
    """Parts of a size that is chosen anew for each, by how the server answered the one before."""
    start = 0
    while start < len(items):
        size = pace.size
        yield items[start : start + size]
        start += size
