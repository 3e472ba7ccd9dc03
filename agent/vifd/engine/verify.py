"""Prove ports: read them back until they are as wanted, or the deadline has passed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

from vifd import errors
from vifd.engine import awaiting
from vifd.model import Report
from vifd.plugin import Item, VifPlugin

#: Pauses between reads, in seconds; a change seen by a driver ends a pause early.
_PAUSES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25)


def until_clean(
    plugin: VifPlugin,
    items: Sequence[Item],
    deadline: float,
    changed: threading.Event,
    *,
    clock: Callable[[], float] = time.monotonic,
    enough: Callable[[Collection[str]], bool] = lambda _ids: False,
) -> dict[str, Report]:
    """Check the ports again and again until each was clean once, or waiting helps no more.

    :param deadline: on ``clock``; at least one check is made
    :param changed: set by whoever saw the host change
    :param enough: asked after each check whether to leave it at that, with the ids of the ports
        that are not clean yet
    :returns: the last report of every port that could be read, clean or not
    """
    reports: dict[str, Report] = {}
    waiting = list(items)
    for turn in range(1_000_000):
        changed.clear()
        reports |= plugin.check(waiting)
        waiting = [i for i in waiting if i.id not in reports or _may_become_clean(reports[i.id])]
        left = deadline - clock()
        if not waiting or left <= 0 or enough([i.id for i in waiting]):
            break
        changed.wait(min(left, _PAUSES[min(turn, len(_PAUSES) - 1)]))
    return reports


def _may_become_clean(report: Report) -> bool:
    return not report.clean and not report.beyond_repair


def unproven(report: Report | None, seconds: float, port: str) -> errors.VifError:
    """The error of a port that was not proven in time."""
    if (waits := awaiting.refusal(report, port)) is not None:
        return waits
    finding = report.findings[0] if report and report.findings else None
    if finding is None:
        text = "the plugin gave no report"
    else:
        text = f"{finding.fact} is {finding.have!r}, wanted {finding.wanted!r}"
    facts = {
        "seconds": round(seconds, 3),
        "finding": text,
        "findings": [f.fact for f in report.findings] if report else [],
    }
    return errors.WireTimeout(facts=facts, stage="verify", port=port)
