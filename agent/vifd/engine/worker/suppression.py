"""What the log was told of each port."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence

from vifd.engine.job import Job
from vifd.engine.worker import audit_log
from vifd.model import Evidence, Report
from vifd.model.lifecycle import Step

#: After so many seconds the same failure is told once more.
AGAIN = 600.0
#: What differs from attempt to attempt.
_SECONDS = re.compile(r"\b[0-9]+\.[0-9]+ s\b")


class LogSuppression:
    """Keeps a port that fails in the same way at every attempt from filling the log."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[str, float]] = {}

    def is_new(self, port_id: str, failure: str) -> bool:
        """Whether this is to be told.

        :param failure: its text; empty for a success, which always is
        """
        if not failure:
            self._failures.pop(port_id, None)
            return True
        text, now = _SECONDS.sub("", failure), self._clock()
        last, at = self._failures.get(port_id, ("", now))
        if text == last and now - at < AGAIN:
            return False
        self._failures[port_id] = (text, now)
        return True

    def tell(self, log: logging.Logger, jobs: Sequence[Job], spent: Mapping[str, float]) -> None:
        """What came of ports that were made, opened or closed, where it is news.

        :param spent: seconds by step
        """
        now = self._clock()
        news = [j for j in jobs if self.is_new(j.id, str(j.error or ""))]
        made = [j for j in news if j.step is Step.PLUG]
        at_once = [j for j in made if not j.deferred]
        seconds = now - min((j.begun for j in at_once), default=now)
        audit_log.log_plugs(log, at_once, seconds, spent)
        for job in made:
            if job.deferred:
                audit_log.log_plugs(log, [job], now - job.begun, spent)
        audit_log.log_roles(log, [j for j in news if j.step is not Step.PLUG])
        for job in jobs:
            left = audit_log.not_undone_of(job)
            if self.is_new(f"{job.id} left", "; ".join(left)) and left:
                audit_log.log_left(log, job)

    def forget(self, port_id: str) -> None:
        """The port is gone."""
        self._failures.pop(port_id, None)
        self._failures.pop(f"{port_id} left", None)


def unreported(job: Job, report: Report, *, repair: bool) -> list[Evidence]:
    """What differs; what nobody repairs is told once, and not at every reading."""
    last = job.record.report
    told = {(e.fact, repr(e.have)) for e in last.findings} if last else set()
    return [
        e for e in report.findings
        if (e.repairable and repair) or (e.fact, repr(e.have)) not in told
    ]  # fmt: skip
