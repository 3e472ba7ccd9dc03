"""What is to be taken in its turn: what the service told, and what the daemon puts among it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

LOG = logging.getLogger(__name__)

#: So many messages wait at most; where more come, everything is read anew instead.
BACKLOG = 10_000
#: Method and arguments.
Message = tuple[str, Mapping[str, Any]]
#: What the daemon puts among the messages: a port is waited for here.
AWAITED = "vifd_awaited"
#: The same: everything is to be read, and nobody shall sleep over it.
READ = "vifd_read"
#: The same: what was told of ports may make a trunk another one.
SETTLE = "vifd_settle"


class Messages:
    """Put by any thread, taken by one."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Message] = queue.Queue(BACKLOG)
        #: those of the daemon that wait: one of a kind is enough
        self._own: set[str] = set()
        self._lock = threading.Lock()
        #: everything is to be read anew
        self.anew = threading.Event()

    def heard(self, method: str, arguments: Mapping[str, Any]) -> None:
        """The service told something."""
        try:
            self._queue.put_nowait((method, arguments))
        except queue.Full:
            if not self.anew.is_set():
                LOG.warning("neutron: %d messages wait; everything is read anew instead", BACKLOG)
            self.anew.set()

    def put(self, own: str) -> None:
        """The daemon puts something among them, behind what waits."""
        with self._lock:
            if own in self._own:
                return
            self._own.add(own)
        try:
            self._queue.put_nowait((own, {}))
        except queue.Full:
            self._taken(own)

    def read(self) -> None:
        """Have everything read now."""
        self.anew.set()
        self.put(READ)

    def next(self, timeout: float) -> Message | None:
        """The oldest; ``None`` where there is none within some seconds."""
        message: Message | None = None
        with suppress(queue.Empty):
            message = self._queue.get(timeout=timeout)
            # also where it is passed over because everything is read anew
            self._taken(message[0])
        return message

    def empty(self) -> bool:
        """Whether none waits just now."""
        return self._queue.empty()

    def waiting(self) -> list[Message]:
        """Those that wait just now, the oldest first."""
        with self._queue.mutex:
            return list(self._queue.queue)

    def _taken(self, own: str) -> None:
        with self._lock:
            self._own.discard(own)
