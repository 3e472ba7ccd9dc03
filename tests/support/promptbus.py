"""The bus of oslo.messaging that is in memory, without its sleep of 50 ms before each message."""

from __future__ import annotations

import threading
import time
from typing import Any


class _Clock:
    """In the place of the module ``time`` there: who sleeps before he looks for messages again is
    woken by each that comes, and by the end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()

    time = staticmethod(time.time)

    def sleep(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait(seconds)

    def ring(self) -> None:
        with self._changed:
            self._changed.notify_all()


def install() -> None:
    """Have it so in this process, once :func:`vifd.network.neutron.bus.library` has imported it."""
    from futurist import _thread
    from oslo_messaging._drivers import impl_fake

    if isinstance(impl_fake.time, _Clock):
        return
    # a thread of a server that has ended sees that once it has waited so long for work
    worker: Any = _thread.ThreadWorker
    worker.MAX_IDLE_FOR = 0.05
    clock = impl_fake.time = _Clock()
    _also(impl_fake.FakeExchange, "deliver_message", clock)
    _also(impl_fake.FakeListener, "stop", clock)


def _also(kind: Any, name: str, clock: _Clock) -> None:
    done = getattr(kind, name)

    def doing(*given: Any, **named: Any) -> None:
        done(*given, **named)
        clock.ring()

    setattr(kind, name, doing)
