"""The plugin for vhost-user ports on Open vSwitch with DPDK."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import msgspec
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
from vifd.ovs.rows import bridges_of, observe_rows
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
from vifd_vhostuser import options, sockets
from vifd_vhostuser.checking import Checking
from vifd_vhostuser.files import HostFiles
from vifd_vhostuser.garbage import Garbage
from vifd_vhostuser.needs import MODEL, guest_needs, unknown_guest
from vifd_vhostuser.options import CLIENT
from vifd_vhostuser.plugging import Plugging, remove_sockets
from vifd_vhostuser.probing import Probing

VIF_TYPE = "vhostuser"

#: What a plugged port may change in its document without being unplugged. Flavor and image decide
#: whether the port can work at all, and are not among it.
IN_PLACE = (
    "role", "required", "fixed_ips", "subnets",
    "port.name", "port.allowed_address_pairs", "port.port_security_enabled",
    "port.admin_state_up", "port.binding_profile", "port.device_owner",
    "network.mtu", "network.name", "network.segment.id",
    "instance.name", "instance.project_id", *REPORTED,
)  # fmt: skip


class VhostUserPlugin(VifPlugin):
    """vhost-user ports on a bridge of Open vSwitch; flows and VLANs are those of ``vifd.ovs``."""

    plugin_name: ClassVar[str] = "vhostuser"
    plugin_version: ClassVar[str] = __version__
    #: Where guest and host can have it, it is what the guest was made for.
    preference: ClassVar[int] = 50

    def __init__(self, host: Host, conf: Any) -> None:
        super().__init__(host, conf)
        self.settings = options.settings(conf)
        self.files = HostFiles()
        self._bridges = Bridges(
            host.drivers.ovsdb,
            self.settings.bridge,
            self.settings.create_bridge,
            "netdev",
            self.settings.mappings,
            self.settings.port_timeout,
        )
        self._naming = Naming(host, self._bridges, self.settings.ofports, sockets.PREFIX)
        self._garbage = Garbage(host, self._bridges, self.files)
        self._switches: dict[str, Switch] = {}
        self._mtus: dict[str, tuple[str, int]] = {}
        self._iommu = False

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
                {
                    "port_security",
                    "allowed_address_pairs",
                    "multiqueue",
                    "mtu",
                    "admin_state",
                    "packed_ring",
                }
            ),
            in_place=frozenset(IN_PLACE),
        )

    # --- before ---

    def recipe(self) -> str:
        """The flows of a sample, and where the networks leave the host."""
        return recipe(sorted(self.settings.mappings.items()))

    def probe(self) -> Probe:
        self._mtus = uplink_mtus(self._bridges)
        found = Probing(self.host.drivers, self.settings, self._bridges, self.files).run()
        config = found.facts.get("other_config") or {}
        self._iommu = config.get("vhost-iommu-support") == "true"
        return found

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """What the segment needs of the host, and the port of the guest."""
        yield from segment_needs(attachment, self._bridges, self._mtus)
        yield from guest_needs(
            attachment,
            max_queues=self.settings.max_queues,
            file_backed=self.settings.file_backed_memory,
            iommu=self._iommu,
        )
        asked = attachment.plugin == self.plugin_name or attachment.vif_type == VIF_TYPE
        yield from unknown_guest(attachment, asked=asked)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """The port's name, which is also its socket's, and its numbers.

        :raises VifError: a name or number cannot be had, or the MAC is in use on the network
        """
        multi_queue = guest.queues(attachment, self.settings.max_queues) > 1
        device, names = self._naming.choose(attachment, taken, multi_queue=multi_queue)
        return self._wiring(device, names)

    def _wiring(self, device: str, names: wiring.OvsWiring) -> Wiring:
        names = msgspec.structs.replace(
            names,
            interface_type=names.interface_type or self.settings.port_type,
            socket=names.socket or f"{self.settings.socket_dir}/{device}",
        )
        return Wiring(self.plugin_name, VIF_TYPE, device, names.details())

    def vif(self, attachment: Attachment, wiring_: Wiring) -> Vif:
        """``vhostuser``: the socket, and QEMU's part at it."""
        names = wiring.read(wiring_)
        queues = guest.queues(attachment, self.settings.max_queues) if names.multi_queue else 1
        return Vif(
            type=VIF_TYPE,
            device=wiring_.device,
            mac_address=attachment.mac,
            managed=False,
            model=MODEL,
            queues=queues,
            mtu=attachment.network.mtu,
            bridge=names.bridge,
            socket_path=names.socket,
            socket_mode="server" if names.interface_type == CLIENT else "client",
        )

    # --- the work ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        plugging = Plugging(
            self.plugin_name, self.host, self.settings, self._bridges, self.files, batch
        )
        return plugging.run(self._switches_for(batch)).outcomes(self.plugin_name, VIF_TYPE)

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        done = set_gates(self._switches_for(batch), batch, opened=True)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        done = set_gates(self._switches_for(batch), batch, opened=False)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        switches = self._switches_for(batch)
        checking = Checking(self.plugin_name, self.host, self._bridges, switches, batch)
        checking.files, checking.access = self.files, self.settings.access
        return checking.run()

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        rest = partial(remove_sockets, self.files)
        done = unplug(self.host.drivers, self._switches_for(batch), batch, rest)
        return done.outcomes(self.plugin_name, VIF_TYPE)

    def observe(self) -> list[Observed]:
        """Switch ports that bear our mark, on the integration bridge and on every bridge that the
        ledger names. A socket alone bears no mark, so none is taken for ours."""
        bridges = bridges_of(self.host, self.settings.bridge)
        found = observe_rows(self.host.drivers, bridges, self.plugin_name, VIF_TYPE)
        return [
            replace(entry, wiring=self._wiring(entry.wiring.device, wiring.read(entry.wiring)))
            for entry in found.values()
        ]

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


__all__ = ["IN_PLACE", "VIF_TYPE", "VhostUserPlugin"]
