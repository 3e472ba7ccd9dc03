"""The options of ``[os_vif_vifd]`` in nova.conf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

OPTIONS = [
    cfg.ListOpt(
        "take_over",
        default=[],
        help="Names of os-vif plugins in whose place vifd is asked, 'ovs' for instance. Empty "
        "changes nothing, and is the way back.",
    ),
    cfg.StrOpt("socket", default="/run/vifd/vifd.sock", help="The unix socket of vifd."),
    cfg.FloatOpt(
        "plug_timeout",
        default=120.0,
        min=1.0,
        help="Seconds for a port to be proven, the wait for the network service included. Keep it "
        "below vif_plugging_timeout.",
    ),
    cfg.FloatOpt(
        "unplug_timeout",
        default=15.0,
        min=1.0,
        help="Seconds for a port to be gone.",
    ),
    cfg.FloatOpt(
        "away_timeout",
        default=30.0,
        min=0.0,
        help="Seconds that vifd may be away while a port is plugged: it is started anew, say.",
    ),
    cfg.FloatOpt(
        "away_timeout_unplug",
        default=3.0,
        min=0.0,
        help="The same while a port is unplugged. It is then unplugged later.",
    ),
]


@dataclass(frozen=True)
class Settings:
    """The options as values; times in seconds."""

    take_over: tuple[str, ...] = ()
    socket: str = "/run/vifd/vifd.sock"
    plug: float = 120.0
    unplug: float = 15.0
    away: float = 30.0
    away_unplug: float = 3.0


def settings(conf: Any) -> Settings:
    """The values of an option group."""
    return Settings(
        tuple(conf.take_over), conf.socket, conf.plug_timeout, conf.unplug_timeout,
        conf.away_timeout, conf.away_timeout_unplug,
    )  # fmt: skip
