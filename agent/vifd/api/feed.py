"""Wakes the readers of the event stream."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from vifd.api.backend import Backend
from vifd.api.hub import Hub
from vifd.model.event import Event

#: Seconds of silence after which a comment is sent.
KEEP_ALIVE = 15.0


class Feed:
    """Wakes everybody who waits for the next event."""

    def __init__(self, hub: Hub, backend: Backend) -> None:
        self._hub = hub
        self._backend = backend
        self._waiting: set[Future[None]] = set()
        self._announced = False
        self.stopping = False
        self.followers = 0
        self._unsubscribe: Callable[[], None] = backend.on_event(self._on_event)

    def _on_event(self, _event: Event) -> None:
        """On a native thread: one call in the hub for any number of events, none where nobody
        waits: who asks from now on reads the journal after that."""
        if self._waiting and not self._announced:
            self._announced = True
            self._hub.call_soon(self._wake)

    def _wake(self) -> None:
        self._announced = False
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            future.set_result(None)

    def next(self) -> Future[None]:
        """Done at the next event. Ask before reading the journal, so that none is missed."""
        future: Future[None] = Future()
        self._waiting.add(future)
        return future

    def wait(self, news: Future[None], seconds: float) -> bool:
        """Park until there is something new; whether there is."""
        try:
            self._hub.wait(news, seconds)
        except TimeoutError:
            self._waiting.discard(news)
            return False
        return True

    def look_again(self) -> None:
        """Have every reader see whether it may go on. From the hub's thread."""
        self._wake()

    def last_id(self) -> int:
        """The id of the newest event in the journal."""
        after = 0
        while page := self._backend.events(after, 1000):
            after = page[-1].id
        return after

    def stop(self) -> None:
        """End all streams."""
        self.stopping = True
        self._unsubscribe()
        self._wake()
