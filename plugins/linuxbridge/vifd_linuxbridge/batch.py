"""The ports of one call on the kernel's bridge."""

from __future__ import annotations

from dataclasses import dataclass, field

from vifd.drivers import Program
from vifd.model import Evidence
from vifd.plugin import Item, batch, tap
from vifd_linuxbridge import guarding, wiring
from vifd_linuxbridge.groupbase import Judged
from vifd_linuxbridge.ruleset import Filter, port_filter
from vifd_linuxbridge.trunking import Way
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
    #: of a trunk's parent, the VLANs of its sub-ports that pass; ``None`` of other ports
    tags: frozenset[int] | None = None
    #: and of those that it names, whether they pass or not
    named: frozenset[int] = frozenset()
    #: of a sub-port, by which device it passes, or why by none
    way: Way | Evidence | None = None
    #: whether there are ports of which accepted packets are logged
    logging: bool = False
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
                logging=self.logging,
            )  # fmt: skip
            self._filters[wanted] = found
        return self._filters[wanted]

    @property
    def stands(self) -> bool:
        """Whether what its device stands on is there: a sub-port's is on its parent's."""
        return not isinstance(self.way, Evidence)

    @property
    def carried(self) -> bool:
        """Whether what its frames pass over lets them: of any port but a sub-port, its own tap."""
        return self.way is None or (isinstance(self.way, Way) and self.way.carries)

    def joins(self, *, opened: bool | None = None) -> bool:
        """Whether it shall be a port of its bridge."""
        return self.carried and self.filter(opened=opened).opened

    def program(self, *, opened: bool | None = None) -> Program:
        """What is refused on its device itself."""
        found = self.filter(opened=opened)
        if self.tags is not None:
            wanted = self.item.open if opened is None else opened
            return guarding.trunk_guard(found, self.tags if wanted else ())
        return guarding.guard(found) if self.carried else guarding.SHUT


class Batch(batch.Batch[Work]):
    """The ports of one call."""

    @classmethod
    def read(cls, item: Item) -> Work:
        return Work(item, wiring.read(item.made))

    def networks(self) -> dict[LinuxWiring, list[Work]]:
        """The ports by what they stand on."""
        return self.by(lambda work: wiring.shared(work.names))
