"""What Neutron says of a port, as the network's part of its document. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vifd.model import DOCUMENT_VERSIONS, Role
from vifd.network.neutron.objects import TYPE, Plain, entries, mac, mapping

#: Who said a part.
OWNER = "neutron"
#: Types of VIF that a host of taps and sockets makes; another driver's are not ours.
OURS = ("ovs", "vhostuser", "tap", "bridge")
#: Ports of the service itself, which are no guests' and may be anybody on their network.
TRUSTED = "network:"
#: Ports of instances, and the detail of a binding that leaves no tap to libvirt.
COMPUTE, CREATE = "compute:", "ovs_create_tap"
_UNBOUND = ("unbound", "binding_failed", "")
_PORT = ("name", "admin_state_up", "device_owner", "numa_affinity_policy", "trusted",
         "hardware_offload_type")  # fmt: skip
_QOS_TYPES = {
    "QosBandwidthLimitRule": "bandwidth_limit",
    "QosPacketRateLimitRule": "packet_rate_limit",
    "QosMinimumBandwidthRule": "minimum_bandwidth",
    "QosMinimumPacketRateRule": "minimum_packet_rate",
    "QosDscpMarkingRule": "dscp_marking",
}
_QOS = ("id", "direction", "max_kbps", "max_burst_kbps", "max_kpps", "max_burst_kpps", "min_kbps",
        "min_kpps", "dscp_mark")  # fmt: skip


def _no_trunk(_: str) -> Plain | None:
    return None


@dataclass(frozen=True)
class Known:
    """What a port's document is made of beside the port.

    :param groups: whether the port's groups are in force on this host
    :param trunks: by the id of a parent, its trunk as it stands in a document
    """

    networks: Mapping[str, Plain] = field(default_factory=dict)
    subnets: Mapping[str, Plain] = field(default_factory=dict)
    policies: Mapping[str, Plain] = field(default_factory=dict)
    groups: bool = True
    trunks: Callable[[str], Plain | None] = _no_trunk


def binding(port: Mapping[str, Any], host: str) -> Plain | None:
    """The binding of a port to a host, of whatever state."""
    return next((b for b in entries(port, "bindings") if b.get("host") == host), None)


def mine(port: Mapping[str, Any], host: str) -> bool:
    """Whether a host has a binding of the port that is this daemon's to carry out, be it that the
    service has yet to choose its type."""
    found = binding(port, host)
    return found is not None and found.get("vif_type") in (*OURS, "unbound")


def unfinished(port: Mapping[str, Any], host: str) -> bool:
    """Whether the binding in force is that to a host and has no type or segment: the service gave
    it up for one on another host, took it back, and binds it anew once somebody asks for the port's
    details."""
    return active_here(port, host) and given_up(port, host)


def given_up(port: Mapping[str, Any], host: str) -> bool:
    """Whether a binding to a host has lost its type or segment: what the port is here is as it
    was, and all that is said of it is whether it is in force."""
    if not mine(port, host):
        return False
    found = binding(port, host)
    return found is not None and (found.get("vif_type") in _UNBOUND or _level(port, host) is None)


def role(port: Mapping[str, Any], host: str) -> Role:
    """Whether the binding to a host is in force."""
    return Role.ACTIVE if active_here(port, host) else Role.INACTIVE


def active_here(port: Mapping[str, Any], host: str) -> bool:
    """Whether the binding to a host is the one in force."""
    found = binding(port, host)
    return found is not None and found.get("status") == "ACTIVE"


def nova_plugs(port: Mapping[str, Any], host: str) -> bool:
    """Whether nova plugs the port on a host, and has the device made for it: a tap that nova has
    libvirt make must not be there before."""
    found = binding(port, host)
    if found is None or not str(port.get("device_owner") or "").startswith(COMPUTE):
        return False
    if found.get("vif_type") == "vhostuser":
        return True
    return found.get("vif_type") == "ovs" and bool(mapping(found.get("vif_details")).get(CREATE))


def _level(port: Mapping[str, Any], host: str) -> Plain | None:
    """The segment that the binding to a host came down to."""
    levels = [x for x in entries(port, "binding_levels") if x.get("host") == host]
    last = max(levels, key=_depth, default=None)
    segment = last.get("segment") if last else None
    return segment if isinstance(segment, dict) else None


def _depth(level: Mapping[str, Any]) -> int:
    number = level.get("level")
    return number if isinstance(number, int) else 0


def segment_of(port: Mapping[str, Any], network: Mapping[str, Any] | None, host: str) -> Plain:
    """The segment of a port on a host; what the network says of it now goes before what the port
    said when it was read. Empty where there is none."""
    level = _level(port, host)
    if level is None:
        return {}
    present = entries(network or {}, "segments")
    now = next((s for s in present if s.get("id") == level.get("id")), level)
    names = ("network_type", "physical_network", "segmentation_id", "id")
    return {n: now[n] for n in names if now.get(n) is not None}


def needs(
    port: Mapping[str, Any], networks: Mapping[str, Plain]
) -> tuple[str, list[str], list[str]]:
    """What else must be known of a port: its network, its subnets, its QoS policy.

    :param networks: those that are known, by id
    """
    subnets = [ip["subnet_id"] for ip in entries(port, "fixed_ips") if ip.get("subnet_id")]
    network = str(port.get("network_id") or "")
    policy = port.get("qos_policy_id") or _of_network(port, networks.get(network))
    return network, sorted(set(subnets)), [str(policy)] if policy else []


def _of_network(port: Mapping[str, Any], network: Mapping[str, Any] | None) -> Any:
    """The policy that a port has of its network; what the network says now goes before what the
    port said when it was read: nobody tells of the port when its network gets another one."""
    if str(port.get("device_owner") or "").startswith(TRUSTED):
        # it does not hold for the service's own ports
        return None
    if network is None:
        return port.get("qos_network_policy_id")
    return network.get("qos_policy_id")


def part(port: Mapping[str, Any], known: Known, host: str) -> Plain | None:
    """The network's part of the document of a port on a host; ``None`` where it has none there, or
    its network or segment is not known."""
    bound, network = binding(port, host), known.networks.get(str(port.get("network_id")))
    if bound is None or network is None or bound.get("vif_type") not in OURS:
        return None
    segment = segment_of(port, network, host)
    if not segment:
        return None
    body: Plain = {
        "version": DOCUMENT_VERSIONS[0],
        "role": role(port, host).value,
        "port": _port(port, bound, known),
        "network": _network(network, segment),
        "fixed_ips": [_ip(ip) for ip in entries(port, "fixed_ips")],
    }
    wanted = needs(port, known.networks)[1]
    body["subnets"] = [_subnet(known.subnets[i]) for i in wanted if i in known.subnets]
    if bound.get("vif_type") in ("ovs", "vhostuser"):
        body["vif_type"] = bound["vif_type"]
    return body


def _port(port: Mapping[str, Any], bound: Mapping[str, Any], known: Known) -> Plain:
    made = _only(port, _PORT)
    made |= {"id": port["id"], "mac_address": mac(port.get("mac_address"))}
    made["vnic_type"] = bound.get("vnic_type") or "normal"
    made["port_security_enabled"] = secured(port)
    profile = mapping(bound.get("profile"))
    if profile:
        made["binding_profile"] = profile
    pairs = entries(port, "allowed_address_pairs")
    if pairs:
        made["allowed_address_pairs"] = [_pair(p) for p in pairs]
    if known.groups and made["port_security_enabled"]:
        made["security_groups"] = sorted(map(str, port.get("security_group_ids") or ()))
    if (trunk := known.trunks(port["id"])) is not None:
        made["trunk_details"] = trunk
    hints = port.get("hints")
    if isinstance(hints, dict) and mapping(hints.get("hints")):
        made["hints"] = mapping(hints.get("hints"))
    for policy in needs(port, known.networks)[2]:
        if policy in known.policies:
            made["qos_policy"] = _policy(known.policies[policy])
    return made


def secured(port: Mapping[str, Any]) -> bool:
    """Whether the port is held to its addresses: the service's own ports never are."""
    if str(port.get("device_owner") or "").startswith(TRUSTED):
        return False
    security = port.get("security")
    if not isinstance(security, dict):
        return True
    return security.get("port_security_enabled") is not False


