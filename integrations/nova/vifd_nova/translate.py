"""From os-vif's objects to compute's part of a port. Objects may be of any version: what a field
does not exist in, or is not set, is not said. Pure."""

from __future__ import annotations

from typing import Any

#: The VIF type of vifd by the class of the VIF.
KINDS = {"VIFOpenVSwitch": "ovs", "VIFVHostUser": "vhostuser"}
#: Port profiles of a port on Open vSwitch.
OVS_PROFILES = frozenset(("VIFPortProfileOpenVSwitch",))


def get(obj: Any, name: str, default: Any = None) -> Any:
    """A field of a versioned object, or what stands for one that is not there."""
    if obj is None or name not in getattr(obj, "fields", {}) or not obj.obj_attr_is_set(name):
        return default
    return getattr(obj, name)


def name_of(vif: Any) -> str:
    """The class of a VIF."""
    return str(vif.obj_name())


def why_not(vif: Any) -> str:
    """Why vifd cannot plug a VIF, so that os-vif's own plugin does; empty where it can."""
    kind, profile = name_of(vif), get(vif, "port_profile")
    on_ovs = profile is not None and profile.obj_name() in OVS_PROFILES
    if kind == "VIFBridge":
        where = "a bridge of its own (hybrid plug)" if on_ovs else "the Linux bridge"
        return f"nova has libvirt make the tap, on {where}, and libvirt takes none that is there"
    if kind not in KINDS:
        return f"{kind} is nothing that vifd plugs"
    if kind == "VIFOpenVSwitch":
        if not on_ovs or get(profile, "create_tap"):
            return ""
        return (
            "its binding lacks ovs_create_tap, so libvirt makes the tap itself; have the network "
            "service say vif_details ovs_create_tap=True"
        )
    return "" if on_ovs else "its socket belongs to another switch than Open vSwitch"


def part_of(vif: Any, instance: Any) -> dict[str, Any]:
    """Compute's part of the port."""
    said: dict[str, Any] = {
        "version": "1.0",
        "instance": {"id": instance.uuid, "name": get(instance, "name") or ""},
        "vif_type": KINDS[name_of(vif)],
    }
    if (project := get(instance, "project_id")) is not None:
        said["instance"]["project_id"] = project
    if (address := get(vif, "address")) is not None:
        said["mac_address"] = str(address)
    if (network := get(get(vif, "network"), "id")) is not None:
        said["network_id"] = str(network)
    if (mtu := get(get(vif, "network"), "mtu")) is not None:
        said["mtu"] = mtu
    _expected(vif, said)
    _queues(vif, said)
    return said


def _expected(vif: Any, said: dict[str, Any]) -> None:
    """The device or socket that nova writes into the guest's definition."""
    if name_of(vif) == "VIFVHostUser":
        if (path := get(vif, "path")) is not None:
            said["socket_path"] = path
    elif (device := get(vif, "vif_name")) is not None:
        said["device"] = device


def _queues(vif: Any, said: dict[str, Any]) -> None:
    """Whether the device takes several queues. How many there are the profile does not say, and the
    kernel does not ask."""
    several = get(get(vif, "port_profile"), "multiqueue")
    if several is not None and get(get(vif, "port_profile"), "create_tap"):
        said["queues"] = 2 if several else 1
