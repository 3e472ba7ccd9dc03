"""What plugins whose ports are on a bridge of Open vSwitch do alike.

The bridge's side of a port is the same for all of them: its numbers, flows and VLANs. A plugin adds
what is at the port's other end: a tap, a socket.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from vifd.errors import StateConflict, VifError
from vifd.model import Attachment, Evidence, Report, Wiring
from vifd.model.counted import Counted
from vifd.model.trunks import claims, is_sub_port
from vifd.openflow.monitor import Update
from vifd.plugin import (
    Entry,
    Health,
    Host,
    Item,
    Outcomes,
    Probe,
    Recalled,
    Requirement,
    SetChange,
    VifPlugin,
    guest,
)
from vifd.plugin.marked import Desired, Key, Marked
from vifd.policy.logged import FEATURE
from vifd.policy.owntags import BENEATH
from vifd_ovs.bridge import counting, owntags, shaping, subports, tables, tenancy, tunnels, wiring
from vifd_ovs.bridge.announcing import announce_opened
from vifd_ovs.bridge.batch import Batch
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.fingerprints import datapath_fingerprint
from vifd_ovs.bridge.gates import set_gates
from vifd_ovs.bridge.listening import Listening
from vifd_ovs.bridge.loghearing import LogHearing
from vifd_ovs.bridge.naming import Naming
from vifd_ovs.bridge.needs import meter_needs, meterless, segment_needs, uplink_mtus
from vifd_ovs.bridge.overlay import Overlay
from vifd_ovs.bridge.ports import switch_port
from vifd_ovs.bridge.recalling import recall
from vifd_ovs.bridge.silence import Answering
from vifd_ovs.bridge.strangers import Strangers
from vifd_ovs.bridge.switch import Switch, switch_of


@dataclass(frozen=True)
class BridgeSettings:
    """The options of a plugin on a bridge, read once.

    :param datapath_type: of the integration bridge, if it is made here
    :param mappings: physical network to physical bridge
    :param secure: an integration bridge that others made drops what no flow takes
    :param ofports: first and last OpenFlow port number
    :param port_timeout: seconds for the switch to take a port
    """

    bridge: str
    create_bridge: bool
    datapath_type: str
    mappings: dict[str, str]
    ofports: tuple[int, int]
    max_queues: int
    port_timeout: float
    overlay: Overlay
    secure: bool = field(default=False, kw_only=True)


S = TypeVar("S", bound=BridgeSettings)


class Objects(Protocol):
    """The optional verbs about single objects; see :class:`vifd.plugin.VifPlugin`."""

    def inventory(self) -> list[Marked]: ...

    def expected(self, entries: Mapping[str, Entry]) -> Desired: ...

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]: ...

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]: ...


class BridgePlugin(VifPlugin, Generic[S]):
    """Base class of plugins on a bridge.

    :cvar vif_type: the VIF type of its ports
    :cvar prefix: of its ports' names
    :ivar objects: set by the plugin
    """

    vif_type: ClassVar[str]
    prefix: ClassVar[str] = "tap"
    listens: ClassVar[bool] = True
    objects: Objects

    def __init__(self, host: Host, conf: Any, settings: S) -> None:
        super().__init__(host, conf)
        self.settings = settings
        self._bridges = Bridges(
            host.drivers.ovsdb,
            settings.bridge,
            settings.create_bridge,
            settings.datapath_type,
            settings.mappings,
            settings.port_timeout,
            settings.overlay,
            secure=settings.secure,
        )
        self._naming = Naming(host, self._bridges, settings.ofports, self.prefix)
        self._switches: dict[str, Switch] = {}
        self._answering = Answering(host.drivers)
        self._strangers = Strangers(host.drivers.openflow)
        self._listening = Listening(host, self.plugin_name)
        self._listening.start()
        self._log_hearing = LogHearing(host, self.plugin_name, self._switch)
        self._log_hearing.start()
        self._mtus: dict[str, tuple[str, int]] = {}
        self._underlays: dict[int, tunnels.Underlay] = {}
        #: why there are no meters; empty where there are, and where it is not known
        self._unmetered = ""

    # --- before ---

    def fingerprint(self) -> str:
        """The flows of a sample, and where the networks leave the host."""
        overlay = [self.settings.overlay] if self.settings.overlay.local else []
        return datapath_fingerprint(sorted(self.settings.mappings.items()), *overlay)

    def _alone(self, found: Probe) -> Probe:
        """Part of ``probe``: whether another daemon is at work on the bridge."""
        return tenancy.alone(
            found, self.host.drivers.ovsdb, self.settings.bridge, self.host.identity
        )

    def _with_meters(self, found: Probe) -> Probe:
        """Part of ``probe``: whether the switch has meters, which limits want."""
        lacking = meterless(self.host.drivers, self.settings.bridge)
        self._unmetered = lacking
        limits = (*shaping.NAMES.values(), FEATURE)
        unenforced = {**found.unenforced, **dict.fromkeys(limits, lacking)}
        return replace(found, unenforced=unenforced) if lacking else found

    def _with_tags(self, found: Probe) -> Probe:
        """Part of ``probe``: how many VLAN tags the switch looks at."""
        lacking = owntags.shallow(self.host.drivers, self.settings.bridge)
        unenforced = {**found.unenforced, BENEATH: lacking}
        return replace(found, unenforced=unenforced) if lacking else found

    def _read_mtus(self) -> None:
        """Part of ``probe``: what the physical bridges carry."""
        self._mtus = uplink_mtus(self._bridges)
        self._underlays = tunnels.underlays(self.host.drivers, self.settings.overlay)

    def _with_tunnels(self, found: Probe) -> Probe:
        """Part of ``probe``: the tunnels, and what they lack."""
        reached = tunnels.reached(self.settings.overlay, self._underlays)
        types = self.host.drivers.ovsdb.facts().get("iface_types") or ()
        lacking = list(tunnels.lacking(reached, types))
        well = found.health is not Health.READY or not lacking
        health = found.health if well else Health.DEGRADED
        return replace(found, health=health, reasons=[*found.reasons, *lacking], tunnels=reached)

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """The segment's physical network or tunnel, its bridge, and its MTU."""
        yield from segment_needs(attachment, self._bridges, self._mtus)
        yield from tunnels.needs(attachment, self.settings.overlay, self._underlays)
        yield from meter_needs(attachment, self._unmetered, self.plugin_name)
        if is_sub_port(attachment) or attachment.port.trunk_details is not None:
            ledger, bridge = self.host.ledger(), self.settings.bridge
            yield from subports.needs(attachment, ledger, self.plugin_name, bridge)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """The port's name, a port number, the network's local VLAN id and a new generation.

        :raises VifError: a name or number cannot be had, or the MAC is in use on the network
        """
        multi_queue = guest.queues(attachment, self.settings.max_queues) > 1
        device, names = self._naming.choose(attachment, taken, multi_queue=multi_queue)
        if is_sub_port(attachment):
            name = f"{subports.PREFIX}{device.removeprefix(self.prefix)}"
            return Wiring(self.plugin_name, self.vif_type, name, subports.named(names).details())
        return self._wiring(device, names)

    def obstacles(self, attachment: Attachment, wiring_: Wiring) -> Iterable[VifError]:
        """A port has a device, or passes over another one's: that does not change in place."""
        if is_sub_port(attachment) != wiring.read(wiring_).sub_port:
            facts = {"fields": ["port.device_owner"], "have": wiring_.device}
            yield StateConflict(facts=facts, port=attachment.id)

    def recall(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Recalled | None:
        """From its row, whose marks name the port and this plugin, and from its flows."""
        several = guest.queues(attachment, self.settings.max_queues) > 1
        found = recall(
            self.host.drivers, self._naming, self.plugin_name, attachment, taken,
            multi_queue=several,
        )  # fmt: skip
        if found is None:
            return None
        return Recalled(self._wiring(found.device, found.names), found.open)

    def _wiring(self, device: str, names: wiring.OvsWiring) -> Wiring:
        return Wiring(self.plugin_name, self.vif_type, device, names.details())

    # --- the work ---

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        done = set_gates(self._answers_for(batch), batch, opened=True)
        return done.outcomes(self.plugin_name, self.vif_type)

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        done = set_gates(self._answers_for(batch), batch, opened=False)
        return done.outcomes(self.plugin_name, self.vif_type)

    def announce(self, batch: Sequence[Item]) -> None:
        """Through the flows of each port, one port after the other; a parent's sub-ports, which are
        opened with it, after it."""
        for work in Batch.of(batch):
            attachment = work.item.attachment
            self._speak(attachment, work.names)
            for one in subports.carried(attachment, self.host.ledger()):
                self._speak(one.attachment, wiring.read(one.wiring))

    def _speak(self, attachment: Attachment, names: wiring.OvsWiring) -> None:
        port = switch_port(attachment, names, opened=True)
        port = self._switch(names.bridge).effective({port.id: port})[port.id]
        if port.is_open:
            others = (entry.attachment for entry in self.host.ledger().values())
            own, openflow = self._listening.take(port.id), self.host.drivers.openflow
            announce_opened(openflow, names.bridge, port, attachment, others, own)

    def _plug_subs(self, switches: dict[str, Switch], subs: Sequence[Item]) -> Outcomes:
        """Part of ``plug``: sub-ports of trunks, after the parents that are in the batch."""
        if not subs:
            return {}
        plugging = subports.SubPlugging(self.host, self._bridges, subs, self.settings.ofports)
        return plugging.run(switches).outcomes(self.plugin_name, self.vif_type)

    def _check_subs(self, switches: dict[str, Switch], subs: Sequence[Item]) -> dict[str, Report]:
        """Part of ``check``."""
        if not subs:
            return {}
        checking = subports.SubChecking(
            self.plugin_name, self.host, self._bridges, switches, self._strangers, subs
        )
        checking.answer_within = self._answering.patience
        return checking.run()

    def _unplug_subs(self, switches: dict[str, Switch], subs: Sequence[Item]) -> Outcomes:
        """Part of ``unplug`` and ``release``: a sub-port is its flows."""
        if not subs:
            return {}
        done = subports.unplug(self.host.drivers, switches, subs)
        return done.outcomes(self.plugin_name, self.vif_type)

    def reconnected(self, bridge: str) -> None:
        """All flows in one bundle."""
        if bridge in self._switches:
            self._switches[bridge].sync()

    def refresh(self, changes: Sequence[SetChange]) -> Collection[str]:
        """The rules of security groups and who is behind tunnels, by the difference, in one bundle
        for each bridge that ports of this plugin are on."""
        concerned: set[str] = set()
        for bridge in self._bridges_with_ports():
            concerned |= self._switch(bridge).refresh(changes)
        entries = self.host.ledger()
        own = (i for i in concerned if i in entries)
        return {i for i in own if entries[i].wiring.plugin == self.plugin_name}

    def _bridges_with_ports(self) -> set[str]:
        """The bridges that ports of this plugin are on; known once it served any."""
        if self._switches:
            return {*self._switches}
        entries = self.host.ledger().values()
        mine = (wiring.read_if(e.wiring) for e in entries if e.wiring.plugin == self.plugin_name)
        return {names.bridge for names in mine if names is not None and names.plugged}

    def pulse(self, timeout: float) -> list[Evidence]:
        """Whether the switch's database and the switch itself answer."""
        return self._answering.pulse(timeout)

    def counters(self, batch: Sequence[Item]) -> dict[str, Counted]:
        """By the ports' own counters and those of the flows that refuse."""
        found: dict[str, Counted] = {}
        for bridge, works in Batch.of(batch).bridges().items():
            ports = [switch_port(w.item.attachment, w.names, opened=w.item.open) for w in works]
            found |= counting.read(self.host.drivers, bridge, ports)
        return found

    def unlogged(self, ports: Collection[str]) -> dict[str, int]:
        """By the meters of the ports."""
        return self._log_hearing.unlogged(ports)

    def leans_on(self, wiring_: Wiring) -> Iterable[str]:
        """Its bridge, the way to its physical network and what that leaves the host by."""
        names = wiring.read_if(wiring_)
        if names is None:
            return []
        return [*self._parents(wiring_, names), names.bridge, *self._bridges.way_out(names)]

    def _parents(self, wiring_: Wiring, names: wiring.OvsWiring) -> Iterable[str]:
        """The devices that the frames of a sub-port pass over."""
        if not names.sub_port:
            return
        entries = self.host.ledger()
        mine = {i for i, e in entries.items() if e.wiring.device == wiring_.device}
        for port_id, claim in claims({i: e.attachment for i, e in entries.items()}):
            if port_id in mine and (parent := entries.get(claim.parent)) is not None:
                yield parent.wiring.device

    def concerned_by(self, update: Update) -> bool:
        return tables.concerns(update.table, update.priority)

    def _switches_for(self, batch: Sequence[Item]) -> dict[str, Switch]:
        """The objects of the bridges that the batch is on; kept as long as the plugin lives."""
        for item in batch:
            names = wiring.read_if(item.made)
            if names is not None:
                self._switch(names.bridge)
        return self._switches

    def _answers_for(self, batch: Sequence[Item]) -> dict[str, Switch]:
        """The same, for work that the switch has to answer.

        :raises BackendUnavailable: it is known to hang, and gives no answer now
        """
        self._answering.require()
        return self._switches_for(batch)

    def _switch(self, bridge: str) -> Switch:
        if bridge not in self._switches:
            self._switches[bridge] = switch_of(self.host, bridge)
        return self._switches[bridge]

    # --- single objects ---

    def _sole(self) -> None:
        """What bears the mark of vifd is this daemon's only if no other one is at work there.

        :raises VifError: one is
        """
        tenancy.require(self.host.drivers.ovsdb, self.settings.bridge, self.host.identity)

    def inventory(self) -> list[Marked]:
        self._sole()
        return self.objects.inventory()

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        return self.objects.expected(entries)

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        self._sole()
        return self.objects.discard(objects)

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        return self.objects.restore(objects)
