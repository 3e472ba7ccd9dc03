"""What became of the frames of ports between two readings of the daemon's counters. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vifd.cli.counters import Rate
from vifd.cli.countlines import REASONS, rows

#: By direction and result, packets and bytes per second.
PerSecond = Mapping[tuple[str, str], tuple[float, float]]
DIRECTIONS = ("sent", "received")
_WHOLE = ("passed", "offered")


class Refused(NamedTuple):
    """Frames of a port that were refused, per second."""

    total: float
    by_reason: Mapping[tuple[str, str], float]

    def __str__(self) -> str:
        """The most frequent reason, and whether there are others."""
        reasons: dict[str, float] = {}
        for (_, reason), each in self.by_reason.items():
            reasons[reason] = reasons.get(reason, 0.0) + each
        most = max(reasons, key=lambda reason: reasons[reason])
        more = "…" if sum(each > 0 for each in reasons.values()) > 1 else ""
        return f"{most.replace('_', ' ')}{more}"


#: The columns for programs: packets and bytes per second by reason and direction.
COLUMNS = tuple(
    f"{direction}_{reason}_{what}"
    for direction in DIRECTIONS for reason in REASONS for what in ("frames", "bits")
)  # fmt: skip


def by_port(told: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The daemon's counters; those of ports that nobody counts are left out."""
    return {str(each["port"]): each for each in told if each.get("at")}


def between(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> PerSecond:
    """What happened between two readings of a port; nothing where they are one, or where the
    daemon was started anew and began at zero."""
    if before is None or now is None:
        return {}
    seconds = now["at"] - before["at"]
    if seconds <= 0 or before["since"] != now["since"]:
        return {}
    old = {(way, what): (packets, octets) for way, what, packets, octets in rows(before)}
    found = {}
    for way, what, packets, octets in rows(now):
        had = old.get((way, what), (0, 0))
        found[way, what] = (
            max(0, packets - had[0]) / seconds, max(0, octets - had[1]) / seconds
        )  # fmt: skip
    return found


def refused(found: PerSecond) -> Refused:
    """The refusals among it."""
    by_reason = {key: packets for key, (packets, _) in found.items() if key[1] not in _WHOLE}
    return Refused(sum(by_reason.values()), by_reason)


def rate(found: PerSecond) -> Rate:
    """The traffic of a port that has no device of its own."""
    ways = []
    for direction in DIRECTIONS:
        packets, octets = next(
            (found[direction, what] for what in _WHOLE if (direction, what) in found), (0.0, 0.0)
        )
        ways.append((8 * octets, packets))
    return Rate(*ways[0], *ways[1], 0.0)


def whole(found: PerSecond) -> list[float]:
    """The values of :data:`COLUMNS`."""
    values = []
    for direction in DIRECTIONS:
        for reason in REASONS:
            packets, octets = found.get((direction, reason), (0.0, 0.0))
            values += [packets, 8 * octets]
    return values
