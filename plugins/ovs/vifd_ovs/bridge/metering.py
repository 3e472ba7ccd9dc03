"""The meters of a bridge that bear our mark.

A flow can name a meter only while it is there, and goes with it. So meters are brought before the
flows, and removed once no flow names them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from vifd.drivers import OpenFlow
from vifd.openflow import metered
from vifd.openflow.flow import Flow
from vifd.openflow.meters import Meter
from vifd_ovs.bridge import shaping
from vifd_ovs.bridge.entries import Entries
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.shaping import Kind


def named(entries: Mapping[int, Entries]) -> set[int]:
    """The meters that flows name."""
    flows: Iterator[Flow] = (flow for found in entries.values() for flow in found.values())
    return {n for flow in flows if (n := metered.named(flow.instructions)) is not None}


class Metering:
    """What is known of the meters. The bridge's switch holds its lock whenever it calls."""

    def __init__(self, openflow: OpenFlow, bridge: str) -> None:
        self._openflow = openflow
        self._bridge = bridge
        self._known: dict[int, Meter] = {}

    def look(self) -> None:
        """Read all of them."""
        there = self._openflow.meters(self._bridge)
        self._known = {number: meter for number, meter in there.items() if shaping.ours(number)}

    def forget(self) -> None:
        """Nothing is known of any."""
        self._known = {}

    def doubt(
        self, ports: Iterable[SwitchPort | None], wanted: Iterable[int], *, every: bool = False
    ) -> None:
        """Read those that ports may have: another program may have changed them.

        :param wanted: those that they shall have
        :param every: also of ports that neither have nor had a limit, as far as is known
        """
        numbers = {*wanted, *self._of(ports)}
        if every:
            numbers |= {shaping.number(k, p.ofport) for p in ports if p is not None for k in Kind}
        for number in numbers:
            self._known.pop(number, None)
        if numbers:
            self._known |= self._openflow.meters(self._bridge, numbers)

    def bring(self, wanted: Mapping[int, Meter]) -> bool:
        """Make and set what differs; whether anything did."""
        differing = [m for number, m in wanted.items() if self._known.get(number) != m]
        if differing:
            self._openflow.set_meters(self._bridge, differing)
            self._known |= {meter.id: meter for meter in differing}
        return bool(differing)

    def drop(
        self, ports: Iterable[SwitchPort | None] | None, kept: Collection[int],
        flows: Mapping[int, Entries],
    ) -> bool:  # fmt: skip
        """Remove the meters of these ports, of all by default, but for those that are to be kept,
        or that flows name; whether there were any."""
        mine = set(self._known) if ports is None else self._of(ports)
        more = mine - set(kept)
        gone = sorted(more - named(flows)) if more else []
        if gone:
            self._openflow.set_meters(self._bridge, delete=gone)
        for number in gone:
            self._known.pop(number, None)
        return bool(gone)

    def sweep(self, ofports: Iterable[int | None]) -> None:
        """Remove the meters of ports with these numbers, whatever is known of them."""
        numbers = {shaping.number(k, n) for n in ofports if n is not None for k in Kind}
        there = self._openflow.meters(self._bridge, numbers) if numbers else {}
        if there:
            self._openflow.set_meters(self._bridge, delete=sorted(there))
        for number in numbers:
            self._known.pop(number, None)

    def _of(self, ports: Iterable[SwitchPort | None]) -> set[int]:
        if not self._known:
            return set()
        numbers = (shaping.number(k, p.ofport) for p in ports if p is not None for k in Kind)
        return {number for number in numbers if number in self._known}
