"""The option group ``[upgrade]`` of agent.conf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

OPTIONS = (
    cfg.BoolOpt(
        "guard",
        default=True,
        help="After an upgrade, read every port back before anything of one that passes traffic is "
        "changed, and stop where more than max_ports and more than max_percent would change. "
        "'vifctl reconcile' shows the difference, 'vifctl reconcile --approve' lets it begin, with "
        "one port first.",
    ),
    cfg.IntOpt(
        "max_ports",
        default=4,
        min=0,
        help="So many ports may be changed by an upgrade without asking.",
    ),
    cfg.FloatOpt(
        "max_percent",
        default=5.0,
        min=0.0,
        max=100.0,
        help="The same as a share of the ports of this host.",
    ),
)


@dataclass(frozen=True)
class Settings:
    """The options, read once."""

    guard: bool = True
    max_ports: int = 4
    max_percent: float = 5.0

    def allow(self, affected: int, total: int) -> bool:
        """Whether so many of so many ports may be changed without asking."""
        return affected <= max(self.max_ports, total * self.max_percent / 100.0)


def settings(conf: Any) -> Settings:
    """Read the option group."""
    return Settings(conf.guard, conf.max_ports, conf.max_percent)
