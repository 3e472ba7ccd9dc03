"""Options of what is on the local Open vSwitch.

How to reach it is the group ``[openvswitch]``, shared by all plugins because the daemon connects
once. The other options each plugin registers in its own group.
"""

from __future__ import annotations

from oslo_config import cfg, types

GROUP = cfg.OptGroup("openvswitch", title="The Open vSwitch of this host")

OPTIONS = (
    cfg.StrOpt(
        "ovsdb_connection",
        default="unix:/var/run/openvswitch/db.sock",
        help="The local Open_vSwitch database: unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT.",
    ),
    cfg.StrOpt(
        "rundir",
        default="/var/run/openvswitch",
        help="Where ovs-vswitchd keeps its control and management sockets.",
    ),
    cfg.FloatOpt(
        "timeout",
        default=10.0,
        min=0.1,
        help="Seconds that one request to the database or to a flow table may take.",
    ),
)

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
