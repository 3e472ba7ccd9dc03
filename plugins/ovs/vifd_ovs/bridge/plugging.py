"""Plug: the steps of a batch, in order, for every plugin whose ports stand on Open vSwitch.

Flows come first and closed, what the switch port needs next, the switch port last: there is no
moment at which an unfiltered frame could pass. The way back of a step is registered before the step
is taken, because a call that fails may have had its effect all the same; every way back looks at
the mark before it removes anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from vifd.drivers import Drivers, PortRow, PortSpec
from vifd.errors import BackendError, NameClash, VifError
from vifd.plugin import Host
from vifd_ovs.bridge import marks, numbers, ownership, tenancy, tunnels, wiring
from vifd_ovs.bridge.announcing import announce, announce_back
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.bridges import Bridges, ensure_patches
from vifd_ovs.bridge.marks import kind
from vifd_ovs.bridge.overlay import OVERLAYS
from vifd_ovs.bridge.ownership import Ends
from vifd_ovs.bridge.ports import SwitchPort, switch_port
from vifd_ovs.bridge.removal import forget_connections, remove_row
from vifd_ovs.bridge.standing import completed
from vifd_ovs.bridge.switch import Switch

LOG = logging.getLogger(__name__)


class Ground:
    """What the ports of one ``plug`` call stand on: numbers, bridges, flows.

    :param ofports: first and last OpenFlow port number
    """

    def __init__(
        self, host: Host, bridges: Bridges, batch: Batch, ofports: tuple[int, int]
    ) -> None:
        self.drivers: Drivers = host.drivers
        self.bridges = bridges
        self.ledger = host.ledger
        self._identity = host.identity
        self.ofports = ofports
        self.batch = batch
        for work in batch:
            work.names = completed(work.item.attachment, work.names, bridges)

    def lay(self, switches: dict[str, Switch]) -> None:
        """Take all steps: the flows are there, closed unless the port is open already."""
        self._renumber()
        self._bridges()
        self._flows(switches)
        self._announce(switches)

    # --- 0: numbers that another program has now ---

    def _renumber(self) -> None:
        """Give ports whose number another port got while theirs was away one that is free: no
        retry would get the old one back. The row's marks have it from the same transaction on."""
        for name, works in self.batch.bridges().items():
            displaced = [w for w in works if self._displaced(w)]
            for work in displaced:
                rows = self.drivers.ovsdb.ports(name)
                held = {r.ofport: r.name for r in rows if r.name != work.device and r.ofport}
                if work.names.ofport in held:
                    self._choose_anew(work, held, rows)

    def _displaced(self, work: Work) -> bool:
        """Whether the port does not have its number: alone then is it worth to ask who has it."""
        if work.item.wiring is None or work.names.hosted:
            return False
        if self.drivers.ovsdb.bridge(work.names.bridge) is None:
            return False
        row = self.drivers.ovsdb.port(work.device)
        return row is None or row.ofport != work.names.ofport

    def _choose_anew(self, work: Work, held: Mapping[int, str], rows: Sequence[PortRow]) -> None:
        ledger = [wiring.read_if(e.wiring) for i, e in self.ledger().items() if i != work.id]
        ours = {n.ofport for n in ledger if n is not None and n.bridge == work.names.bridge}
        asked = {r.ofport_request for r in rows if r.ofport_request}
        try:
            number = numbers.ofport(work.id, *self.ofports, held.keys(), ours, asked)
        except BackendError as error:
            self.batch.fail(work, error, "name")
            return
        LOG.warning("number %d of bridge %s belongs to %s now; %s gets %d. port=%s",
                    work.names.ofport, work.names.bridge, held[work.names.ofport], work.device,
                    number, work.id)  # fmt: skip
        work.names = replace(work.names, ofport=number, generation=numbers.generation())

    # --- 1: what the ports stand on ---

    def _bridges(self) -> None:
        for name, works in self.batch.bridges().items():
            self.batch.together("bridge", partial(self._bridge, name), works)
        pairs = [(w.names.physical_network, w.names.bridge) for w in self.batch.works]
        failed = ensure_patches(self.bridges, dict.fromkeys((p, b) for p, b in pairs if p))
        for work in self.batch:
            error = failed.get((work.names.physical_network or "", work.names.bridge))
            if error is not None:
                self.batch.fail(work, error, "patch")
        self._tunnels()

    def _tunnels(self) -> None:
        """The tunnel ports that the networks of the batch need."""
        wanted: dict[tuple[str, str], list[Work]] = {}
        for work in self.batch:
            if work.names.network_type in OVERLAYS:
                key = work.names.bridge, work.names.network_type
                wanted.setdefault(key, []).append(work)
        for (bridge, type_), works in wanted.items():

            def step(_: Sequence[Work], bridge: str = bridge, type_: str = type_) -> None:
                own = self.bridges
                tunnels.ensure(own.ovsdb, own.overlay, bridge, type_, own.timeout)

            self.batch.together("tunnel", step, works)

    def _bridge(self, name: str, _works: Sequence[Work]) -> None:
        self.bridges.ensure(name)
        tenancy.claim(self.drivers.ovsdb, name, self._identity)

    # --- 2: flows, closed unless the port is open already ---

    def _flows(self, switches: dict[str, Switch]) -> None:
        for name, works in self.batch.bridges().items():
            switch = switches[name]

            def step(chosen: Sequence[Work], switch: Switch = switch) -> None:
                switch.apply(
                    {w.id: _port(w) for w in chosen},
                    reread=[w.id for w in chosen if w.item.wiring is not None],
                    whole=any(w.item.thorough for w in chosen),
                    proven=True,
                )

            for work in works:
                if _recalled(self.drivers, work):
                    # its flows were there before this attempt
                    continue
                before = {work.id: switch.get(work.id)}
                if _in_place(work):
                    back = partial(announce_back, self.drivers.openflow, name, _port(work))
                    work.item.undo.push("announcement", back)
                work.item.undo.push("flows", partial(switch.apply, before))
            # of a port that had the number before its unplug was cut short
            fresh = [w for w in works if w.item.wiring is None and not w.names.adopted]
            self.batch.together("flows", partial(forget_connections, self.drivers), fresh)
            self.batch.together("flows", step, works)
            alive = [w for w in works if w.id not in self.batch.failed]
            unlike = switch.prove([_port(w) for w in alive])
            for work in alive:
                if work.id in unlike:
                    self.batch.fail(work, unlike[work.id], "flows")

    def _announce(self, switches: dict[str, Switch]) -> None:
        """Have frames for a port that changes hands take the new way before its row, and with it
        the old way, is changed. The port's own frames must be on theirs by then, or the bridges
        would learn the old way anew."""
        for name, works in self.batch.bridges().items():
            moved = [
                w for w in works
                if _in_place(w) and w.names.patch and _port(w).is_open
                and not _recalled(self.drivers, w)
            ]  # fmt: skip
            if moved:
                switches[name].settle()
            for work in moved:
                row = self.drivers.ovsdb.port(work.names.patch)
                if row is not None and row.ofport:
                    announce(self.drivers.openflow, name, _port(work), row.ofport)


