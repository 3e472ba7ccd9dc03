"""The option group ``[ovs]`` of agent.conf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from vifd.plugin.guest.options import MAX_QUEUES, TAP_OWNER
from vifd_ovs.bridge import overlay
from vifd_ovs.bridge.options import (
    BRIDGE_MAPPINGS,
    CREATE_BRIDGE,
    OFPORT_RANGE,
    PORT_TIMEOUT,
    SECURE_BRIDGE,
    bridge_mappings,
)
from vifd_ovs.bridge.plugin import BridgeSettings

OPTIONS = (
    cfg.StrOpt(
        "integration_bridge",
        default="br-int",
        max_length=15,
        help="The bridge that guests are plugged into.",
    ),
    CREATE_BRIDGE,
    SECURE_BRIDGE,
    cfg.StrOpt(
        "datapath_type",
        default="system",
        choices=("system", "netdev"),
        help="Datapath of the integration bridge if vifd makes it.",
    ),
    BRIDGE_MAPPINGS,
    OFPORT_RANGE,
    TAP_OWNER,
    MAX_QUEUES,
    PORT_TIMEOUT,
    *overlay.OPTIONS,
)


@dataclass(frozen=True)
class Settings(BridgeSettings):
    """The options, read once."""

    tap_owner: int | None


def settings(conf: Any) -> Settings:
    """Read the option group.

    :raises ValueError: ``bridge_mappings`` or ``local_ip`` makes no sense
    """
    ofports = conf.ofport_range
    return Settings(
        bridge=conf.integration_bridge,
        create_bridge=conf.create_bridge,
        datapath_type=conf.datapath_type,
        mappings=bridge_mappings(conf),
        overlay=overlay.overlay(conf),
        ofports=(ofports[0], ofports[-1]),
        tap_owner=conf.tap_owner,
        max_queues=conf.max_queues,
        port_timeout=conf.port_timeout,
        secure=conf.secure_bridge,
    )
