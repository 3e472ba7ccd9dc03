"""Waiting for tickets on behalf of callers."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from typing import TypeVar

from vifd import errors
from vifd.api.backend import Backend
from vifd.api.hub import Hub
from vifd.api.query import DETACHED, Deadline
from vifd.engine.ticket import Ticket
from vifd.model import PortRecord

T = TypeVar("T")

#: Seconds in which a request must be on disk.
ACCEPT_SECONDS = 30.0


class Waits:
    """Parks green threads until futures of the backend are done, or the API stops."""

    def __init__(self, hub: Hub, backend: Backend) -> None:
        self._hub = hub
        self._backend = backend
        self._open: set[Future[object]] = set()
        self._stopping = False

    def stop(self) -> None:
        """Answer everybody who waits, now and from now on, that the daemon is stopping."""
        self._stopping = True
        for future in list(self._open):
            with contextlib.suppress(InvalidStateError):
                future.set_result(None)

    def accepted(self, ticket: Ticket) -> PortRecord:
        """The record once the request is on disk.

        :raises errors.VifError: why it was refused
        """
        on_disk = Deadline("accepted", ACCEPT_SECONDS)
        return self.result(ticket.accepted, ticket.port_id, on_disk)

    def done(self, ticket: Ticket, deadline: Deadline) -> PortRecord:
        """The record once the port is where the request wants it.

        :raises errors.VifError: why the attempt failed
        :raises errors.WaitTimeout: it did not come to an end in time and goes on
        """
        return self.result(ticket.done, ticket.port_id, deadline)

    def gone(self, ticket: Ticket, deadline: Deadline) -> None:
        """Until a port that is being removed is gone, or as far gone as the caller waits for.

        :raises errors.VifError: why the attempt failed
        :raises errors.WaitTimeout: it did not come to an end in time and goes on
        """
        if deadline.wanted == DETACHED:
            self.result(ticket.detached, ticket.port_id, deadline)
        else:
            self.done(ticket, deadline)

    def result(self, future: Future[T], port_id: str, deadline: Deadline) -> T:
        """The result of a future, or :class:`~vifd.errors.WaitTimeout` after the deadline."""
        if not future.done():
            self._park(future, deadline.left())
        if future.done():
            return future.result(timeout=0)
        if self._stopping:
            raise errors.Stopping(port=port_id)
        raise self._late(port_id, deadline)

    def _park(self, future: Future[T], timeout: float) -> None:
        """Wait for the future or for :meth:`stop`, whichever comes first."""
        if self._stopping:
            return
        either: Future[object] = Future()

        def wake(_: object) -> None:
            with contextlib.suppress(InvalidStateError):
                either.set_result(None)

        self._open.add(either)
        future.add_done_callback(wake)
        try:
            self._hub.wait(either, timeout)
        except TimeoutError:
            pass
        finally:
            self._open.discard(either)

    def _late(self, port_id: str, deadline: Deadline) -> errors.WaitTimeout:
        try:
            phase = str(self._backend.port(port_id).phase)
        except errors.PortNotFound:
            phase = "none"
        facts = {"wanted": deadline.wanted, "seconds": deadline.seconds, "phase": phase}
        return errors.WaitTimeout(facts=facts, stage="wait", port=port_id)
