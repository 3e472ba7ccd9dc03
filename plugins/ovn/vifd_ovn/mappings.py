"""What ``ovn-bridge-mappings`` may not say. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vifd.errors import PhysnetDown
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
