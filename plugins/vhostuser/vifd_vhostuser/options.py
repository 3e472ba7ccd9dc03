"""The option group ``[vhostuser]`` of agent.conf."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from vifd.plugin import Sharing
from vifd.plugin.guest.options import MAX_QUEUES
from vifd_ovs.bridge import overlay
from vifd_ovs.bridge.options import (
    BRIDGE_MAPPINGS,
    CREATE_BRIDGE,
    OFPORT_RANGE,
    PORT_TIMEOUT,
    SECURE_BRIDGE,
    bridge_mappings,
    shared,
)
from vifd_ovs.bridge.plugin import BridgeSettings
from vifd_vhostuser.sockets import Access

#: QEMU makes the socket and Open vSwitch connects to it, again and again: either may restart.
CLIENT = "dpdkvhostuserclient"
#: Open vSwitch makes the socket; a guest is cut off for good when Open vSwitch restarts.
SERVER = "dpdkvhostuser"

#: What is said of the bridge, whatever is plugged into it.
SHARED = (CREATE_BRIDGE, SECURE_BRIDGE, BRIDGE_MAPPINGS, OFPORT_RANGE, *overlay.OPTIONS)
#: Two ranges of port numbers on one bridge do no harm: each plugin gives numbers to its own ports.
SHARING = Sharing(
    "ovs", "integration_bridge", frozenset(option.dest for option in SHARED),
    may_differ=frozenset({OFPORT_RANGE.dest}),
)  # fmt: skip

OPTIONS = (
    cfg.StrOpt(
        "integration_bridge",
        default="br-int",
        max_length=15,
        help="The bridge that guests are plugged into; its datapath must be netdev. Not set, it is "
        "that of [ovs], where that plugin is in use.",
    ),
    *(shared(option, "ovs") for option in SHARED),
    cfg.StrOpt(
        "port_type",
        default=CLIENT,
        choices=(CLIENT, SERVER),
        help="dpdkvhostuserclient: QEMU makes the socket and Open vSwitch connects to it. "
        "dpdkvhostuser: Open vSwitch makes it; legacy, removed from newer versions.",
    ),
    cfg.StrOpt(
        "socket_dir",
        default="/var/lib/vhost_sockets",
        help="Where the sockets are. QEMU must be able to make files there; for dpdkvhostuser it "
        "must be the directory that other_config:vhost-sock-dir of Open vSwitch names.",
    ),
    cfg.BoolOpt(
        "make_socket_dir",
        default=True,
        help="Make socket_dir if it does not exist, for socket_owner and socket_group and with "
        "the set-group-id bit, so that sockets made in it belong to the group. An existing one is "
        "never changed.",
    ),
    cfg.StrOpt(
        "socket_owner",
        help="User name or uid that shall own the sockets; as they are made if not set.",
    ),
    cfg.StrOpt(
        "socket_group",
        help="Group name or gid that the sockets shall belong to; as they are made if not set.",
    ),
    cfg.StrOpt(
        "socket_mode",
        regex="^0?[0-7]{3}$",
        help="Permissions of the sockets in octal digits, e.g. 0660; as they are made if not set.",
    ),
    cfg.StrOpt(
        "socket_label",
        help="SELinux context of the sockets, e.g. system_u:object_r:svirt_image_t:s0; as the "
        "directory's default says if not set.",
    ),
    MAX_QUEUES,
    cfg.BoolOpt(
        "file_backed_memory",
        default=False,
        help="The hypervisor backs the memory of every guest by files or memfd and shares it, so "
        "that no flavor needs to ask for large pages.",
    ),
    PORT_TIMEOUT,
)


@dataclass(frozen=True)
class Settings(BridgeSettings):
    """The options, read once."""

    port_type: str
    socket_dir: str
    make_socket_dir: bool
    access: Access
    file_backed_memory: bool


def settings(conf: Any) -> Settings:
    """Read the option group.

    :raises ValueError: ``bridge_mappings``, ``local_ip``, ``socket_owner`` or ``socket_group``
        makes no sense
    """
    return Settings(
        bridge=conf.integration_bridge,
        create_bridge=conf.create_bridge,
        datapath_type="netdev",
        mappings=bridge_mappings(conf),
        overlay=overlay.overlay(conf),
        ofports=(conf.ofport_range[0], conf.ofport_range[-1]),
        port_type=conf.port_type,
        socket_dir=conf.socket_dir.rstrip("/"),
        make_socket_dir=conf.make_socket_dir,
        access=Access(
            owner=_number(
                "socket_owner", conf.socket_owner, lambda name: pwd.getpwnam(name).pw_uid
            ),
            group=_number(
                "socket_group", conf.socket_group, lambda name: grp.getgrnam(name).gr_gid
            ),
            mode=int(conf.socket_mode, 8) if conf.socket_mode else None,
            label=conf.socket_label,
        ),
        max_queues=conf.max_queues,
        file_backed_memory=conf.file_backed_memory,
        port_timeout=conf.port_timeout,
        secure=conf.secure_bridge,
    )


def _number(option: str, text: str | None, look_up: Callable[[str], int]) -> int | None:
    if not text:
        return None
    if text.isdecimal():
        return int(text)
    try:
        return look_up(text)
    except KeyError as error:
        raise ValueError(f"{option}: there is no {text!r} on this host") from error
