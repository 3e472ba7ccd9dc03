"""Plug: taps first, then their rows, without the gate: OVN does nothing with a row that names no
logical port, and its bridge passes nothing of a port that it does not know.

The way back of a step is registered before the step, because a call that fails may have had its
effect all the same; every way back looks at the mark before it removes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from vifd.drivers import Drivers, Link, Links, PortRow, PortSpec, Tap
from vifd.errors import BackendError, BridgeMissing, NameClash, VifError, wrap
from vifd.plugin import Host, Item, guest, queues
from vifd_ovn.batch import Batch, Work
from vifd_ovn.marks import GATE, external_ids
from vifd_ovn.options import Settings
from vifd_ovn.removal import remove_device, remove_row
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.hearing import Hearing


class Plugging:
    """One ``plug`` call."""

    def __init__(self, plugin: str, host: Host, settings: Settings, items: Sequence[Item]) -> None:
        self.plugin = plugin
        self.drivers: Drivers = host.drivers
        self.settings = settings
        self.batch = Batch.of(items)
        self._links: dict[str, Link] = {}
        self._fresh: set[str] = set()

    def run(self) -> Batch:
        """Take all steps."""
        self._bridges()
        self._clashes()
        self._marks()
        self._devices()
        self._rows()
        self._settle()
        return self.batch

    def _bridges(self) -> None:
        """The bridge is OVN's to make."""
        for name, works in self.batch.bridges().items():
            if self.drivers.ovsdb.bridge(name) is None:
                for work in works:
                    hint = "start ovn-controller: it makes its integration bridge"
                    error = BridgeMissing(facts={"bridge": name}, hint=hint)
                    self.batch.fail(work, error, "bridge")

    def _clashes(self) -> None:
        for work in self.batch:
            row = self.drivers.ovsdb.port(work.device)
            if row is not None and not _ours(row, work):
                have = f"a port on bridge {row.bridge} without the mark of this port"
                facts = {"kind": "port", "name": work.device, "have": have}
                self.batch.fail(work, NameClash(facts=facts), "ovsdb")

    # --- devices ---

    def _marks(self) -> None:
        """The mark on devices that are taken over, and again where another program changed it."""
        links = self.drivers.links
        for work in self.batch:
            index = work.names.ifindex
            if not index or not (work.names.adopted or work.names.plugged):
                continue
            link = links.get([work.device]).get(work.device)
            if link is None or link.ifindex != index or link.alias == marks.alias(work.id):
                continue
            if work.names.adopted:
                back = {work.device: (index, link.alias)}
                work.item.undo.push("mark", partial(links.unmark, back))
            links.remark({work.device: (index, marks.alias(work.id))})

    def _devices(self) -> None:
        links = self.drivers.links
        found = links.get([w.device for w in self.batch])
        self._fit(found)
        before = self._without_misfits(found)
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
                problem = f"no answer about {work.device}"
                error = result or BackendError(facts={"backend": "links", "problem": problem})
                self.batch.fail(work, wrap(error), "device")
        self.batch.together("host", Hearing(self.drivers).settle)

    def _fit(self, before: Mapping[str, Link]) -> None:
        """Have devices for as many queues as the documents ask, where no guest has them open."""
        for work in [w for w in self.batch if not w.names.adopted]:
            kind = queues.to_make(
                work.item, self.settings.max_queues, before.get(work.device), marks.alias(work.id),
                made=work.names.multi_queue,
            )  # fmt: skip
            work.names = replace(work.names, multi_queue=kind)

    def _without_misfits(self, before: Mapping[str, Link]) -> dict[str, Link]:
        """Without devices of ours that have another kind of queues than wanted: that cannot be
        changed. One that a guest has open stays."""
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

    def _tap(self, work: Work) -> Tap:
        attachment = work.item.attachment
        return Tap(
            work.device, guest.tap_mac(attachment.mac), attachment.network.mtu,
            marks.alias(work.id),
            multi_queue=work.names.multi_queue, owner=self.settings.tap_owner, promiscuous=True,
        )  # fmt: skip

    # --- rows ---

    def _rows(self) -> None:
        """One transaction for all; one before it for rows that stand for another device, or on
        another bridge, than they should."""
        ovsdb = self.drivers.ovsdb
        rows = {w.id: ovsdb.port(w.device) for w in self.batch}
        for work in self.batch:
            row = rows[work.id]
            if row is None:
                remove = partial(remove_row, ovsdb, work.device, work.id)
                work.item.undo.push("switch port", remove)
            elif work.names.adopted:
                work.item.undo.push("switch port", partial(self._give_back, row, work))
        stale = [w for w in self.batch if (row := rows[w.id]) and self._stale(w, row)]
        for work in stale:
            row = rows[work.id]
            if row is not None:
                ovsdb.delete_ports(row.bridge, [work.device])
        missing = [w for w in self.batch if w in stale or not self._as_wanted(w, rows[w.id])]
        for name, works in self.batch.bridges().items():

            def step(chosen: Sequence[Work], bridge: str = name) -> None:
                ovsdb.ensure_ports(bridge, [self._spec(w) for w in chosen])

            self.batch.together("ovsdb", step, [w for w in works if w in missing])
        self._gates(missing)

    def _gates(self, works: Sequence[Work]) -> None:
        """A port that is open stays so, also where its row was made anew; one that is closed
        names no logical port."""
        gates: dict[str, dict[str, str | None]] = {}
        for work in works:
            row = self.drivers.ovsdb.port(work.device)
            wanted = work.id if work.item.open else None
            if row is not None and row.external_ids.get(GATE) != wanted:
                gates[work.device] = {GATE: wanted}
        if gates:
            self.drivers.ovsdb.set_external_ids(gates)

    def _give_back(self, row: PortRow, work: Work) -> None:
        """Bring a row that was taken over back to what it was."""
        ids = [*self._ids(work), GATE]
        self.drivers.ovsdb.set_external_ids({row.name: {k: row.external_ids.get(k) for k in ids}})

    def _stale(self, work: Work, row: PortRow) -> bool:
        """Whether the switch must let go of the port first: it holds a device that is no longer
        there, or refused the port."""
        known = work.names.ifindex if (work.item.wiring or work.names.adopted) else None
        return (
            work.id in self._fresh
            or bool(row.error)
            or bool(row.type)
            or row.bridge != work.names.bridge
            or known != self._links[work.id].ifindex
        )

    def _as_wanted(self, work: Work, row: PortRow | None) -> bool:
        return (
            row is not None
            and row.tag is None
            and self._ids(work).items() <= row.external_ids.items()
            and (row.external_ids.get(GATE) == work.id) == work.item.open
        )

    def _ids(self, work: Work) -> dict[str, str]:
        attachment = work.item.attachment
        ids = external_ids(attachment, work.names, self.plugin) | marks.document_ids(attachment)
        return ids | ({GATE: work.id} if work.item.open else {})

    def _spec(self, work: Work) -> PortSpec:
        return PortSpec(work.device, external_ids=self._ids(work))

    # --- what came of it ---

    def _settle(self) -> None:
        """Every port must have a number by now; a link that adding the port took down comes up."""
        works = list(self.batch)
        rows = self._wait([w.device for w in works])
        for work in works:
            row = rows.get(work.device)
            if row is None or row.error or (row.ofport or 0) <= 0:
                problem = (row.error if row else "") or "it got no number"
                facts = {"backend": "Open vSwitch", "problem": f"port {work.device}: {problem}"}
                self.batch.fail(work, BackendError(facts=facts), "ofport")
                continue
            try:
                if row.admin_state != "up":
                    self.drivers.links.set(work.device, up=True)
            except VifError as error:
                self.batch.fail(work, error, "device")
                continue
            ifindex = self._links[work.id].ifindex
            work.names = replace(work.names, ifindex=ifindex, plugged=True, adopted=False)

    def _wait(self, devices: Sequence[str]) -> dict[str, PortRow]:
        """The rows that the switch has decided; those that it has not are left out."""
        try:
            return self.drivers.ovsdb.wait_ports(devices, self.settings.port_timeout)
        except VifError as error:
            rows = {name: self.drivers.ovsdb.port(name) for name in devices}
            if not any(rows.values()):
                raise error from None
            return {name: row for name, row in rows.items() if row and row.ofport is not None}


def _ours(row: PortRow, work: Work) -> bool:
    """Whether a row is this port's: by its mark, or, where that is gone, by its logical port."""
    if marks.belongs(row, work.id):
        return True
    return marks.PORT not in row.external_ids and row.external_ids.get(GATE) == work.id


def _restore(links: Links, before: Link) -> None:
    """Bring a device that was there before back to its MTU."""
    now = links.get([before.name]).get(before.name)
    if now is not None and now.ifindex == before.ifindex and now.mtu != before.mtu:
        links.set(before.name, mtu=before.mtu)
