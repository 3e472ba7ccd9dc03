"""Decisions about devices of bridging, without I/O; the driver and its fake share them."""

from __future__ import annotations

from vifd.drivers import MARK, BridgeSpec, Device, Spec, VlanSpec
from vifd.drivers.linkrules import clash, refusal
from vifd.errors import DeviceError, VifError


def kind_of(spec: Spec) -> str:
    """The kernel's word for the kind of device."""
    if isinstance(spec, BridgeSpec):
        return "bridge"
    return "vlan" if isinstance(spec, VlanSpec) else "vxlan"


def complaint(spec: Spec, there: Device | None) -> VifError | None:
    """Why a device cannot be made, or taken over from what is there."""
    problem = refusal(spec.name)
    if problem is None and not spec.alias.startswith(MARK):
        problem = f"the alias {spec.alias!r} is no mark of ours"
    if problem is not None:
        return DeviceError(stage="device", facts={"device": spec.name, "problem": problem})
    if there is None:
        return None
    if there.link.alias != spec.alias or there.link.kind != kind_of(spec):
        return clash(there.link)
    return None


def needs_anew(spec: Spec, there: Device, parent: int | None) -> bool:
    """Whether a device of ours differs in what cannot be changed in place."""
    if isinstance(spec, BridgeSpec):
        return bool(there.vlan_filtering) != spec.vlan_filtering
    if isinstance(spec, VlanSpec):
        return (there.number, there.parent) != (spec.vlan_id, parent)
    wanted = (spec.vni, spec.local, spec.group, spec.port, spec.learning)
    return (there.number, there.local, there.group, there.port, there.learning) != wanted


def unlike(spec: Spec, there: Device, parent: int | None) -> DeviceError | None:
    """In what a device differs from what was wanted."""
    link = there.link
    pairs: list[tuple[str, object, object]] = [
        ("alias", spec.alias, link.alias),
        ("kind", kind_of(spec), link.kind),
        ("mtu", spec.mtu, link.mtu),
        ("up", True, link.up),
        ("settings", False, needs_anew(spec, there, parent)),
    ]
    if isinstance(spec, BridgeSpec):
        pairs += [("stp", False, there.stp), ("quiet", False, there.quiet is False)]
    for what, wanted, have in pairs:
        if wanted != have:
            return _differs(spec.name, what, wanted, have)
    return _differs(spec.name, "ipv6", False, True) if link.ipv6 else None


def _differs(name: str, what: str, wanted: object, have: object) -> DeviceError:
    problem = f"{what} is {have!r}, wanted {wanted!r}"
    return DeviceError(
        stage="device",
        facts={"device": name, "problem": problem, "field": what, "wanted": wanted, "have": have},
    )


def missing(name: str) -> DeviceError:
    """The error for a device that should be there."""
    return DeviceError(stage="device", facts={"device": name, "problem": "No such device"})
