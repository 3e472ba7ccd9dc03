"""The ports of one call on OVN's bridge."""

from __future__ import annotations

from dataclasses import dataclass

from vifd.plugin import Item, batch, tap
from vifd_ovn.wiring import OvnWiring


@dataclass
class Work(tap.TapWork):
    """One port on its way through a call."""

    names: OvnWiring

    @property
    def named(self) -> bool:
        """Whether its row tells OVN which logical port it is."""
        return self.item.open or self.names.held


class Batch(batch.Batch[Work]):
    """The ports of one call."""

    @classmethod
    def read(cls, item: Item) -> Work:
        return Work(item, OvnWiring.read(item.made))

    def bridges(self) -> dict[str, list[Work]]:
        """The ports by bridge."""
        return self.by(lambda work: work.names.bridge)
