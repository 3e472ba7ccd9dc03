"""An attempt to bring ports where they shall be: the calls of the plugin, and the proof."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from vifd import errors
from vifd.engine import verify
from vifd.engine.job import Job
from vifd.model import Report, Wiring
from vifd.plugin import Item, Outcomes, VifPlugin

#: What follows for a port that waits for somebody else.
_KEPT = (
    "the finding lies with another program or an operator; what was made stays, and the port is "
    "active by itself once that is mended"
)
#: Batches up to this size are traced port by port; of larger ones, this many ports are.
TRACED = 16
#: After so many seconds in which a port did not become clean it is plugged once more; the next
#: pause is twice as long.
PATIENCE = 0.5
#: So many seconds others wait for a port that does not become clean; then it goes on behind them.
GRACE = 0.25


def traced(jobs: Sequence[Job]) -> set[str]:
    """Some of the ports, all of a small batch."""
    return {j.id for j in random.sample(jobs, min(TRACED, len(jobs)))}


def _waits_for_others(job: Job) -> bool:
    """Whether all that is missing of an open port is neither ours to make nor to mend."""
    report = job.report
    return job.opened and report is not None and report.beyond_repair


@dataclass(frozen=True)
class Attempt:
    """What a batch asks of its plugin. Whatever fails is noted in the port's job.

    :param wanted_open: whether traffic of a port shall pass, as of now
    :param changed: set by drivers that saw the host change
    :param others: whether somebody waits for the lane
    :param witnessed: a report with what is known of an open port besides what its plugin reads
    :param announce: told of ports that were just opened
    """

    plugin: VifPlugin
    wanted_open: Callable[[Job], bool]
    changed: threading.Event
    clock: Callable[[], float]
    others: Callable[[], bool] = lambda: False
    witnessed: Callable[[Job, Report], Report] = lambda _job, report: report
    announce: Callable[[Sequence[Job]], None] = lambda _jobs: None

    def carry_out(self, jobs: Sequence[Job], verb: Callable[[Sequence[Item]], Outcomes]) -> None:
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
                text = f"plugin {self.plugin.plugin_name} gave no outcome of {verb.__name__}"
                job.error = errors.InternalError(text, stage=verb.__name__, port=job.id)

    def prove(self, jobs: Sequence[Job], *, deep: bool) -> None:
        """Read back until clean; what is not clean at its deadline gets its error.

        Where others wait, what takes long stays unproven, to be gone on with later.
        """
        proving = [job for job in jobs if job.error is None]
        self._begin(proving, deep=deep)
        waiting = proving
        while waiting:
            self._read_back(waiting, proving)
            now = self.clock()
            for job in waiting:
                if not (job.unproven and now < job.deadline):
                    self._judge(job, now)
            waiting = [job for job in waiting if job.unproven]
            if self._enough(waiting, proving):
                break
            # What was made is gone again (a switch that restarts, another program): no reading
            # brings that back. Where the host is only slow, a second plug changes nothing.
            self._again([job for job in waiting if job.again_at <= now])
            waiting = [job for job in waiting if job.error is None]

    def _begin(self, jobs: Sequence[Job], *, deep: bool) -> None:
        chosen, now = traced(jobs), self.clock()
        for job in jobs:
            stays = not self.wanted_open(job) or job.opened
            job.item.deep = (deep or stays) and (len(jobs) <= TRACED or job.id in chosen)
            if math.isinf(job.since):
                # nobody waits for a port that failed before
                job.since = now if job.record.error is None else now - GRACE
                job.patience, job.again_at = PATIENCE, now + PATIENCE

    @staticmethod
    def _judge(job: Job, now: float) -> None:
        """The end of a proof: clean, or an error."""
        if job.error is None and (job.report is None or not job.report.clean):
            job.error = verify.unproven(job.report, now - job.begun, job.id)

    def _enough(self, waiting: Collection[Job], proving: Collection[Job]) -> bool:
        """Whether those that are not clean had their time, and others are kept waiting by them: of
        this batch, or of the lane."""
        now = self.clock()
        served = all(now - job.since >= GRACE for job in waiting)
        return served and (len(waiting) < len(proving) or self.others())

    def _again(self, jobs: Sequence[Job]) -> None:
        """Plug ports that did not become clean once more."""
        for job in jobs:
            job.patience *= 2
            job.item.thorough, job.item.interim = True, False
        self.carry_out(jobs, self.plugin.plug)
        for job in jobs:
            job.item.thorough = False
            job.again_at = self.clock() + job.patience

    def _read_back(self, jobs: Sequence[Job], proving: Sequence[Job]) -> None:
        """Read until clean, beyond repair, or something is to be done."""
        by_id = {job.id: job for job in jobs}
        try:
            reports = verify.until_clean(
                self.plugin, [j.item for j in jobs], min(min(j.deadline, j.again_at) for j in jobs),
                self.changed, clock=self.clock,
                enough=lambda ids: self._enough([by_id[i] for i in ids], proving),
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            failure = errors.wrap(error, stage="verify")
            for job in jobs:
                job.error = failure.copy().at(port=job.id)
            return
        for job in jobs:
            report = reports.get(job.id)
            job.report = self.witnessed(job, report) if report and job.opened else report

    def open(self, jobs: Sequence[Job]) -> None:
        """Let traffic pass, unless it does already, and prove that it may."""
        self._let_pass([job for job in jobs if not job.opening])
        self.prove([job for job in jobs if job.error is None], deep=True)

    def open_now(self, job: Job) -> None:
        """Let traffic pass; the proof comes later."""
        self._let_pass([job])

    def _let_pass(self, jobs: Sequence[Job]) -> None:
        self.carry_out(jobs, self.plugin.activate)
        opened = [job for job in jobs if job.error is None]
        for job in opened:
            job.item.open = job.opened = job.opening = True
            job.item.interim = False
            job.report, job.since = None, math.inf
            job.item.undo.push("open", self._closer(job))
        self.announce(opened)

    def close(self, jobs: Sequence[Job]) -> None:
        """Let no traffic pass."""
        self.carry_out(jobs, self.plugin.deactivate)
        for job in jobs:
            if job.error is None:
                job.item.open = job.opened = job.opening = False
                job.report, job.since = None, math.inf

    def _closer(self, job: Job) -> Callable[[], None]:
        def close() -> None:
            job.item.open = False
            result = self.plugin.deactivate([job.item]).get(job.id)
            if isinstance(result, errors.VifError):
                raise result
            job.opened = False

        return close

    def take_back(self, jobs: Iterable[Job]) -> None:
        """Undo what a failed attempt made; what stood before it stays.

        So does what was made and waits for somebody else: a device that is taken away helps neither
        a guest that is to start nor the program that has not wired its port yet.
        """
        for job in jobs:
            if job.error is not None and _waits_for_others(job):
                if isinstance(job.error, errors.WireTimeout):
                    job.error.hint = _KEPT
                job.item.undo.keep()
                continue
            if job.error is None:
                job.item.undo.keep()
                continue
            left = job.item.undo.run()
            if left:
                job.error.facts["not_undone"] = left
            job.wiring = job.record.wiring

    def vif(self, job: Job) -> object:
        """What compute needs of a port that was made; ``None`` where nothing is."""
        if job.wiring is None:
            return None
        try:
            return self.plugin.vif(job.item.attachment, job.wiring)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            job.error = job.error or errors.wrap(error, stage="vif", port=job.id)
            return None
