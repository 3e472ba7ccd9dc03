"""How the local Open vSwitch is reached: once, by the daemon, for all plugins."""

from __future__ import annotations

from oslo_config import cfg

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

#: Of the group ``[nftables]``.
NFT_OPTIONS = (
    cfg.BoolOpt(
        "hold_tables",
        default=True,
        help="Let no other program change or flush the tables of vifd as long as it runs, where "
        "the kernel can (Linux 6.9). They stay when vifd ends, and then anybody may change them. "
        "A table that was made without this keeps being anybody's until it is made anew.",
    ),
)
