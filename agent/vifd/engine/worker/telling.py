"""What is said of ports that were served: in the log, the metrics and the trace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vifd import errors
from vifd.engine.job import Job
from vifd.engine.metrics import Metrics
from vifd.engine.worker import audit_log
from vifd.engine.worker.suppression import LogSuppression, unreported
from vifd.engine.worker.tracing import Stretches, Tracer, served
from vifd.model import PortRecord, Report
from vifd.model.lifecycle import Step


@dataclass
class Telling:
    """Of the ports of one plugin.

    :param name: the plugin's
    :param tracer: told of each port that was served; ``None``: nobody traces
    """

    log: logging.Logger
    name: str
    metrics: Metrics
    clock: Callable[[], float]
    tracer: Tracer | None = None

    def __post_init__(self) -> None:
        self._suppression = LogSuppression(self.clock)

    def spent(self, records: Sequence[PortRecord]) -> dict[str, float]:
        """Where the seconds of a batch are noted by step."""
        return {} if self.tracer is None else Stretches(records)

    def finished(self, jobs: Sequence[Job], spent: Mapping[str, float]) -> None:
        """What came of ports that were made, opened or closed."""
        for job in jobs:
            if job.step is Step.PLUG:
                self.metrics.plugs.labels(self.name, "failed" if job.error else "ok").inc()
        self._suppression.tell(self.log, jobs, spent)
        for step in dict.fromkeys(job.step for job in jobs):
            self._trace(step, [job for job in jobs if job.step is step], spent)

    def drifted(
        self, jobs: Mapping[str, Job], reports: Mapping[str, Report], *, repair: bool
    ) -> None:  # fmt: skip
        """What differs from what is wanted, where it is news.

        :param repair: whether it is repaired
        """
        news = [
            (job, e) for i, job in jobs.items() for e in unreported(job, reports[i], repair=repair)
        ]
        audit_log.log_drift(self.log, news, repair=repair)
        for _, finding in news:
            self.metrics.drift.labels(self.name, finding.fact).inc()

    def removed(
        self, records: Sequence[PortRecord], jobs: Sequence[Job],
        failures: Mapping[str, errors.VifError], start: float, spent: Mapping[str, float],
    ) -> None:  # fmt: skip
        """What came of ports that were taken away.

        :param jobs: those of them of which something was there
        :param start: when that began, on the worker's clock
        """
        audit_log.log_unplugs(self.log, records, failures, self.clock() - start)
        self._trace(Step.UNPLUG, jobs, spent)
        for record in records:
            self._suppression.forget(record.id)
            result = "failed" if record.id in failures else "ok"
            self.metrics.unplugs.labels(self.name, result).inc()

    def _trace(self, step: Step, jobs: Sequence[Job], spent: Mapping[str, float]) -> None:
        if self.tracer is not None:
            self.tracer(served(jobs, step, self.name, spent))
