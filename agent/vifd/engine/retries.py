"""When ports that failed are tried again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable

from vifd.engine import plan

#: Seconds until somebody looks again where nothing is due.
IDLE = 3600.0


class Retries:
    """Attempts by port, with pauses that grow; for ever, because an outage ends at some time."""

    def __init__(self) -> None:
        self._attempts: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._lock = threading.Lock()

    def later(self, port_id: str, *, first: float, longest: float) -> None:
        """Try a port again after a pause, in seconds; see :func:`vifd.engine.plan.delay`."""
        with self._lock:
            attempt = self._attempts[port_id] = self._attempts.get(port_id, 0) + 1
            pause = plan.delay(attempt, first=first, longest=longest, jitter=random.random())
            self._due[port_id] = time.monotonic() + pause

    def afresh(self, port_ids: Iterable[str]) -> None:
        """Somebody asked for these ports: their next failure is a first one."""
        with self._lock:
            for port_id in port_ids:
                self._attempts.pop(port_id, None)

    def done(self, port_id: str) -> None:
        """The port is well, or gone."""
        with self._lock:
            self._attempts.pop(port_id, None)
            self._due.pop(port_id, None)

    @property
    def pending(self) -> int:
        """How many ports wait for their next attempt."""
        return len(self._due)

    def remaining(self, port_id: str) -> float | None:
        """Seconds until the next attempt of a port, or ``None``."""
        with self._lock:
            due = self._due.get(port_id)
        return None if due is None else max(0.0, due - time.monotonic())

    def take(self, now: float) -> tuple[list[str], float]:
        """The ports that are due, and when the next one will be."""
        with self._lock:
            due = [port_id for port_id, at in self._due.items() if at <= now]
            for port_id in due:
                del self._due[port_id]
            return due, min(self._due.values(), default=now + IDLE)
