"""The plugin for vhost-user ports on Open vSwitch with DPDK."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import msgspec
from oslo_config import cfg

from vifd import __version__
from vifd.model import Attachment, Report, Vif, Wiring
from vifd.plugin import (
    Advert,
    Host,
    Item,
    Observed,
    Outcomes,
    Probe,
    Requirement,
    Sharing,
    guest,
    trunks,
)
from vifd.plugin.meanings import Meanings
from vifd_ovs.bridge import releasing, subports, wiring
from vifd_ovs.bridge.advertised import ADVERT
from vifd_ovs.bridge.plugin import BridgePlugin
from vifd_ovs.bridge.removal import unplug
from vifd_ovs.bridge.rows import bridges_of, observe_rows
from vifd_vhostuser import options, sockets
from vifd_vhostuser.checking import Checking
from vifd_vhostuser.files import HostFiles
from vifd_vhostuser.garbage import Garbage
from vifd_vhostuser.meanings import MEANINGS
from vifd_vhostuser.needs import MODEL, guest_needs, unknown_guest
from vifd_vhostuser.options import CLIENT, Settings
from vifd_vhostuser.plugging import Plugging, ends, remove_sockets
from vifd_vhostuser.probing import Probing

VIF_TYPE = "vhostuser"


class VhostUserPlugin(BridgePlugin[Settings]):
    """vhost-user ports on a bridge of Open vSwitch.

    Flavor and image decide whether such a port can work at all: a change of them is held to what a
    new port needs. The guest's queues are agreed upon when it connects, so nothing is made anew.
    """

    plugin_name: ClassVar[str] = "vhostuser"
    plugin_version: ClassVar[str] = __version__
    vif_type: ClassVar[str] = VIF_TYPE
    prefix: ClassVar[str] = sockets.PREFIX
    #: Where guest and host can have it, it is what the guest was made for.
    preference: ClassVar[int] = 50
    shares: ClassVar[Sharing | None] = options.SHARING

    def __init__(self, host: Host, conf: Any) -> None:
        super().__init__(host, conf, options.settings(conf))
        self.files = HostFiles()
        self.objects = Garbage(host, self._bridges, self.files)
        self._iommu = False

    @classmethod
    def options(cls) -> Sequence[cfg.Opt]:
        return options.OPTIONS

    @classmethod
    def describe(cls) -> Advert:
        features = ADVERT.features | {"packed_ring"}
        return replace(ADVERT, vif_types=(VIF_TYPE,), features=features)

    @classmethod
    def meanings(cls) -> Meanings:
        return MEANINGS

    # --- before ---

    def probe(self) -> Probe:
        self._read_mtus()
        found = Probing(self.host.drivers, self.settings, self._bridges, self.files).run()
        config = found.facts.get("other_config") or {}
        self._iommu = config.get("vhost-iommu-support") == "true"
        return self._alone(self._with_tunnels(self._with_meters(self._with_tags(found))))

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """What the segment needs of the host, and the port of the guest."""
        yield from super().requires(attachment)
        yield from guest_needs(
            attachment,
            max_queues=self.settings.max_queues,
            file_backed=self.settings.file_backed_memory,
            iommu=self._iommu,
        )
        asked = attachment.plugin == self.plugin_name or attachment.vif_type == VIF_TYPE
        yield from unknown_guest(attachment, asked=asked)

    def _wiring(self, device: str, names: wiring.OvsWiring) -> Wiring:
        """The port's name is its socket's, too."""
        if names.sub_port:
            return super()._wiring(device, names)
        names = msgspec.structs.replace(
            names,
            interface_type=names.interface_type or self.settings.port_type,
            socket=names.socket or f"{self.settings.socket_dir}/{device}",
        )
        return super()._wiring(device, names)

    def vif(self, attachment: Attachment, wiring_: Wiring) -> Vif:
        """``vhostuser``: the socket, and QEMU's part at it."""
        names = wiring.read(wiring_)
        if names.sub_port:
            return trunks.vif(attachment, names.bridge)
        return Vif(
            type=VIF_TYPE,
            device=wiring_.device,
            mac_address=attachment.mac,
            managed=False,
            model=MODEL,
            queues=guest.queues(attachment, self.settings.max_queues),
            mtu=attachment.network.mtu,
            bridge=names.bridge,
            socket_path=names.socket,
            socket_mode="server" if names.interface_type == CLIENT else "client",
        )

    # --- the work ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        switches = self._answers_for(batch)
        subs, ours = subports.split(batch)
        plugging = Plugging(
            self.plugin_name, self.host, self.settings, self._bridges, self.files, ours
        )
        done = plugging.run(switches).outcomes(self.plugin_name, VIF_TYPE)
        return done | self._plug_subs(switches, subs)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        switches = self._switches_for(batch)
        subs, ours = subports.split(batch)
        checking = Checking(
            self.plugin_name, self.host, self._bridges, switches, self._strangers, ours
        )
        checking.files, checking.access = self.files, self.settings.access
        checking.answer_within = self._answering.patience
        return checking.run() | self._check_subs(switches, subs)

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        drivers, switches = self.host.drivers, self._answers_for(batch)
        rest, known = partial(remove_sockets, self.files), partial(ends, drivers.ovsdb)
        subs, ours = subports.split(batch)
        gone = self._unplug_subs(switches, subs)
        done = unplug(drivers, switches, ours, rest, known)
        return gone | done.outcomes(self.plugin_name, VIF_TYPE)

    def release_problem(self, item: Item) -> str:
        return releasing.hindrance(self.host, item.id, wiring.read(item.made))

    def release(self, batch: Sequence[Item]) -> Outcomes:
        """Row and socket stay, with the guest at it."""
        drivers, switches = self.host.drivers, self._answers_for(batch)
        subs, ours = subports.split(batch)
        gone = self._unplug_subs(switches, subs)
        done = releasing.release(drivers, switches, ours, lambda _works: None)
        return gone | done.outcomes(self.plugin_name, VIF_TYPE)

    def observe(self) -> list[Observed]:
        """Switch ports that bear our mark, on the integration bridge and on every bridge that the
        ledger names. A socket alone bears no mark, so none is taken for ours."""
        self._sole()
        bridges = bridges_of(self.host, self.settings.bridge)
        found = observe_rows(self.host.drivers, bridges, self.plugin_name, VIF_TYPE)
        return [
            replace(entry, wiring=self._wiring(entry.wiring.device, wiring.read(entry.wiring)))
            for entry in found.values()
        ]


__all__ = ["VIF_TYPE", "VhostUserPlugin"]
