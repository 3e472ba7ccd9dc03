"""A second look before a refusal: who did what a hint says is not refused by what was read earlier.

Most of what a refusal rests on makes no event: a module was loaded, a socket has another mode,
large pages were set aside.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from vifd import errors

LOG = logging.getLogger(__name__)

#: Seconds at least between the beginnings of two looks; who asks meanwhile waits for the next.
PAUSE = 1.0
#: Seconds that a look may take; what hangs is refused by what was known.
PATIENCE = 3.0
#: Whose business a reason must be for the host to be otherwise now.
_OWNERS = frozenset(("operator", "host", "backend"))
#: Not even a look at the host changes these.
_SETTLED = (
    errors.PluginMissing, errors.PluginRefused, errors.PluginTimeout, errors.JournalError,
    errors.FeatureUnenforced,
)  # fmt: skip


def mendable(error: errors.VifError) -> bool:
    """Whether something that was read of the host stands in the way."""
    return any(e.owner in _OWNERS and not isinstance(e, _SETTLED) for e in _leaves(error))


def _leaves(error: errors.VifError) -> Iterator[errors.VifError]:
    for one in error.candidates or (error,):
        yield one
        yield from one.also


class SecondLook:
    """Has the host read anew for who is about to be refused, for all at once.

    :param read: reads everything; its future is done when that is through
    """

    def __init__(
        self, read: Callable[[], Future[Any]], *, pause: float = PAUSE, patience: float = PATIENCE
    ) -> None:
        self._read = read
        self._pause, self._patience = pause, patience
        self._lock = threading.Lock()
        self._waiting: list[Callable[[], None]] = []
        self._began = time.monotonic() - pause
        self._running = False

    def ask(self, done: Callable[[], None]) -> None:
        """Never blocks; ``done`` is called on another thread, once the host was read by a look that
        began after this call, or that took too long."""
        with self._lock:
            self._waiting.append(done)
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="second-look", daemon=True).start()

    def wait(self) -> None:
        """The same for a thread that may block."""
        over = threading.Event()
        self.ask(over.set)
        over.wait(self._pause + 2 * self._patience)

    def _run(self) -> None:
        while True:
            time.sleep(max(0.0, self._began + self._pause - time.monotonic()))
            with self._lock:
                asked, self._waiting = self._waiting, []
                if not asked:
                    self._running = False
                    return
            self._began = time.monotonic()
            self._look()
            for done in asked:
                done()

    def _look(self) -> None:
        try:
            self._read().result(self._patience)
        except TimeoutError:
            LOG.warning("the host was not read within %g s before a refusal", self._patience)
        except Exception:
            LOG.exception("the host cannot be read before a refusal")
