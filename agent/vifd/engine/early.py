"""Requests of the first moments: what a host can do is not known before it was looked at."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Early(Generic[T]):
    """Keeps requests that would be refused only because the daemon has just begun.

    :param port_of: the port of a request
    :param wake: called when :meth:`take` has something
    """

    def __init__(self, port_of: Callable[[T], str], wake: Callable[[], None]) -> None:
        self._port_of = port_of
        self._wake = wake
        self._lock = threading.Lock()
        self._held: list[T] = []
        self._over = threading.Event()

    @property
    def over(self) -> bool:
        """Whether a refusal is final: the host was looked at, or that takes too long."""
        return self._over.is_set()

    def wait(self) -> None:
        """Return once :attr:`over` is true."""
        self._over.wait()

    def keep(self, request: T) -> None:
        """Decide a request later, or at once where the time has just come."""
        with self._lock:
            self._held.append(request)
            over = self.over
        if over:
            self._wake()

    def waits(self, port_id: str) -> bool:
        """Whether a request for this port is kept; a later one must not overtake it."""
        with self._lock:
            return any(self._port_of(request) == port_id for request in self._held)

    def cancel(self, port_id: str) -> list[T]:
        """Every request that is kept for a port, to be answered otherwise."""
        with self._lock:
            found = [r for r in self._held if self._port_of(r) == port_id]
            self._held = [r for r in self._held if self._port_of(r) != port_id]
        return found

    def end(self) -> None:
        """The host was looked at: everybody has their turn, before whoever comes later."""
        with self._lock:
            self._over.set()
        self._wake()

    def take(self) -> list[T]:
        """Those whose turn has come, in their order."""
        with self._lock:
            if not self.over or not self._held:
                return []
            held, self._held = self._held, []
        return held
