"""What a lane does with a batch of ports: step by step from the record to the proof.

Every result goes through :meth:`Journal.commit` as a change of the *present* record, so that a
request that came in meanwhile (another document, a removal) is never overwritten.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from vifd import errors, outcome, verify
from vifd.metrics import Metrics
from vifd.model import Evidence, Phase, PortRecord, Report, Wiring
from vifd.plan import Step, next_step
from vifd.plugin import Entry, Growing, Item, Outcomes, Probe, VifPlugin
from vifd.status import wants_open
from vifd.store import Change, Journal

LOG = logging.getLogger(__name__)

#: Batches up to this size are traced port by port; of larger ones, this many ports are.
TRACED = 16
#: After so many seconds in which a port did not become clean it is plugged once more; the next
#: pause is twice as long.
PATIENCE = 0.5
#: Seconds to wait for another plugin that chooses names.
NAMING_PATIENCE = 1.0


class Desk(Protocol):
    """Where a worker hands in its results."""

    def record(
        self, changes: Mapping[str, Change], errors_by_port: Mapping[str, errors.VifError] | None
    ) -> Mapping[str, PortRecord | None]:
        """Commit, tell the callers, the event stream and the network service."""

    def probed(self, plugin: str, probe: Probe) -> None:
        """The plugin's health was read."""

    def again(self, port_ids: Iterable[str]) -> None:
        """These ports need another step right away."""

    @property
    def witness(self) -> Callable[[PortRecord], list[Evidence]]:
        """Tells what is known of a port besides what its plugin reads back."""


@dataclass(frozen=True)
class Limits:
    """What a worker may do.

    :param verify: seconds that a port may take from made to proven
    :param repair: whether what another hand changed is brought back
    :param restore: whether a port that was found to pass nothing is brought back although nothing
        else is repaired
    """

    verify: float = 10.0
    repair: bool = True
    restore: bool = False

    def repairs(self, report: Report | None) -> bool:
        """Whether what this report tells of is repaired."""
        stopped = report is not None and report.passing is False
        return self.repair or (self.restore and stopped)


@dataclass
class Job:
    """One port on its way through a batch."""

    record: PortRecord
    item: Item
    wiring: Wiring | None = None
    report: Report | None = None
    error: errors.VifError | None = None
    opened: bool = False

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def unproven(self) -> bool:
        """Whether it is not clean yet, and may become so."""
        hopeless = self.report is not None and (self.report.clean or self.report.beyond_repair)
        return self.error is None and not hopeless


