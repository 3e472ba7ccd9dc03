"""Which option of the stock Neutron agent is which of vifd's, and what has none. Data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: The stock agent's group and option, and ours, where the value is the same.
SAME: dict[tuple[str, str], tuple[str, str]] = {
    ("DEFAULT", "host"): ("DEFAULT", "host"),
    ("DEFAULT", "debug"): ("DEFAULT", "debug"),
    ("DEFAULT", "transport_url"): ("network_neutron", "transport_url"),
    ("DEFAULT", "control_exchange"): ("network_neutron", "exchange"),
    ("DEFAULT", "rpc_response_timeout"): ("network_neutron", "rpc_timeout"),
    ("DEFAULT", "rpc_resources_processing_step"): (
        "network_neutron", "rpc_resources_processing_step",
    ),
    ("AGENT", "report_interval"): ("network_neutron", "report_interval"),
    ("AGENT", "tunnel_types"): ("network_neutron", "tunnel_types"),
    ("AGENT", "l2_population"): ("network_neutron", "l2_population"),
    ("AGENT", "arp_responder"): ("network_neutron", "arp_responder"),
    ("AGENT", "extensions"): ("network_neutron", "extensions"),
    ("AGENT", "baremetal_smartnic"): ("network_neutron", "baremetal_smartnic"),
    ("OVS", "local_ip"): ("network_neutron", "local_ip"),
    ("OVS", "integration_bridge"): ("ovs", "integration_bridge"),
    ("OVS", "bridge_mappings"): ("ovs", "bridge_mappings"),
    ("OVS", "datapath_type"): ("ovs", "datapath_type"),
    ("OVS", "ovsdb_connection"): ("openvswitch", "ovsdb_connection"),
    ("OVS", "vhostuser_socket_dir"): ("network_neutron", "vhostuser_socket_dir"),
    ("OVS", "resource_provider_bandwidths"): ("network_neutron", "resource_provider_bandwidths"),
    ("OVS", "resource_provider_inventory_defaults"): (
        "network_neutron", "resource_provider_inventory_defaults",
    ),
    ("OVS", "resource_provider_hypervisors"): ("network_neutron", "resource_provider_hypervisors"),
}  # fmt: skip

#: What the switch's plugin is told as well: the driver reports it, the plugin does it.
ALSO: dict[tuple[str, str], tuple[str, str]] = {
    ("AGENT", "tunnel_types"): ("ovs", "tunnel_types"),
    ("OVS", "local_ip"): ("ovs", "local_ip"),
    ("AGENT", "vxlan_udp_port"): ("ovs", "vxlan_udp_port"),
    ("AGENT", "dont_fragment"): ("ovs", "dont_fragment"),
    ("AGENT", "tunnel_csum"): ("ovs", "tunnel_csum"),
}

#: Groups that are the message library's own, and taken as they are.
WHOLE = ("oslo_messaging_rabbit", "ssl")

#: Firewall drivers of the stock agent that filter nothing.
NO_FIREWALL = ("noop", "noopfirewalldriver")


@dataclass(frozen=True)
class Lacking:
    """Something that the stock agent can be told and vifd cannot.

    :param why: what that means on this host
    :param concerns: whether a value differs from what vifd does anyway
    """

    why: str
    concerns: Callable[[str], bool]


def _on(value: str) -> bool:
    return value.strip().lower() in ("true", "yes", "on", "1")


def _iptables(value: str) -> bool:
    return "iptables" in value.lower()


def _beyond_qos(value: str) -> bool:
    return bool({name.strip() for name in value.split(",")} - {"qos", ""})


LACKING: tuple[tuple[str, str, Lacking], ...] = (
    ("AGENT", "enable_distributed_routing", Lacking(
        "routers are not distributed by vifd; keep the stock agent on hosts that need it", _on)),
    ("securitygroup", "firewall_driver", Lacking(
        "vifd filters on Open vSwitch itself, without a bridge per port", _iptables)),
    ("AGENT", "extensions", Lacking(
        "of the extensions only qos is done by vifd; the others are reported and not served",
        _beyond_qos)),
    ("OVS", "resource_provider_packet_processing_without_direction", Lacking(
        "packet rates are not offered to Placement by vifd", bool)),
    ("OVS", "resource_provider_packet_processing_with_direction", Lacking(
        "packet rates are not offered to Placement by vifd", bool)),
)  # fmt: skip
