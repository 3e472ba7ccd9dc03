"""Probe: whether the plugin can work on this host now."""

from __future__ import annotations

from collections.abc import Iterator

from vifd.drivers import Drivers
from vifd.plugin import Health, Probe
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.bridges import Bridges
from vifd_ovs.bridge.chassis import taken_by_ovn
from vifd_ovs.bridge.reach import unreachable
from vifd_ovs.bridge.uplinks import lacking, physical_networks
from vifd_ovs.options import Settings


def probe(drivers: Drivers, settings: Settings, bridges: Bridges) -> Probe:
    """Read what the plugin stands on; what lacks for good makes it unavailable, what lacks for some
    networks makes it degraded."""
    fatal = list(_fatal(drivers, settings))
    lacking = [] if fatal else list(_lacking(drivers, settings, bridges))
    health = Health.UNAVAILABLE if fatal else Health.DEGRADED if lacking else Health.READY
    facts = _facts(drivers, settings, bridges)
    applies = not taken_by_ovn(drivers.ovsdb.facts(), settings.bridge)
    networks = physical_networks(bridges)
    return Probe(health, fatal + lacking, facts, networks, applies=applies)


def _fatal(drivers: Drivers, settings: Settings) -> Iterator[str]:
    if no_tap := drivers.links.tap_problem():
        yield no_tap
    if not drivers.ovsdb.connected():
        yield (
            "the Open vSwitch database cannot be reached: start Open vSwitch, or correct "
            "ovsdb_connection in [openvswitch] of agent.conf"
        )
        return
    if owned := taken_by_ovn(drivers.ovsdb.facts(), settings.bridge):
        yield owned
        return
    bridge = drivers.ovsdb.bridge(settings.bridge)
    yield from unreachable(drivers, bridge)
    if bridge is not None:
        return
    if not settings.create_bridge:
        yield (
            f"bridge {settings.bridge} does not exist and create_bridge is false: make it, or set "
            "create_bridge"
        )
    else:
        types = drivers.ovsdb.facts().get("datapath_types") or []
        if types and settings.datapath_type not in types:
            yield f"Open vSwitch has no datapath {settings.datapath_type!r} (have {types})"


def _lacking(drivers: Drivers, settings: Settings, bridges: Bridges) -> Iterator[str]:
    bridge = drivers.ovsdb.bridge(settings.bridge)
    ours = bridge is None or marks.BRIDGE in bridge.external_ids
    if bridge is not None and not ours and bridge.fail_mode != "secure":
        yield (
            f"bridge {bridge.name} is not ours and has fail_mode "
            f"{bridge.fail_mode or 'standalone'}: after a restart of the switch it forwards "
            "like a plain bridge until vifd has put its flows back"
        )
    yield from lacking(bridges, drivers.links)
    for physnet, name in settings.mappings.items():
        if drivers.ovsdb.bridge(name) is not None and bridge is not None:
            problem = bridges.patch_pair_problem(physnet, bridge.name)
            if problem is not None and "missing" not in problem:
                yield f"physical network {physnet}: {problem}"


def _facts(drivers: Drivers, settings: Settings, bridges: Bridges) -> dict[str, object]:
    facts: dict[str, object] = dict(drivers.ovsdb.facts())
    bridge = drivers.ovsdb.bridge(settings.bridge)
    facts["connected"] = drivers.ovsdb.connected()
    facts["bridge"] = {"name": settings.bridge, "exists": bridge is not None}
    if bridge is not None:
        facts["bridge"] = {
            "name": bridge.name,
            "exists": True,
            "made_by_vifd": marks.BRIDGE in bridge.external_ids,
            "datapath_type": bridge.datapath_type,
            "fail_mode": bridge.fail_mode,
            "protocols": list(bridge.protocols),
            "ports": len(drivers.ovsdb.ports(bridge.name)),
        }
    facts["bridge_mappings"] = {
        physnet: {"bridge": name, "exists": drivers.ovsdb.bridge(name) is not None,
                  "mtu": (bridges.uplink_mtu(physnet) or (None, None))[1]}
        for physnet, name in settings.mappings.items()
    }  # fmt: skip
    return facts
