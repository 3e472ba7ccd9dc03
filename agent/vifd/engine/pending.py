"""Where requests wait for the end of a removal, in their order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from vifd import errors

T = TypeVar("T")


class Pending(Generic[T]):
    """Two rooms per port: those that wait for the removal, and those whose turn has come.

    A request that arrives while either has somebody waits behind them: the last request has the
    last word. The lanes free, one thread parks and takes.

    :param going: whether a port is being removed
    """

    def __init__(self, going: Callable[[str], bool]) -> None:
        self._going = going
        self._lock = threading.Lock()
        self._waiting: dict[str, list[T]] = {}
        self._freed: dict[str, list[T]] = {}
        self._closed = False

    def park(self, port_id: str, request: T) -> bool:
        """Keep a request for later; False where there is nothing to wait for.

        :raises errors.Stopping: the daemon is on its way down
        """
        with self._lock:
            room = self._freed.get(port_id) or self._waiting.get(port_id)
            if room is None and not self._going(port_id):
                return False
            if self._closed:
                raise errors.Stopping(port=port_id)
            if room is None:
                room = self._waiting[port_id] = []
            room.append(request)
            return True

    def occupied(self, port_id: str) -> bool:
        """Whether somebody waits for the port."""
        with self._lock:
            return port_id in self._freed or port_id in self._waiting

    def free(self, port_ids: Iterable[str]) -> list[str]:
        """These ports are gone; returns those for which somebody waits, to be taken."""
        with self._lock:
            found = [port_id for port_id in port_ids if port_id in self._waiting]
            for port_id in found:
                self._freed.setdefault(port_id, []).extend(self._waiting.pop(port_id))
        return found

    def take(self, port_id: str) -> list[T]:
        """Those whose turn has come."""
        with self._lock:
            return self._freed.pop(port_id, [])

    def cancel(self, port_id: str) -> list[T]:
        """Everybody who waits for the port."""
        with self._lock:
            return self._freed.pop(port_id, []) + self._waiting.pop(port_id, [])

    def close(self) -> list[T]:
        """Everybody; from now on nobody may wait."""
        with self._lock:
            self._closed = True
            rooms = [*self._freed.values(), *self._waiting.values()]
            self._freed, self._waiting = {}, {}
        return [request for room in rooms for request in room]
