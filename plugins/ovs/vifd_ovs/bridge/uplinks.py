"""How the physical networks of a switch leave the host: read from its database, nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vifd.drivers import Links, PortRow
from vifd.plugin import Uplink
from vifd_ovs.bridge.bridges import Bridges


def physical_networks(bridges: Bridges) -> dict[str, Uplink]:
    """By name, every physical network that is mapped to a bridge, with its link and MTU."""
    return {physnet: _uplink(bridges, name) for physnet, name in bridges.mappings.items()}


def lacking(bridges: Bridges, links: Links) -> Iterator[str]:
    """For each physical network that cannot be used now: why, and what to do."""
    networks = physical_networks(bridges)
    absent = [u.device for u in networks.values() if u.up is False and not u.devices]
    interfaces = links.get(absent) if absent else {}
    for physnet, uplink in networks.items():
        if uplink.up is not False:
            continue
        if uplink.devices:
            yield f"physical network {physnet}: {uplink.problem}"
            continue
        bridge = uplink.device
        owner = bridges.ovsdb.port(bridge) or bridges.ovsdb.port_with(bridge)
        kind = interfaces[bridge].kind if bridge in interfaces else ""
        if owner is not None and owner.bridge == bridges.integration:
            yield (
                f"physical network {physnet} is mapped to {bridge}, which is a port of "
                f"{owner.bridge}, the integration bridge, and no bridge: map the bridge that the "
                "interface to the physical network is on"
            )
        elif owner is not None:
            yield (
                f"physical network {physnet} is mapped to {bridge}, which is a port of bridge "
                f"{owner.bridge} and no bridge: map {owner.bridge} in bridge_mappings"
            )
        elif kind == "bridge":
            yield (
                f"physical network {physnet} is mapped to {bridge}, which is a bridge of the "
                "kernel and none of Open vSwitch: map a bridge of Open vSwitch that the interface "
                "to the physical network is on, or serve this network by plugin linuxbridge"
            )
        elif bridge in interfaces:
            yield (
                f"physical network {physnet} is mapped to {bridge}, which is an interface of this "
                f"host and no bridge of Open vSwitch: ovs-vsctl add-br br-ex, ovs-vsctl add-port "
                f"br-ex {bridge} (addresses on it stop working), and map br-ex in bridge_mappings"
            )
        else:
            yield (
                f"bridge {bridge} of physical network {physnet} does not exist: ovs-vsctl add-br "
                f"{bridge}, then ovs-vsctl add-port {bridge} INTERFACE; or correct bridge_mappings"
            )


def _uplink(bridges: Bridges, name: str) -> Uplink:
    if not bridges.ovsdb.connected():
        return Uplink(name, problem="the Open vSwitch database cannot be reached")
    if bridges.ovsdb.bridge(name) is None:
        return Uplink(name, up=False, problem=f"bridge {name} does not exist")
    rows = bridges.uplinks(name)
    devices = tuple(row.name for row in rows)
    mtu = min((row.mtu for row in rows if row.mtu), default=None)
    up = _up(rows)
    return Uplink(name, up, mtu, devices=devices, problem=_problem(name, rows, up))


def _up(rows: Sequence[PortRow]) -> bool | None:
    """Up where one port is; unknown where none says."""
    states = {_state(row) for row in rows}
    return True if True in states else False if False in states else None


def _state(row: PortRow) -> bool | None:
    if row.error or row.ofport == -1:
        return False
    return None if not row.link_state else row.link_state == "up"


def _problem(bridge: str, rows: Sequence[PortRow], up: bool | None) -> str:
    if not rows:
        return f"bridge {bridge} has no port that leads out of the host"
    if up is not False:
        return ""
    said = (f"{row.name}: {row.error or 'its link is down'}" for row in rows)
    return f"no port of bridge {bridge} is up ({'; '.join(said)})"
