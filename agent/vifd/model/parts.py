"""The parts of a port's document, which have different owners and arrive in any order.

The network's part says what the port is, compute's that a guest uses it. Each is kept with who said
it and with that one's own count of changes; the attachment is a pure function of both. What is not
known yet is waited for by name, and never guessed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from vifd import errors
from vifd.model import unread
from vifd.model.attachment import Instance
from vifd.model.document import DOCUMENT_VERSIONS, Document, bad_field, decode, restore
from vifd.model.record import Vif
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.model.values import Id, MacAddress, Mtu, Role, Text

#: The owner of a network's part that is made of what compute says.
DERIVED = "compute, as OVN wires this host"
#: Numbers of an owner's own count of changes.
Revision = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Side(StrEnum):
    """Whose part of a port it is."""

    NETWORK = "network"
    COMPUTE = "compute"
    #: another program, which put the port on the switch; found there, not said by anybody
    HOSTED = "hosted"


class ComputeSaid(Struct, frozen=True, omit_defaults=True):
    """Compute's part of a port: who uses it, and what the guest's definition expects.

    :param mac_address: the port's, as compute knows it; another one than the network's is refused
    :param network_id: the port's network, for hosts where what compute says is all that is needed
    :param vif_type: what the guest's definition is written for
    :param device: the device that it names; told to the caller where another one is made
    :param socket_path: the same of a vhost-user socket
    :param queues: how many queue pairs the device must take; flavor and image decide without it
    """

    version: Text
    instance: Instance
    mac_address: MacAddress | None = None
    mtu: Mtu | None = None
    network_id: Id | None = None
    vif_type: Text | None = None
    device: Text | None = None
    socket_path: Annotated[str, Meta(max_length=4096)] | None = None
    queues: Annotated[int, Meta(ge=1, le=256)] | None = None


class Part(Struct, frozen=True, omit_defaults=True):
    """What one side says of a port.

    :param owner: who said it, for people
    :param body: as it was sent
    :param revision: the owner's own count of changes, where it has one
    :param at: when it came, seconds since the epoch
    """

    owner: str
    body: dict[str, Any]
    revision: Revision | None = None
    at: float = 0.0


class Parts(Struct, frozen=True, omit_defaults=True):
    """What is known of one port by its parts.

    :param alone: the port is wanted without compute's part, as by a document that is whole
    :param ahead: the network side wants it made ahead of compute, and closed until then
    :param used: somebody has used the port since the network side said its part, or it was made
        ahead for long enough: it is not made ahead again
    :param gone: the count of changes with which a side took its part away, by side
    :param error: why the port that the parts make was refused, as an error object
    :param taking: whether a port that another program plugged is to be taken over
    """

    network: Part | None = None
    compute: Part | None = None
    hosted: Part | None = None
    alone: bool = False
    ahead: bool = False
    used: bool = False
    gone: dict[str, int] = {}
    error: dict[str, Any] | None = None
    taking: bool = False
    request_id: str = ""

    def of(self, side: Side) -> Part | None:
        """The part of one side."""
        part: Part | None = getattr(self, side.value)
        return part

    @property
    def bare(self) -> bool:
        """Whether nothing is left that is worth keeping."""
        nobody = self.network is None and self.compute is None and self.hosted is None
        return nobody and not self.gone

    @property
    def prewired(self) -> bool:
        """Whether the port is made although nobody uses it yet."""
        wanted = self.ahead and not self.used and self.network is not None
        return wanted and self.compute is None and self.hosted is None and not self.alone


def parts_of(doc: Document, owner: str = "api", at: float = 0.0) -> Parts:
    """The parts of a document that says everything at once."""
    network = {k: v for k, v in doc.raw.items() if k not in ("instance", "prewired")}
    if doc.attachment.prewired:
        # taken back from its marks: the journal that had its parts was lost
        return Parts(Part(owner, network, at=at), ahead=True)
    compute = None
    if doc.attachment.instance is not None:
        body = {"version": doc.raw["version"], "instance": doc.raw["instance"]}
        compute = Part(owner, body, at=at)
    return Parts(Part(owner, network, at=at), compute, alone=True)


def network_said(raw: Any, port_id: str) -> dict[str, Any]:
    """Read the network's part: a document without ``instance``, whose role may not be known yet.

    :raises errors.BadDocument: with the field's path
    """
    if isinstance(raw, dict) and "instance" in raw:
        raise errors.BadDocument.at_field("instance", "belongs to compute's part of the port")
    decode(raw, port_id=port_id)
    return dict(raw)


def compute_said(raw: Any, port_id: str) -> dict[str, Any]:
    """Read compute's part.

    :raises errors.BadDocument: with the field's path
    """
    if not isinstance(raw, dict):
        raise errors.BadDocument.at_field("(document)", "must be a JSON object")
    version = raw.get("version")
    if isinstance(version, str) and version not in DOCUMENT_VERSIONS:
        facts = {"field": "version", "wanted": version[:64], "have": list(DOCUMENT_VERSIONS)}
        raise errors.UnsupportedVersion(facts=facts, stage="decode")
    try:
        msgspec.convert(raw, ComputeSaid)
    except msgspec.ValidationError as error:
        raise bad_field(str(error), port_id) from error
    _little_unread(raw, port_id)
    return {name: raw[name] for name in ComputeSaid.__struct_fields__ if name in raw}


def _little_unread(raw: dict[str, Any], port_id: str) -> None:
    """Of the instance, what is not read is kept, within bounds."""
    document = {"instance": raw["instance"]}
    if (size := unread.size(document)) > unread.MAX_DOCUMENT:
        path, _ = max(unread.unread(document), key=lambda f: len(msgspec.json.encode(f[1])))
        problem = f"is not read; of such fields {unread.MAX_DOCUMENT} bytes are kept"
        facts = {"field": path[:255], "problem": problem, "have": size}
        raise errors.UnreadTooLarge(facts=facts, stage="decode", port=port_id)


def said(side: Side, raw: Any, port_id: str) -> dict[str, Any]:
    """Read one side's part.

    :raises errors.BadDocument: with the field's path
    """
    return (network_said if side is Side.NETWORK else compute_said)(raw, port_id)


def put(
    parts: Parts | None, side: Side, part: Part, *, alone: bool | None = None,
    ahead: bool | None = None,
) -> Parts:  # fmt: skip
    """The parts with what one side says now.

    :param alone: whether the port is wanted without compute's part; ``None`` leaves that as it is
    :param ahead: whether it is made ahead of compute's part; ``None`` leaves that as it is
    :raises errors.PartStale: it said something newer before
    """
    before = parts or Parts()
    _newer(before, side, part.revision)
    gone = {k: v for k, v in before.gone.items() if k != side}
    part = _going_on(before.of(side), part, side)
    return replace(
        before, gone=gone, error=None, taking=False, used=before.used or side is not Side.NETWORK,
        alone=before.alone if alone is None else alone,
        ahead=before.ahead if ahead is None else ahead, **{side.value: part},
    )  # fmt: skip


def _going_on(held: Part | None, part: Part, side: Side) -> Part:
    """What is said now; of the same instance, what is not said again stays. The same again is what
    is held."""
    if held is None:
        return part
    if side is Side.COMPUTE:
        had, has = held.body["instance"], part.body["instance"]
        if had["id"] == has["id"]:
            part = replace(part, body={**part.body, "instance": {**had, **has}})
    return held if replace(part, at=held.at) == held else part


def taken_away(parts: Parts, side: Side, revision: int | None) -> Parts:
    """The parts without what one side said.

    :raises errors.PartStale: it said something newer since
    """
    _newer(parts, side, revision)
    held = parts.of(side)
    last = revision if revision is not None else held.revision if held else None
    gone = dict(parts.gone) if last is None else {**parts.gone, side.value: last}
    bound = parts.network is not None and side is not Side.NETWORK
    return replace(
        parts, gone=gone, error=None, taking=False, alone=parts.alone and side is Side.NETWORK,
        ahead=parts.ahead and bound, used=bound, **{side.value: None},
    )  # fmt: skip


def unused(parts: Parts) -> Parts:
    """The parts of a port that was made ahead in vain, or that cannot be as it was made: it is not
    made ahead again before it is bound anew."""
    return replace(parts, used=True, error=None)


def forgotten(parts: Parts, side: Side) -> Parts:
    """The parts without a side's count of changes."""
    return replace(parts, gone={k: v for k, v in parts.gone.items() if k != side})


