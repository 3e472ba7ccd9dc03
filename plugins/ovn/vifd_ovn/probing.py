"""Probe: whether this host is OVN's, and its ovn-controller can wire a port now."""

from __future__ import annotations

import os
from collections.abc import Iterator

from vifd.drivers import Drivers
from vifd.plugin import Health, Probe, Uplink
from vifd_ovn import controller, mappings
from vifd_ovn.options import Settings
from vifd_ovs.bridge.chassis import Chassis, chassis_of
from vifd_ovs.bridge.reach import PULSE

TUN = "/dev/net/tun"


def probe(drivers: Drivers, settings: Settings) -> Probe:
    """What lacks for good makes the plugin unavailable; an ovn-controller that is away, or has no
    database, makes it degraded: taps and switch ports can be made without it."""
    facts = drivers.ovsdb.facts()
    chassis = chassis_of(facts)
    fatal = list(_fatal(drivers, chassis))
    if fatal or chassis is None:
        known = drivers.ovsdb.connected()
        return Probe(
            Health.UNAVAILABLE,
            fatal,
            {"connected": known},
            applies=chassis is not None or not known,
        )
    said = controller.state(settings.rundir)
    lacking = list(_lacking(chassis, said))
    networks = _networks(drivers, chassis)
    lacking += [f"physical network {n}: {u.problem}" for n, u in networks.items() if u.problem]
    return Probe(
        Health.DEGRADED if lacking else Health.READY,
        lacking,
        {
            "connected": True,
            "chassis": chassis.name,
            "bridge": {"name": chassis.bridge, "exists": True},
            "southbound": chassis.remote,
            "controller": said,
            "encap": {"types": list(chassis.encap_types), "ip": chassis.encap_ip},
            "bridge_mappings": dict(chassis.mappings),
        },
        networks,
        _tunnels(chassis),
    )


def _fatal(drivers: Drivers, chassis: Chassis | None) -> Iterator[str]:
    if not os.path.exists(TUN):
        yield f"{TUN} does not exist: load the kernel module tun"
    if not drivers.ovsdb.connected():
        yield (
            "the Open vSwitch database cannot be reached: start Open vSwitch, or correct "
            "ovsdb_connection in [openvswitch] of agent.conf"
        )
    elif chassis is None:
        yield (
            "this host is no OVN chassis: external_ids:ovn-remote is not set in the Open_vSwitch "
            "row (ovs-vsctl set Open_vSwitch . external_ids:ovn-remote=tcp:ADDRESS:6642)"
        )
    elif problem := drivers.tracer.ping(PULSE):
        yield (
            f"the switch (ovs-vswitchd) does not answer on its control socket: {problem}: start "
            "ovs-vswitchd, or correct [openvswitch] rundir in agent.conf"
        )
    elif drivers.ovsdb.bridge(chassis.bridge) is None:
        yield (
            f"OVN's integration bridge {chassis.bridge} does not exist: ovn-controller makes it "
            "when it starts; if it runs, its log says why it does not"
        )


def _lacking(chassis: Chassis, said: str) -> Iterator[str]:
    if said != controller.CONNECTED:
        yield (
            f"ovn-controller: {said}: ports are made, and are active once it has wired them; start "
            f"ovn-controller, or bring its database {chassis.remote} back"
        )
    if not chassis.encap_types or not chassis.encap_ip:
        yield (
            "no tunnel endpoint is set: external_ids:ovn-encap-type and ovn-encap-ip of the "
            "Open_vSwitch row; without them ovn-controller wires no port at all"
        )


def _networks(drivers: Drivers, chassis: Chassis) -> dict[str, Uplink]:
    """The physical networks by ``ovn-bridge-mappings``."""
    found = {}
    wrong = mappings.problems(chassis)
    for physnet, bridge in chassis.mappings.items():
        missing = drivers.ovsdb.bridge(bridge) is None
        problem = wrong.get(physnet, f"bridge {bridge} does not exist" if missing else "")
        found[physnet] = Uplink(bridge, up=False if missing else None, problem=problem)
    return found


def _tunnels(chassis: Chassis) -> dict[str, Uplink]:
    if not chassis.encap_ip:
        return {}
    return {kind: Uplink("ovn", local_ip=chassis.encap_ip) for kind in chassis.encap_types}
