"""A classic os-vif plugin under the contract.

The lane is its lock: its two verbs are never called twice at a time, and the lane's deadline is
theirs. A plug of os-vif is no transaction, so its way back is registered before it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from vifd.errors import UnplugPartial, VifError
from vifd.model import Attachment, Evidence, Report, Vif, Wiring
from vifd.plugin import (
    REPORTED,
    Advert,
    Entry,
    Health,
    Item,
    Observed,
    Outcomes,
    Probe,
    Requirement,
    VifPlugin,
    guest,
)
from vifd.plugin.meanings import Meanings
from vifd.plugin.osvif import naming, objects, observing, privileges, trouble
from vifd.plugin.osvif.loading import Hosted
from vifd.plugin.osvif.meanings import MEANINGS
from vifd.plugin.osvif.naming import Names
from vifd.plugin.osvif.options import Settings

#: libvirt's interface type for each class of os-vif.
_LIBVIRT = {
    "VIFOpenVSwitch": "ethernet", "VIFGeneric": "ethernet", "VIFBridge": "bridge",
    "VIFVHostUser": "vhostuser", "VIFHostDevice": "hostdev", "VIFDirect": "direct",
}  # fmt: skip

#: What a second plug brings along, or nobody but the daemon looks at.
IN_PLACE = (
    "role", "required", "fixed_ips", "subnets", "network.mtu",
    "port.name", "port.allowed_address_pairs", "port.port_security_enabled",
    "port.admin_state_up", "port.device_owner",
    "instance.vcpus", "instance.flavor_extra_specs", "instance.image_properties", *REPORTED,
)  # fmt: skip

#: Seconds for what was removed to be seen as gone.
_GONE = 2.0


class OsVifPlugin(VifPlugin):
    """Base of the classes that :func:`hosting` makes.

    :cvar hosted: the classic plugin
    :cvar settings: ``[osvif]``
    """

    hosted: ClassVar[Hosted]
    settings: ClassVar[Settings]

    @classmethod
    def describe(cls) -> Advert:
        return Advert(
            vif_types=tuple(cls.hosted.description.vif_types),
            vnic_types=("normal", "direct", "macvtap", "virtio-forwarder"),
            network_types=("local", "flat", "vlan", "vxlan", "gre", "geneve"),
            in_place=frozenset(IN_PLACE),
            on_request=True,
            profiles={
                kind: cls.hosted.description.profiles.get(name, ())
                for kind, name in cls.hosted.description.vif_types.items()
            },
            installed=cls.hosted.description.versions,
        )

    @classmethod
    def meanings(cls) -> Meanings:
        return MEANINGS

    def probe(self) -> Probe:
        """It was loaded; a classic plugin cannot be asked for more."""
        facts = {"os_vif_plugin": self.hosted.name, **self.hosted.description.facts()}
        ovsdb = self.host.drivers.ovsdb
        if self.hosted.name == observing.SWITCH and not ovsdb.connected():
            reason = "the Open vSwitch database cannot be reached"
            return Probe(Health.UNAVAILABLE, [reason], facts)
        return Probe(Health.READY, [], facts)

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """What its VIF type needs in the binding profile."""
        error: VifError | None = None
        try:
            self._names(attachment)
        except VifError as problem:
            error = problem
        yield Requirement("binding_profile", error is None, error)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        names = self._names(attachment)
        vif_type = naming.vif_type_of(attachment, self.hosted.description)
        return names.wiring(self.plugin_name, vif_type)

    def _names(self, attachment: Attachment) -> Names:
        wanted = str(attachment.port.binding_profile.get("bridge_name") or self.settings.bridge)
        bridge = self.host.drivers.ovsdb.bridge(wanted)
        datapath_type = (bridge and bridge.datapath_type) or self.settings.datapath_type
        return naming.choose(attachment, self.hosted.description, self.settings, datapath_type)

    def vif(self, attachment: Attachment, wiring: Wiring) -> Vif:
        names = naming.read(wiring)
        queues = guest.queues(attachment, self.settings.max_queues) if names.multiqueue else 1
        return Vif(
            type=_LIBVIRT[names.object],
            device=names.device,
            mac_address=attachment.mac,
            model=guest.model(attachment),
            queues=queues,
            mtu=attachment.network.mtu,
            bridge=names.own_bridge or names.bridge,
            socket_path=names.socket,
            socket_mode=names.socket_mode,
        )

    # --- the verbs ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        return self._each(batch, self._plug)

    def _plug(self, item: Item) -> Wiring:
        names = naming.read(item.made)
        if item.wiring is None:
            item.undo.push("os-vif plug", partial(self._call, "unplug", item.attachment, names))
        self._call("plug", item.attachment, names)
        seen = bool(names.device and self.host.drivers.links.get([names.device]))
        return replace(names, seen=seen).wiring(self.plugin_name, item.names.vif_type)

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        """Traffic is the back end's business: os-vif has no verb for it."""
        return self._each(batch, _accepted)

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        """See :meth:`activate`."""
        return self._each(batch, _accepted)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        devices = [i.made.device for i in batch if i.made.device]
        links = self.host.drivers.links.get(devices)
        now = self.host.clock()
        reports = {}
        for item in batch:
            try:
                names = naming.read(item.made)
                row = self.host.drivers.ovsdb.port(names.port) if self._in_switch(names) else None
                facts = list(
                    observing.evidence(
                        self.hosted.name, item.attachment, names, links.get(names.device), row
                    )
                )
            except VifError as error:
                facts = [Evidence("readable", error.message, wanted="yes", ok=False)]
            reports[item.id] = Report(facts, at=now)
        return reports

    def _in_switch(self, names: Names) -> bool:
        return observing.has_row(self.hosted.name, names)

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        return self._each(batch, self._unplug)

    def _unplug(self, item: Item) -> Wiring:
        names = naming.read(item.made)
        self._call("unplug", item.attachment, names)
        if self._in_switch(names):
            self._expect_gone(names)
        return item.made

    def _expect_gone(self, names: Names) -> None:
        """os-vif's own plugin does not tell when the switch refused: look."""
        pause = threading.Event()
        deadline = time.monotonic() + _GONE
        while left := self._left(names):
            if time.monotonic() > deadline:
                raise UnplugPartial(facts={"problem": f"{', '.join(left)} is still there"})
            pause.wait(0.01)

    def _left(self, names: Names) -> list[str]:
        drivers = self.host.drivers
        made = [names.device] if observing.has_device(self.hosted.name, names) else []
        left = [f"device {name}" for name in drivers.links.get(made)]
        row = drivers.ovsdb.port(names.port)
        return left + ([f"port {row.name} of bridge {row.bridge}"] if row else [])

    def observe(self) -> list[Observed]:
        """Nothing: what a classic plugin makes bears no mark."""
        return []

    # --- inside ---

    def _call(self, verb: str, attachment: Attachment, names: Names) -> None:
        """Call the classic plugin; whatever it raises comes out as an error with a code."""
        hosted = self.hosted
        try:
            privileges.take()
            vif = objects.vif(hosted.name, attachment, names)
            getattr(hosted.plugin, verb)(vif, objects.instance(attachment))
        except (Exception, SystemExit) as error:
            raise trouble.known(error, hosted.name, verb, names.device) from error

    def _each(self, batch: Sequence[Item], work: Callable[[Item], Wiring]) -> Outcomes:
        outcomes: Outcomes = {}
        for item in batch:
            try:
                outcomes[item.id] = work(item)
            except VifError as error:
                outcomes[item.id] = error.at(port=item.id)
        return outcomes


def _accepted(item: Item) -> Wiring:
    naming.read(item.made)
    return item.made


def hosting(hosted: Hosted, settings: Settings) -> type[OsVifPlugin]:
    """The class under which a classic plugin is admitted."""
    members = {
        "__doc__": f"The os-vif plugin {hosted.name}, hosted.",
        "plugin_name": f"osvif-{hosted.name}",
        "plugin_version": hosted.version,
        "hosted": hosted,
        "settings": settings,
    }
    return type(f"OsVif_{hosted.name}", (OsVifPlugin,), members)
