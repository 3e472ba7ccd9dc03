"""Options that plugins on Open vSwitch have in common; each registers them in its own group."""

from __future__ import annotations

import copy
from typing import Any

from oslo_config import cfg, types

from vifd.plugin import mappings

CREATE_BRIDGE = cfg.BoolOpt(
    "create_bridge",
    default=True,
    help="Make the integration bridge if it does not exist. An existing one is never rewritten.",
)
SECURE_BRIDGE = cfg.BoolOpt(
    "secure_bridge",
    default=False,
    help="Set fail_mode of an integration bridge that others made to 'secure' before the first "
    "port is made: frames that no flow takes are dropped then, and not forwarded as by a plain "
    "switch. For a bridge that is vifd's alone to run, as on a host of Neutron's. The switch drops "
    "the flows of all programs when that changes.",
)
BRIDGE_MAPPINGS = cfg.ListOpt(
    "bridge_mappings",
    default=[],
    help="physical_network:bridge pairs. Each bridge must exist; flat and VLAN networks leave "
    "the host through it.",
)
OFPORT_RANGE = cfg.Opt(
    "ofport_range",
    type=types.Range(min=1, max=65279),
    default="4096-65000",
    help="First and last OpenFlow port number that vifd gives to its ports. Open vSwitch by "
    "itself counts up from 1.",
)
PORT_TIMEOUT = cfg.FloatOpt(
    "port_timeout",
    default=10.0,
    min=0.1,
    help="Seconds for Open vSwitch to take a port after it was put into the database.",
)


def shared(option: cfg.Opt, plugin: str) -> cfg.Opt:
    """The same option in the group of a plugin that shares the bridge with another one."""
    own = copy.copy(option)
    own.help = f"{option.help} Said here or in [{plugin}], it holds for both on one bridge."
    return own


def bridge_mappings(conf: Any) -> dict[str, str]:
    """The physical bridges, by physical network.

    :raises ValueError: they make no sense, or one is the integration bridge
    """
    found = mappings("bridge_mappings", conf.bridge_mappings, "bridge")
    bridge = conf.integration_bridge
    inner = next((physnet for physnet, there in found.items() if there == bridge), None)
    if inner is not None:
        raise ValueError(
            f"bridge_mappings: {inner} leads to {bridge}, which is the integration bridge itself: "
            "map the bridge that the interface to the physical network is on"
        )
    return found