def _newer(parts: Parts, side: Side, revision: int | None) -> None:
    """A late part never undoes a newer one; one without a count is as new as its arrival."""
    held = parts.of(side)
    have = held.revision if held is not None else parts.gone.get(side)
    if revision is not None and have is not None and revision < have:
        raise errors.PartStale(facts={"side": side.value, "wanted": revision, "have": have})


def sufficient(parts: Parts, port_id: str, plugin: str) -> Parts:
    """The parts on a host where what compute says is all that is needed: the network's part is made
    of it until the network service says its own, and goes with it.

    :param plugin: the plugin whose ports somebody else wires; empty where there is none
    """
    net = parts.network
    if net is not None and net.owner != DERIVED:
        return parts
    bare = replace(parts, network=None)
    said = parts.compute.body if parts.compute else {}
    if parts.compute is None or not plugin or not {"mac_address", "network_id"} <= set(said):
        return bare
    mtu = {"mtu": said["mtu"]} if "mtu" in said else {}
    body = {
        "version": said["version"], "role": Role.ACTIVE.value, "plugin": plugin,
        "port": {"id": port_id, "mac_address": said["mac_address"]},
        "network": {"id": said["network_id"], **mtu, "segment": {"network_type": "local"}},
    }  # fmt: skip
    return replace(bare, network=Part(DERIVED, body, at=parts.compute.at))


