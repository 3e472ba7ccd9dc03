"""Who waits for which port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from enum import StrEnum

from vifd import errors
from vifd.engine.parents import Parents
from vifd.engine.ticket import Ticket
from vifd.model import PortRecord
from vifd.model.status import settled


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
        self._closed: errors.VifError | None = None
        #: whether a port may be open although its record says that it is closed
        self.held: Callable[[str], bool] = lambda _port: False
        self.parents = Parents(self.fail)

    def add(self, kind: Kind, ticket: Ticket) -> None:
        """Keep a ticket until the port's record ends it."""
        with self._lock:
            closed = self._closed
            if closed is None:
                self._open.setdefault(ticket.port_id, []).append((kind, ticket))
        if closed is not None:
            ticket.fail(closed)

    def settle(
        self,
        port_id: str,
        old: PortRecord | None,
        new: PortRecord | None,
        error: errors.VifError | None,
    ) -> None:
        """End the tickets of a port that the new record answers.

        :param error: what ended the attempt whose record this is
        """
        held = new is not None and not new.removing and not new.open and self.held(port_id)
        if held and error is None:
            # whoever is told that it is closed must be able to rely on it
            return
        with self._lock:
            kept = self.parents.keep(port_id, error)
            mine = self._open.pop(port_id, [])
            ended = [
                (k, t, None if kept and k is Kind.PLUG else _answer(k, t, old, new, error))
                for k, t in mine
            ]
            left = [(k, t) for k, t, answer in ended if answer is None]
            if left:
                self._open[port_id] = left
        for _, ticket, answer in ended:
            if isinstance(answer, PortRecord):
                ticket.finish(answer)
            elif answer is not None:
                ticket.fail(answer)

    def detached(self, port_id: str) -> None:
        """Tell who waits for a removal that the port is closed and its device gone."""
        with self._lock:
            waiting = [t for kind, t in self._open.get(port_id, ()) if kind is Kind.UNPLUG]
        for ticket in waiting:
            ticket.detach()

    def fail(self, port_ids: Mapping[str, errors.VifError]) -> None:
        """End all tickets of these ports with an error."""
        for port_id, error in port_ids.items():
            with self._lock:
                mine = self._open.pop(port_id, [])
            for _, ticket in mine:
                ticket.fail(error)

    def close(self, error: errors.VifError) -> None:
        """End every ticket with an error, also those that come from now on."""
        with self._lock:
            self._closed = error
            ids = list(self._open)
        self.fail(dict.fromkeys(ids, error))

    @property
    def waiting(self) -> int:
        """How many tickets are open."""
        with self._lock:
            return sum(map(len, self._open.values()))


def _answer(
    kind: Kind,
    ticket: Ticket,
    old: PortRecord | None,
    new: PortRecord | None,
    error: errors.VifError | None,
) -> PortRecord | errors.VifError | None:
    """What this record means to a ticket; ``None``: it waits on."""
    if new is None:
        return _gone(kind, ticket, old)
    if kind is Kind.UNPLUG:
        # The error of an attempt to plug, ended by this very removal, is no answer to it.
        if new.removing:
            return error if new.error is not None else None
        return errors.Superseded(facts={"by": "plug"}, stage="engine")
    if error is not None:
        return error
    if new.removing:
        by = "release" if new.released else "unplug"
        return errors.Superseded(facts={"by": by}, stage="engine")
    if kind is Kind.CHECK:
        return new if old is None or new.report is not old.report else None
    return new if settled(new) and new.applied else None


def _gone(kind: Kind, ticket: Ticket, old: PortRecord | None) -> PortRecord | errors.VifError:
    if kind is not Kind.UNPLUG:
        return errors.Superseded(facts={"by": "unplug"}, stage="engine")
    return old or errors.PortNotFound(facts={"port": ticket.port_id}, stage="engine")
