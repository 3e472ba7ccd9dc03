"""Plug: the tap devices of a batch, between the flows and the switch ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from vifd.drivers import Link, Links, PortRow, PortSpec, Tap
from vifd.errors import BackendError, VifError, wrap
from vifd.plugin import Host, Item, guest, queues
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.ownership import Ends
from vifd_ovs.bridge.plugging import PortPlugging
from vifd_ovs.options import Settings
from vifd_ovs.removal import ends, remark, remove_device


class Plugging(PortPlugging):
    """One ``plug`` call."""

    def __init__(
        self, plugin: str, host: Host, settings: Settings, bridges: Bridges, items: Sequence[Item]
    ) -> None:
        super().__init__(plugin, host, bridges, items, settings.ofports)
        self.settings = settings
        self._links: dict[str, Link] = {}
        #: ids of the ports that got a new device
        self._fresh: set[str] = set()

    def prepare(self) -> None:
        """Make the devices that are missing."""
        self._overrule_mtus()
        links = self.drivers.links
        self._take_over()
        remark(links, self.batch)
        before = links.get([w.device for w in self.batch])
        self._fit(before)
        before = self._without_misfits(before)
        self._fresh = {w.id for w in self.batch if w.device not in before}
        for work in self.batch:
            link = before.get(work.device)
            if link is None:
                remove = partial(remove_device, links, work.device, work.id)
                work.item.undo.push("device", remove)
            elif link.alias == marks.alias(work.id):
                work.item.undo.push("device settings", partial(_restore, links, link))
        made = links.create_taps([self._tap(w) for w in self.batch])
        for work in self.batch:
            result = made.get(work.device)
            if isinstance(result, Link):
                self._links[work.id] = result
            else:
                error = result or BackendError(
                    facts={"backend": "links", "problem": f"no answer about {work.device}"}
                )
                self.batch.fail(work, wrap(error), "device")
        self.batch.together("host", Hearing(self.drivers).settle)

    def _take_over(self) -> None:
        """Put the mark on devices that are to be adopted: those that were found, and no others."""
        links = self.drivers.links
        for work in self.batch:
            link = links.get([work.device]).get(work.device) if work.names.adopted else None
            if link is not None and link.ifindex == work.names.ifindex:
                back = {work.device: (link.ifindex, link.alias)}
                work.item.undo.push("mark", partial(links.unmark, back))
                links.remark({work.device: (link.ifindex, marks.alias(work.id))})

    def _fit(self, before: Mapping[str, Link]) -> None:
        """Have devices for as many queues as the documents ask, where no guest has them open."""
        for work in [w for w in self.batch if not w.names.adopted]:
            kind = queues.to_make(
                work.item, self.settings.max_queues, before.get(work.device), marks.alias(work.id),
                made=work.names.multi_queue,
            )  # fmt: skip
            work.names = replace(work.names, multi_queue=kind)

    def _without_misfits(self, before: dict[str, Link]) -> dict[str, Link]:
        """Take away devices of ours that have another kind of queues than they shall have, unless a
        guest has them open: that setting cannot be changed."""
        misfits = {
            w.device
            for w in self.batch
            if (link := before.get(w.device)) is not None
            and link.alias == marks.alias(w.id)
            and link.multi_queue != w.names.multi_queue
            and not link.carrier
        }
        if misfits:
            self.drivers.links.delete(sorted(misfits))
        return {name: link for name, link in before.items() if name not in misfits}

    def _overrule_mtus(self) -> None:
        """A request of another program goes first: the switch would set the device back to it."""
        for bridge, works in self.batch.bridges().items():
            specs = [s for s in (self._mtu_only(w) for w in works) if s is not None]
            if specs:
                self.drivers.ovsdb.ensure_ports(bridge, specs)

    def _mtu_only(self, work: Work) -> PortSpec | None:
        """The port as it is, with the MTU that is ours, where another one is requested."""
        row = self.drivers.ovsdb.port(work.device)
        mtu = work.item.attachment.network.mtu
        if row is None or not marks.belongs(row, work.id) or row.mtu_request in (None, mtu):
            return None
        return PortSpec(work.device, ofport=row.ofport_request, tag=row.tag, mtu=mtu)

    def _tap(self, work: Work) -> Tap:
        attachment = work.item.attachment
        return Tap(
            work.device, guest.tap_mac(attachment.mac), attachment.network.mtu,
            marks.alias(work.id),
            multi_queue=work.names.multi_queue, owner=self.settings.tap_owner, promiscuous=True,
        )  # fmt: skip

    def stale(self, work: Work, _row: PortRow) -> bool:
        """Whether the switch may hold a device that is no longer there."""
        known = work.item.wiring is not None or work.names.adopted
        plugged = known and work.names.ifindex
        return work.id in self._fresh or plugged != self._links[work.id].ifindex

    def spec(self, work: Work) -> PortSpec:
        row = self.drivers.ovsdb.port(work.device)
        mtu = work.item.attachment.network.mtu
        return PortSpec(
            work.device,
            ofport=work.names.ofport,
            tag=work.names.row_tag(opened=work.item.open),
            # the device's MTU is ours to set; only a request of another program must be overruled
            mtu=mtu if row is not None and row.mtu_request not in (None, mtu) else None,
            external_ids={**self.external_ids(work), **self._index(work)},
        )

    def ends(self, works: Sequence[Work]) -> Ends:
        return ends(self.drivers.links, works)

    def _index(self, work: Work) -> dict[str, str]:
        """What tells the device, should the journal be lost, from one that is made anew."""
        link = self._links.get(work.id)
        return {marks.INDEX: str(link.ifindex)} if link is not None else {}

    def settle(self) -> None:
        """Adding a port can take down a device that was up: bring such a one up again. The switch
        says which; reading every device would wait for the switch's own work on them."""
        for work in self.batch:
            if self.rows[work.id].admin_state != "up":
                try:
                    self.drivers.links.set(work.device, up=True)
                except VifError as error:
                    self.batch.fail(work, error, "device")
                    continue
            ifindex = self._links[work.id].ifindex
            work.names = replace(work.names, ifindex=ifindex, plugged=True, adopted=False)


def _restore(links: Links, before: Link) -> None:
    """Bring a device that was there before back to its MTU."""
    now = links.get([before.name]).get(before.name)
    if now is not None and now.ifindex == before.ifindex and now.mtu != before.mtu:
        links.set(before.name, mtu=before.mtu)
