"""What a switch without a datapath counted: of the packets that a test sends."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from vifd.openflow.counts import Dropped, Traffic
from vifd.openflow.flow import Flow
from vifd.testing.pipeline import Journey

_NOTHING = Traffic(0, 0, 0, 0)


class Tally:
    """Counters of flows, ports and meters, by bridge."""

    def __init__(self) -> None:
        self._flows: dict[tuple[str, int, int, bytes], tuple[int, int]] = {}
        self._ports: dict[str, dict[int, Traffic]] = {}
        #: what meters dropped: nothing but a test drops anything here
        self.dropped: dict[tuple[str, int], Dropped] = {}

    def journey(self, bridge: str, in_port: int, size: int, journey: Journey) -> None:
        """Count a packet.

        :param size: its bytes
        """
        self._pass(bridge, in_port, Traffic(1, 0, size, 0))
        for visit in journey.path:
            if visit.flow is not None:
                key = visit.bridge, *visit.flow.key
                packets, octets = self._flows.get(key, (0, 0))
                self._flows[key] = packets + 1, octets + size
        for sent in journey.sent:
            self._pass(sent.bridge, sent.port, Traffic(0, 1, 0, size))

    def _pass(self, bridge: str, port: int, more: Traffic) -> None:
        ports = self._ports.setdefault(bridge, {})
        before = ports.get(port, _NOTHING)
        ports[port] = Traffic(*(a + b for a, b in zip(before, more, strict=True)))

    def flow(self, bridge: str, flow: Flow) -> Flow:
        """The flow with what it counted."""
        known = self._flows.get((bridge, *flow.key))
        return flow if known is None else replace(flow, packets=known[0], octets=known[1])

    def keep(self, bridge: str, flows: Iterable[Flow]) -> None:
        """These are the flows of the bridge: what others counted is gone with them."""
        there = {flow.key for flow in flows}
        gone = [key for key in self._flows if key[0] == bridge and key[1:] not in there]
        for key in gone:
            del self._flows[key]

    def ports(self, bridge: str, numbers: Collection[int]) -> dict[int, Traffic]:
        """What these ports counted, and those that were seen."""
        seen = self._ports.get(bridge, {})
        return {number: seen.get(number, _NOTHING) for number in {*numbers, *seen}}

    def clear(self) -> None:
        """The switch ends."""
        self._flows.clear()
        self._ports.clear()
        self.dropped.clear()
