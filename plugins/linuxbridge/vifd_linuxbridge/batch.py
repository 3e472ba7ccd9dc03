"""The ports of one call on the kernel's bridge."""

from __future__ import annotations

from dataclasses import dataclass, field

from vifd.plugin import Item, batch, tap
from vifd_linuxbridge import wiring
from vifd_linuxbridge.groupbase import Judged
from vifd_linuxbridge.ruleset import Filter, port_filter
from vifd_linuxbridge.wiring import LinuxWiring


@dataclass
class Work(tap.TapWork):
    """One port on its way through a call."""

    names: LinuxWiring
    #: by which security groups it is judged; and whether this kernel can do that at all
    judged: Judged | None = None
    tracked: bool = False
    #: whether this kernel can hold ports to a rate
    limiting: bool = True
    #: whether tags that guests set themselves pass bridges here
    carrying: bool = True
    _filters: dict[bool, Filter] = field(default_factory=dict)

    @property
    def mtu(self) -> int:
        return self.item.attachment.network.mtu

    def filter(self, *, opened: bool | None = None) -> Filter:
        """The port's filter, by default open or closed as the item says."""
        wanted = self.item.open if opened is None else opened
        if wanted not in self._filters:
            found = port_filter(
                self.item.attachment, self.device, opened=wanted, judged=self.judged,
                tracked=self.tracked, limiting=self.limiting, carrying=self.carrying,
            )  # fmt: skip
            self._filters[wanted] = found
        return self._filters[wanted]


class Batch(batch.Batch[Work]):
    """The ports of one call."""

    @classmethod
    def read(cls, item: Item) -> Work:
        return Work(item, wiring.read(item.made))

    def networks(self) -> dict[LinuxWiring, list[Work]]:
        """The ports by what they stand on."""
        return self.by(lambda work: wiring.shared(work.names))
