"""Ports whose proof takes long, set aside so that nobody waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vifd.engine.job import Job
from vifd.model import PortRecord
from vifd.model.lifecycle import Step
from vifd.plugin.undo import Undo

#: Steps in which a port that was set aside is gone on with.
_GOING_ON = frozenset({Step.PLUG, Step.ACTIVATE, Step.DEACTIVATE, Step.CHECK})


class Deferred:
    """The jobs of one lane that were begun and are not at their end.

    They are in memory alone. On disk such a port looks as if the daemon had been killed after it
    was made; the next start goes on from there.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._ways_back: dict[str, Undo] = {}

    def put(self, jobs: Iterable[Job]) -> list[str]:
        """Set ports aside; returns their ids."""
        put = {job.id: job for job in jobs}
        for job in put.values():
            job.deferred, job.item.interim = True, False
        self._jobs |= put
        return list(put)

    def step(self, record: PortRecord, step: Step) -> Step:
        """What is done for this port where ``step`` would be next: what was begun goes on."""
        return Step.PLUG if record.id in self._jobs and step in _GOING_ON else step

    def resumed(self, records: Sequence[PortRecord]) -> list[Job]:
        """Take back the jobs of these ports, unless they are wanted otherwise by now: then what was
        begun is made anew, and only the ways back of it are kept."""
        found = []
        for record in records:
            job = self._jobs.pop(record.id, None)
            if job is None:
                continue
            if job.record.doc is record.doc:
                found.append(job)
            else:
                self._ways_back[record.id] = job.item.undo
        return found

    def inherit(self, job: Job) -> None:
        """Have a new job take back what the one before it made, where it fails."""
        job.item.undo = self._ways_back.pop(job.id, job.item.undo)

    def drop(self, records: Iterable[PortRecord]) -> None:
        """These ports go, with everything that was made of them."""
        for record in records:
            self._jobs.pop(record.id, None)
            self._ways_back.pop(record.id, None)
