"""The plugin for tap devices on an Open vSwitch bridge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from oslo_config import cfg

from vifd import __version__, guest
from vifd.errors import VifError
from vifd.marked import Desired, Key, Marked
from vifd.model import Attachment, Report, Vif, Wiring
from vifd.ovs import wiring
from vifd.ovs.bridges import Bridges
from vifd.ovs.gates import set_gates
from vifd.ovs.naming import Naming
from vifd.ovs.needs import segment_needs, uplink_mtus
from vifd.ovs.recipe import recipe
from vifd.ovs.removal import unplug
from vifd.ovs.rows import bridges_of
from vifd.ovs.switch import Switch, switch_of
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
)
from vifd_ovs import adopting, observing, options, probing
from vifd_ovs.checking import Checking
from vifd_ovs.garbage import Garbage
from vifd_ovs.plugging import Plugging
from vifd_ovs.removal import remove_devices

VIF_TYPE = "ovs"

#: What a plugged port may change in its document without being unplugged.
IN_PLACE = (
    "role", "required", "fixed_ips", "subnets",
    "port.name", "port.allowed_address_pairs", "port.port_security_enabled",
    "port.admin_state_up", "port.binding_profile", "port.device_owner",
    "network.mtu", "network.name", "network.segment.id",
    "instance.name", "instance.project_id", "instance.vcpus",
    "instance.flavor_extra_specs", "instance.image_properties", *REPORTED,
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
        self._naming = Naming(host, self._bridges, self.settings.ofports, "tap")
        self._garbage = Garbage(host, self._bridges)
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

    def recipe(self) -> str:
        """The flows of a sample, and where the networks leave the host."""
        return recipe(sorted(self.settings.mappings.items()))

    def probe(self) -> Probe:
        self._mtus = uplink_mtus(self._bridges)
        return probing.probe(self.host.drivers, self.settings, self._bridges)

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """The segment's physical network, its bridge, and its MTU; the guest's queues."""
        yield from segment_needs(attachment, self._bridges, self._mtus)
        queues = guest.too_few_queues(attachment, self.settings.max_queues)
        yield Requirement("multiqueue", queues is None, queues)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """The device's name, a port number, the network's local VLAN id and a new generation.

        :raises VifError: a name or number cannot be had, or the MAC is in use on the network
        """
        multi_queue = guest.queues(attachment, self.settings.max_queues) > 1
        device, names = self._naming.choose(attachment, taken, multi_queue=multi_queue)
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
        taps = partial(remove_devices, self.host.drivers.links)
        done = unplug(self.host.drivers, self._switches_for(batch), batch, taps)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def observe(self) -> list[Observed]:
        """Switch ports and devices that bear our mark, on the integration bridge and on every
        bridge that the ledger names."""
        bridges = bridges_of(self.host, self.settings.bridge)
        return observing.observe(self.host.drivers, bridges, self.plugin_name, VIF_TYPE)

    def claim(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring | None:
        """A tap on the integration bridge whose port has the iface-id of this one."""
        found = adopting.claim(
            self.host.drivers, self._naming, self.settings.bridge, attachment, taken
        )
        return found and Wiring(self.plugin_name, VIF_TYPE, found[0], found[1].details())

    # --- single objects ---

    def inventory(self) -> list[Marked]:
        return self._garbage.inventory()

    def expected(self, entries: Mapping[str, Entry]) -> Desired:
        return self._garbage.expected(entries)

    def discard(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        return self._garbage.discard(objects)

    def restore(self, objects: Sequence[Marked]) -> dict[Key, VifError]:
        return self._garbage.restore(objects)

    def reconnected(self, bridge: str) -> None:
        """All flows in one bundle."""
        if bridge in self._switches:
            self._switches[bridge].sync()

    def _switches_for(self, batch: Sequence[Item]) -> dict[str, Switch]:
        """The objects of the bridges that the batch is on; kept as long as the plugin lives."""
        for item in batch:
            names = wiring.read_if(item.made)
            if names is not None and names.bridge not in self._switches:
                self._switches[names.bridge] = switch_of(self.host, names.bridge)
        return self._switches


__all__ = ["IN_PLACE", "VIF_TYPE", "OvsPlugin"]
