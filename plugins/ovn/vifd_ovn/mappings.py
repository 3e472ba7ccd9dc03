"""What ``ovn-bridge-mappings`` may not say, and what it and the tunnels lack. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vifd.errors import PhysnetDown, PhysnetUnmapped, SegmentTypeUnsupported
from vifd_ovs.bridge.chassis import Chassis

_SET = "ovs-vsctl set Open_vSwitch . external_ids:ovn-bridge-mappings=PHYSNET:BRIDGE,..."


def problems(chassis: Chassis) -> Mapping[str, str]:
    """By physical network, why its mapping cannot be used, and what mends it.

    A bridge that two physical networks lead to would mix their frames; ovn-controller ignores a
    mapping to its own integration bridge, and wires no port of that network.
    """
    found = {physnet: _problem(chassis, physnet) for physnet in chassis.mappings}
    return {physnet: problem for physnet, problem in found.items() if problem}


def _problem(chassis: Chassis, physnet: str) -> str:
    bridge = chassis.mappings[physnet]
    if bridge == chassis.bridge:
        return (
            f"ovn-bridge-mappings: {physnet} leads to {bridge}, which is the integration bridge "
            "itself: map the bridge that the interface to the physical network is on"
        )
    if physnet in chassis.doubled:
        entries = " and ".join(f"{physnet}:{bridge}" for bridge in chassis.doubled[physnet])
        return (
            f"ovn-bridge-mappings: {entries} map one physical network, of which "
            "ovn-controller takes one: take the others out"
        )
    same = [name for name, there in chassis.mappings.items() if there == bridge]
    if len(same) > 1:
        return (
            f"ovn-bridge-mappings: bridge {bridge} is given to {' and to '.join(same)}, whose "
            "frames would be mixed: map one of them only, or give each a bridge of its own"
        )
    return ""


def refusal(chassis: Chassis, physnet: str) -> PhysnetDown | None:
    """Why a port of this physical network is refused; ``None`` where its mapping makes sense."""
    problem = problems(chassis).get(physnet)
    if problem is None:
        return None
    facts = {"wanted": physnet, "device": chassis.mappings[physnet], "problem": problem}
    return PhysnetDown(facts=facts, stage="segment", hint=f"correct the mappings: {_SET}")


def unmapped(physnet: str, chassis: Chassis) -> PhysnetUnmapped:
    """The refusal of a physical network that OVN was not told of."""
    facts = {"wanted": physnet, "have": sorted(chassis.mappings)}
    return PhysnetUnmapped(facts=facts, stage="segment", hint=f"add it to OVN's mappings: {_SET}")


def untunnelled(kind: str, chassis: Chassis, plugin: str) -> SegmentTypeUnsupported:
    """The refusal of a network type that no tunnel of this chassis carries."""
    types = ",".join((*chassis.encap_types, kind))
    return SegmentTypeUnsupported(
        facts={"wanted": kind, "have": list(chassis.encap_types), "plugin": plugin},
        stage="segment",
        hint=f"have this chassis make such tunnels: ovs-vsctl set Open_vSwitch . "
        f"external_ids:ovn-encap-type={types}",
    )
