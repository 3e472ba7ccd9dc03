"""What of the journal is read from its file when it is asked for; nothing keeps it in memory."""

from __future__ import annotations

from typing import TypeVar

from vifd.model.event import Event
from vifd.store.disk import Disk
from vifd.store.rows import Outgoing

T = TypeVar("T")


class OnDisk:
    """The part of :class:`vifd.store.Journal` that only reads.

    :param disk: the open file
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def events(self, after: int, limit: int) -> list[Event]:
        """Events with a larger id, oldest first.

        :raises errors.JournalError: the journal cannot be read
        """
        with self._disk.reading() as tables:
            return tables.events(after, limit)

    def history(self, port_id: str, within: int) -> list[Event]:
        """The last events of a port, newest first.

        :param within: how many of the last events of all ports are gone through; a thousand take
            about a millisecond
        :raises errors.JournalError: the journal cannot be read
        """
        with self._disk.reading() as tables:
            return tables.history(port_id, within)

    def waiting(self, port_id: str) -> Outgoing | None:
        """The status of a port that the network service has not acknowledged yet.

        :raises errors.JournalError: the journal cannot be read
        """
        with self._disk.reading() as tables:
            return tables.waiting(port_id)

    def outbox(self) -> list[Outgoing]:
        """What the network service has not acknowledged yet, oldest first.

        :raises errors.JournalError: the journal cannot be read
        """
        with self._disk.reading() as tables:
            return tables.outbox()

    def outbox_size(self) -> int:
        """How many statuses the network service has not acknowledged yet.

        :raises errors.JournalError: the journal cannot be read
        """
        with self._disk.reading() as tables:
            return tables.outbox_size()

    def note(self, name: str, kind: type[T]) -> T | None:
        """What :meth:`remember` kept under this name, or ``None``.

        :raises errors.JournalError: the journal cannot be read
        """
        with self._disk.reading() as tables:
            return tables.note(name, kind)
