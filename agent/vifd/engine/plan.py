"""What to do next for a port: desired minus observed. Pure.

A plug request, a restart, an outage of the switch and a drifted port all end here: the record says
what is wanted and what is known, and one table (``model/lifecycle.py``) names the next
step. Whoever changed the record only marks the port dirty.
"""

from __future__ import annotations

from vifd.model import Phase, PortRecord
from vifd.model.lifecycle import TABLE, Step
from vifd.model.status import wants_open


def next_step(record: PortRecord, *, repair: bool = True) -> Step:
    """The next step for the port of this record.

    :param repair: whether what another program changed is brought back; else it is only watched
    """
    if record.removing:
        return Step.RELEASE if record.released else Step.UNPLUG
    if record.wiring is None or not record.applied:
        return Step.PLUG
    if only_watched(record, repair=repair):
        return Step.CHECK
    return TABLE[record.phase].steps.of(opened=record.open, wanted=wants_open(record))


def only_watched(record: PortRecord, *, repair: bool) -> bool:
    """Whether the port is only read back: plugging it again would mend nothing of what its last
    report found, or nothing shall be repaired."""
    report = record.report
    in_role = record.open == wants_open(record)
    degraded = record.phase is Phase.DEGRADED and record.applied and in_role
    return degraded and report is not None and (report.beyond_repair or not repair)


def covered(path: str, in_place: frozenset[str]) -> bool:
    """Whether a change at this path of the document can be applied to a plugged port."""
    parts = path.split(".")
    return any(".".join(parts[:n]) in in_place for n in range(1, len(parts) + 1))


def delay(attempt: int, *, first: float = 1.0, longest: float = 60.0, jitter: float = 0.0) -> float:
    """Seconds to wait before attempt number ``attempt`` (1 is the first retry).

    :param jitter: a number from 0 to 1 that spreads the retries of many ports over a quarter
    """
    base = min(longest, first * 2.0 ** min(attempt - 1, 16))
    return base * (1.0 + jitter / 4.0)
