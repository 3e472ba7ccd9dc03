"""Networks, subnets and addresses, as they stand in a VIF."""

from __future__ import annotations

from vifd.plugin.vifs.objects import VersionedObject

_NETWORK = (
    "id", "bridge", "label", "subnets", "multi_host", "should_provide_bridge",
    "should_provide_vlan", "bridge_interface", "vlan",
)  # fmt: skip
_SUBNET = ("cidr", "dns", "gateway", "ips", "routes", "dhcp_server")


class Network(VersionedObject, history={"1.0": _NETWORK, "1.1": ("mtu",)}):
    """A network as a host sees it."""


class Subnet(VersionedObject, history={"1.0": _SUBNET}):
    """A subnet with the port's addresses in it."""


class SubnetList(VersionedObject, history={"1.0": ("objects",)}):
    """Subnets."""


class FixedIP(VersionedObject, history={"1.0": ("address", "floating_ips")}):
    """An address of the port."""


class FixedIPList(VersionedObject, history={"1.0": ("objects",)}):
    """Addresses."""


class RouteList(VersionedObject, history={"1.0": ("objects",)}):
    """Routes."""