def in_role(parts: Parts, role: Role) -> Parts:
    """The parts after the network side said whether this host's binding is active."""
    if parts.network is None:
        return parts
    body = {**parts.network.body, "role": role.value}
    return replace(parts, network=replace(parts.network, body=body))


def missing(parts: Parts) -> list[str]:
    """What a port waits for before it can be made, in sentences; empty where nothing lacks."""
    lacks = []
    if parts.network is None:
        lacks.append("waits for the network service: port not bound to this host yet")
    used = parts.compute is not None or parts.hosted is not None or parts.alone
    used = used or parts.prewired
    if not used and not _sub_port(parts.network):
        lacks.append("waits for compute: no instance uses the port on this host yet")
    return lacks


def _sub_port(part: Part | None) -> bool:
    """Whether the port has no device that anybody would use: it comes and goes with its parent."""
    return part is not None and part.body["port"].get("device_owner") == SUB_PORT_OWNER


def unsaid(parts: Parts, here: str) -> str:
    """Why a port that can be made stays closed although nobody said so; empty where that is not
    so."""
    if parts.prewired:
        return "waits for compute: made ahead, and closed until an instance uses it on this host"
    if parts.network is None or "role" in parts.network.body:
        return ""
    if parts.alone or role_of(parts.network.body, here) is Role.ACTIVE:
        return ""
    return "waits for the network service: whether this host's binding is active is not known yet"


def role_of(body: dict[str, Any], here: str) -> Role:
    """The role that the network's part says, or the closed one where it does not say it: a port
    that is on its way to this host is open elsewhere.

    :param here: the name by which the network service knows this host
    """
    if "role" in body:
        return Role(body["role"])
    bound = body["port"].get("binding_host_id")
    moving = migrating_to(body)
    return Role.ACTIVE if bound == here and not moving else Role.INACTIVE


def migrating_to(body: dict[str, Any]) -> str:
    """The host that a port is on its way to, by its binding profile; empty where it is not."""
    profile = body["port"].get("binding_profile") or {}
    target = profile.get("migrating_to")
    return target if isinstance(target, str) else ""


