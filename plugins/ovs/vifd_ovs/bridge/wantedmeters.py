"""The meters that ports shall have: their limits, and that of what is logged of them."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.errors import VifError
from vifd.openflow.meters import Meter
from vifd.plugin import Host
from vifd.policy.logged import NOTHING
from vifd_ovs.bridge import logflows, shaping
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.rulesets import Rulesets


def limits(ports: Iterable[SwitchPort | None]) -> dict[int, Meter]:
    """The meters of the limits of ports, by number."""
    return {
        meter.id: meter
        for port in ports
        if port is not None and port.limited is not None
        for meter in shaping.meters(port.ofport, port.limited).values()
    }


class WantedMeters:
    """Of one bridge."""

    def __init__(self, host: Host, bridge: str) -> None:
        self._openflow, self._bridge = host.drivers.openflow, bridge
        self._desk, self._sets = host.logs, host.sets
        #: whether there are meters, and since which connection that is known
        self._known = (-1, True)

    def can(self) -> bool:
        """Whether the switch has meters. Asked once a connection, and only where there are
        logs."""
        generation = self._openflow.generation(self._bridge)
        if self._known[0] != generation:
            try:
                there = self._openflow.max_meters(self._bridge) > 0
            except VifError:
                return True
            self._known = (generation, there)
        return self._known[1]

    def of(self, ports: Iterable[SwitchPort | None], rules: Rulesets) -> dict[int, Meter]:
        """By number.

        :param rules: say what is logged of a port
        """
        ports = list(ports)
        found = limits(ports)
        if self._desk is None or not self._sets.logs():
            return found
        rate, burst = self._desk.rate, self._desk.burst
        told = [p for p in ports if p is not None and rules.logged(p) != NOTHING]
        return found | {m.id: m for m in (logflows.meter(p.ofport, rate, burst) for p in told)}
