"""The ports of a bridge: those that passed through its switch, and those of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vifd.plugin import Entry
from vifd_ovs.bridge import wiring
from vifd_ovs.bridge.ports import SwitchPort, switch_port
from vifd_ovs.bridge.roster import Roster


class KnownPorts:
    """Of one bridge. Its switch holds its lock whenever it calls, but for :meth:`bearing`.

    :ivar now: the ports
    """

    def __init__(self, ledger: Callable[[], Mapping[str, Entry]], bridge: str) -> None:
        self.now = Roster()
        self._ledger = ledger
        self._bridge = bridge
        self._loaded = False
        #: ports by their cookies, and the roster that they are of
        self._by_cookie: tuple[Roster, dict[int, SwitchPort]] = (self.now, {})
        #: ports as they were, ports that are to change, and all of them then
        self._foreseen: tuple[Roster, Mapping[str, SwitchPort], Roster] | None = None

    def load(self) -> None:
        """Take the ports of the ledger, before any passes through this object: after a restart."""
        if self._loaded:
            return
        found: dict[str, SwitchPort] = {}
        for port_id, entry in self._ledger().items():
            names = wiring.read_if(entry.wiring)
            if names is not None and names.plugged and names.bridge == self._bridge:
                found[port_id] = switch_port(entry.attachment, names, opened=entry.open)
        self.now = self.now.changed(found)
        self._loaded = True

    def foresee(self, ports: Mapping[str, SwitchPort]) -> Roster:
        """The ports after a change that is to come."""
        coming = self.now.changed(ports)
        self._foreseen = self.now, ports, coming
        return coming

    def remember(self, changes: Mapping[str, SwitchPort | None]) -> None:
        """These ports are like this now; ``None`` for those that are gone."""
        foreseen, self._foreseen = self._foreseen, None
        if foreseen is not None and foreseen[0] is self.now and foreseen[1] == changes:
            self.now = foreseen[2]
        else:
            self.now = self.now.changed(changes)

    def lost(self, cookies: set[int]) -> list[str]:
        """The ports with one of these cookies that the ledger does not know any more."""
        known = self._ledger()
        return [i for i, p in self.now.items() if p.cookie in cookies and i not in known]

    def bearing(self, cookie: int) -> SwitchPort | None:
        """Whose cookie this is; without the lock, as a change may hold it for long."""
        ports, (known, index) = self.now, self._by_cookie
        if known is not ports:
            index = {port.cookie: port for port in ports.values()}
            self._by_cookie = (ports, index)
        return index.get(cookie)
