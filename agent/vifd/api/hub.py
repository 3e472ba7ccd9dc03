"""The bridge between green threads and native threads.

The eventlet hub runs in one thread (the daemon's main thread) and serves the API, event streams and
timers; the work on the host is done by native threads. Nothing is monkey-patched: native code stays
native, and it reaches the hub through :meth:`Hub.call_soon` alone, a queue with an event counter
that the hub's poller watches. Only this module and ``vifd.api.server`` name eventlet.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

# Its own resolver is not for us, as nothing here looks up a name on the hub, and its import takes a
# fifth of a start.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")

with warnings.catch_warnings():
    # Eventlet announces its own deprecation when it is imported. The one place that silences it.
    warnings.simplefilter("ignore")
    import eventlet
    import eventlet.hubs
    import greenlet

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Timer:
    """Something that is called again and again; see :meth:`Hub.every`."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Do not call it any more. From the hub's thread."""
        self.cancelled = True


class Hub:
    """The event loop of the calling thread.

    Made in the thread that will run it. :meth:`call_soon` and :meth:`stop` may be called from any
    thread and from signal handlers, everything else from the hub's own thread.
    """

    def __init__(self) -> None:
        eventlet.hubs.use_hub("epolls")
        self._loop = eventlet.hubs.get_hub()
        self._thread = threading.get_ident()
        self._calls: deque[Callable[[], object]] = deque()
        self._counter = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Between a write to the counter and its end: the number may belong to something else later.
        # Re-entrant for signal handlers.
        self._alive = threading.RLock()
        self._closed = False
        # A listener that stays: a trampoline would register and forget the counter at every wake.
        self._listener = self._loop.add(
            self._loop.READ, self._counter, self._drain, lambda *_: None, lambda: None
        )
        self._stopped = False
        self._runner: Callable[[], object] | None = None

    # --- from any thread --------------------------------------------------------------------------

    def call_soon(self, fn: Callable[[], object]) -> None:
        """Have ``fn`` called in the hub's thread, in order. It must not block there."""
        with self._alive:
            if not self._closed:
                self._calls.append(fn)
                os.eventfd_write(self._counter, 1)

    def stop(self) -> None:
        """End :meth:`run_until`. Repeating it changes nothing."""
        self._stopped = True
        self.call_soon(self._wake_runner)

    # --- from the hub's thread --------------------------------------------------------------------

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    def wait(self, future: Future[T], timeout: float | None = None) -> T:
        """Park the calling green thread until a native thread has resolved ``future``.

        :param timeout: seconds
        :returns: the future's result
        :raises TimeoutError: when the time is over; the future goes on
        """
        if not future.done() and not self._park(future.add_done_callback, timeout):
            raise TimeoutError
        return future.result(timeout=0)

    def spawn(self, fn: Callable[..., object], *args: Any) -> None:
        """Call ``fn`` in a green thread of its own; an exception is logged."""
        eventlet.spawn_n(_logged, fn, *args)

    def every(self, seconds: float, fn: Callable[[], object]) -> Timer:
        """Call ``fn`` in a green thread every so many seconds; an exception does not end it."""
        timer = Timer()

        def turn() -> None:
            while True:
                eventlet.sleep(seconds)
                if timer.cancelled:
                    return
                _logged(fn)

        eventlet.spawn_n(turn)
        return timer

    def sleep(self, seconds: float = 0) -> None:
        """Let other green threads run for so many seconds."""
        eventlet.sleep(seconds)

    def run_until(self, stop: Future[Any] | None = None) -> None:
        """Serve green threads until :meth:`stop` is called, or ``stop`` is done."""

        def register(wake: Callable[[object], None]) -> None:
            self._runner = lambda: wake(None)
            if stop is not None:
                stop.add_done_callback(wake)

        if not self._stopped and not (stop is not None and stop.done()):
            self._park(register, None)
        self._runner = None

    def close(self) -> None:
        """End the loop. A call from another thread that comes later has no effect."""
        self._loop.remove(self._listener)
        with self._alive:
            self._closed = True
            os.close(self._counter)
        if self._loop.running:
            self._loop.abort(wait=True)
        self._loop.poll.close()

    # --- inside -----------------------------------------------------------------------------------

    def _park(
        self, register: Callable[[Callable[[object], None]], object], timeout: float | None
    ) -> bool:
        """Switch to the hub until the registered callback was called; whether it was."""
        current = greenlet.getcurrent()
        if current is self._loop.greenlet or threading.get_ident() != self._thread:
            raise RuntimeError("only green threads of this hub may wait")
        parked = [current]

        def switch(woken: bool) -> None:
            if parked:
                parked.pop().switch(woken)

        register(lambda _: self.call_soon(lambda: switch(True)))
        timer = None
        if timeout is not None:
            timer = self._loop.schedule_call_global(max(timeout, 0), switch, False)
        try:
            return bool(self._loop.switch())
        finally:
            parked.clear()
            if timer is not None:
                timer.cancel()

    def _wake_runner(self) -> None:
        if self._runner is not None:
            self._runner()

    def _drain(self, _fd: int) -> None:
        """Run what was queued. May not raise: the poller would forget the counter."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._counter)
        # Only what is there now, so that a flood from other threads leaves room for sockets.
        for _ in range(len(self._calls)):
            _logged(self._calls.popleft())
        if self._calls:
            os.eventfd_write(self._counter, 1)


def _logged(fn: Callable[..., object], *args: Any) -> None:
    try:
        fn(*args)
    except Exception:
        LOG.exception("unexpected failure in the event loop")
