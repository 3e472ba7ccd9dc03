"""``noop``: ports that another party plugs.

It makes and removes nothing, and cannot open or close traffic; who plugs the VIF must. It proves
what the binding profile lets it observe: a named device exists, is up and, for a tap, has the
port's MAC address; a named vhost-user socket is there. Documents ask for it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from vifd import __version__
from vifd.errors import NameClash, VifError
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
)
from vifd_noop import naming, observing

VIF_TYPES = ("noop", "tap", "vhostuser")

#: All but what decides where to look.
IN_PLACE = (
    "role", "required", "fixed_ips", "subnets",
    "port.name", "port.allowed_address_pairs", "port.port_security_enabled",
    "port.admin_state_up", "port.device_owner",
    "network.mtu", "network.name", "network.segment",
    "instance.name", "instance.project_id", "instance.vcpus",
    "instance.flavor_extra_specs", "instance.image_properties", *REPORTED,
)  # fmt: skip


class NoopPlugin(VifPlugin):
    """Serves what somebody else plugs."""

    plugin_name: ClassVar[str] = "noop"
    plugin_version: ClassVar[str] = __version__

    @classmethod
    def describe(cls) -> Advert:
        return Advert(
            vif_types=VIF_TYPES,
            vnic_types=("normal", "direct", "macvtap", "virtio-forwarder"),
            network_types=("local", "flat", "vlan", "vxlan", "gre", "geneve"),
            in_place=frozenset(IN_PLACE),
            on_request=True,
        )

    def probe(self) -> Probe:
        return Probe(Health.READY, facts={"enforces": "nothing", "observes": ["device", "socket"]})

    def requires(self, attachment: Attachment) -> Iterable[Requirement]:
        """Names in the binding profile that can be names."""
        error: VifError | None = None
        try:
            naming.of(attachment)
        except VifError as problem:
            error = problem
        yield Requirement("binding_profile", error is None, error)

    def name(self, attachment: Attachment, taken: Mapping[str, Entry]) -> Wiring:
        """What the document names.

        :raises NameClash: another port has that device or socket
        """
        names = naming.of(attachment)
        wiring = names.wiring(self.plugin_name, attachment.vif_type or VIF_TYPES[0])
        for port_id, entry in taken.items():
            if port_id == attachment.id:
                continue
            if names.device and entry.wiring.device == names.device:
                raise _taken("device", names.device, port_id)
            if names.socket and entry.wiring.details.get("socket") == names.socket:
                raise _taken("socket", names.socket, port_id)
        return wiring

    def vif(self, attachment: Attachment, wiring: Wiring) -> Vif:
        """The named device or socket; not managed, because it is not ours."""
        names = naming.read(wiring)
        return Vif(
            type="vhostuser" if names.socket else "ethernet",
            device=names.device,
            mac_address=attachment.mac,
            mtu=attachment.network.mtu,
            socket_path=names.socket,
        )

    # --- the verbs: nothing is done ---

    def plug(self, batch: Sequence[Item]) -> Outcomes:
        return _each(batch, _accepted)

    def activate(self, batch: Sequence[Item]) -> Outcomes:
        return _each(batch, _accepted)

    def deactivate(self, batch: Sequence[Item]) -> Outcomes:
        return _each(batch, _accepted)

    def unplug(self, batch: Sequence[Item]) -> Outcomes:
        return _each(batch, _accepted)

    def check(self, batch: Sequence[Item]) -> dict[str, Report]:
        links = self.host.drivers.links.get([i.made.device for i in batch if i.made.device])
        now = self.host.clock()
        reports = {}
        for item in batch:
            try:
                names = naming.read(item.made)
                facts = list(observing.evidence(item.attachment, names, links.get(names.device)))
            except VifError as error:
                facts = [Evidence("names", error.message, wanted="readable", ok=False)]
            reports[item.id] = Report(facts, at=now)
        return reports

    def observe(self) -> list[Observed]:
        """Nothing bears its mark, as it makes nothing."""
        return []


def _accepted(item: Item) -> Wiring:
    naming.read(item.made)
    return item.made


def _each(batch: Sequence[Item], work: Callable[[Item], Wiring]) -> Outcomes:
    outcomes: Outcomes = {}
    for item in batch:
        try:
            outcomes[item.id] = work(item)
        except VifError as error:
            outcomes[item.id] = error.at(port=item.id)
    return outcomes


def _taken(kind: str, name: str, port_id: str) -> NameClash:
    facts = {"kind": kind, "name": name, "have": "it is in its binding profile",
             "ours": f"port {port_id} of vifd"}  # fmt: skip
    hint = "each port needs a device or socket of its own; correct the binding profile"
    return NameClash(facts=facts, stage="name", hint=hint)
