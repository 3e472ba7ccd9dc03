"""The plugin for hosts whose integration bridge belongs to ovn-controller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from vifd import __version__
from vifd.errors import DuplicateAddress, NameClash, VifError
from vifd.model import Attachment, Evidence, Report, Vif, Wiring
from vifd.plugin import (
    REPORTED,
    Advert,
    Entry,
    Host,
    Item,
    Observed,
    Outcomes,
    Probe,
    Requirement,
    VifPlugin,
    guest,
    tapverbs,
)
from vifd.plugin.marked import Desired, Key, Marked
from vifd.plugin.meanings import Meanings
from vifd_ovn import adopting, garbage, mappings, observing, options, removal
from vifd_ovn.checking import Checking
from vifd_ovn.gates import set_gates
from vifd_ovn.marks import opened
from vifd_ovn.meanings import MEANINGS
from vifd_ovn.patience import Patience
from vifd_ovn.plugging import Plugging
from vifd_ovn.probing import probe
from vifd_ovn.wiring import OvnWiring
from vifd_ovs.bridge import numbers, tenancy
from vifd_ovs.bridge.chassis import BRIDGE, Chassis, chassis_of
from vifd_ovs.bridge.silence import Answering

VIF_TYPE = "ovs"
#: Characters of the port's id in the name of its device, as nova has it.
ID_CHARACTERS = 11

#: Everything that OVN takes from its own databases may change at any time.
CHANGEABLE = (
    "role", "required", "fixed_ips", "subnets", "port.name", "port.allowed_address_pairs",
    "port.port_security_enabled", "port.admin_state_up", "port.binding_profile",
    "port.device_owner", "network.mtu", "network.name", "network.segment", "instance.name",
    "instance.project_id", "instance.vcpus", "instance.flavor_extra_specs",
    "instance.image_properties", *REPORTED,
)  # fmt: skip


class OvnPlugin(VifPlugin):
    """Taps and switch ports on OVN's bridge; flows, addresses and security groups are OVN's."""

    plugin_name: ClassVar[str] = "ovn"
    plugin_version: ClassVar[str] = __version__
    # where neither can serve a port, the plain switch's reason is told first
    preference: ClassVar[int] = 110

    def __init__(self, host: Host, conf: Any) -> None:
        super().__init__(host, conf)
        self.settings = options.settings(conf)
        self._answering = Answering(host.drivers)
        self._patience = Patience(self.settings.installed_timeout)

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    @classmethod
    def describe(cls) -> Advert:
        return Advert(
            vif_types=(VIF_TYPE,),
            vnic_types=("normal",),
            network_types=("geneve", "vxlan", "vlan", "flat", "local"),
            features=frozenset({"multiqueue", "mtu"}),
            in_place=frozenset(CHANGEABLE),
            compute_suffices=True,
        )

    @classmethod
    def meanings(cls) -> Meanings:
        return MEANINGS

    # --- before ---

    def probe(self) -> Probe:
        found, chassis = probe(self.host.drivers, self.settings), self._chassis()
        if chassis is None:
            return found
        return tenancy.alone(found, self.host.drivers.ovsdb, chassis.bridge, self.host.identity)

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """A mapping of the segment's physical network; the guest's queues."""
        chassis, segment = self._chassis(), attachment.network.segment
        physnet = segment.physical_network
        if chassis is not None and physnet and segment.network_type in ("vlan", "flat"):
            error = mappings.unmapped(physnet, chassis)
            yield Requirement("physical_network", physnet in chassis.mappings, error)
            refused = mappings.refusal(chassis, physnet)
            yield Requirement("mapping", refused is None, refused)
        kind = segment.network_type
        if chassis is not None and chassis.encap_ip and kind in ("geneve", "vxlan"):
            without = mappings.untunnelled(kind, chassis, self.plugin_name)
            yield Requirement("tunnel", kind in chassis.encap_types, without)
        yield tapverbs.queues_needed(attachment, self.settings.max_queues)

    def obstacles(self, attachment: Attachment, wiring: Wiring) -> Iterable[VifError]:
        made, links = OvnWiring.read(wiring).multi_queue, self.host.drivers.links
        return tapverbs.obstacles(links, attachment, wiring, self.settings.max_queues, made=made)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """The device's name, and OVN's bridge.

        :raises NameClash: a port whose id begins alike has the name
        :raises DuplicateAddress: another port of the network has the MAC address
        """
        device = f"tap{attachment.id[:ID_CHARACTERS]}"
        for port_id, entry in taken.items():
            if port_id != attachment.id:
                _not_taken(attachment, device, port_id, entry)
        chassis = self._chassis()
        multi_queue = guest.queues(attachment, self.settings.max_queues) > 1
        names = OvnWiring(
            bridge=chassis.bridge if chassis else BRIDGE,
            generation=numbers.generation(),
            multi_queue=multi_queue,
        )
        return self._wiring(device, names)

    def vif(self, attachment: Attachment, wiring: Wiring) -> Vif:
        names, limit = OvnWiring.read(wiring), self.settings.max_queues
        made, bridge = names.multi_queue, names.bridge
        return tapverbs.vif(attachment, wiring, limit, made=made, bridge=bridge)

    # --- the work ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        self._answering.require()
        done = Plugging(self.plugin_name, self.host, self.settings, batch).run()
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        """Tell OVN which logical port it is; ovn-controller has its time from now on."""
        for item in batch:
            if not opened(self.host.drivers.ovsdb.port(item.made.device), item.id):
                self._patience.forget(item.id)
        done = set_gates(self.host.drivers.ovsdb, batch, opened=True)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        done = set_gates(self.host.drivers.ovsdb, batch, opened=False)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        checking = Checking(self.plugin_name, self.host, self.settings, batch, self._patience)
        checking.answer_within = self._answering.patience
        return checking.run()

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        for item in batch:
            self._patience.forget(item.id)
        done = removal.unplug(self.host.drivers, batch)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def observe(self) -> list[Observed]:
        self._sole()
        return observing.observe(self.host.drivers, self.plugin_name, VIF_TYPE)

    def leans_on(self, wiring: Wiring) -> Iterable[str]:
        """OVN's bridge."""
        return [OvnWiring.read(wiring).bridge]

    def pulse(self, timeout: float) -> list[Evidence]:
        """Whether the switch's database and the switch itself answer."""
        return self._answering.pulse(timeout)

    # --- adoption ---

    def claim(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring | None:
        """A tap on OVN's bridge whose row names this logical port."""
        chassis = self._chassis()
        if chassis is None:
            return None
        found = adopting.claim(self.host.drivers, chassis.bridge, attachment, taken)
        return found and self._wiring(*found)

    def release_problem(self, item: Item) -> str:
        """The row goes on naming the logical port, and OVN goes on wiring it."""
        del item
        return ""

    def release(self, batch: Sequence[Item]) -> Outcomes:
        done = removal.release(self.host.drivers, batch)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    # --- single objects ---

    def inventory(self) -> list[Marked]:
        self._sole()
        return garbage.inventory(self.host.drivers, self.plugin_name)

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        return garbage.expected(self.plugin_name, entries)

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        self._sole()
        return garbage.discard(self.host.drivers, objects)

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        return garbage.restore(self.host.drivers, objects)

    # --- inside ---

    def _sole(self) -> None:
        """What bears the mark of vifd is this daemon's only if no other one is at work there.

        :raises VifError: one is
        """
        if (chassis := self._chassis()) is not None:
            tenancy.require(self.host.drivers.ovsdb, chassis.bridge, self.host.identity)

    def _chassis(self) -> Chassis | None:
        return chassis_of(self.host.drivers.ovsdb.facts())

    def _wiring(self, device: str, names: OvnWiring) -> Wiring:
        return Wiring(self.plugin_name, VIF_TYPE, device, names.details())


def _not_taken(attachment: Attachment, device: str, port_id: str, entry: Entry) -> None:
    if entry.wiring.device == device:
        facts = {"kind": "device name", "name": device, "have": f"the device of port {port_id}"}
        raise NameClash(facts=facts, port=attachment.id, stage="name")
    other = entry.attachment
    same = (other.network.id, other.mac) == (attachment.network.id, attachment.mac)
    if same:
        facts = {"kind": "MAC", "address": attachment.mac, "other": port_id}
        raise DuplicateAddress(facts=facts, port=attachment.id, stage="name")


__all__ = ["CHANGEABLE", "VIF_TYPE", "OvnPlugin"]
