"""The names and numbers of a port on a Linux bridge, as they stand in ``Wiring.details``."""

from __future__ import annotations

import hashlib

import msgspec

from vifd.model import Attachment, Wiring
from vifd.model.trunks import is_sub_port
from vifd.plugin.tap import TapNames
from vifd_linuxbridge.options import Settings

#: The kernel's limit for a device's name.
_NAME = 15
_ID = 11
#: The VLAN of untagged frames on a VLAN-aware bridge; VLAN networks cannot have it there.
UNTAGGED = 4094


class LinuxWiring(TapNames, frozen=True, kw_only=True, omit_defaults=True):
    """What a port stands on.

    :param bridge: the bridge that the tap is a port of
    :param own_bridge: whether the bridge is ours to make and remove
    :param uplink: the bridge port that leads out of the host, or the empty string
    :param parent: the physical interface, which is the uplink itself for a flat network
    :param vlan: on a VLAN-aware bridge, the port's VLAN
    :param sub_port: whether its device is a VLAN device on that of its trunk's parent; which one,
        and which VLAN, follows from the ports as they are
    """

    bridge: str
    network_id: str
    own_bridge: bool = True
    network_type: str = "local"
    physical_network: str | None = None
    segmentation_id: int | None = None
    uplink: str = ""
    parent: str = ""
    vlan: int | None = None
    sub_port: bool = False


def read(wiring: Wiring) -> LinuxWiring:
    """The names and numbers in a wiring of ours.

    :raises InternalError: it is none
    """
    return LinuxWiring.read(wiring)


def bridge_name(network_id: str) -> str:
    """The bridge of a network; Neutron's users know it by this name."""
    return f"brq{network_id[:_ID]}"


def trunk_name(physnet: str) -> str:
    """The VLAN-aware bridge of a physical network."""
    return f"brv{_digest(physnet, 11)}"


def vlan_name(parent: str, vlan: int) -> str:
    """The VLAN sub-interface of a physical interface."""
    name = f"{parent}.{vlan}"
    return name if len(name.encode()) <= _NAME else f"{_digest(parent, 10)}.{vlan}"


def vxlan_name(vni: int) -> str:
    """The VXLAN device of a VNI."""
    return f"vxlan-{vni}"


def bridge_mac(bridge: str) -> str:
    """The bridge's own MAC address, the same on each life of the bridge."""
    digest = hashlib.sha256(bridge.encode()).hexdigest()
    return ":".join(("02", *(digest[i : i + 2] for i in range(0, 10, 2))))


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def plan(attachment: Attachment, settings: Settings, *, multi_queue: bool) -> LinuxWiring:
    """The names for a port: a pure function of its document and the configuration."""
    network = attachment.network
    segment = network.segment
    physnet, number = segment.physical_network, segment.segmentation_id
    names = LinuxWiring(
        bridge=bridge_name(network.id),
        network_id=network.id,
        network_type=segment.network_type,
        physical_network=physnet,
        segmentation_id=number,
        multi_queue=multi_queue,
        sub_port=is_sub_port(attachment),
    )
    if segment.network_type == "vxlan" and number is not None:
        return msgspec.structs.replace(names, uplink=vxlan_name(number))
    if segment.network_type not in ("flat", "vlan") or physnet is None:
        return names
    if segment.network_type == "flat" and physnet in settings.bridges:
        return msgspec.structs.replace(names, bridge=settings.bridges[physnet], own_bridge=False)
    parent = settings.interfaces.get(physnet, "")
    if settings.vlan_aware:
        vlan = number if segment.network_type == "vlan" else UNTAGGED
        trunk = trunk_name(physnet)
        return msgspec.structs.replace(names, bridge=trunk, uplink=parent, parent=parent, vlan=vlan)
    tagged = segment.network_type == "vlan" and number is not None
    uplink = vlan_name(parent, number or 0) if tagged else parent
    return msgspec.structs.replace(names, uplink=uplink, parent=parent)


def completed(attachment: Attachment, names: LinuxWiring, settings: Settings) -> LinuxWiring:
    """Names with everything that the document decides as it has it, and with the way out that they
    lack, whatever they were rebuilt from. A port that has its way keeps it."""
    planned = plan(attachment, settings, multi_queue=names.multi_queue)
    planned = msgspec.structs.replace(planned, ifindex=names.ifindex, plugged=names.plugged)
    if (names.network_id, _segment(names)) != (planned.network_id, _segment(planned)):
        return planned
    lost = planned.parent and not names.parent and names.bridge == planned.bridge
    return planned if lost else names


def _segment(names: LinuxWiring) -> tuple[str, str | None, int | None]:
    return names.network_type, names.physical_network, names.segmentation_id


def shared(names: LinuxWiring) -> LinuxWiring:
    """The part that all ports of a network have in common."""
    return msgspec.structs.replace(
        names, ifindex=None, multi_queue=False, plugged=False, sub_port=False
    )
