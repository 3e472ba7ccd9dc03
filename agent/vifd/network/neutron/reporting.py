"""What this host is reported as: the state of an agent, as mechanism drivers read it. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vifd import __version__
from vifd.network.neutron.objects import Plain

#: The service keeps the configurations in a column of this many characters.
LIMIT = 4095
#: With one of these among the interface types and a userspace bridge, the service's own mechanism
#: driver binds every port as a vhost-user socket.
SOCKETS = ("dpdkvhostuser", "dpdkvhostuserclient")
#: What this host's plugins are told under.
CANDIDATES = "vifd"


@dataclass(frozen=True)
class Options:
    """The options that are reported.

    :param local_ip: where tunnels to this host lead; empty for none
    :param bandwidths: as configured, ``bridge:egress:ingress``
    """

    agent_type: str
    binary: str
    tunnel_types: Sequence[str] = ()
    local_ip: str = ""
    l2_population: bool = False
    arp_responder: bool = False
    extensions: Sequence[str] = ()
    smartnic: bool = False
    socket_dir: str = ""
    bandwidths: Sequence[str] = ()
    inventory: Mapping[str, str] = field(default_factory=dict)
    hypervisors: Mapping[str, str] = field(default_factory=dict)


def bandwidths(entries: Sequence[str]) -> dict[str, Plain]:
    """By bridge, what it may carry in kbit/s; ``None`` where it is not said.

    :raises ValueError: an entry that makes no sense
    """
    found: dict[str, Plain] = {}
    for entry in entries:
        bridge, *numbers = [part.strip() for part in entry.split(":")]
        sound = bridge and len(numbers) == 2 and all(n.isdecimal() for n in numbers if n)
        if not sound or bridge in found:
            why = "names its bridge once more" if bridge in found else "is no bridge:egress:ingress"
            raise ValueError(f"resource_provider_bandwidths: {entry!r} {why}")
        egress, ingress = (int(n) if n else None for n in numbers)
        found[bridge] = {"egress": egress, "ingress": ingress}
    return found


def inventory(defaults: Mapping[str, str]) -> Plain:
    """The fields of an inventory as numbers.

    :raises ValueError: one is none
    """
    return {name: _number(name, text) for name, text in defaults.items()}


def _number(name: str, text: str) -> float:
    try:
        return float(text) if name == "allocation_ratio" else int(text)
    except ValueError:
        problem = f"{name}: {text!r} is no number"
        raise ValueError(f"resource_provider_inventory_defaults: {problem}") from None


def state(options: Options, host: str, plugins: Sequence[Plain], plugin: str, ports: int) -> Plain:
    """The state of the agent.

    :param plugins: all plugins as the API shows them
    :param plugin: the one whose bridge is told
    :param ports: how many there are
    """
    return {
        "binary": options.binary,
        "host": host,
        "topic": "N/A",
        "agent_type": options.agent_type,
        "configurations": fitting(configurations(options, host, plugins, plugin, ports)),
    }


def first(reported: Plain) -> Plain:
    """The same as the first report of a life says it."""
    return {**reported, "start_flag": True}


def speaking(reported: Plain, versions: Mapping[str, str]) -> Plain:
    """The same with the versions of objects, by type, that are spoken from now on."""
    return {**reported, "resource_versions": dict(versions)}


def unusable(plugins: Sequence[Plain], plugin: str) -> str:
    """Why ports cannot be bound to this host, as when its switch does not answer; empty where they
    can."""
    found = _of(plugins, plugin)
    if not found:
        return f"plugin {plugin} is not there"
    if found.get("state") in ("ready", "degraded"):
        return ""
    said = "; ".join(map(str, found.get("reasons") or ()))
    return f"plugin {plugin} is {found.get('state')}" + (f": {said}" if said else "")


def tunnelled(options: Options, plugins: Sequence[Plain], plugin: str) -> tuple[Options, str]:
    """The options with the tunnels that the plugin has, where they say nothing of them; and what
    contradicts these, in words.

    :param plugin: the one whose bridge is told
    """
    tunnels = _of(plugins, plugin).get("tunnels") or {}
    local = options.local_ip or next(iter(tunnels.values()), "")
    types = options.tunnel_types or list(tunnels)
    found = replace(options, tunnel_types=types, local_ip=local)
    if local and (unserved := [kind for kind in types if kind not in tunnels]):
        have = ", ".join(tunnels) or "none"
        return found, f"tunnel_types has {', '.join(unserved)}, plugin {plugin} has {have}"
    own = {tunnels[kind] for kind in types if kind in tunnels} - {local}
    # of two addresses the plugin tells the IPv4 one
    if others := sorted(ip for ip in own if (":" in ip) == (":" in local)):
        return found, f"local_ip is {local}, that of plugin {plugin} {', '.join(others)}"
    return found, ""


def _of(plugins: Sequence[Plain], plugin: str) -> Plain:
    return next((p for p in plugins if p.get("name") == plugin), {})


def configurations(
    options: Options, host: str, plugins: Sequence[Plain], plugin: str, ports: int
) -> Plain:
    """What mechanism drivers, the services and people read of the agent."""
    facts = _of(plugins, plugin).get("facts") or {}
    bridge = facts.get("bridge") or {}
    mappings = facts.get("bridge_mappings") or {}
    carried = {physnet: m["bridge"] for physnet, m in mappings.items()}
    tunneled = list(options.tunnel_types) if options.local_ip else []
    return {
        "bridge_mappings": carried,
        "integration_bridge": bridge.get("name", ""),
        "datapath_type": bridge.get("datapath_type") or "system",
        "ovs_capabilities": {
            "datapath_types": list(facts.get("datapath_types") or ()),
            "iface_types": _iface_types(facts.get("iface_types") or (), plugins, plugin),
        },
        "tunnel_types": tunneled,
        "tunneling_ip": options.local_ip or None,
        "l2_population": options.l2_population,
        "arp_responder_enabled": options.arp_responder,
        "enable_distributed_routing": False,
        "in_distributed_mode": False,
        "log_agent_heartbeats": False,
        "ovs_hybrid_plug": False,
        "baremetal_smartnic": options.smartnic,
        "vhostuser_socket_dir": options.socket_dir,
        "extensions": list(options.extensions),
        "devices": ports,
        "resource_provider_bandwidths": bandwidths(options.bandwidths),
        "resource_provider_inventory_defaults": inventory(options.inventory),
        "resource_provider_hypervisors": _hypervisors(options, carried, host),
        "resource_provider_packet_processing_with_direction": {},
        "resource_provider_packet_processing_without_direction": {},
        "resource_provider_packet_processing_inventory_defaults": inventory(options.inventory),
        CANDIDATES: {"version": __version__, "candidates": candidates(plugins)},
    }


def candidates(plugins: Sequence[Plain]) -> list[Plain]:
    """What each plugin that can work on this host serves, the preferred first."""
    usable_ = [p for p in plugins if p.get("state") in ("ready", "degraded")]
    return [
        {
            "plugin": p["name"],
            "vif_types": list(p.get("vif_types") or ()),
            "vnic_types": list(p.get("vnic_types") or ()),
            "network_types": list(p.get("network_types") or ()),
            "features": list(p.get("features") or ()),
        }
        for p in usable_
        if p.get("network_types") and p["name"] != "noop"
    ]


def fitting(told: Plain) -> Plain:
    """The configurations in a form that the service's database holds: what people alone read goes
    first, and nothing that decides a binding."""
    if _size(told) <= LIMIT:
        return told
    short = {**told, CANDIDATES: _names_only(told[CANDIDATES])}
    if _size(short) <= LIMIT:
        return short
    capabilities = {**told["ovs_capabilities"], "iface_types": _sockets(told)}
    short = {**short, "ovs_capabilities": capabilities}
    if _size(short) <= LIMIT:
        return short
    return {name: value for name, value in short.items() if name != CANDIDATES}


def _size(told: Plain) -> int:
    return len(json.dumps(told))


def _names_only(part: Plain) -> Plain:
    kept = [{n: c[n] for n in ("plugin", "vif_types")} for c in part["candidates"]]
    return {**part, "candidates": kept}


def _sockets(told: Plain) -> list[str]:
    types: list[str] = told["ovs_capabilities"]["iface_types"]
    return [name for name in types if name in SOCKETS]


def _iface_types(types: Sequence[str], plugins: Sequence[Plain], plugin: str) -> list[str]:
    """Without those that would have every port bound as a socket, unless sockets are what this host
    prefers."""
    names = [p.get("name") for p in plugins if p.get("state") in ("ready", "degraded")]
    sockets = "vhostuser" in names and (
        plugin not in names or names.index("vhostuser") < names.index(plugin)
    )
    return [name for name in types if sockets or name not in SOCKETS]


def _hypervisors(options: Options, carried: Mapping[str, str], host: str) -> dict[str, str]:
    bridges = {*carried.values(), *bandwidths(options.bandwidths)}
    return {bridge: options.hypervisors.get(bridge, host) for bridge in sorted(bridges)}
