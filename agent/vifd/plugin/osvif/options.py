"""The option group ``[osvif]`` of agent.conf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from vifd.plugin.guest.options import MAX_QUEUES

OPTIONS = (
    cfg.ListOpt(
        "plugins",
        default=[],
        help="Classic os-vif plugins to host, by the names under which os-vif knows them (ovs, "
        "noop, a vendor's). Each appears as the plugin osvif-<name> and serves documents that ask "
        "for it by that name. Its own options stand in [os_vif_<name>]. Needs the package os-vif.",
    ),
    cfg.FloatOpt(
        "load_timeout",
        default=10.0,
        min=0.1,
        help="Seconds that one of them may take to load. Then it is refused, and the others work.",
    ),
    cfg.StrOpt(
        "integration_bridge",
        default="br-int",
        max_length=15,
        help="The bridge that they are told to use.",
    ),
    cfg.StrOpt(
        "datapath_type",
        default="system",
        choices=("system", "netdev"),
        help="Datapath of that bridge, where it does not exist yet. Of one that exists its own is "
        "passed on, because os-vif would rewrite it.",
    ),
    cfg.StrOpt(
        "vhostuser_socket_dir",
        default="/var/lib/vhost_sockets",
        help="Directory of the vhost-user sockets that they are told of.",
    ),
    cfg.StrOpt(
        "vhostuser_mode",
        default="server",
        choices=("client", "server"),
        help="What QEMU is at such a socket, unless the binding profile says so (vhostuser_mode).",
    ),
    MAX_QUEUES,
)


@dataclass(frozen=True)
class Settings:
    """The options, read once."""

    plugins: tuple[str, ...]
    load_timeout: float
    bridge: str
    datapath_type: str
    socket_dir: str
    socket_mode: str
    max_queues: int
    #: where vifd itself finds the switch's database; the default of hosted plugins that need one
    ovsdb_connection: str = ""


def settings(conf: Any) -> Settings:
    """Read ``[osvif]``."""
    group = conf.osvif
    return Settings(
        plugins=tuple(dict.fromkeys(group.plugins)),
        load_timeout=group.load_timeout,
        bridge=group.integration_bridge,
        datapath_type=group.datapath_type,
        socket_dir=group.vhostuser_socket_dir,
        socket_mode=group.vhostuser_mode,
        max_queues=group.max_queues,
        ovsdb_connection=conf.openvswitch.ovsdb_connection,
    )
