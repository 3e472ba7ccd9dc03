"""The option group ``[garbage]`` of agent.conf."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from oslo_config import cfg

from vifd.engine.garbage.limits import Limits

OPTIONS = (
    cfg.BoolOpt(
        "automatic",
        default=True,
        mutable=True,
        help="Remove orphans without being asked, within max_count and max_percent. An orphan "
        "bears the mark of vifd, belongs to no port of the journal, is held by no guest, and was "
        "seen so at least twice with grace in between. After a journal was lost nothing is "
        "removed until somebody asks for it.",
    ),
    cfg.FloatOpt(
        "grace",
        default=300.0,
        min=0.0,
        mutable=True,
        help="Seconds that something must be an orphan before it may be removed, on request too.",
    ),
    cfg.FloatOpt(
        "interval",
        default=300.0,
        min=0.0,
        mutable=True,
        help="Seconds between two comparisons of everything on the host that bears the mark with "
        "the journal. 0 compares on request only.",
    ),
    cfg.IntOpt(
        "max_count",
        default=16,
        min=0,
        mutable=True,
        help="The most orphans that are removed at once without asking. Where there are more, "
        "none is removed, and an event and a metric say so.",
    ),
    cfg.FloatOpt(
        "max_percent",
        default=20.0,
        min=0.0,
        max=100.0,
        mutable=True,
        help="The same as a share of all ports and orphans of this host. Up to three may always "
        "be removed.",
    ),
    cfg.FloatOpt(
        "undo_period",
        default=86400.0,
        min=0.0,
        mutable=True,
        help="Seconds for which a removed orphan can be put back, and for which one that was put "
        "back is then left alone.",
    ),
)


@dataclass(frozen=True)
class Settings:
    """The options, read once."""

    automatic: bool = True
    grace: float = 300.0
    interval: float = 300.0
    limits: Limits = field(default_factory=Limits)
    undo_period: float = 86400.0


def settings(conf: Any) -> Settings:
    """Read the option group."""
    return Settings(
        automatic=conf.automatic,
        grace=conf.grace,
        interval=conf.interval,
        limits=Limits(conf.max_count, conf.max_percent),
        undo_period=conf.undo_period,
    )
