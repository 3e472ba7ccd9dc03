"""VIFs and their port profiles, with the fields that came with each version."""

from __future__ import annotations

from vifd.plugin.vifs.objects import VersionedObject

_BASE = (
    "id", "address", "network", "plugin", "active", "preserve_on_delete", "has_traffic_filtering",
    "port_profile",
)  # fmt: skip


class VIFBase(VersionedObject, history={"1.0": _BASE}):
    """What every VIF has."""


class VIFGeneric(VIFBase, history={"1.0": ("vif_name",)}):
    """A device of that name, whatever it is."""


class VIFBridge(VIFBase, history={"1.0": ("vif_name", "bridge_name")}):
    """A device on a bridge of the kernel."""


class VIFOpenVSwitch(VIFBase, history={"1.0": ("vif_name", "bridge_name")}):
    """A device on a bridge of Open vSwitch."""


class VIFDirect(VIFBase, history={"1.0": ("vif_name", "dev_address", "mode", "vlan_name")}):
    """A macvtap device on a virtual function."""


class VIFVHostUser(VIFBase, history={"1.0": ("path", "mode"), "1.1": ("vif_name",)}):
    """A vhost-user socket."""


class VIFHostDevice(VIFBase, history={"1.0": ("dev_type", "dev_address")}):
    """A device of the host that is given to the guest."""


class DatapathOffloadBase(VersionedObject, history={"1.0": ()}):
    """What every offload has."""


class DatapathOffloadRepresentor(
    DatapathOffloadBase, history={"1.0": ("representor_name", "representor_address")}
):
    """An offload by way of a representor."""


class VIFPortProfileBase(VersionedObject, history={"1.0": (), "1.1": ("datapath_offload",)}):
    """What every port profile has."""


class VIFPortProfileOpenVSwitch(
    VIFPortProfileBase,
    history={
        "1.0": ("interface_id", "profile_id"),
        "1.1": ("datapath_type",),
        "1.2": (),
        "1.3": ("create_port",),
        "1.4": ("create_tap", "multiqueue"),
    },
    parents={"1.2": "1.1"},
):
    """How a port is put into Open vSwitch."""
