"""The ports of one call on a bridge of Open vSwitch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vifd.plugin import Item, Outcomes, batch
from vifd_ovs.bridge import wiring
from vifd_ovs.bridge.wiring import OvsWiring


@dataclass
class Work(batch.Work):
    """One port on its way through a call.

    :param names: its numbers on the bridge, as stored or planned
    """

    names: OvsWiring


class Batch(batch.Batch[Work]):
    """The ports of one call."""

    @classmethod
    def of(cls, items: Sequence[Item]) -> Batch:
        """Read the names of every port; one whose wiring makes no sense fails alone."""
        found = cls()
        found.take(items, lambda item: Work(item, wiring.read(item.made)))
        return found

    def bridges(self) -> dict[str, list[Work]]:
        """The ports by bridge."""
        sorted_: dict[str, list[Work]] = {}
        for work in self.works:
            sorted_.setdefault(work.names.bridge, []).append(work)
        return sorted_

    def outcomes(self, plugin: str, vif_type: str) -> Outcomes:
        """The answer of the call."""
        return self.answer(plugin, vif_type, lambda work: work.names.details())
