"""Threads that the daemon cannot do without: begun anew where they fail, watched, and told of.

A thread that ends by itself takes its part of the daemon along without a word: requests would be
taken and never decided, events come and nobody look.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakSet

from vifd.safety import limits

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: Pauses before a thread is begun anew, in seconds; the last one stays.
PAUSES = (0.05, 0.2, 1.0, 5.0, 10.0)
#: A thread that failed so often in so many seconds fails again and again.
OFTEN, LATELY = 5, 60.0

_all: WeakSet[Steady] = WeakSet()
#: ``thread``: the calling thread, where it is a steady one; asked a hundred times in a plug
_here = threading.local()


class Steady(threading.Thread):
    """A native thread of the daemon. Its work has ended when it returns; where it raises, whatever
    that is, the work is begun anew after a pause.

    :param work: the loop, which keeps its state elsewhere
    :param patience: seconds that one :meth:`turn` may take before the thread counts as stuck;
        ``None`` where others take care of that
    :ivar failures: how often the work raised
    :ivar advanced: see :func:`advance`
    """

    def __init__(
        self, work: Callable[[], object], name: str, *, patience: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        super().__init__(name=name, daemon=True)
        self.failures = 0
        #: when it last got one step further, on the monotonic clock
        self.advanced = 0.0
        self._work = work
        self._patience = patience
        self._clock = clock
        self._began = False
        self._done = False
        self._since: float | None = None
        self._failed: deque[float] = deque(maxlen=OFTEN)
        self._last = ""
        _all.add(self)

    def start(self) -> None:
        self._began = True
        super().start()

    def run(self) -> None:
        _here.thread = self
        while True:
            try:
                self._work()
            except BaseException as error:  # noqa: BLE001 - whatever it is, the work must go on
                self._note(error)
                time.sleep(PAUSES[min(self.failures, len(PAUSES)) - 1])
            else:
                self._done = True
                return

    def _note(self, error: BaseException) -> None:
        self.failures += 1
        self._since = None
        self._failed.append(self._clock())
        self._last = type(error).__name__
        LOG.critical(
            "thread %s failed (%s) and is begun anew, for the %d. time. Next: %s", self.name,
            self._last, self.failures, limits.word(error) or "nothing is lost; tell the authors of "
            "vifd", exc_info=error,
        )  # fmt: skip

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Do one piece of the work: the sign of life of a thread with patience."""
        self._since = self._clock()
        try:
            yield
        finally:
            self._since = None

    @property
    def stuck(self) -> str:
        """Why the thread does its part no more, in words; empty where it does."""
        if self._began and not self._done and self.ident is not None and not self.is_alive():
            return f"thread {self.name} is gone"
        since = self._since
        if self._patience is not None and since is not None:
            seconds = self._clock() - since
            if seconds > self._patience:
                return f"thread {self.name} has been at one piece of work for {seconds:.0f} s"
        return ""

    @property
    def failing(self) -> str:
        """What went wrong again and again lately, in words."""
        often = len(self._failed) == OFTEN and self._clock() - self._failed[0] < LATELY
        return f"thread {self.name} fails again and again ({self._last})" if often else ""


def advance() -> None:
    """The calling thread got one step further: a driver answered, a call of a plugin returned.

    Whoever judges a piece of work that may be long looks at the last step, and not at the first.
    """
    thread = getattr(_here, "thread", None)
    if thread is not None:
        thread.advanced = time.monotonic()


def settle(future: Future[T], work: Callable[[], T]) -> None:
    """Let a future have what comes of work, also what it raised; who waited may have gone."""
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is the caller's
        with suppress(InvalidStateError):
            future.set_exception(error)
    else:
        with suppress(InvalidStateError):
            future.set_result(result)


def problems() -> list[str]:
    """What is wrong with the threads of this process: none of it mends itself."""
    return sorted(p for thread in list(_all) if (p := thread.stuck or thread.failing))


def stuck() -> list[str]:
    """The worst of it: a part of the daemon that is gone. Only a new process helps."""
    return sorted(p for thread in list(_all) if (p := thread.stuck))


def failures() -> dict[str, int]:
    """By name, how often threads that are kept were begun anew."""
    counts: dict[str, int] = {}
    for thread in list(_all):
        counts[thread.name] = counts.get(thread.name, 0) + thread.failures
    return counts


@contextmanager
def watched() -> Iterator[None]:
    """Tell of every other native thread that ends by an exception, until the block ends."""
    before = threading.excepthook

    def told(args: Any) -> None:
        name = args.thread.name if args.thread else "(unknown)"
        LOG.critical(
            "thread %s ended by %s", name, args.exc_type.__name__,
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )  # fmt: skip

    threading.excepthook = told
    try:
        yield
    finally:
        threading.excepthook = before
