"""Handing events to whoever listens, on the thread that caused them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from vifd.model.event import Event

LOG = logging.getLogger(__name__)

Listener = Callable[[Event], None]


class Bus:
    """Listeners for events; one that raises is logged and kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for every event from now on; returns the way to stop it."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(x for x in self._listeners if x is not listener)

        return stop

    def publish(self, events: Iterable[Event]) -> None:
        """Hand events to every listener."""
        listeners = self._listeners
        for event in events:
            for listener in listeners:
                try:
                    listener(event)
                except Exception:
                    LOG.exception("a listener failed on event %s", event.id)
