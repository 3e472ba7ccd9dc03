"""The plugin for tap devices on an Open vSwitch bridge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from oslo_config import cfg

from vifd import __version__
from vifd.errors import BridgeMissing, MtuTooLarge
from vifd.model import Attachment, Report, Vif, Wiring
from vifd.ovs import numbers, wiring
from vifd.ovs.bridges import Bridges, unmapped
from vifd.ovs.foreign import ForeignNumbers
from vifd.ovs.switch import Switch, switch_of
from vifd.ovs.wiring import OvsWiring
from vifd.plugin import (
    Advert,
    Entry,
    Host,
    Item,
    Observed,
    Outcomes,
    Probe,
    Requirement,
    VifPlugin,
)
from vifd_ovs import guest, observing, options, probing
from vifd_ovs.checking import Checking
from vifd_ovs.plugging import Plugging, set_gates
from vifd_ovs.removal import unplug

VIF_TYPE = "ovs"

#: What a plugged port may change in its document without being unplugged.
IN_PLACE = (
    "role", "required", "fixed_ips", "subnets",
    "port.name", "port.allowed_address_pairs", "port.port_security_enabled",
    "port.admin_state_up", "port.binding_profile", "port.device_owner",
    "network.mtu", "network.name", "network.segment.id",
    "instance.name", "instance.project_id", "instance.vcpus",
    "instance.flavor_extra_specs", "instance.image_properties",
)  # fmt: skip


class OvsPlugin(VifPlugin):
    """Taps on a bridge of Open vSwitch; see the package ``vifd.ovs`` for the flows."""

    plugin_name: ClassVar[str] = "ovs"
    plugin_version: ClassVar[str] = __version__

    def __init__(self, host: Host, conf: Any) -> None:
        super().__init__(host, conf)
        self.settings = options.settings(conf)
        self._bridges = Bridges(
            host.drivers.ovsdb,
            self.settings.bridge,
            self.settings.create_bridge,
            self.settings.datapath_type,
            self.settings.mappings,
            self.settings.port_timeout,
        )
        self._foreign = ForeignNumbers(host.drivers.ovsdb)
        self._switches: dict[str, Switch] = {}
        self._mtus: dict[str, tuple[str, int]] = {}

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    @classmethod
    def describe(cls) -> Advert:
        return Advert(
            vif_types=(VIF_TYPE,),
            vnic_types=("normal",),
            network_types=("local", "flat", "vlan"),
            features=frozenset(
                {"port_security", "allowed_address_pairs", "multiqueue", "mtu", "admin_state"}
            ),
            in_place=frozenset(IN_PLACE),
        )

    # --- before ---

    def probe(self) -> Probe:
        found = {p: self._bridges.uplink_mtu(p) for p in self.settings.mappings}
        self._mtus = {physnet: mtu for physnet, mtu in found.items() if mtu is not None}
        return probing.probe(self.host.drivers, self.settings, self._bridges)

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """The segment's physical network, its bridge, and its MTU."""
        physnet = attachment.network.segment.physical_network
        if attachment.network.segment.network_type not in ("flat", "vlan") or physnet is None:
            return
        bridge = self.settings.mappings.get(physnet)
        mapped = unmapped(physnet, self.settings.mappings)
        yield Requirement("physical_network", bridge is not None, mapped)
        if bridge is None:
            return
        missing = BridgeMissing(facts={"bridge": bridge, "physnet": physnet})
        there = self.host.drivers.ovsdb.bridge(bridge) is not None
        # without a database it cannot be known; the probe says that
        known = self.host.drivers.ovsdb.connected()
        yield Requirement("physical_bridge", there or not known, missing)
        device, limit = self._mtus.get(physnet, ("", 0))
        wanted = attachment.network.mtu
        facts = {"wanted": wanted, "have": limit, "bottleneck": device}
        yield Requirement("mtu", not limit or wanted <= limit, MtuTooLarge(facts=facts))

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """The device's name, a port number, the network's local VLAN id and a new generation.

        :raises VifError: a name or number cannot be had, or the MAC is in use on the network
        """
        bridge = self.settings.bridge
        held = numbers.survey(attachment, bridge, taken)
        foreign = self._foreign.of(bridge)
        held.foreign_tags |= foreign.tags
        network = attachment.network
        physnet = network.segment.physical_network
        carried = network.segment.network_type in ("flat", "vlan")
        names = OvsWiring(
            bridge=bridge,
            ofport=numbers.ofport(
                attachment.id, *self.settings.ofports, held.ofports | foreign.ofports
            ),
            tag=numbers.local_vlan(attachment, bridge, held),
            generation=numbers.generation(),
            network_id=network.id,
            network_type=network.segment.network_type,
            physical_network=physnet if carried else None,
            segmentation_id=network.segment.segmentation_id,
            patch=self._bridges.patch_name(physnet, bridge) if carried else "",
            multi_queue=guest.queues(attachment, self.settings.max_queues) > 1,
        )
        device = numbers.device("tap", attachment, held)
        return Wiring(self.plugin_name, VIF_TYPE, device, names.details())

    def vif(self, attachment: Attachment, wiring_: Wiring) -> Vif:
        """``ethernet``, not managed: the device is there before the guest and after it."""
        names = wiring.read(wiring_)
        queues = guest.queues(attachment, self.settings.max_queues) if names.multi_queue else 1
        return Vif(
            type="ethernet",
            device=wiring_.device,
            mac_address=attachment.mac,
            managed=False,
            model=guest.model(attachment),
            queues=queues,
            mtu=attachment.network.mtu,
            bridge=names.bridge,
        )

    # --- the work ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        plugging = Plugging(self.plugin_name, self.host, self.settings, self._bridges, batch)
        return plugging.run(self._switches_for(batch)).outcomes(self.plugin_name, VIF_TYPE)

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        done = set_gates(self._switches_for(batch), batch, opened=True)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        done = set_gates(self._switches_for(batch), batch, opened=False)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        switches = self._switches_for(batch)
        return Checking(self.plugin_name, self.host, self._bridges, switches, batch).run()

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        done = unplug(self.host.drivers, self._switches_for(batch), batch)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def observe(self) -> list[Observed]:
        """Switch ports and devices that bear our mark, on the integration bridge and on every
        bridge that the ledger names."""
        bridges = {self.settings.bridge}
        for entry in self.host.ledger().values():
            names = wiring.read_if(entry.wiring)
            if names is not None:
                bridges.add(names.bridge)
        return observing.observe(self.host.drivers, sorted(bridges), self.plugin_name, VIF_TYPE)

    def _switches_for(self, batch: Sequence[Item]) -> dict[str, Switch]:
        """The objects of the bridges that the batch is on; kept as long as the plugin lives."""
        for item in batch:
            names = wiring.read_if(item.made)
            if names is not None and names.bridge not in self._switches:
                self._switches[names.bridge] = switch_of(self.host, names.bridge)
        return self._switches


__all__ = ["IN_PLACE", "VIF_TYPE", "OvsPlugin"]
