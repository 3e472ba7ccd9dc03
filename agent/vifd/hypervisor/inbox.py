"""What the thread that keeps the guests waits for."""

from __future__ import annotations

import queue
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from vifd.errors import HypervisorError

_STOP = object()


@dataclass
class Mail:
    """Everything that came since the last look.

    :param guests: their UUIDs; they changed, or somebody wants to know them as they are now
    :param waiting: who waits until they were read
    :param closed: the connections that were lost, as their owner named them
    :param stop: vifd is ending
    """

    guests: set[str] = field(default_factory=set)
    waiting: list[Future[None]] = field(default_factory=list)
    closed: list[object] = field(default_factory=list)
    stop: bool = False

    def done(self) -> None:
        """Tell those who wait that the guests were read."""
        for future in self.waiting:
            future.set_result(None)

    def refuse(self, problem: str) -> None:
        """Tell them that they were not."""
        for future in self.waiting:
            future.set_exception(HypervisorError(facts={"problem": problem}, stage="libvirt"))


class Inbox:
    """A native queue: libvirt's event thread puts into it, and may neither block nor log."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()

    def changed(self, guest: str) -> None:
        """A guest is to be read anew."""
        self._queue.put((guest, None))

    def wanted(self, guest: str) -> Future[None]:
        """The same, and somebody waits for it."""
        future: Future[None] = Future()
        self._queue.put((guest, future))
        return future

    def closed(self, connection: object) -> None:
        """A connection was lost."""
        self._queue.put(("", connection))

    def stop(self) -> None:
        """The thread shall end."""
        self._queue.put(("", _STOP))

    def take(self, timeout: float) -> Mail:
        """Everything that is there, as soon as there is something, or after ``timeout`` seconds."""
        mail = Mail()
        try:
            message = self._queue.get(timeout=timeout)
            while True:
                self._sort(message, mail)
                if mail.stop:
                    return mail
                message = self._queue.get_nowait()
        except queue.Empty:
            return mail

    def _sort(self, message: tuple[str, Any], mail: Mail) -> None:
        guest, more = message
        if more is _STOP:
            mail.stop = True
        elif not guest:
            mail.closed.append(more)
        else:
            mail.guests.add(guest)
            mail.waiting += [more] if more is not None else []
