"""Check: the tap device of a port, before what the switch says."""

from __future__ import annotations

from vifd.drivers import Link, PortRow
from vifd.model import Evidence
from vifd.model.evidence import fact
from vifd.plugin import tap
from vifd_ovs.bridge import masters, puton
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.checking import PortChecking
from vifd_ovs.bridge.hearing import Hearing


class Checking(PortChecking):
    """One ``check`` call. Changes nothing.

    :ivar max_queues: set by the plugin before :meth:`run`
    """

    max_queues: int
    _links: dict[str, Link]
    _unheard: dict[str, list[Evidence]]

    def prepare(self) -> None:
        """All devices in one request."""
        self._links = self.drivers.links.get([w.device for w in self.batch.works])
        there = [w for w in self.batch.works if w.device in self._links]
        self._unheard = Hearing(self.drivers).evidence(there)

    def guest_side(self, work: Work, row: PortRow | None) -> list[Evidence]:
        """The tap device, and whether the switch holds that one."""
        link = self._links.get(work.device)
        facts = tap.evidence(work, link, self.max_queues) + masters.evidence(link)
        facts += self._unheard.get(work.id, [])
        if row is not None and row.ifindex is not None and link is not None:
            facts.append(fact("ovsdb.ifindex", row.ifindex, link.ifindex, "ovsdb"))
        asked = link is not None and work.item.thorough
        return facts + (puton.evidence(self.drivers, work.device) if asked else [])
