"""Options that plugins on Open vSwitch have in common; each registers them in its own group."""

from __future__ import annotations

from oslo_config import cfg, types

CREATE_BRIDGE = cfg.BoolOpt(
    "create_bridge",
    default=True,
    help="Make the integration bridge if it does not exist. An existing one is never rewritten.",
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
