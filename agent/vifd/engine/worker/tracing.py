"""What a trace says of a batch: for each port its steps, and when they were.

Nothing here is called unless somebody traces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from vifd.engine.job import Job
from vifd.model import PortRecord
from vifd.model.lifecycle import Step

#: A step's name, and when it began and ended, in ns since the epoch.
Stretch = tuple[str, int, int]


class Stretches(dict[str, float]):
    """Seconds by step, when each stretch of them was, and when the ports were asked for.

    :param records: the batch, as it began
    """

    def __init__(
        self, records: Iterable[PortRecord] = (), clock: Callable[[], int] = time.time_ns
    ) -> None:
        super().__init__()
        self._clock = clock
        self.seen: list[Stretch] = []
        self.asked = {r.id: int(r.updated_at * 1e9) for r in records if _first_attempt(r)}

    def __setitem__(self, step: str, seconds: float) -> None:
        end = self._clock()
        added = seconds - self.get(step, 0.0)
        self.seen.append((step, end - int(added * 1e9), end))
        super().__setitem__(step, seconds)


@dataclass(frozen=True)
class Served:
    """One port that was served.

    :ivar step: what was done: ``plug``, ``activate``, ``deactivate``, ``unplug``
    :ivar begun: when, in ns since the epoch, with the time that the request waited
    :ivar batch: how many ports were served together; the stretches are those of all of them
    :ivar error: the error's code; empty where there is none
    """

    port: str
    instance: str
    request: str
    plugin: str
    step: str
    begun: int
    ended: int
    stretches: tuple[Stretch, ...]
    batch: int
    error: str = ""


Tracer = Callable[[Sequence[Served]], None]


def served(
    jobs: Sequence[Job], step: Step, plugin: str, spent: Mapping[str, float]
) -> list[Served]:
    """What came of each port of a batch. Pure."""
    if not isinstance(spent, Stretches) or not spent.seen:
        return []
    return [_one(job, step, plugin, spent, len(jobs)) for job in jobs]


def _one(job: Job, step: Step, plugin: str, spent: Stretches, batch: int) -> Served:
    attachment, first = job.record.doc.attachment, spent.seen[0][1]
    asked = min(spent.asked.get(job.id, first), first)
    waited = [("wait", asked, first)] if asked < first else []
    return Served(
        port=job.id,
        instance=attachment.instance.id if attachment.instance else "",
        request=job.record.request_id,
        plugin=plugin,
        step=step.value,
        begun=asked,
        ended=spent.seen[-1][2],
        stretches=(*waited, *spent.seen),
        batch=batch,
        error=job.error.code if job.error else "",
    )


def _first_attempt(record: PortRecord) -> bool:
    """Whether the last that happened to it is that it was asked for."""
    return record.error is None and (record.removing or not record.applied)
