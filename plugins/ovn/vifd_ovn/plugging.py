"""Plug: taps first, then their rows, without the gate: OVN does nothing with a row that names no
logical port, and its bridge passes nothing of a port that it does not know.

The way back of a step is registered before the step, because a call that fails may have had its
effect all the same; every way back looks at the mark before it removes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from vifd.drivers import Drivers, PortRow, PortSpec
from vifd.errors import BackendError, BridgeMissing, NameClash, VifError
from vifd.plugin import Host, Item
from vifd.plugin.tap import Taps
from vifd_ovn.batch import Batch, Work
from vifd_ovn.holding import held_of
from vifd_ovn.marks import GATE, external_ids
from vifd_ovn.options import Settings
from vifd_ovs.bridge import marks, masters, tenancy
from vifd_ovs.bridge.chassis import chassis_of
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.removal import remove_row


class Plugging:
    """One ``plug`` call."""

    def __init__(self, plugin: str, host: Host, settings: Settings, items: Sequence[Item]) -> None:
        self.plugin = plugin
        self.drivers: Drivers = host.drivers
        self.settings = settings
        self._identity = host.identity
        self.batch = Batch.of(items)
        self._taps = Taps(self.drivers.links, self.batch, settings)

    def run(self) -> Batch:
        """Take all steps."""
        self._bridges()
        self._clashes()
        self._hold()
        self._taps.make()
        self.batch.together("device", self._leave_masters)
        self.batch.together("host", Hearing(self.drivers).settle)
        self._rows()
        self._settle()
        return self.batch

    def _leave_masters(self, works: Sequence[Work]) -> None:
        masters.leave(self.drivers, [self._taps.links[work.id] for work in works])

    def _bridges(self) -> None:
        """The bridge is OVN's to make."""
        for name, works in self.batch.bridges().items():
            if self.drivers.ovsdb.bridge(name) is None:
                for work in works:
                    hint = "start ovn-controller: it makes its integration bridge"
                    error = BridgeMissing(facts={"bridge": name}, hint=hint)
                    self.batch.fail(work, error, "bridge")
                continue
            try:
                tenancy.claim(self.drivers.ovsdb, name, self._identity)
            except VifError as error:
                for work in works:
                    self.batch.fail(work, error.copy(), "bridge")

    def _clashes(self) -> None:
        for work in self.batch:
            row = self.drivers.ovsdb.port(work.device)
            if row is not None and not _ours(row, work):
                have = f"a port on bridge {row.bridge} without the mark of this port"
                facts = {"kind": "port", "name": work.device, "have": have}
                self.batch.fail(work, NameClash(facts=facts), "ovsdb")

    def _hold(self) -> None:
        """See ``holding.py``."""
        chassis = chassis_of(self.drivers.ovsdb.facts())
        timeout, tls = self.settings.southbound_timeout, self.settings.tls
        held = held_of(self.batch.works, chassis, timeout, tls)
        for work in self.batch:
            work.names = replace(work.names, held=work.id in held)

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
            wanted = work.id if work.named else None
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
            self._taps.fresh(work)
            or bool(row.error)
            or bool(row.type)
            or row.bridge != work.names.bridge
            or known != self._taps.links[work.id].ifindex
        )

    def _as_wanted(self, work: Work, row: PortRow | None) -> bool:
        return (
            row is not None
            and row.tag is None
            and not (row.vlan_mode or row.trunks)
            and self._ids(work).items() <= row.external_ids.items()
            and (row.external_ids.get(GATE) == work.id) == work.named
        )

    def _ids(self, work: Work) -> dict[str, str]:
        attachment = work.item.attachment
        ids = external_ids(attachment, work.names, self.plugin) | marks.document_ids(attachment)
        return ids | ({GATE: work.id} if work.named else {})

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
            if row.admin_state != "up":
                self._taps.up([work])
        self._taps.plugged()

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
