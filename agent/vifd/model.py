"""The nouns: the attachment document, wiring, evidence, and what is said of a port.

Values only, no I/O. Field names are those of the Networking API. A document keeps the fields that
this version does not know (:attr:`Document.raw`); only what is under ``required`` must be known.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from vifd import errors

#: Versions of the attachment document that are understood, newest first.
DOCUMENT_VERSIONS = ("1.0",)
#: What may stand under ``required`` in a document of these versions.
KNOWN_REQUIREMENTS: frozenset[str] = frozenset()

UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
MAC = r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"

# The lengths are said as well: "$" alone lets a trailing newline through.
Id = Annotated[
    str, Meta(pattern=UUID, min_length=36, max_length=36, description="a UUID in lower case")
]
MacAddress = Annotated[
    str, Meta(pattern=MAC, min_length=17, max_length=17, description="a MAC address with colons")
]
Text = Annotated[str, Meta(max_length=255)]
#: The kernel takes 68 to 65521 for a tap.
Mtu = Annotated[int, Meta(ge=68, le=65521, description="bytes, without the Ethernet header")]


class Role(StrEnum):
    """What the network service says of this host's binding of the port."""

    INACTIVE = "INACTIVE"
    ACTIVE = "ACTIVE"


class Phase(StrEnum):
    """What is true on the host; together with the role it gives the status."""

    BOUND = "BOUND"  #: accepted and on disk, nothing made yet
    PLUGGING = "PLUGGING"  #: the plugin is at work
    ISOLATED = "ISOLATED"  #: made, closed, not yet proven
    READY = "READY"  #: proven, closed because the role is INACTIVE
    LIVE = "LIVE"  #: proven and open
    QUIESCED = "QUIESCED"  #: was LIVE, the role moved away; closed, devices kept
    UNPLUGGING = "UNPLUGGING"  #: being removed
    DEGRADED = "DEGRADED"  #: open, but a later check found something that differs
    FAILED = "FAILED"  #: this attempt ended with an error; what was made is undone
    UNKNOWN = "UNKNOWN"  #: after a restart, before the first check


class Status(StrEnum):
    """The port status as the network service knows it."""

    DOWN = "DOWN"
    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    ERROR = "ERROR"


# --- the attachment document ----------------------------------------------------------------------


class AddressPair(Struct, frozen=True, omit_defaults=True):
    """An address the guest may use besides its own; without a MAC it is the port's MAC."""

    ip_address: str
    mac_address: MacAddress | None = None


class FixedIp(Struct, frozen=True, omit_defaults=True):
    """An address of the port."""

    ip_address: str
    subnet_id: Id | None = None


class Subnet(Struct, frozen=True, omit_defaults=True):
    """A subnet that the fixed IPs belong to."""

    id: Id
    cidr: str
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    segment_id: str | None = None


class Segment(Struct, frozen=True, omit_defaults=True):
    """The piece of the network that reaches this host."""

    network_type: Text
    physical_network: Text | None = None
    segmentation_id: Annotated[int, Meta(ge=0, le=2**24 - 1)] | None = None
    id: str | None = None


class Network(Struct, frozen=True, omit_defaults=True):
    """The port's network as seen from this host."""

    id: Id
    segment: Segment
    mtu: Mtu = 1500
    name: Text = ""


class Port(Struct, frozen=True, omit_defaults=True):
    """The port itself."""

    id: Id
    mac_address: MacAddress
    name: Text = ""
    admin_state_up: bool = True
    vnic_type: Text = "normal"
    port_security_enabled: bool = True
    allowed_address_pairs: Annotated[list[AddressPair], Meta(max_length=1000)] = []
    binding_profile: dict[str, Any] = {}
    device_owner: Text = ""


class Instance(Struct, frozen=True, omit_defaults=True):
    """The guest that will use the port."""

    id: Id
    name: Text = ""
    project_id: Text = ""
    vcpus: Annotated[int, Meta(ge=1, le=4096)] = 1
    flavor_extra_specs: dict[str, Any] = {}
    image_properties: dict[str, Any] = {}


