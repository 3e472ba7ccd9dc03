"""An attempt to bring ports where they shall be: the calls of the plugin, and the proof."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vifd import errors, verify
from vifd.model import Wiring
from vifd.plugin import Item, Outcomes, VifPlugin
from vifd.worker.job import Job

#: Batches up to this size are traced port by port; of larger ones, this many ports are.
TRACED = 16
#: After so many seconds in which a port did not become clean it is plugged once more; the next
#: pause is twice as long.
PATIENCE = 0.5


def traced(jobs: Sequence[Job]) -> set[str]:
    """Some of the ports, all of a small batch."""
    return {j.id for j in random.sample(jobs, min(TRACED, len(jobs)))}


@dataclass(frozen=True)
class Attempt:
    """What a batch asks of its plugin. Whatever fails is noted in the port's job.

    :param wanted_open: whether traffic of a port shall pass, as of now
    :param changed: set by drivers that saw the host change
    """

    plugin: VifPlugin
    wanted_open: Callable[[Job], bool]
    changed: threading.Event
    clock: Callable[[], float]

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

    def prove(self, jobs: Sequence[Job], deadline: float, *, deep: bool) -> None:
        """Read back until clean; what is not clean at the deadline gets its error."""
        proving = [job for job in jobs if job.error is None]
        if not proving:
            return
        chosen = traced(proving)
        for job in proving:
            stays = not self.wanted_open(job) or job.opened
            job.item.deep = (deep or stays) and (len(proving) <= TRACED or job.id in chosen)
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
        self.carry_out(jobs, self.plugin.plug)
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

    def open(self, jobs: Sequence[Job], deadline: float) -> None:
        """Let traffic pass, and prove that it may."""
        self.carry_out(jobs, self.plugin.activate)
        opened = [job for job in jobs if job.error is None]
        for job in opened:
            job.item.open = job.opened = True
            job.item.interim = False
            job.item.undo.push("open", self._closer(job))
        self.prove(opened, deadline, deep=True)

    def _closer(self, job: Job) -> Callable[[], None]:
        def close() -> None:
            job.item.open = False
            result = self.plugin.deactivate([job.item]).get(job.id)
            if isinstance(result, errors.VifError):
                raise result
            job.opened = False

        return close

    def take_back(self, jobs: Iterable[Job]) -> None:
        """Undo what a failed attempt made; what stood before it stays."""
        for job in jobs:
            if job.error is None:
                job.item.undo.keep()
                continue
            left = job.item.undo.run()
            if left:
                job.error.facts["not_undone"] = left
            job.wiring = job.record.wiring
