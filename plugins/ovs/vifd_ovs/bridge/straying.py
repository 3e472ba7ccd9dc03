"""What a bridge remembers of ports that the ledger does not know; see ``strays.py``."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from vifd.drivers import PortRow
from vifd.plugin import Entry, Host
from vifd_ovs.bridge import cookies, strays, wiring
from vifd_ovs.bridge.entries import Entries
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.strays import Stray

LOG = logging.getLogger(__name__)

#: So many ports are named in a log line.
_SHOWN = 8


class Straying:
    """The strays of a bridge, by cookie. Its switch holds its lock whenever it calls.

    :ivar looked: the generation of the connection at which they were last looked for
    """

    def __init__(self, bridge: str, host: Host) -> None:
        self._bridge = bridge
        self._host = host
        self._strays: dict[int, Stray] = {}
        self.looked: int | None = None

    def find(
        self, installed: Mapping[int, Entries], ports: Mapping[str, SwitchPort], generation: int
    ) -> None:
        """Note the strays among these flows; those that are there without flows, because the
        switch restarted, stay as they were.

        :param installed: every flow of the bridge that bears our mark
        :param ports: those that the switch knows
        """
        rows = self._rows() if self._strays or _strange(installed, ports) else []
        entries = self._host.ledger().items()
        ids = {*ports, *(port_id for port_id, entry in entries if not _recalled(entry))}
        ofports = {port.ofport for port in ports.values()}
        now = strays.found(installed, rows, ids, ofports)
        standing = {row.ofport for row in rows}
        for cookie, stray in self._strays.items():
            if stray.port.ofport in standing:
                now.setdefault(cookie, stray)
        self._tell({c: s for c, s in now.items() if c not in self._strays})
        self._strays, self.looked = now, generation

    def _rows(self) -> list[PortRow]:
        ovsdb = self._host.drivers.ovsdb
        return ovsdb.ports(self._bridge) if ovsdb.bridge(self._bridge) is not None else []

    def _tell(self, news: Mapping[int, Stray]) -> None:
        if not news:
            return
        names = sorted(stray.port.id for stray in news.values())
        # that there are such ports, and what to do, garbage collection tells for all plugins
        LOG.info("bridge %s: the flows of %d ports that no journal knows stay as they are: %s",
                 self._bridge, len(news), ", ".join(names[:_SHOWN]))  # fmt: skip

    def beside(self, ports: Mapping[str, SwitchPort]) -> dict[str, SwitchPort]:
        """The strays beside these ports, by id."""
        if not self._strays:
            return {}
        numbers = {port.ofport for port in ports.values()}
        there = (stray.port for stray in self._strays.values())
        return {p.id: p for p in there if p.id not in ports and p.ofport not in numbers}

    def flows(self) -> dict[int, Entries]:
        """Their own flows, as they were found."""
        return {cookie: stray.flows for cookie, stray in self._strays.items()}

    def rules(self) -> set[int]:
        """The cookies of the security groups that they have: these stay as well."""
        return {cookie for stray in self._strays.values() for cookie in strays.rules_of(stray)}

    def known(self, changes: Mapping[str, SwitchPort | None]) -> list[SwitchPort]:
        """The strays that these ports are; they are none from now on."""
        numbers = {port.ofport for port in changes.values() if port is not None}
        return self._pop(
            cookie
            for cookie, stray in self._strays.items()
            if stray.port.id in changes or stray.port.ofport in numbers
        )

    def drop(self, asked: Collection[int]) -> list[SwitchPort]:
        """The strays that bear these cookies; they are to go."""
        return self._pop(cookie for cookie in self._strays if cookie in asked)

    def _pop(self, cookies_: Iterable[int]) -> list[SwitchPort]:
        return [self._strays.pop(cookie).port for cookie in list(cookies_)]


def _strange(installed: Mapping[int, Entries], ports: Mapping[str, SwitchPort]) -> bool:
    """Whether any flow is of a port that is not among these."""
    known = {port.cookie for port in ports.values()}
    return any(c not in known and cookies.port_number(c) is not None for c in installed)


def _recalled(entry: Entry) -> bool:
    """Whether a port of the ledger is still to be taken over as it stands."""
    names = wiring.read_if(entry.wiring)
    return names is not None and names.adopted and not names.plugged
