"""What a caller holds while the engine works for it."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from vifd.model import Parts, PortRecord


@dataclass
class Ticket:
    """One request for one port.

    :param accepted: done once the request is on disk; fails where it was refused before any effect
    :param done: done once the port is where the request wants it, with its last record (for an
        unplug: the record as it was); fails with the error that ended the attempt
    :param kept: of a request that says one side's part: done with the port's parts once they are on
        disk, be it that the port cannot be made yet
    :param detached: of a removal: done once the port is closed and its device and its place on the
        bridge are gone, which may be a little before ``done``; ends with it otherwise
    :param created: whether the request made a new port, known once accepted
    """

    port_id: str
    request_id: str = ""
    created: bool = False
    accepted: Future[PortRecord] = field(default_factory=Future)
    done: Future[PortRecord] = field(default_factory=Future)
    kept: Future[Parts | None] = field(default_factory=Future)
    detached: Future[None] = field(default_factory=Future)

    def accept(self, record: PortRecord) -> None:
        """The request is on disk."""
        _resolve(self.accepted, record)

    def keep(self, parts: Parts | None) -> None:
        """What a side said is on disk."""
        with contextlib.suppress(InvalidStateError):
            self.kept.set_result(parts)

    def detach(self) -> None:
        """The port is closed and its device gone."""
        with contextlib.suppress(InvalidStateError):
            self.detached.set_result(None)

    def finish(self, record: PortRecord) -> None:
        """The port is where the request wants it."""
        _resolve(self.accepted, record)
        _resolve(self.done, record)
        self.detach()

    def fail(self, error: BaseException) -> None:
        """End the request with an error, where it has not ended yet."""
        for future in (self.accepted, self.done, self.kept, self.detached):
            try:
                future.set_exception(error)
            except InvalidStateError:
                continue


def _resolve(future: Future[PortRecord], record: PortRecord) -> None:
    """Several threads may end a ticket; the first one counts, and none may fail over it."""
    try:
        future.set_result(record)
    except InvalidStateError:
        return
