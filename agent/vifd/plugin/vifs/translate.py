"""A port of this host as a VIF object, as os-vif serialises it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from vifd.model import Attachment, Vif
from vifd.plugin.vifs import network as net
from vifd.plugin.vifs.kinds import KINDS, UNKNOWN
from vifd.plugin.vifs.objects import VersionedObject, find


def vif_object(
    attachment: Attachment,
    made: Vif,
    *,
    plugin: str,
    vif_type: str,
    active: bool = False,
    filtering: bool = False,
    profile: str = "",
    datapath_type: str = "",
) -> VersionedObject:
    """The VIF of a port that is plugged.

    ``create_port`` and ``create_tap`` are false: both are there already, and stay vifd's.

    :param active: whether traffic passes
    :param filtering: whether the plugin enforces the port's security
    :param profile: the class of the port profile; the preferred one of the VIF type by default
    """
    cls, profiles = KINDS.get(vif_type, UNKNOWN)
    named = find(profile) or profiles[0]
    given = {
        "id": attachment.id,
        "address": attachment.mac,
        "network": _network(attachment, made),
        "plugin": plugin,
        "active": active,
        "preserve_on_delete": False,
        "has_traffic_filtering": filtering,
        "port_profile": _of(named, _profile(attachment, made, datapath_type)),
        **_device(attachment, made),
    }
    return _of(cls, given)


def _device(attachment: Attachment, made: Vif) -> dict[str, Any]:
    slot = attachment.port.binding_profile.get("pci_slot")
    return {
        "vif_name": made.device,
        "bridge_name": made.bridge,
        "path": made.socket_path,
        "mode": made.socket_mode or "passthrough",
        "vlan_name": "",
        "dev_type": "ethernet",
        **({"dev_address": str(slot)} if slot else {}),
    }


def _profile(attachment: Attachment, made: Vif, datapath_type: str) -> dict[str, Any]:
    return {
        "interface_id": attachment.id,
        "profile_id": "",
        "datapath_type": datapath_type or None,
        "create_port": False,
        "create_tap": False,
        "multiqueue": made.queues > 1,
    }


def _of(cls: type[VersionedObject], given: dict[str, Any]) -> VersionedObject:
    """An object of the class with what it has of these fields."""
    known = cls.fields(cls.version())
    return cls(**{name: value for name, value in given.items() if name in known})


def _network(attachment: Attachment, made: Vif) -> net.Network:
    segment = attachment.network.segment
    return net.Network(
        id=attachment.network.id,
        bridge=made.bridge,
        label=attachment.network.name,
        subnets=net.SubnetList(objects=list(_subnets(attachment))),
        multi_host=False,
        should_provide_bridge=False,
        should_provide_vlan=False,
        vlan=segment.segmentation_id if segment.network_type == "vlan" else None,
        mtu=attachment.network.mtu,
    )


def _subnets(attachment: Attachment) -> Iterator[net.Subnet]:
    for subnet in attachment.subnets:
        inside = ip_network(subnet.cidr, strict=False)
        ips = [
            net.FixedIP(address=ip.ip_address)
            for ip in attachment.fixed_ips
            if ip.subnet_id == subnet.id
            or (ip.subnet_id is None and ip_address(ip.ip_address) in inside)
        ]
        gateway = {"gateway": subnet.gateway_ip} if subnet.gateway_ip is not None else {}
        yield net.Subnet(
            cidr=str(inside),
            dns=[],
            ips=net.FixedIPList(objects=ips),
            routes=net.RouteList(objects=[]),
            **gateway,
        )
