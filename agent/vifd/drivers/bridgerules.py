"""Decisions about devices of bridging, without I/O; the driver and its fake share them."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.drivers import MARK, BridgeSpec, Device, Spec, VlanSpec, VxlanSpec
from vifd.drivers.linkrules import clash, holder, refusal
from vifd.errors import DeviceError, NameClash, VifError


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
        return _way_out_taken(spec, there) or clash(there.link)
    return None


def _way_out_taken(spec: Spec, there: Device) -> NameClash | None:
    """Another program's device of the name that a VLAN or VXLAN device shall have."""
    if isinstance(spec, BridgeSpec) or there.link.alias.startswith(MARK):
        return None
    error = clash(there.link)
    error.hint = (
        f"see what it is (ip -d link show {spec.name}); if nobody needs it: ip link delete "
        f"{spec.name}, else rename it, or give the network another {_number_kind(spec)}"
    )
    return error


def taken(spec: Spec, parent: int | None, devices: Iterable[Device]) -> NameClash | None:
    """Another device that has the VNI, or the VLAN of the interface, of one that is to be made: the
    kernel has one device for each (``vxlan_vni_in_use``, ``vlan_check_real_dev``)."""
    if isinstance(spec, BridgeSpec):
        return None
    rival = next((d for d in devices if _rivals(spec, parent, d)), None)
    return None if rival is None else _number_taken(spec, rival)


def _rivals(spec: VlanSpec | VxlanSpec, parent: int | None, device: Device) -> bool:
    if device.link.kind != kind_of(spec) or device.link.name == spec.name:
        return False
    if isinstance(spec, VlanSpec):
        return (device.number, device.parent) == (spec.vlan_id, parent)
    return (device.number, device.port) == (spec.vni, spec.port)


def _number_kind(spec: VlanSpec | VxlanSpec) -> str:
    return "VLAN" if isinstance(spec, VlanSpec) else "VNI"


def _number_taken(spec: VlanSpec | VxlanSpec, rival: Device) -> NameClash:
    if isinstance(spec, VlanSpec):
        number = f"{spec.vlan_id} of {spec.parent}"
    else:
        number = f"{spec.vni} (UDP port {spec.port})"
    kind, name = _number_kind(spec), rival.link.name
    facts = {"kind": kind, "name": number, "device": name, "wanted": spec.name,
             "have_alias": rival.link.alias}  # fmt: skip
    if ours := holder(rival.link.alias):
        facts["ours"] = ours
    return NameClash(
        f"{kind} {number} is taken by device {name}"
        + (f", which belongs to {ours}" if ours else ", which vifd did not make"),
        facts=facts,
        stage="device",
        hint=f"see what it is (ip -d link show {name}); if nobody needs it: ip link delete {name}, "
        f"else give the network another {kind}",
    )


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
    if isinstance(spec, VlanSpec) and spec.mac:
        pairs += [("mac", spec.mac, link.mac)]
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


def no_room(name: str, taken: str) -> DeviceError:
    """The error for a device whose place for a guard other software has.

    :param taken: what it has there, see :meth:`vifd.drivers.Bridging.barred`
    """
    problem = f"other software has put {taken} on it, which leaves no place for vifd's guard"
    return DeviceError(
        stage="device", facts={"device": name, "problem": problem, "have": taken},
        hint=f"`tc qdisc show dev {name}` shows it; if nobody needs it there: `tc qdisc del dev "
        f"{name} {taken.partition(' ')[0]}`; vifd tries again by itself",
    )  # fmt: skip


def missing(name: str) -> DeviceError:
    """The error for a device that should be there."""
    return DeviceError(stage="device", facts={"device": name, "problem": "No such device"})
