"""A port's document, made of its parts: what it waits for, its role, and what it comes to.

What is not known yet is waited for by name, and never guessed.
"""

from __future__ import annotations

from typing import Any

from vifd import errors
from vifd.model.document import Document, restore
from vifd.model.parts import Part, Parts
from vifd.model.record import Vif
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.model.values import Id, Role


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
