"""Probe: whether the plugin can work on this host now."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vifd.drivers import Bridge, Drivers
from vifd.errors import VifError
from vifd.plugin import Health, Probe
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.bridge.bridges import Bridges, speaks
from vifd_ovs.bridge.uplinks import lacking, physical_networks
from vifd_ovs.options import Settings

TUN = "/dev/net/tun"
#: Seconds that the switch has for an answer.
PULSE = 1.0


def probe(drivers: Drivers, settings: Settings, bridges: Bridges) -> Probe:
    """Read what the plugin stands on; what lacks for good makes it unavailable, what lacks for some
    networks makes it degraded."""
    fatal = list(_fatal(drivers, settings))
    lacking = [] if fatal else list(_lacking(drivers, settings, bridges))
    health = Health.UNAVAILABLE if fatal else Health.DEGRADED if lacking else Health.READY
    facts = _facts(drivers, settings, bridges)
    return Probe(health, fatal + lacking, facts, physical_networks(bridges))


def _fatal(drivers: Drivers, settings: Settings) -> Iterator[str]:
    if not os.path.exists(TUN):
        yield f"{TUN} does not exist: load the kernel module tun"
    if not drivers.ovsdb.connected():
        yield (
            "the Open vSwitch database cannot be reached: start Open vSwitch, or correct "
            "ovsdb_connection in [openvswitch] of agent.conf"
        )
        return
    bridge = drivers.ovsdb.bridge(settings.bridge)
    if bridge is not None:
        yield from _unreachable(drivers, bridge)
    elif not settings.create_bridge:
        yield (
            f"bridge {settings.bridge} does not exist and create_bridge is false: make it, or set "
            "create_bridge"
        )
    else:
        types = drivers.ovsdb.facts().get("datapath_types") or []
        if types and settings.datapath_type not in types:
            yield f"Open vSwitch has no datapath {settings.datapath_type!r} (have {types})"


def _unreachable(drivers: Drivers, bridge: Bridge) -> Iterator[str]:
    if not speaks(bridge):
        return  # the first plug adds the protocol
    if problem := drivers.tracer.ping(PULSE):
        # its flow tables would be waited for in vain, for long
        yield (
            f"the flow tables of bridge {bridge.name} cannot be reached: the switch "
            f"(ovs-vswitchd) does not answer: {problem}"
        )
        return
    try:
        drivers.openflow.dump(bridge.name, cookies.BRIDGE)
    except VifError as error:
        yield f"the flow tables of bridge {bridge.name} cannot be reached: {error.message}"


def _lacking(drivers: Drivers, settings: Settings, bridges: Bridges) -> Iterator[str]:
    bridge = drivers.ovsdb.bridge(settings.bridge)
    ours = bridge is None or marks.BRIDGE in bridge.external_ids
    if bridge is not None and not ours and bridge.fail_mode != "secure":
        yield (
            f"bridge {bridge.name} is not ours and has fail_mode "
            f"{bridge.fail_mode or 'standalone'}: after a restart of the switch it forwards "
            "like a plain bridge until vifd has put its flows back"
        )
    yield from lacking(physical_networks(bridges))
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
            "ports": len(bridge.ports),
        }
    facts["bridge_mappings"] = {
        physnet: {"bridge": name, "exists": drivers.ovsdb.bridge(name) is not None,
                  "mtu": (bridges.uplink_mtu(physnet) or (None, None))[1]}
        for physnet, name in settings.mappings.items()
    }  # fmt: skip
    return facts