class Attachment(Struct, frozen=True, omit_defaults=True):
    """The self-contained, versioned document of one port on this host.

    ``plugin`` and ``vif_type`` are optional wishes; without them the daemon chooses.
    """

    version: Text
    port: Port
    network: Network
    instance: Instance | None = None
    role: Role = Role.ACTIVE
    fixed_ips: Annotated[list[FixedIp], Meta(max_length=1000)] = []
    subnets: Annotated[list[Subnet], Meta(max_length=1000)] = []
    plugin: Text | None = None
    vif_type: Text | None = None
    required: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The port's id, which is also the attachment's."""
        return self.port.id

    @property
    def instance_id(self) -> str:
        """The instance's id, or the empty string."""
        return self.instance.id if self.instance else ""

    @property
    def mac(self) -> str:
        """The port's MAC address in lower case."""
        return self.port.mac_address.lower()


class Document(Struct, frozen=True):
    """An attachment with the text it was read from, unknown fields included."""

    attachment: Attachment
    raw: dict[str, Any]

    @property
    def id(self) -> str:
        return self.attachment.id

    def text(self) -> bytes:
        """The canonical JSON: equal documents have equal text."""
        return msgspec.json.encode(self.raw, order="deterministic")

    def with_role(self, role: Role) -> Document:
        """The same document in another role."""
        return Document(
            msgspec.structs.replace(self.attachment, role=role), {**self.raw, "role": role.value}
        )


_PATH = re.compile(r" - at (?:`key` in )?`\$?\.?([^`]*)`$")


def decode(raw: Any, *, port_id: str | None = None) -> Document:
    """Read an attachment document.

    :param raw: the parsed JSON
    :param port_id: the id that the caller addressed, if any
    :raises errors.BadDocument: with the field's path; nothing was touched
    """
    if not isinstance(raw, dict):
        raise errors.BadDocument.at_field("(document)", "must be a JSON object")
    version = raw.get("version")
    if isinstance(version, str) and version not in DOCUMENT_VERSIONS:
        raise errors.UnsupportedVersion(
            facts={"field": "version", "wanted": version[:64], "have": list(DOCUMENT_VERSIONS)},
            stage="decode",
        )
    try:
        attachment = msgspec.convert(raw, Attachment)
    except msgspec.ValidationError as error:
        raise _bad_field(str(error), port_id or "") from error
    for name in attachment.required:
        if name not in KNOWN_REQUIREMENTS:
            path = f"required.{name[:64]}"
            raise errors.UnknownRequired(facts={"field": path}, stage="decode", port=attachment.id)
    if port_id is not None and attachment.id != port_id:
        raise errors.BadDocument.at_field("port.id", "differs from the id in the path")
    _check_values(attachment)
    return Document(attachment, raw)


def _bad_field(text: str, port: str) -> errors.BadDocument:
    """msgspec says ``problem - at `$.path```; a missing field is named in the problem."""
    found = _PATH.search(text)
    path = found.group(1) if found else ""
    problem = text[: found.start()] if found else text
    missing = re.search(r"missing required field `([^`]+)`", problem)
    if missing:
        path = f"{path}.{missing.group(1)}" if path else missing.group(1)
        problem = "is required"
    return errors.BadDocument.at_field(path or "(document)", problem, port=port)