@dataclass
class Worker:
    """Serves the batches of one plugin."""

    plugin: VifPlugin
    journal: Journal
    desk: Desk
    metrics: Metrics
    limits: Limits = field(default_factory=Limits)
    changed: threading.Event = field(default_factory=threading.Event)
    #: held while names are chosen and written: plugins on one switch choose from the same numbers
    naming: threading.Lock = field(default_factory=threading.Lock)
    clock: Callable[[], float] = time.monotonic
    #: whether a step may be taken now; else the port is only read back, until it is marked again
    may: Callable[[Step, PortRecord], bool] = lambda _step, _record: True

    @property
    def name(self) -> str:
        return self.plugin.plugin_name

    def removing(self, port_id: str) -> bool:
        record = self.journal.get(port_id)
        return record is not None and record.removing

    def probe(self) -> None:
        try:
            answer = self.plugin.probe()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            answer = outcome.broken_probe(error)
        self.desk.probed(self.name, answer)

    def reconnected(self, bridge: str) -> None:
        """Have the plugin bring back what a restarted switch lost; what fails is found by the check
        that follows."""
        if not self.limits.repair:
            return
        try:
            self.plugin.reconnected(bridge)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            LOG.warning("plugin %s: bridge %s came back: %s", self.name, bridge, error)

    def serve(self, port_ids: Sequence[str]) -> None:
        """One step for each port, by kind of step."""
        self.metrics.batch.labels(self.name).observe(len(port_ids))
        groups: dict[Step, list[PortRecord]] = {}
        for port_id in port_ids:
            record = self.journal.get(port_id)
            if record is not None and record.plugin == self.name:
                step = next_step(record, repair=self.limits.repairs(record.report))
                if not self.may(step, record):
                    if record.wiring is None:
                        continue
                    step = Step.CHECK
                groups.setdefault(step, []).append(record)
        self._walk(groups)

    def _walk(self, groups: Mapping[Step, list[PortRecord]]) -> None:
        for step, work in (
            (Step.DEACTIVATE, self.close),
            (Step.PLUG, self.plug),
            (Step.ACTIVATE, self.open),
            (Step.CHECK, self.check),
            (Step.UNPLUG, self.unplug),
        ):
            if groups.get(step):
                self._surely(step, work, groups[step])

    def _surely(
        self, step: Step, work: Callable[[Sequence[PortRecord]], None], records: list[PortRecord]
    ) -> None:
        """Whatever happens, every port gets its answer and its next attempt."""
        try:
            work(records)
        except Exception as error:
            LOG.exception("lane %s: %s of %d ports failed", self.name, step, len(records))
            self._give_up(records, errors.wrap(error, stage=step))

    # --- plug ---

    def plug(self, records: Sequence[PortRecord]) -> None:
        """Name, make, prove, open, prove: for ports that are new, changed or damaged."""
        start, spent = self.clock(), dict[str, float]()
        with self.metrics.timed(self.name, "name", spent):
            jobs = self._named(records)
        with self.metrics.timed(self.name, "plug", spent):
            self._carry_out(jobs, self.plugin.plug)
        deadline = self.clock() + self.limits.verify
        with self.metrics.timed(self.name, "verify", spent):
            for job in jobs:
                job.item.interim = self._wanted_open(job) and not job.opened
            self._prove(jobs, deadline, deep=False)
        opening = [j for j in jobs if j.error is None and not j.opened and self._wanted_open(j)]
        with self.metrics.timed(self.name, "open", spent):
            self._open(opening, deadline)
        self._take_back(jobs)
        with self.metrics.timed(self.name, "record", spent):
            self._hand_in(jobs)
        outcome.log_plugs(LOG, jobs, self.clock() - start, spent)
        for job in jobs:
            self.metrics.plugs.labels(self.name, "failed" if job.error else "ok").inc()

    def _named(self, records: Sequence[PortRecord]) -> list[Job]:
        """Names for those that have none, on disk before any effect."""
        # A plugin that hangs while it holds the lock may cost the others a moment, no more.
        held = self.naming.acquire(timeout=NAMING_PATIENCE)
        try:
            named, present = self._write_names(records)
        finally:
            if held:
                self.naming.release()
        jobs, overtaken = [], []
        for port_id, record in named.items():
            now = present.get(port_id)
            if now is not None and not now.removing and now.names == record.names:
                jobs.append(self._job(now))
            elif now is not None:
                overtaken.append(port_id)
        self.desk.again(overtaken)
        return jobs

    def _write_names(
        self, records: Sequence[PortRecord]
    ) -> tuple[dict[str, PortRecord], Mapping[str, PortRecord | None]]:
        """The records as they shall be, and as they then are."""
        taken = Growing(self._ledger())
        refused: dict[str, errors.VifError] = {}
        named: dict[str, PortRecord] = {}
        for record in records:
            names = record.names
            if names is None:
                try:
                    names = self.plugin.name(record.doc.attachment, taken)
                except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                    refused[record.id] = errors.wrap(error, stage="name", port=record.id)
                    continue
                taken[record.id] = Entry(record.doc.attachment, names, open=False)
            fresh = record.wiring is None or not record.open
            phase = Phase.PLUGGING if fresh else record.phase
            named[record.id] = replace(record, names=names, phase=phase)
        changes = {r.id: outcome.planned(r) for r in named.values()}
        changes |= {port_id: outcome.failed(error) for port_id, error in refused.items()}
        return named, self.desk.record(changes, refused)

    def _job(self, record: PortRecord) -> Job:
        names = record.names or record.wiring
        if names is None:
            raise errors.InternalError("a port without names", port=record.id)
        item = Item(record.doc.attachment, names, record.wiring, open=record.open)
        return Job(record, item, record.wiring, opened=record.open)

    def _carry_out(self, jobs: Sequence[Job], verb: Callable[[Sequence[Item]], Outcomes]) -> None:
        """Call a verb for the jobs that have no error yet, and note what came of each."""
        working = [job for job in jobs if job.error is None]
        if not working:
            return
        try:
            outcomes = verb([job.item for job in working])
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            failure = errors.wrap(error, stage=verb.__name__)
            outcomes = {job.id: failure.copy() for job in working}
        for job in working:
            result = outcomes.get(job.id)
            if isinstance(result, Wiring):
                job.wiring = job.item.wiring = result
            elif isinstance(result, errors.VifError):
                job.error = result.copy().at(verb.__name__, job.id)
            else:
                text = f"plugin {self.name} gave no outcome of {verb.__name__}"
                job.error = errors.InternalError(text, stage=verb.__name__, port=job.id)

    def _prove(self, jobs: Sequence[Job], deadline: float, *, deep: bool) -> None:
        """Read back until clean; what is not clean at the deadline gets its error."""
        proving = [job for job in jobs if job.error is None]
        if not proving:
            return
        traced = {j.id for j in random.sample(proving, min(TRACED, len(proving)))}
        for job in proving:
            stays = not self._wanted_open(job) or job.opened
            job.item.deep = (deep or stays) and (len(proving) <= TRACED or job.id in traced)
        start, patience, waiting = self.clock(), PATIENCE, proving
        while True:
            self._read_back(waiting, min(deadline, self.clock() + patience))
            waiting = [job for job in waiting if job.unproven]
            if not waiting or self.clock() >= deadline:
                break
            # What was made is gone again (a switch that restarts, another hand): no reading brings
            # that back. Where the host is only slow, a second plug changes nothing.
            patience *= 2
            self._again(waiting)
            waiting = [job for job in waiting if job.error is None]
        for job in proving:
            if job.error is None and (job.report is None or not job.report.clean):
                job.error = verify.unproven(job.report, self.clock() - start, job.id)

    def _again(self, jobs: Sequence[Job]) -> None:
        """Plug ports that did not become clean once more."""
        for job in jobs:
            job.item.thorough, job.item.interim = True, False
        self._carry_out(jobs, self.plugin.plug)
        for job in jobs:
            job.item.thorough = False

    def _read_back(self, jobs: Sequence[Job], deadline: float) -> None:
        """Read until clean, beyond repair, or the deadline."""
        try:
            reports = verify.until_clean(
                self.plugin, [j.item for j in jobs], deadline, self.changed, clock=self.clock
            )
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            failure = errors.wrap(error, stage="verify")
            for job in jobs:
                job.error = failure.copy().at(port=job.id)
            return
        for job in jobs:
            job.report = reports.get(job.id)

    def _open(self, jobs: Sequence[Job], deadline: float) -> None:
        """Let traffic pass, and prove that it may."""
        self._carry_out(jobs, self.plugin.activate)
        opened = [job for job in jobs if job.error is None]
        for job in opened:
            job.item.open = job.opened = True
            job.item.interim = False
            job.item.undo.push("open", self._closer(job))
        self._prove(opened, deadline, deep=True)

    def _closer(self, job: Job) -> Callable[[], None]:
        def close() -> None:
            job.item.open = False
            result = self.plugin.deactivate([job.item]).get(job.id)
            if isinstance(result, errors.VifError):
                raise result
            job.opened = False

        return close

    def _take_back(self, jobs: Iterable[Job]) -> None:
        """Undo what a failed attempt made; what stood before it stays."""
        for job in jobs:
            if job.error is None:
                job.item.undo.keep()
                continue
            left = job.item.undo.run()
            if left:
                job.error.facts["not_undone"] = left
            job.wiring = job.record.wiring

    def _wanted_open(self, job: Job) -> bool:
        record = self.journal.get(job.id)
        return record is not None and wants_open(record)

    def _hand_in(self, jobs: Sequence[Job]) -> None:
        vifs = {j.id: self._vif(j) for j in jobs}
        now = time.time()
        changes = {j.id: outcome.plugged(j, vifs[j.id], now) for j in jobs}
        failures = {j.id: j.error for j in jobs if j.error is not None}
        present = self.desk.record(changes, failures)
        self._go_on(present)

    def _vif(self, job: Job) -> object:
        if job.wiring is None:
            return None
        try:
            return self.plugin.vif(job.item.attachment, job.wiring)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            job.error = job.error or errors.wrap(error, stage="vif", port=job.id)
            return None

    # --- the other steps ---

    def open(self, records: Sequence[PortRecord]) -> None:
        """Prove closed ports once more, open them, and prove that."""
        jobs = [self._job(r) for r in records]
        deadline = self.clock() + self.limits.verify
        with self.metrics.timed(self.name, "open"):
            self._prove(jobs, deadline, deep=False)
            proven = [j for j in jobs if j.error is None]
            self._open([j for j in proven if self._wanted_open(j)], deadline)
        self._take_back(jobs)
        self._hand_in(jobs)
        outcome.log_roles(LOG, jobs)

    def close(self, records: Sequence[PortRecord]) -> None:
        """Close traffic and keep everything else."""
        jobs = [self._job(r) for r in records]
        with self.metrics.timed(self.name, "close"):
            self._carry_out(jobs, self.plugin.deactivate)
            for job in jobs:
                if job.error is None:
                    job.item.open = job.opened = False
            self._prove(jobs, self.clock() + self.limits.verify, deep=True)
        self._hand_in(jobs)
        outcome.log_roles(LOG, jobs)

    def check(self, records: Sequence[PortRecord]) -> None:
        """Read ports back once; what differs is repaired by the next step."""
        jobs = [self._job(r) for r in records]
        traced = {j.id for j in random.sample(jobs, min(TRACED, len(jobs)))}
        for job in jobs:
            # what only a trace found is not mended because nothing was traced
            job.item.deep = job.id in traced or job.record.phase is Phase.DEGRADED
        try:
            with self.metrics.timed(self.name, "check"):
                reports = self.plugin.check([j.item for j in jobs])
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._give_up(jobs, errors.wrap(error, stage="check"))
            return
        silent = [j for j in jobs if j.id not in reports]
        if silent:
            text = f"plugin {self.name} gave no report"
            self._give_up(silent, errors.InternalError(text, stage="check"))
        seen = [j for j in jobs if j.id in reports]
        reports = {j.id: self._witnessed(j, reports[j.id]) for j in seen}
        now = time.time()
        changes = {
            j.id: outcome.checked(reports[j.id], now, repair=self.limits.repairs(reports[j.id]))
            for j in seen
        }
        present = self.desk.record(changes, None)
        for job in seen:
            if not reports[job.id].clean:
                self._drifted(job, reports[job.id])
        self._go_on(present)

    def _witnessed(self, job: Job, report: Report) -> Report:
        more = self.desk.witness(job.record)
        return replace(report, evidence=[*report.evidence, *more]) if more else report

    def _go_on(self, present: Mapping[str, PortRecord | None]) -> None:
        """Have the ports served again that another step can be taken for right away."""
        limits = self.limits
        self.desk.again(
            i for i, r in present.items()
            if r is not None and outcome.unfinished(r, repair=limits.repairs(r.report))
            and self.may(next_step(r, repair=limits.repairs(r.report)), r)
        )  # fmt: skip

    def _give_up(self, jobs: Iterable[Job | PortRecord], failure: errors.VifError) -> None:
        """The same error for each of these ports."""
        failures = {j.id: failure.copy().at(port=j.id) for j in jobs}
        self.desk.record({i: outcome.failed(e) for i, e in failures.items()}, failures)

    def _drifted(self, job: Job, report: Report) -> None:
        """Tell what differs; what nobody repairs is told once, and not at every reading."""
        repair, last = self.limits.repair, job.record.report
        told = {(e.fact, repr(e.have)) for e in last.findings} if last else set()
        news = [
            e for e in report.findings
            if (e.repairable and repair) or (e.fact, repr(e.have)) not in told
        ]  # fmt: skip
        outcome.log_drift(LOG, job, news, repair=repair)
        for finding in news:
            self.metrics.drift.labels(self.name, finding.fact).inc()

    def unplug(self, records: Sequence[PortRecord]) -> None:
        """Remove ports; DOWN was reported when the removal was accepted."""
        never_made = [r for r in records if r.names is None and r.wiring is None]
        jobs = [self._job(r) for r in records if r not in never_made]
        start = self.clock()
        with self.metrics.timed(self.name, "unplug"):
            for job in jobs:
                job.item.open = False
            self._carry_out(jobs, self.plugin.unplug)
        failures = {j.id: outcome.unplug_error(j.error, j.id) for j in jobs if j.error is not None}
        changes: dict[str, Change] = {r.id: outcome.forgotten for r in never_made}
        changes |= {j.id: outcome.forgotten for j in jobs if j.error is None}
        changes |= {port_id: outcome.unplug_failed(error) for port_id, error in failures.items()}
        self.desk.record(changes, failures)
        outcome.log_unplugs(LOG, records, failures, self.clock() - start)
        for record in records:
            result = "failed" if record.id in failures else "ok"
            self.metrics.unplugs.labels(self.name, result).inc()

    def _ledger(self) -> Mapping[str, Entry]:
        return ledger(self.journal)


def ledger(journal: Journal) -> dict[str, Entry]:
    """Every port that has names, as plugins may see it."""
    entries: dict[str, Entry] = {}
    for port_id, record in journal.records().items():
        wiring = record.wiring or record.names
        if wiring is not None:
            opened = record.open and not record.removing
            entries[port_id] = Entry(record.doc.attachment, wiring, opened)
    return entries
