"""The ports of one call on the kernel's bridge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vifd.plugin import Item, Outcomes, batch
from vifd_linuxbridge import wiring
from vifd_linuxbridge.ruleset import Filter, port_filter
from vifd_linuxbridge.wiring import LinuxWiring


@dataclass
class Work(batch.Work):
    """One port on its way through a call."""

    names: LinuxWiring
    _filters: dict[bool, Filter] = field(default_factory=dict)

    @property
    def mtu(self) -> int:
        return self.item.attachment.network.mtu

    def filter(self, *, opened: bool | None = None) -> Filter:
        """The port's filter, by default open or closed as the item says."""
        wanted = self.item.open if opened is None else opened
        if wanted not in self._filters:
            found = port_filter(self.item.attachment, self.device, opened=wanted)
            self._filters[wanted] = found
        return self._filters[wanted]


class Batch(batch.Batch[Work]):
    """The ports of one call."""

    @classmethod
    def of(cls, items: Sequence[Item]) -> Batch:
        """Read the names of every port; one whose wiring makes no sense fails alone."""
        found = cls()
        found.take(items, lambda item: Work(item, wiring.read(item.made)))
        return found

    def networks(self) -> dict[LinuxWiring, list[Work]]:
        """The ports by what they stand on."""
        found: dict[LinuxWiring, list[Work]] = {}
        for work in self.works:
            found.setdefault(wiring.shared(work.names), []).append(work)
        return found

    def outcomes(self, plugin: str, vif_type: str) -> Outcomes:
        """The answer of the call."""
        return self.answer(plugin, vif_type, lambda work: work.names.details())
