"""One plugin's lane: a native thread, the ports that wait for it, and its deadline.

Ports are marked dirty, not queued as jobs: a port that is marked twice before its turn is served
once, by its latest record. Everything that waits becomes one batch. Removals go last and in small
slices, because one removal costs the switch as much as several plugs and blocks them; where others
do not cease to wait they have their turn all the same. What was set deferred, because it takes
long, is gone on with beside the others, and by turns with the removals.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from vifd.safety.steady import Steady, settle

LOG = logging.getLogger(__name__)

T = TypeVar("T")

PLUG_SLICE = 256
#: A batch shall take about so many seconds: where the switch is slow, fewer ports go into one, so
#: that each has its answer, and what fails costs few.
BATCH_SECONDS = 15.0
SMALLEST = 16
UNPLUG_SLICE = 16
#: Seconds that removals let others go first; then it is the turn of a slice of them: ports that
#: fail slowly, again and again, always wait.
REMOVALS_WAIT = 2.0


def slice_after(present: int, ports: int, seconds: float) -> int:
    """How many ports the next batch may have, after one of so many that took so long. Pure."""
    if seconds > 2 * BATCH_SECONDS:
        return max(SMALLEST, min(present, ports) // 2)
    if seconds < BATCH_SECONDS and ports >= present:
        return min(PLUG_SLICE, 2 * present)
    return present


class LaneWorker(Protocol):
    """Who does the work on a lane."""

    def removing(self, port_id: str) -> bool:
        """Whether the port waits for its removal."""

    def serve(self, port_ids: Sequence[str]) -> None:
        """Bring these ports one step on. Never raises for a single port."""


@dataclass(frozen=True)
class Busy:
    """What a lane is doing, and since when on the monotonic clock."""

    what: str
    since: float
    ports: tuple[str, ...] = ()


class Lane:
    """The thread and queue of one plugin."""

    def __init__(
        self, name: str, worker: LaneWorker, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.busy: Busy | None = None
        self.quarantined = False
        #: set by drivers that saw the host change; ends a verifier's pause
        self.changed = threading.Event()
        self._worker = worker
        self._clock = clock
        self._dirty: dict[str, None] = {}
        self._deferred: dict[str, None] = {}
        self._deferred_next = True
        self._slice = PLUG_SLICE
        #: since when removals wait while others are served
        self._passed_over: float | None = None
        self._urgent: dict[str, Callable[[], None]] = {}
        self._idle: deque[tuple[str, Callable[[], None]]] = deque()
        self._stopping = False
        self._wake = threading.Condition()
        self._thread = Steady(self._run, f"lane-{name}")

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Finish the running batch and end; False where that took longer than ``timeout`` s."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self.changed.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def mark(self, port_ids: Iterable[str]) -> None:
        """Have these ports served."""
        with self._wake:
            self._dirty.update(dict.fromkeys(port_ids))
            self._wake.notify()
        # a verifier that pauses looks whether somebody waits
        self.changed.set()

    def later(self, port_ids: Iterable[str]) -> None:
        """Have these ports served again, behind those that wait."""
        with self._wake:
            self._deferred.update(dict.fromkeys(port_ids))

    def others(self) -> bool:
        """Whether anybody waits, or the end is waited for. A port that is being served and was
        marked again counts: something else may be wanted of it by now."""
        with self._wake:
            return bool(self._dirty or self._urgent or self._stopping)

    def urgent(self, what: str, work: Callable[[], None]) -> None:
        """Have something done on this thread before the next batch; the same task waits once."""
        with self._wake:
            self._urgent[what] = work
            self._wake.notify()
        self.changed.set()

    def idle(self, what: str, work: Callable[[], None]) -> None:
        """Have something done on this thread once no port waits: nobody is in a hurry for it."""
        with self._wake:
            self._idle.append((what, work))
            self._wake.notify()

    def ask(self, what: str, work: Callable[[], T], *, idle: bool = False) -> Future[T]:
        """Have something worked out on this thread, and its result, or what it raised, brought
        back. What nobody waits for any more is not begun.

        :param idle: once no port waits
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.done():
                settle(future, work)

        (self.idle if idle else self.urgent)(f"{what} {id(future)}", run)
        return future

    @property
    def waiting(self) -> int:
        """How many ports wait."""
        return len(self._dirty.keys() | self._deferred.keys())

    def pending(self) -> tuple[str, ...]:
        """The ports that wait."""
        with self._wake:
            return tuple(self._dirty | self._deferred)

    def quiet(self, now: float) -> float:
        """Seconds since what it is doing got one step further; 0 where it does nothing."""
        busy = self.busy
        return 0.0 if busy is None else now - max(busy.since, self._thread.advanced)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._something():
                    self._wake.wait()
                if self._stopping:
                    return
                urgent, self._urgent = self._urgent, {}
            # What an urgent task does (a recovery, say) decides what the batch will find.
            for what, work in urgent.items():
                self._do(what, (), work)
            batch, idle = self._next()
            if batch:
                began = self._clock()
                self._do("serve", batch, partial(self._worker.serve, batch))
                self._slice = slice_after(self._slice, len(batch), self._clock() - began)
            elif idle is not None:
                self._do(idle[0], (), idle[1])

    def _something(self) -> bool:
        waiting = self._dirty or self._deferred or self._urgent or self._idle
        return bool(waiting) or self._stopping

    def _next(self) -> tuple[tuple[str, ...], tuple[str, Callable[[], None]] | None]:
        """The next batch; where no port waits, the next idle task."""
        with self._wake:
            if self._stopping:
                return (), None
            now, batch = self._clock(), self._take()
            if batch:
                # whoever looks sees that they wait, or that they are served
                self.busy = Busy("serve", now, batch)
            idle = not batch and not self._urgent
            return batch, self._idle.popleft() if idle and self._idle else None

    def _take(self) -> tuple[str, ...]:
        removals = [p for p in self._dirty if self._worker.removing(p)]
        gone = set(removals)
        plugs = [p for p in self._dirty if p not in gone][: self._slice]
        deferred = self._deferred and (self._deferred_next or not self._dirty)
        if (plugs or deferred) and not self._overdue(removals):
            batch = tuple(dict.fromkeys([*plugs, *self._deferred]))
            self._deferred.clear()
            self._deferred_next = False
        else:
            batch = tuple(removals[:UNPLUG_SLICE])
            self._deferred_next, self._passed_over = True, None
        for port_id in batch:
            self._dirty.pop(port_id, None)
        return batch

    def _overdue(self, removals: Sequence[str]) -> bool:
        """Whether it is the turn of removals though others wait."""
        now = self._clock()
        if not removals:
            self._passed_over = None
        elif self._passed_over is None:
            self._passed_over = now
        return self._passed_over is not None and now - self._passed_over >= REMOVALS_WAIT

    def _do(self, what: str, ports: tuple[str, ...], work: Callable[[], None]) -> None:
        self.busy = Busy(what, self._clock(), ports)
        try:
            work()
        except BaseException:
            LOG.exception(
                "lane %s: %s of %d ports failed unexpectedly", self.name, what, len(ports)
            )
        finally:
            self.busy = None
            if self.quarantined:
                self.quarantined = False
                LOG.warning("lane %s: the plugin answered at last and is in use again", self.name)
