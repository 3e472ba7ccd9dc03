"""Packets that the switch hands over because a log of security groups is about them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial

from vifd.openflow.packetin import PacketIn
from vifd.plugin import Host
from vifd.plugin.logged import Seen
from vifd_ovs.bridge import logflows, shaping, wiring
from vifd_ovs.bridge.switch import Switch


@dataclass(frozen=True)
class LogHearing:
    """Hands them on.

    :param plugin: whose ports count
    :param switch: of a bridge
    """

    host: Host
    plugin: str
    switch: Callable[[str], Switch]

    def start(self) -> None:
        """Listen, where anybody writes them down."""
        if self.host.logs is not None:
            self.host.drivers.openflow.listen(self.heard)

    def heard(self, bridge: str, handed: PacketIn) -> None:
        """A flow handed a packet over; on the driver's thread."""
        verdict = logflows.verdict(handed)
        if verdict is None or self.host.logs is None:
            return
        switch = self.switch(bridge)
        port = switch.port_of(handed.cookie)
        if port is None:
            return
        entry = self.host.ledger().get(port.id)
        if entry is None or entry.wiring.plugin != self.plugin:
            return
        judge = partial(switch.judge, port)
        seen = Seen(
            port.id, verdict.direction, verdict.accepted, handed.frame, handed.length, judge
        )  # fmt: skip
        self.host.logs.seen(seen)

    def unlogged(self, ports: Collection[str]) -> dict[str, int]:
        """See :meth:`vifd.plugin.VifPlugin.unlogged`."""
        found: dict[str, int] = {}
        for bridge, numbers in self._by_bridge(ports).items():
            there = self.switch(bridge).logging_meters(numbers)
            dropped = self.host.drivers.openflow.dropped(bridge, there) if there else {}
            for number in there & dropped.keys():
                found[numbers[number]] = dropped[number].packets
        return found

    def _by_bridge(self, ports: Iterable[str]) -> dict[str, dict[int, str]]:
        """By bridge, the numbers of the ports' meters."""
        entries = self.host.ledger()
        found: dict[str, dict[int, str]] = {}
        for port_id in ports:
            entry = entries.get(port_id)
            names = wiring.read_if(entry.wiring) if entry is not None else None
            if names is not None:
                number = shaping.number(shaping.Kind.LOGGED, names.ofport)
                found.setdefault(names.bridge, {})[number] = port_id
        return found
