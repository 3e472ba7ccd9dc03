"""The ports of one call on a bridge of Open vSwitch."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from vifd.plugin import Item, batch, tap
from vifd_ovs.bridge import wiring
from vifd_ovs.bridge.wiring import OvsWiring


@dataclass
class Work(tap.TapWork):
    """One port on its way through a call.

    :param names: its numbers on the bridge, as stored or planned
    """

    names: OvsWiring


class Batch(batch.Batch[Work]):
    """The ports of one call."""

    @classmethod
    def read(cls, item: Item) -> Work:
        return Work(item, wiring.read(item.made))

    def bridges(self) -> dict[str, list[Work]]:
        """The ports by bridge."""
        return self.by(attrgetter("names.bridge"))