def _network(network: Mapping[str, Any], segment: Plain) -> Plain:
    made = _only(network, ("id", "name", "mtu", "vlan_transparent", "qinq"))
    return {**made, "segment": segment}


def _subnet(subnet: Mapping[str, Any]) -> Plain:
    made = _only(subnet, ("id", "enable_dhcp", "segment_id"))
    made["cidr"] = str(subnet.get("cidr"))
    if subnet.get("gateway_ip"):
        made["gateway_ip"] = str(subnet["gateway_ip"])
    return made


def _ip(ip: Mapping[str, Any]) -> Plain:
    return {"ip_address": str(ip.get("ip_address")), **_only(ip, ("subnet_id",))}


def _pair(pair: Mapping[str, Any]) -> Plain:
    made = {"ip_address": str(pair.get("ip_address"))}
    address = mac(pair.get("mac_address"))
    return {**made, "mac_address": address} if address else made


def _policy(policy: Mapping[str, Any]) -> Plain:
    rules = []
    for rule in entries(policy, "rules"):
        kind = _QOS_TYPES.get(str(rule.get(TYPE)))
        if kind:
            rules.append({"type": kind, **_only(rule, _QOS)})
    return {**_only(policy, ("id", "name")), "rules": rules}


def _only(item: Mapping[str, Any], names: Iterable[str]) -> Plain:
    """These fields, where they say something."""
    return {name: item[name] for name in names if item.get(name) is not None}
