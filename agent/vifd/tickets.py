"""Who waits for which port."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from enum import StrEnum

from vifd import errors
from vifd.model import PortRecord
from vifd.status import settled
from vifd.ticket import Ticket


class Kind(StrEnum):
    """What a caller wants of a port."""

    PLUG = "plug"
    UNPLUG = "unplug"
    CHECK = "check"


class Tickets:
    """The open tickets by port; ended by what the engine records."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, list[tuple[Kind, Ticket]]] = {}

    def add(self, kind: Kind, ticket: Ticket) -> None:
        """Keep a ticket until the port's record ends it."""
        with self._lock:
            self._open.setdefault(ticket.port_id, []).append((kind, ticket))

    def settle(
        self,
        port_id: str,
        old: PortRecord | None,
        new: PortRecord | None,
        error: errors.VifError | None,
    ) -> None:
        """End the tickets of a port that the new record answers."""
        with self._lock:
            mine = self._open.pop(port_id, [])
            ended = [(k, t, _answer(k, old, new, error)) for k, t in mine]
            left = [(k, t) for k, t, answer in ended if answer is None]
            if left:
                self._open[port_id] = left
        for _, ticket, answer in ended:
            if isinstance(answer, PortRecord):
                finish(ticket.done, answer)
            elif answer is not None:
                ticket.fail(answer)

    def fail(self, port_ids: Mapping[str, errors.VifError]) -> None:
        """End all tickets of these ports with an error."""
        for port_id, error in port_ids.items():
            with self._lock:
                mine = self._open.pop(port_id, [])
            for _, ticket in mine:
                ticket.fail(error)

    def fail_all(self, error: errors.VifError) -> None:
        """End every ticket with an error."""
        with self._lock:
            ids = list(self._open)
        self.fail(dict.fromkeys(ids, error))


def finish(future: Future[PortRecord], record: PortRecord) -> None:
    """Resolve a future that may be resolved already."""
    if not future.done():
        future.set_result(record)


def _answer(
    kind: Kind, old: PortRecord | None, new: PortRecord | None, error: errors.VifError | None
) -> PortRecord | errors.VifError | None:
    """What this record means to a ticket; ``None``: it waits on."""
    if new is None:
        if kind is Kind.UNPLUG and old is not None:
            return old
        if kind is Kind.UNPLUG:
            return None
        return errors.Superseded(facts={"by": "unplug"}, stage="engine")
    if error is not None:
        return error
    if kind is Kind.CHECK:
        return new if old is None or new.report is not old.report else None
    if kind is Kind.PLUG:
        return new if settled(new) and new.applied else None
    return None if new.removing else errors.Superseded(facts={"by": "plug"}, stage="engine")