@dataclass(frozen=True)
class End:
    """What a plugin says of the other end of its ports.

    :param spec: the row as it shall be
    :param stale: whether the switch must remove the port before it is added again
    :param ends: what is known of what the rows stand on, where these do not bear our mark
    """

    spec: Callable[[Work], PortSpec]
    stale: Callable[[Work, PortRow], bool]
    ends: Callable[[Sequence[Work]], Ends]


class Rows:
    """The switch ports of one ``plug`` call.

    :param timeout: seconds for the switch to take a port
    :ivar got: the row of every port that got its number
    """

    def __init__(self, drivers: Drivers, batch: Batch, end: End, timeout: float) -> None:
        self.drivers = drivers
        self.batch = batch
        self.end = end
        self.timeout = timeout
        self.got: dict[str, PortRow] = {}

    def bring_home(self) -> None:
        """Ports of ours that another program moved to another bridge, or made of another type, are
        made anew where they belong, before their devices are looked at: the switch takes a device
        away with a port of the wrong type."""
        for work in self.batch:
            row = self.drivers.ovsdb.port(work.device)
            if row is None or self._at_home(work, row) or not self._owns(work, row):
                continue

            def step(chosen: Sequence[Work], bridge: str = row.bridge) -> None:
                ovsdb = self.drivers.ovsdb
                for one in chosen:
                    ovsdb.delete_ports(bridge, [one.device])
                    if not one.names.interface_type:
                        # waits until the switch has let go of it
                        ovsdb.ensure_ports(one.names.bridge, [self.end.spec(one)])

            self.batch.together("ovsdb", step, [work])

    @staticmethod
    def _at_home(work: Work, row: PortRow) -> bool:
        names = work.names
        return (row.bridge, kind(row.type)) == (names.bridge, kind(names.interface_type))

    def ensure(self) -> None:
        """One transaction for all; a second one before it for ports that must be made anew."""
        rows = {w.id: self.drivers.ovsdb.port(w.device) for w in self.batch.works}
        for work in self.batch:
            clash = self._clash(work, rows[work.id])
            if clash is not None:
                self.batch.fail(work, clash, "ovsdb")
            elif work.names.adopted and (row := rows[work.id]) is not None:
                work.item.undo.push("switch port", partial(self._give_back, row, work))
            elif rows[work.id] is None:
                remove = partial(remove_row, self.drivers.ovsdb, work.device, work.id)
                work.item.undo.push("switch port", remove)
        stale = [w for w in self.batch.works if (row := rows[w.id]) and self._stale(w, row)]
        self._delete_rows(stale)
        missing = [w for w in self.batch.works if w in stale or not self._as_wanted(w, rows[w.id])]
        for name, works in self.batch.bridges().items():

            def step(chosen: Sequence[Work], bridge: str = name) -> None:
                self.drivers.ovsdb.ensure_ports(bridge, [self.end.spec(w) for w in chosen])

            self.batch.together("ovsdb", step, [w for w in works if w in missing])

    def _foresee(self, switches: Mapping[str, Switch]) -> None:
        """Have the flows made of ports that are opened next, while the switch takes them."""
        for bridge, works in self.batch.bridges().items():
            coming = [w for w in works if w.item.interim]
            opened = (switch_port(w.item.attachment, w.names, opened=True) for w in coming)
            switches[bridge].foresee({port.id: port for port in opened})

    def _owns(self, work: Work, row: PortRow) -> bool:
        marked = marks.belongs(row, work.id)
        return marked or ownership.belongs(row, work, self.end.ends([work]))

    def _clash(self, work: Work, row: PortRow | None) -> NameClash | None:
        if row is None or marks.belongs(row, work.id):
            return None
        return ownership.clash(work, row, self.end.ends([work]))

    def _delete_rows(self, stale: Sequence[Work]) -> None:
        """A port that the switch took wrongly passes nothing until it is removed and added."""
        devices: dict[str, list[str]] = {}
        for work in stale:
            devices.setdefault(work.names.bridge, []).append(work.device)
        for bridge, names in devices.items():
            self.drivers.ovsdb.delete_ports(bridge, names)

    def _give_back(self, row: PortRow, work: Work) -> None:
        """Bring a port that was taken over back to what it was."""
        self.drivers.ovsdb.ensure_ports(row.bridge, [PortSpec(row.name, tag=row.tag)])
        before = {key: row.external_ids.get(key) for key in self.end.spec(work).external_ids}
        self.drivers.ovsdb.set_external_ids({row.name: before})

    def _stale(self, work: Work, row: PortRow) -> bool:
        return row.ofport != work.names.ofport or bool(row.error) or self.end.stale(work, row)

    def _as_wanted(self, work: Work, row: PortRow | None) -> bool:
        spec = self.end.spec(work)
        return row is not None and (
            (row.ofport_request, row.tag, kind(row.type))
            == (spec.ofport, spec.tag, kind(spec.type))
            and not (row.vlan_mode or row.trunks)
            and spec.external_ids.items() <= row.external_ids.items()
            and spec.options.items() <= row.options.items()
            and spec.mtu in (None, row.mtu_request)
        )

    def numbers(self, switches: Mapping[str, Switch]) -> None:
        """Every port must have got the number that its flows are for.

        :param switches: by bridge
        """
        self._foresee(switches)
        rows = self._wait(self.batch.works)
        for work in self.batch:
            row = rows.get(work.device)
            if row is None or row.ofport != work.names.ofport:
                error = self._wrong_number(work, row)
                if not work.names.adopted:
                    remove_row(self.drivers.ovsdb, work.device, work.id)
                self.batch.fail(work, error, "ofport")
            else:
                self.got[work.id] = row

    def _wait(self, works: Sequence[Work]) -> dict[str, PortRow]:
        """The rows that the switch has decided; those that it has not are left out."""
        ovsdb, names = self.drivers.ovsdb, [w.device for w in works]
        try:
            return ovsdb.wait_ports(names, self.timeout) if names else {}
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
        holder = next((r for r in others if r.ofport == wanted), None)
        return NameClash(
            facts={
                "kind": "OpenFlow port number", "name": wanted,
                "have": f"port {holder.name if holder else 'unknown'}", "got": row.ofport,
                **marks.ours(holder),
            }
        )  # fmt: skip


def _port(work: Work) -> SwitchPort:
    return switch_port(work.item.attachment, work.names, opened=work.item.open)


def _in_place(work: Work) -> bool:
    """Whether the very switch port of another program is taken over: both hands pass its frames
    meanwhile."""
    names = work.names
    return names.adopted and names.before is not None and names.hybrid is None


def _recalled(drivers: Drivers, work: Work) -> bool:
    """Whether a port is taken over that was ours before, so that nobody else passes frames to it:
    it bears our mark."""
    return work.names.adopted and marks.belongs(drivers.ovsdb.port(work.device), work.id)
