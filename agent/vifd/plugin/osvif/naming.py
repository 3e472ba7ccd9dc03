"""What a port of a hosted plugin is called. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from vifd.errors import BadDocument, InternalError
from vifd.model import Attachment, Wiring
from vifd.plugin.guest import queues
from vifd.plugin.osvif.describing import Description
from vifd.plugin.osvif.options import Settings

#: Which prefix a device has, as the compute service names it; the rest is the port's id.
_PREFIX = {"VIFVHostUser": "vhu"}
#: The bridge of its own that a port has with ``VIFBridge``, and its port in the switch beyond.
_OWN_BRIDGE, _BEYOND = "qbr", "qvo"
_LENGTH = 14


@dataclass(frozen=True)
class Names:
    """What a classic plugin is told, so that unplug needs nothing else.

    :param object: the class of os-vif that the port is made into
    :param profile: the class of its port profile
    :param bridge: the network's bridge
    :param own_bridge: the port's own bridge, where it has one
    :param port: the port's name in a switch
    :param seen: the device was there after the plug, so it must stay
    """

    object: str
    profile: str
    device: str = ""
    bridge: str = ""
    own_bridge: str = ""
    port: str = ""
    datapath_type: str = ""
    socket: str = ""
    socket_mode: str = ""
    pci_slot: str = ""
    multiqueue: bool = False
    seen: bool = False

    def wiring(self, plugin: str, vif_type: str) -> Wiring:
        """The names as the journal keeps them."""
        return Wiring(plugin, vif_type, self.device, asdict(self))


def read(wiring: Wiring) -> Names:
    """The names in a wiring.

    :raises InternalError: it is not one of ours
    """
    try:
        return Names(**wiring.details)
    except TypeError as error:
        raise InternalError(f"the wiring makes no sense: {error}", stage="names") from error


def choose(
    attachment: Attachment, description: Description, settings: Settings, datapath_type: str
) -> Names:
    """The names of a new port.

    :param datapath_type: of the bridge
    :raises BadDocument: the binding profile lacks what this VIF type needs
    """
    vif_type = vif_type_of(attachment, description)
    cls = description.vif_types[vif_type]
    profile = attachment.port.binding_profile
    device = str(profile.get("vif_name") or _name(_PREFIX.get(cls, "tap"), attachment))
    known = description.profiles.get(cls, ())
    names: dict[str, Any] = {
        "object": cls,
        "profile": known[0] if known else "VIFPortProfileBase",
        "device": device,
        "port": device,
        "bridge": str(profile.get("bridge_name") or settings.bridge),
        "datapath_type": datapath_type,
        "multiqueue": queues(attachment, settings.max_queues) > 1,
    }
    if cls == "VIFVHostUser":
        default = f"{settings.socket_dir.rstrip('/')}/{device}"
        names["socket"] = str(profile.get("vhostuser_socket") or default)
        names["socket_mode"] = str(profile.get("vhostuser_mode") or settings.socket_mode)
    if cls == "VIFBridge":
        names["own_bridge"] = _name(_OWN_BRIDGE, attachment)
        names["port"] = _name(_BEYOND, attachment)
    if cls in ("VIFHostDevice", "VIFDirect"):
        pci_slot = _needed(attachment, profile, "pci_slot")
        names |= {"device": "", "port": "", "pci_slot": pci_slot}
    return Names(**names)


def _name(prefix: str, attachment: Attachment) -> str:
    return f"{prefix}{attachment.id}"[:_LENGTH]


def vif_type_of(attachment: Attachment, description: Description) -> str:
    """The VIF type that was asked for, else the plugin's first."""
    wish = attachment.vif_type
    if wish is not None and wish in description.vif_types:
        return wish
    return next(iter(description.vif_types))


def _needed(attachment: Attachment, profile: Mapping[str, Any], key: str) -> str:
    value = profile.get(key)
    if not isinstance(value, str) or not value:
        field = f"port.binding_profile.{key}"
        raise BadDocument.at_field(field, "is required for this VIF type", port=attachment.id)
    return value