def _check_values(attachment: Attachment) -> None:
    """The rules that a schema cannot say."""

    def fail(path: str, problem: str) -> None:
        raise errors.BadDocument.at_field(path, problem, port=attachment.id)

    def unicast(path: str, mac: str) -> None:
        if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
            fail(path, f"{mac} is not a unicast MAC address")

    unicast("port.mac_address", attachment.mac)
    for i, pair in enumerate(attachment.port.allowed_address_pairs):
        path = f"port.allowed_address_pairs[{i}]"
        if _network(pair.ip_address) is None:
            fail(f"{path}.ip_address", f"{pair.ip_address!r:.64} is no address or prefix")
        if pair.mac_address:
            unicast(f"{path}.mac_address", pair.mac_address)
    for i, ip in enumerate(attachment.fixed_ips):
        if _address(ip.ip_address) is None:
            fail(f"fixed_ips[{i}].ip_address", f"{ip.ip_address!r:.64} is no IP address")
    for i, subnet in enumerate(attachment.subnets):
        if _network(subnet.cidr) is None:
            fail(f"subnets[{i}].cidr", f"{subnet.cidr!r:.64} is no prefix")
        if subnet.gateway_ip is not None and _address(subnet.gateway_ip) is None:
            fail(f"subnets[{i}].gateway_ip", f"{subnet.gateway_ip!r:.64} is no IP address")
    segment = attachment.network.segment
    if segment.network_type == "vlan":
        tag = segment.segmentation_id
        if tag is None or not 1 <= tag <= 4094:
            fail("network.segment.segmentation_id", "a VLAN needs an id from 1 to 4094")
    if segment.network_type in ("vlan", "flat") and not segment.physical_network:
        problem = f"network type {segment.network_type} needs one"
        fail("network.segment.physical_network", problem)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if getattr(address, "scope_id", None) else address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return None if "%" in text else network


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The paths at which two documents differ, lists compared as a whole."""
    paths: list[str] = []
    for key in sorted(set(old) | set(new)):
        path = f"{prefix}{key}"
        a, b = old.get(key), new.get(key)
        if a == b:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            paths += differences(a, b, f"{path}.")
        else:
            paths.append(path)
    return paths


# --- what is true on the host ---------------------------------------------------------------------


class Evidence(Struct, frozen=True):
    """A fact that was read back.

    :param fact: a dotted name, e.g. ``device.mtu`` or ``flows.port``
    :param wanted: what it should be; ``None`` where the fact is only recorded
    :param have: what was read
    :param ok: whether it is as wanted
    :param source: where it was read: ``netlink``, ``ovsdb``, ``openflow``, ``trace``…
    :param repairable: whether plugging the port again can mend it; false for what lies with the
        guest or with an operator
    """

    fact: str
    have: Any
    wanted: Any = None
    ok: bool = True
    source: str = ""
    repairable: bool = True


class Report(Struct, frozen=True):
    """What one check of one port read back.

    :param at: seconds since the epoch
    :param passing: whether the port was found open; ``None`` where the plugin cannot tell. A port
        that was found closed is proven again before it is opened.
    """

    evidence: list[Evidence]
    at: float = 0.0
    passing: bool | None = None

    @property
    def findings(self) -> list[Evidence]:
        """The facts that are not as wanted, in the order of the path a frame takes."""
        return [e for e in self.evidence if not e.ok]

    @property
    def clean(self) -> bool:
        return all(e.ok for e in self.evidence)

    @property
    def beyond_repair(self) -> bool:
        """Whether something is not as wanted, and plugging again mends nothing of it."""
        return not self.clean and not any(e.repairable for e in self.findings)


class Wiring(Struct, frozen=True):
    """What a plugin made for an attachment; persisted and given back to check and unplug.

    :param device: the name of the guest-facing device, or the empty string
    :param details: the plugin's own names and numbers; JSON values only
    """

    plugin: str
    vif_type: str
    device: str
    details: dict[str, Any] = field(default_factory=dict)


class Vif(Struct, frozen=True):
    """What compute needs to write the guest's XML.

    :param type: libvirt's interface type: ``ethernet``, ``bridge``, ``vhostuser``…
    :param managed: whether libvirt may make and remove the device; ours are never managed
    """

    type: str
    device: str = ""
    mac_address: str = ""
    managed: bool = False
    model: str = "virtio"
    queues: int = 1
    mtu: int = 1500
    bridge: str = ""
    socket_path: str = ""
    socket_mode: str = ""


class PortRecord(Struct, kw_only=True, frozen=True):
    """One row of the journal: what is wanted of a port and what is known of it.

    :param doc: the attachment document that is wanted
    :param applied: whether ``doc`` is what the plugin last carried out
    :param names: what the plugin will make, on disk before it is made
    :param wiring: what the plugin made; ``None`` until it was
    :param open: whether traffic passes
    :param revision: grows with every change of this record on this host, never reused
    :param request_id: the request that caused the last change
    """

    doc: Document
    plugin: str
    vif_type: str
    phase: Phase = Phase.BOUND
    names: Wiring | None = None
    wiring: Wiring | None = None
    open: bool = False
    removing: bool = False
    applied: bool = False
    report: Report | None = None
    vif: Vif | None = None
    error: dict[str, Any] | None = None
    revision: int = 0
    updated_at: float = 0.0
    request_id: str = ""

    @property
    def id(self) -> str:
        return self.doc.attachment.id

    @property
    def role(self) -> Role:
        return self.doc.attachment.role


def names_in(items: Sequence[Any], limit: int = 8) -> str:
    """A short readable list for log lines and messages."""
    shown = ", ".join(str(i) for i in items[:limit])
    more = len(items) - limit
    return f"{shown} and {more} more" if more > 0 else shown