def assembled(parts: Parts, here: str, *, opened: bool = False) -> Document | None:
    """The document that the parts make; ``None`` while something lacks.

    :param opened: whether the port passes traffic here: while nobody says otherwise, it goes on
    :raises errors.PartsDisagree: the sides expect different ports
    """
    if missing(parts) or parts.network is None:
        return None
    raw = dict(parts.network.body)
    if "role" not in raw:
        raw = _with_role(raw, parts, here, opened=opened)
    if parts.compute is not None:
        raw.update(_uses(raw, parts.compute.body))
    if parts.hosted is not None:
        raw = _hosted(raw, parts.hosted.body)
    if parts.prewired:
        raw["prewired"] = True
    return restore(raw)


def hosted_part(plugin: str, device: str, at: float = 0.0) -> Part:
    """What is found of a port that another program put on the switch.

    :param plugin: which plugin serves it
    :param device: the name of the switch port
    """
    return Part(plugin, {"plugin": plugin, "device": device}, at=at)


def _hosted(raw: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """The port as another program put it there, whatever VIF type it was bound with."""
    rest = {name: value for name, value in raw.items() if name != "vif_type"}
    return {**rest, "plugin": found["plugin"], "hosted": {"device": found["device"]}}


def _with_role(raw: dict[str, Any], parts: Parts, here: str, *, opened: bool) -> dict[str, Any]:
    if not parts.alone:
        role = Role.ACTIVE if opened else role_of(raw, here)
        return {**raw, "role": role.value}
    return closed_while_moving(raw, opened=opened)


def closed_while_moving(raw: dict[str, Any], *, opened: bool) -> dict[str, Any]:
    """A whole document that says no role is for an active binding, unless its port is on its way
    between hosts and not open here: then the guest still runs on the other one."""
    if "role" in raw or opened or not migrating_to(raw):
        return raw
    return {**raw, "role": Role.INACTIVE.value}


def _uses(raw: dict[str, Any], compute: dict[str, Any]) -> dict[str, Any]:
    """What compute's part adds to the network's.

    :raises errors.PartsDisagree: it expects another port
    """
    port = raw["port"]["id"]
    mac = compute.get("mac_address")
    if mac is not None and mac.lower() != raw["port"]["mac_address"].lower():
        _disagree("MAC address", mac, raw["port"]["mac_address"], port)
    kind, wish = compute.get("vif_type"), raw.get("vif_type")
    if kind is not None and wish is not None and kind != wish:
        _disagree("VIF type", kind, wish, port)
    added: dict[str, Any] = {"instance": _with_queues(compute)}
    if kind is not None:
        added["vif_type"] = kind
    return added


def _with_queues(compute: dict[str, Any]) -> dict[str, Any]:
    """The instance; where compute says how many queues there are, it says so like a flavor."""
    instance: dict[str, Any] = compute["instance"]
    queues = compute.get("queues")
    if queues is None:
        return instance
    specs = {**instance.get("flavor_extra_specs", {}),
             "hw:vif_multiqueue_enabled": "true" if queues > 1 else "false"}  # fmt: skip
    vcpus = max(queues, instance.get("vcpus", 1))
    return {**instance, "vcpus": vcpus, "flavor_extra_specs": specs}


def disagreement(parts: Parts, vif: Vif | None) -> errors.PartsDisagree | None:
    """What was made in another way than compute's part expects; the guest could not use it."""
    if parts.compute is None or vif is None:
        return None
    said = parts.compute.body
    for name, what in (("device", "device"), ("socket_path", "socket")):
        wanted, have = said.get(name), getattr(vif, name)
        if wanted is not None and wanted != have:
            facts = {"what": what, "wanted": wanted, "have": have or "none"}
            return errors.PartsDisagree(facts=facts, stage="parts")
    return None


def _disagree(what: str, wanted: str, have: str, port: Id) -> None:
    facts = {"what": what, "wanted": wanted, "have": have}
    raise errors.PartsDisagree(facts=facts, stage="parts", port=port)
