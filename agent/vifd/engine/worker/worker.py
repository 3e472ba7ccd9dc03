"""Serves the batches of one plugin.

Every result goes through :meth:`Journal.commit` as a change of the *present* record, so that a
request that came in meanwhile (another document, a removal) is never overwritten.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from vifd import errors
from vifd.engine import awaiting, outcome, trunks
from vifd.engine.job import Job, job_of
from vifd.engine.metrics import Metrics
from vifd.engine.plan import next_step
from vifd.engine.ticket import Ticket
from vifd.engine.worker import audit_log
from vifd.engine.worker.ahead import Ahead, Noted
from vifd.engine.worker.attempt import Attempt, traced
from vifd.engine.worker.deferred import Deferred
from vifd.engine.worker.limits import Limits
from vifd.engine.worker.naming import Naming
from vifd.engine.worker.sink import ResultSink
from vifd.engine.worker.telling import Telling
from vifd.model import Attachment, Document, Evidence, Phase, PortRecord, Report, limited
from vifd.model.lifecycle import Step
from vifd.model.status import wants_open
from vifd.plugin import VifPlugin
from vifd.plugin.guarded import guarded
from vifd.plugin.severing import joined
from vifd.store import Change, Journal

LOG = logging.getLogger(__name__)

#: Seconds that a port has to be proven on another back end, before it goes back.
MOVED = 3.0


@dataclass
class Worker:
    """Serves the batches of one plugin."""

    plugin: VifPlugin
    journal: Journal
    sink: ResultSink
    metrics: Metrics
    limits: Limits = field(default_factory=Limits)
    changed: threading.Event = field(default_factory=threading.Event)
    #: held while names are chosen and written: plugins on one switch choose from the same numbers
    naming: threading.Lock = field(default_factory=threading.Lock)
    clock: Callable[[], float] = time.monotonic
    #: whether a step may be taken now; else the port is only read back, until it is marked again
    may: Callable[[Step, PortRecord], bool] = lambda _step, _record: True
    #: whether somebody waits for the lane
    others: Callable[[], bool] = lambda: False
    #: told of each step of an activation
    noted: Noted = lambda _port, _step, _at, _more: None
    #: ports that are open and not on record yet
    ahead: Ahead = field(default_factory=Ahead)
    #: has the lane serve ports again, behind those that wait
    later: Callable[[Iterable[str]], None] = lambda _ids: None

    def __post_init__(self) -> None:
        self.plugin = guarded(self.plugin)
        self._names = Naming(self.plugin, self.journal, self.sink, self.naming)
        self._advert = self.plugin.describe()
        self._deferred = Deferred()
        self.telling = Telling(LOG, self.name, self.metrics, self.clock)

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
        self._advert = self.plugin.describe().on(answer.unenforced)
        self.sink.probed(self.name, answer)

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
        found = map(self.journal.get, port_ids)
        for turn in trunks.turns([r for r in found if r is not None]):
            self._serve(turn)

    def _serve(self, port_ids: Sequence[str]) -> None:
        groups: dict[Step, list[PortRecord]] = {}
        for port_id in port_ids:
            record = self.journal.get(port_id)
            if record is not None and record.plugin == self.name:
                step = next_step(record, repair=self.limits.repairs(record.report))
                if self.may(step, record):
                    step = self._deferred.step(record, step)
                    chosen = self.ahead.step(record, step)
                    if chosen is None:
                        continue
                    step = chosen
                else:
                    self._deferred.drop([record])
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
            (Step.RELEASE, self.release),
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
        except BaseException as error:
            LOG.exception("lane %s: %s of %d ports failed", self.name, step, len(records))
            self._give_up(records, errors.wrap(error, stage=step))

    def _attempt(self, *, patient: bool = False) -> Attempt:
        others = self.others if not patient else lambda: False
        return Attempt(
            self.plugin, self._wanted_open, self.changed, self.clock, others, self._held_to_sets,
            self._announce,
        )  # fmt: skip

    def _held_to_sets(self, job: Job, report: Report) -> Report:
        """An open port is not proven before the sets are there that it is held to."""
        return joined(report, self._sets_known(job.item.attachment))

    def _sets_known(self, attachment: Attachment) -> list[Evidence]:
        return awaiting.evidence(attachment, self._advert, self.journal.sets)

    def plug(self, records: Sequence[PortRecord], *, patient: bool = False) -> None:
        """Name, make, prove, open, prove: for ports that are new, changed or damaged.

        :param patient: whatever comes of it comes of it now, also where others wait; for one port
        """
        attempt, spent = self._attempt(patient=patient), self.telling.spent(records)
        jobs = self._deferred.resumed(records)
        begun = {job.id for job in jobs}
        fresh = [record for record in records if record.id not in begun]
        if fresh:
            jobs += self._make(attempt, fresh, spent)
        self._finish(attempt, jobs, spent)

    def _make(
        self, attempt: Attempt, records: Sequence[PortRecord], spent: dict[str, float]
    ) -> list[Job]:
        start = self.clock()
        with self.metrics.timed(self.name, "name", spent):
            jobs = self._names.named(records)
        for job in jobs:
            self._deferred.inherit(job)
            if self.ahead.resumed(job.record) is not None:
                job.item.open = job.opened = True
        with self.metrics.timed(self.name, "plug", spent):
            attempt.carry_out(jobs, self.plugin.plug)
        # one that passed traffic elsewhere a moment ago is looked for there
        self.ahead.announce(self.plugin, [j for j in jobs if j.opened and j.arrived])
        for job in jobs:
            job.item.interim = self._wanted_open(job) and not job.opened
            # nor is it kept for long where it cannot be proven
            verify = min(self.limits.verify, MOVED) if job.arrived else self.limits.verify
            job.make(Step.PLUG, start, self.clock() - start + verify)
        return jobs

    def _finish(self, attempt: Attempt, jobs: Sequence[Job], spent: dict[str, float]) -> None:
        """Prove ports that were made, open those that shall be, prove these; and set aside what
        keeps others waiting."""
        attempt.close([j for j in jobs if j.opening and not self._wanted_open(j)])
        with self.metrics.timed(self.name, "verify", spent):
            attempt.prove([j for j in jobs if not j.opening], deep=False)
        ready = [j for j in jobs if j.opening or (j.proven and not j.opened)]
        with self.metrics.timed(self.name, "open", spent):
            attempt.open([j for j in ready if self._wanted_open(j)])
        done = [j for j in jobs if not j.unproven]
        self.later(self._deferred.put(j for j in jobs if j.unproven))
        if not done:
            return
        attempt.take_back(done)
        with self.metrics.timed(self.name, "record", spent):
            self._commit(attempt, done)
        # what lies with others is not read on the way of a plug
        self.later([j.id for j in done if j.error is None and j.beside])
        self.telling.finished(done, spent)

    def _wanted_open(self, job: Job) -> bool:
        record = self.journal.get(job.id)
        return record is not None and wants_open(record)

    def _commit(self, attempt: Attempt, jobs: Sequence[Job]) -> None:
        vifs = {j.id: attempt.vif(j) for j in jobs}
        now = time.time()
        changes = {j.id: outcome.plugged(j, vifs[j.id], now) for j in jobs}
        failures = {j.id: j.error for j in jobs if j.error is not None}
        # who waits for a port to be closed is told by this commit
        self.ahead.release([j for j in jobs if not j.opened])
        present = self.sink.record(changes, failures, _documents(j.record for j in jobs))
        self.ahead.release(jobs)
        for job in jobs:
            if job.id in present:
                self.ahead.intents.done(job.id)
                ended = "recorded" if job.error is None else "failed"
                self.noted(job.id, ended, time.time(), str(job.error or ""))
        self._go_on(present)

    def open_first(self, port_id: str, ticket: Ticket) -> None:
        """Open a port that is ready, before its record says so; see :mod:`.ahead`."""
        record = self.journal.get(port_id)
        if record is None or ticket.done.done() or not self.may(Step.ACTIVATE, record):
            return
        self.noted(port_id, "begun", time.time(), "")
        job = self.ahead.begin(record, ticket)
        if job is None:
            return
        job.make(Step.ACTIVATE, self.clock(), self.limits.verify)
        self._attempt().open_now(job)
        if job.error is not None:
            # the usual path reads it back, and says what is wrong
            self.ahead.undo(port_id)
            return
        self.ahead.put(job, ticket)

    def close_again(self, port_id: str, error: BaseException) -> None:
        """What a port was opened for was refused, or cannot be written: it is closed again."""
        record = self.journal.get(port_id)
        if record is None or (job := self.ahead.resumed(record)) is None:
            return
        LOG.warning("closed again: what it was opened for came to nothing: %s. port=%s", error,
                    port_id)  # fmt: skip
        self._attempt().close([job])
        if job.error is None:
            self.ahead.drop([record])
        self.later([port_id])

    def _announce(self, jobs: Sequence[Job]) -> None:
        """Say of open ports that they are open, to those who watch and to their networks."""
        for job in jobs:
            self.noted(job.id, "opened", time.time(), "")
        for job in self.ahead.announce(self.plugin, jobs):
            self.noted(job.id, "announced", time.time(), "")

    def open(self, records: Sequence[PortRecord]) -> None:
        """Prove closed ports once more, open them, and prove that."""
        self.ahead.hold(records)
        jobs = []
        for record in records:
            job = self.ahead.resumed(record) or job_of(record)
            if not job.opening:
                job.make(Step.ACTIVATE, self.clock(), self.limits.verify)
            jobs.append(job)
        self._finish(self._attempt(), jobs, self.telling.spent(records))

    def close(self, records: Sequence[PortRecord]) -> None:
        """Close traffic and keep everything else."""
        attempt, jobs, spent = (
            self._attempt(),
            [job_of(r) for r in records],
            self.telling.spent(records),
        )
        with self.metrics.timed(self.name, "close", spent):
            attempt.close(jobs)
        self.ahead.drop(records)
        for job in jobs:
            job.make(Step.DEACTIVATE, self.clock(), self.limits.verify)
            # what is closed stays closed, whatever its proof
            job.item.undo.keep()
        self._finish(attempt, jobs, spent)

    def check(self, records: Sequence[PortRecord]) -> None:
        """Read ports back once; what differs is repaired by the next step."""
        jobs = [job_of(r) for r in records]
        chosen = traced(jobs)
        for job in jobs:
            # what only a trace found is not mended because nothing was traced
            job.item.deep = job.id in chosen or job.record.phase is Phase.DEGRADED
            job.item.settled = True
        try:
            with self.metrics.timed(self.name, "check"):
                reports = self.plugin.check([j.item for j in jobs])
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._unread(jobs, errors.wrap(error, stage="check"))
            return
        if silent := [j for j in jobs if j.id not in reports]:
            text = f"plugin {self.name} gave no report"
            self._give_up(silent, errors.InternalError(text, stage="check"))
        seen = [j for j in jobs if j.id in reports]
        reports = {j.id: self._witnessed(j, reports[j.id]) for j in seen}
        now = time.time()
        changes = {
            j.id: outcome.checked(reports[j.id], now, repair=self.limits.repairs(reports[j.id]))
            for j in seen
        }
        present = self.sink.record(changes, None)
        # what could not be written is not repaired either, and is read anew
        written = {j.id: j for j in seen if j.id in present}
        self.telling.drifted(written, reports, repair=self.limits.repair)
        self._go_on(present)

    def _witnessed(self, job: Job, report: Report) -> Report:
        more = self.sink.extra_evidence(job.record)
        if job.record.open:
            more = [*more, *self._sets_known(job.record.doc.attachment)]
        report = joined(report, more)
        found = limited.judged(report.evidence, job.record.doc.attachment)
        return replace(report, evidence=found)

    def _go_on(self, present: Mapping[str, PortRecord | None]) -> None:
        """Have the ports served again that another step can be taken for right away."""
        limits = self.limits
        self.sink.again(
            i for i, r in present.items()
            if r is not None and outcome.unfinished(r, repair=limits.repairs(r.report))
            and self.may(next_step(r, repair=limits.repairs(r.report)), r)
        )  # fmt: skip

    def _give_up(self, jobs: Iterable[Job | PortRecord], failure: errors.VifError) -> None:
        """The same error for each of these ports."""
        given_up = list(jobs)
        self.ahead.release(given_up)
        failures = {j.id: failure.copy().at(port=j.id) for j in given_up}
        tried = _documents(j.record if isinstance(j, Job) else j for j in given_up)
        self.sink.record({i: outcome.failed(e) for i, e in failures.items()}, failures, tried)

    def _unread(self, jobs: Sequence[Job], failure: errors.VifError) -> None:
        """The check failed. Where vifd itself has too little to look with, that is no word about
        the ports: they stay what is known of them, and are looked at later."""
        if not isinstance(failure, errors.ResourcesExhausted):
            self._give_up(jobs, failure)
            return
        LOG.warning("%d ports of plugin %s cannot be looked at: %s: %s. Next: %s", len(jobs),
                    self.name, failure.code, failure.message, failure.hint)  # fmt: skip
        self.ahead.release(jobs)
        failures = {j.id: failure.copy().at(port=j.id) for j in jobs}
        self.sink.record(dict.fromkeys(failures, outcome.as_it_is), failures)

    def release(self, records: Sequence[PortRecord]) -> None:
        """Give ports back as they stand; their traffic goes on."""
        jobs = [job_of(r) for r in records]
        self._deferred.drop(records)
        with self.metrics.timed(self.name, "release"):
            self._attempt().carry_out(jobs, self.plugin.release)
        failures = {j.id: j.error for j in jobs if j.error is not None}
        changes: dict[str, Change] = {j.id: outcome.given_back for j in jobs if j.error is None}
        changes |= {port_id: outcome.release_failed(error) for port_id, error in failures.items()}
        present = self.sink.record(changes, failures)
        audit_log.log_releases(LOG, records, failures)
        self._go_on(present)

    def unplug(self, records: Sequence[PortRecord]) -> None:
        """Remove ports; DOWN was reported when the removal was accepted."""
        self.ahead.drop(records)
        never_made = [r for r in records if r.names is None and r.wiring is None]
        jobs = [job_of(r) for r in records if r not in never_made]
        self._deferred.drop(records)
        start, spent = self.clock(), self.telling.spent(records)
        with self.metrics.timed(self.name, "unplug", spent):
            for job in jobs:
                job.item.open = False
                job.item.detached = partial(self.sink.detached, job.id)
            self._attempt().carry_out(jobs, self.plugin.unplug)
        failures = {j.id: outcome.unplug_error(j.error, j.id) for j in jobs if j.error is not None}
        changes: dict[str, Change] = {r.id: outcome.forgotten for r in never_made}
        changes |= {j.id: outcome.forgotten for j in jobs if j.error is None}
        changes |= {port_id: outcome.unplug_failed(error) for port_id, error in failures.items()}
        self.sink.record(changes, failures)
        self.telling.removed(records, jobs, failures, start, spent)


def _documents(records: Iterable[PortRecord]) -> dict[str, Document]:
    return {record.id: record.doc for record in records}
