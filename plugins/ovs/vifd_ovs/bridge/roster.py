"""The ports of a bridge, sorted by network, so that a change costs what it changes.

Everything here is a value: a change gives a new one that shares with the old what did not change.
So who reads while another lane changes a port reads what was true when it began.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from vifd.openflow.flow import Flow, by_key
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.entries import Entries, changed
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.reached import Local, Reached
from vifd_ovs.bridge.trunking import Trunks
from vifd_ovs.bridge.tunnelflows import Overlaid

_NEVER: Entries = {}


class Flood:
    """The ports of a network that its frames are sent to, and flows that were made for them.

    :param ports: in the order of their numbers
    """

    def __init__(self, ports: Collection[SwitchPort] = ()) -> None:
        self.ports = tuple(sorted(ports, key=lambda port: port.ofport))
        self._made: dict[Hashable, list[Flow]] = {}

    def flows(
        self, beside: Hashable, make: Callable[[Collection[SwitchPort]], list[Flow]]
    ) -> list[Flow]:
        """What ``make`` makes of the ports; made once.

        :param beside: everything else that the flows depend on
        """
        made = self._made.get(beside)
        if made is None:
            self._made = {beside: (made := make(self.ports))}
        return made


class Members:
    """The ports of one network.

    :ivar flood: those that receive; the same object as long as these are the same
    :ivar patches: the ways to its physical network
    :ivar port_tag: the VLAN of the bridge that it shares with ports of others, if any
    :ivar over: see :attr:`vifd_ovs.bridge.ports.SwitchPort.over`
    :ivar id: its id, and its type in ``kind``
    """

    def __init__(self, ports: dict[str, SwitchPort], flood: Flood | None = None) -> None:
        self.ports = ports
        self.flood = flood or Flood([port for port in ports.values() if port.receives])
        self.patches = frozenset(port.patch for port in ports.values())
        tags = (port.port_tag for port in ports.values())
        self.port_tag = next((tag for tag in tags if tag is not None), None)
        self.over = max((port.over for port in ports.values()), default=0)
        first = next(iter(ports.values()), None)
        self.id, self.kind = ("", "") if first is None else (first.network, first.segment[0])
        self._reached: Reached | None = None
        self._made: Made | None = None

    def flows(self, tag: int, local: list[Flow], reached: Reached | None) -> Made:
        """The flows of the network; made once, as long as the parts are the same objects.

        :param local: those that deliver on this host
        :param reached: those of its tunnels, if it has any
        """
        known = self._made
        if known is None or known.local is not local or known.reached is not reached:
            known = self._made = Made.of(known, cookies.network(tag), local, reached)
        return known

    def reached(
        self, tag: int, network: Overlaid, shared: Callable[[], Collection[str]]
    ) -> Reached:
        """The flows of the network's tunnels. They depend on its closed ports as well.

        :param shared: MACs that its ports may share with others
        """
        known = self._reached
        if known is None:
            known = Reached.made(Local.of(tag, [*self.ports.values()], shared()), network)
        self._reached = known = known.now(network)
        return known

    def changed(self, changes: Mapping[str, SwitchPort | None]) -> Members:
        """With these ports as they are now; ``None`` for those that are gone from it."""
        ports, same = dict(self.ports), True
        for port_id, port in changes.items():
            before = ports.pop(port_id, None)
            same = same and not _receives(before) and not _receives(port)
            if port is not None:
                ports[port_id] = port
        return Members(ports, self.flood if same else None)


@dataclass(frozen=True)
class Made:
    """The flows of a network, and how they differ from those before
    (:class:`vifd_ovs.bridge.entries.Step`).

    :param local: those that deliver on this host
    :param reached: those of its tunnels
    """

    local: list[Flow]
    reached: Reached | None
    entries: Entries
    base: Entries
    added: tuple[Flow, ...] = ()
    removed: tuple[Flow, ...] = ()

    @classmethod
    def of(
        cls, before: Made | None, cookie: int, local: list[Flow], reached: Reached | None
    ) -> Made:
        """All of them; at the cost of the change where the tunnels' alone changed."""
        if (
            before is not None and before.local is local and before.reached is not None
            and reached is not None and reached.base is before.reached.entries
        ):  # fmt: skip
            entries = changed(before.entries, reached.removed, reached.added)
            return cls(local, reached, entries, before.entries, reached.added, reached.removed)
        beyond = reached.entries.values() if reached is not None else ()
        entries = by_key(flow for flow in (*local, *beyond) if flow.cookie == cookie)
        return cls(local, reached, entries, _NEVER)


def _receives(port: SwitchPort | None) -> bool:
    return port is not None and port.receives


class Roster(Mapping[str, SwitchPort]):
    """The ports of a bridge by id.

    :ivar networks: their networks by local VLAN id
    """

    def __init__(self, ports: Mapping[str, SwitchPort] | None = None) -> None:
        self._ports: dict[str, SwitchPort] = {}
        self.networks: dict[int, Members] = {}
        self._trunks = Trunks()
        if ports:
            self._trunks, resolved = self._trunks.changed(ports)
            self._put(resolved)

    def __getitem__(self, port_id: str) -> SwitchPort:
        return self._ports[port_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)

    def changed(self, changes: Mapping[str, SwitchPort | None]) -> Roster:
        """With these ports as they are now; ``None`` for those that are gone."""
        differing = {i: port for i, port in changes.items() if self.asked(i) != port}
        if not differing:
            return self
        made = Roster()
        made._ports, made.networks = dict(self._ports), dict(self.networks)
        made._trunks, resolved = self._trunks.changed(differing)
        made._put(resolved)
        return made

    def asked(self, port_id: str) -> SwitchPort | None:
        """A port as it was asked for: a sub-port as if its parent were there."""
        return self._trunks.asked.get(port_id) or self._ports.get(port_id)

    def concerned(self, changes: Mapping[str, SwitchPort | None]) -> set[str]:
        """The sub-ports that are no part of a change, and may be other ports by it."""
        return self._trunks.concerned(changes)

    def members(self, tag: int) -> Collection[SwitchPort]:
        """The ports of a network."""
        known = self.networks.get(tag)
        return known.ports.values() if known is not None else ()

    @cached_property
    def patches(self) -> frozenset[str]:
        """The ways to physical networks that any port takes."""
        return frozenset(n for network in self.networks.values() for n in network.patches if n)

    @cached_property
    def port_tags(self) -> frozenset[int]:
        """The VLANs of the bridge that ports share with those of others."""
        tags = (network.port_tag for network in self.networks.values())
        return frozenset(tag for tag in tags if tag is not None)

    @cached_property
    def kinds(self) -> Mapping[str, frozenset[str]]:
        """The ids of the networks of each type."""
        found: dict[str, set[str]] = {}
        for network in self.networks.values():
            found.setdefault(network.kind, set()).add(network.id)
        return {kind: frozenset(ids) for kind, ids in found.items()}

    def _put(self, changes: Mapping[str, SwitchPort | None]) -> None:
        by_tag: dict[int, dict[str, SwitchPort | None]] = {}
        for port_id, port in changes.items():
            before = self._ports.pop(port_id, None)
            if before is not None:
                by_tag.setdefault(before.tag, {})[port_id] = None
            if port is not None:
                by_tag.setdefault(port.tag, {})[port_id] = self._ports[port_id] = port
        for tag, differing in by_tag.items():
            present = self.networks.get(tag) or Members({})
            self.networks[tag] = present.changed(differing)
            if not self.networks[tag].ports:
                del self.networks[tag]
