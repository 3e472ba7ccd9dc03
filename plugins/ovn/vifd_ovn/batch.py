"""The ports of one call on OVN's bridge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vifd.plugin import Item, Outcomes, batch
from vifd_ovn.wiring import OvnWiring


@dataclass
class Work(batch.Work):
    """One port on its way through a call.

    :param names: its names, as stored or planned
    """

    names: OvnWiring


class Batch(batch.Batch[Work]):
    """The ports of one call."""

    @classmethod
    def of(cls, items: Sequence[Item]) -> Batch:
        """Read the names of every port; one whose wiring makes no sense fails alone."""
        found = cls()
        found.take(items, lambda item: Work(item, OvnWiring.read(item.made)))
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
