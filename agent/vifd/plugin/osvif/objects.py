"""An attachment as os-vif's objects."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

from vifd.model import Attachment
from vifd.plugin.osvif.naming import Names


def vif(plugin: str, attachment: Attachment, names: Names) -> Any:
    """The VIF object.

    :param plugin: the plugin's name for os-vif
    """
    cls = _class(names.object)
    fields: dict[str, Any] = {
        "id": attachment.id,
        "address": attachment.mac,
        "network": network(attachment, names),
        "plugin": plugin,
        "active": True,
        "preserve_on_delete": False,
        "has_traffic_filtering": False,
        "port_profile": profile(attachment, names),
        "vif_name": names.device,
        "bridge_name": names.own_bridge or names.bridge,
        "path": names.socket,
        "mode": names.socket_mode or "passthrough",
        "dev_type": "ethernet",
        "dev_address": names.pci_slot,
        "vlan_name": "",
    }
    return _of(cls, fields)


def profile(attachment: Attachment, names: Names) -> Any:
    """The port profile, with what the installed class knows of these fields."""
    return _of(
        _class(names.profile),
        {
            "interface_id": attachment.id,
            "profile_id": "",
            "datapath_type": names.datapath_type,
            "create_port": True,
            "create_tap": names.object == "VIFOpenVSwitch",
            "multiqueue": names.multiqueue,
            "bridge_name": names.bridge,
            "hybrid_plug": False,
        },
    )


def network(attachment: Attachment, names: Names) -> Any:
    """The network with its subnets and the port's addresses in them."""
    from os_vif.objects.network import Network
    from os_vif.objects.subnet import SubnetList

    segment = attachment.network.segment
    return Network(
        id=attachment.network.id,
        bridge=names.bridge,
        label=attachment.network.name,
        mtu=attachment.network.mtu,
        vlan=segment.segmentation_id if segment.network_type == "vlan" else None,
        subnets=SubnetList(objects=list(_subnets(attachment))),
    )


def _subnets(attachment: Attachment) -> Iterator[Any]:
    from os_vif.objects.fixed_ip import FixedIP, FixedIPList
    from os_vif.objects.route import RouteList
    from os_vif.objects.subnet import Subnet

    for subnet in attachment.subnets:
        inside = ip_network(subnet.cidr, strict=False)
        ips = [
            FixedIP(address=ip.ip_address)
            for ip in attachment.fixed_ips
            if ip_address(ip.ip_address) in inside
        ]
        made = Subnet(
            cidr=subnet.cidr,
            dns=[],
            ips=FixedIPList(objects=ips),
            routes=RouteList(objects=[]),
        )
        if subnet.gateway_ip is not None:
            made.gateway = subnet.gateway_ip
        yield made


def instance(attachment: Attachment) -> Any:
    """The guest; a port without one stands for itself, as os-vif must have a UUID."""
    from os_vif.objects.instance_info import InstanceInfo

    guest = attachment.instance
    return InstanceInfo(
        uuid=attachment.instance_id or attachment.id,
        name=guest.name if guest else "",
        project_id=guest.project_id if guest else "",
    )


def _class(name: str) -> Any:
    from oslo_versionedobjects import base

    return base.VersionedObjectRegistry.obj_classes()[name][0]


def _of(cls: Any, fields: dict[str, Any]) -> Any:
    return cls(**{name: value for name, value in fields.items() if name in cls.fields})
