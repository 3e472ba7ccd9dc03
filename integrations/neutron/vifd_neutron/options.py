"""The options of the driver, group ``[ml2_vifd]`` of the server's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

GROUP = "ml2_vifd"
OPTIONS = [
    cfg.StrOpt(
        "agent_type",
        default="Open vSwitch agent",
        help="The type that hosts of vifd report ([network_neutron] agent_type of their "
        "agent.conf). Hosts of this type without a report of vifd are left to other drivers.",
    ),
]


def register() -> Any:
    """The group's values."""
    cfg.CONF.register_opts(OPTIONS, GROUP)
    return cfg.CONF[GROUP]


def list_opts() -> Sequence[tuple[str, Sequence[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTIONS)]
