"""Plug, activate, deactivate: the steps of a batch, in order.

Flows come first and closed, the device next, the switch port last: there is no moment at which an
unfiltered frame could pass. The way back of a step is registered before the step is taken, because
a call that fails may have had its effect all the same; every way back looks at the mark before it
removes anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from vifd.drivers import Drivers, Link, Links, PortRow, PortSpec, Tap
from vifd.errors import BackendError, NameClash, VifError, wrap
from vifd.ovs import marks
from vifd.ovs.bridges import Bridges, ensure_patches
from vifd.ovs.ports import SwitchPort, switch_port
from vifd.ovs.switch import Switch
from vifd.plugin import Host, Item
from vifd_ovs.batch import Batch, Work
from vifd_ovs.options import Settings
from vifd_ovs.removal import remove_device, remove_row


class Plugging:
    """One ``plug`` call.

    :param plugin: the plugin's name, written beside the port's id into the database
    """

    def __init__(
        self, plugin: str, host: Host, settings: Settings, bridges: Bridges, items: Sequence[Item]
    ) -> None:
        self.plugin = plugin
        self.drivers: Drivers = host.drivers
        self.settings = settings
        self.bridges = bridges
        self.batch = Batch.of(items)
        self._links: dict[str, Link] = {}

    def run(self, switches: dict[str, Switch]) -> Batch:
        """Take all steps."""
        self._bridges()
        self._flows(switches)
        fresh = self._taps()
        self._ports(fresh)
        self._numbers()
        self._settle()
        return self.batch

    # --- 1: what the ports stand on ---

    def _bridges(self) -> None:
        for name, works in self.batch.bridges().items():
            self.batch.together("bridge", partial(self._bridge, name), works)
        pairs = [(w.names.physical_network, w.names.bridge) for w in self.batch]
        failed = ensure_patches(self.bridges, dict.fromkeys((p, b) for p, b in pairs if p))
        for work in self.batch:
            error = failed.get((work.names.physical_network or "", work.names.bridge))
            if error is not None:
                self.batch.fail(work, error, "patch")

    def _bridge(self, name: str, _works: Sequence[Work]) -> None:
        self.bridges.ensure(name)

    # --- 2: flows, closed unless the port is open already ---

    def _flows(self, switches: dict[str, Switch]) -> None:
        for name, works in self.batch.bridges().items():
            switch = switches[name]

            def step(chosen: Sequence[Work], switch: Switch = switch) -> None:
                switch.apply(
                    {w.id: _port(w) for w in chosen},
                    reread=[w.id for w in chosen if w.item.wiring is not None],
                )

            for work in works:
                before = {work.id: switch.get(work.id)}
                work.item.undo.push("flows", partial(switch.apply, before))
            self.batch.together("flows", step, works)
            alive = [w for w in works if w.id not in self.batch.failed]
            unlike = switch.prove([_port(w) for w in alive])
            for work in alive:
                if work.id in unlike:
                    self.batch.fail(work, unlike[work.id], "flows")

    # --- 3: devices ---

    def _taps(self) -> set[str]:
        """Make the devices that are missing; returns the ids of the ports that got a new one."""
        links = self.drivers.links
        before = links.get([w.device for w in self.batch])
        fresh = {w.id for w in self.batch if w.device not in before}
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
        return fresh

    def _tap(self, work: Work) -> Tap:
        attachment = work.item.attachment
        return Tap(
            work.device, attachment.mac, attachment.network.mtu, marks.alias(work.id),
            multi_queue=work.names.multi_queue, owner=self.settings.tap_owner,
        )  # fmt: skip

    # --- 4: switch ports ---

    def _ports(self, fresh: set[str]) -> None:
        """One transaction for all; a second one before it for ports that must be made anew."""
        rows = {w.id: self.drivers.ovsdb.port(w.device) for w in self.batch}
        for work in self.batch:
            clash = _clash(work, rows[work.id])
            if clash is not None:
                self.batch.fail(work, clash, "ovsdb")
            elif rows[work.id] is None:
                remove = partial(remove_row, self.drivers.ovsdb, work.device, work.id)
                work.item.undo.push("switch port", remove)
        stale = [w for w in self.batch if rows[w.id] and self._stale(w, rows[w.id], fresh)]
        self._delete_rows(stale)
        missing = [w for w in self.batch if w in stale or not self._as_wanted(w, rows[w.id])]
        for name, works in self.batch.bridges().items():

            def step(chosen: Sequence[Work], bridge: str = name) -> None:
                self.drivers.ovsdb.ensure_ports(bridge, [self._spec(w) for w in chosen])

            self.batch.together("ovsdb", step, [w for w in works if w in missing])

    def _delete_rows(self, stale: Sequence[Work]) -> None:
        """A port whose device was replaced passes nothing until it is removed and added again."""
        devices: dict[str, list[str]] = {}
        for work in stale:
            devices.setdefault(work.names.bridge, []).append(work.device)
        for bridge, names in devices.items():
            self.drivers.ovsdb.delete_ports(bridge, names)

    def _stale(self, work: Work, row: PortRow | None, fresh: set[str]) -> bool:
        """Whether the switch may hold a device that is no longer there, or a wrong number."""
        plugged = work.item.wiring is not None and work.names.ifindex
        same = work.id not in fresh and plugged == self._links[work.id].ifindex
        return not same or row is None or row.ofport != work.names.ofport or bool(row.error)

    def _as_wanted(self, work: Work, row: PortRow | None) -> bool:
        spec = self._spec(work)
        return row is not None and (
            (row.ofport_request, row.tag, row.type) == (spec.ofport, spec.tag, spec.type)
            and spec.external_ids.items() <= row.external_ids.items()
            and spec.mtu in (None, row.mtu_request)
        )

    def _spec(self, work: Work) -> PortSpec:
        row = self.drivers.ovsdb.port(work.device)
        mtu = work.item.attachment.network.mtu
        return PortSpec(
            work.device,
            ofport=work.names.ofport,
            tag=work.names.tag,
            # the device's MTU is ours to set; only a request of another hand must be overruled
            mtu=mtu if row is not None and row.mtu_request not in (None, mtu) else None,
            external_ids={
                **marks.external_ids(work.item.attachment, work.names, self.plugin),
                **marks.document_ids(work.item.attachment),
            },
        )

    # --- 5: what came of it ---

    def _numbers(self) -> None:
        """Every port must have got the number that its flows are for."""
        rows = self._wait(self.batch.works)
        for work in self.batch:
            row = rows.get(work.device)
            if row is None or row.ofport != work.names.ofport:
                error = self._wrong_number(work, row)
                remove_row(self.drivers.ovsdb, work.device, work.id)
                self.batch.fail(work, error, "ofport")

    def _wait(self, works: Sequence[Work]) -> dict[str, PortRow]:
        """The rows that the switch has decided; those that it has not are left out."""
        ovsdb, names = self.drivers.ovsdb, [w.device for w in works]
        try:
            return ovsdb.wait_ports(names, self.settings.port_timeout) if names else {}
        except BackendError:
            rows = {name: ovsdb.port(name) for name in names}
            return {n: row for n, row in rows.items() if row and (row.ofport or row.error)}

    def _wrong_number(self, work: Work, row: PortRow | None) -> VifError:
        wanted = work.names.ofport
        if row is None or row.error or (row.ofport or -1) < 0:
            problem = row.error if row and row.error else "the switch did not take the port in time"
            facts = {"backend": "Open vSwitch", "problem": f"{work.device}: {problem}"}
            return BackendError(facts={**facts, "device": work.device, "wanted": wanted})
        others = self.drivers.ovsdb.ports(work.names.bridge)
        holder = next((r.name for r in others if r.ofport == wanted), "unknown")
        return NameClash(
            facts={
                "kind": "OpenFlow port number", "name": wanted, "have": f"port {holder}",
                "got": row.ofport,
            }
        )  # fmt: skip

    def _settle(self) -> None:
        """A link event in the switch can take a device down that was up; note what was plugged."""
        links = self.drivers.links.get([w.device for w in self.batch])
        for work in self.batch:
            link = links.get(work.device)
            if link is not None and not link.up:
                link = self.drivers.links.set(work.device, up=True)
            if link is None:
                error = BackendError(
                    facts={"backend": "links", "problem": f"{work.device} vanished during plug"}
                )
                self.batch.fail(work, error, "device")
                continue
            work.names = replace(work.names, ifindex=link.ifindex, plugged=True)


def _port(work: Work) -> SwitchPort:
    return switch_port(work.item.attachment, work.names, opened=work.item.open)


def _clash(work: Work, row: PortRow | None) -> NameClash | None:
    if row is None or marks.belongs(row, work.id):
        return None
    have = f"a port on bridge {row.bridge} without the mark of this port"
    return NameClash(facts={"kind": "port", "name": work.device, "have": have})


def _restore(links: Links, before: Link) -> None:
    """Bring a device that was there before back to its MTU."""
    now = links.get([before.name]).get(before.name)
    if now is not None and now.ifindex == before.ifindex and now.mtu != before.mtu:
        links.set(before.name, mtu=before.mtu)


# --- opening and closing --------------------------------------------------------------------------


def set_gates(switches: dict[str, Switch], items: Sequence[Item], *, opened: bool) -> Batch:
    """Open or close the ports of a batch; one bundle per bridge."""
    batch = Batch.of(items)
    for name, works in batch.bridges().items():

        def step(chosen: Sequence[Work], switch: Switch = switches[name]) -> None:
            ports = {w.id: switch_port(w.item.attachment, w.names, opened=opened) for w in chosen}
            switch.apply(ports)

        batch.together("open" if opened else "close", step, works)
    return batch
