"""Ports by their sides, for a daemon without a host: the rules are the real ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial

from support.portbook import PortBook
from vifd import errors
from vifd.engine.garbage.limits import FEW
from vifd.engine.ticket import Ticket
from vifd.model import Parts, PortRecord, Side, sides
from vifd.model.assembling import assembled
from vifd.model.comparison import YOUNG, Compared, compared
from vifd.model.sides import Said


class SideBook(PortBook):
    """A :class:`~support.portbook.PortBook` whose ports may come in parts."""

    hostname = "fake"

    def __init__(self) -> None:
        super().__init__()
        self._parts: dict[str, Parts] = {}
        self._waiters: dict[str, list[Ticket]] = {}

    def parts(self, port_id: str) -> Parts | None:
        with self._lock:
            return sides.known(self._parts.get(port_id), self._records.get(port_id))

    def waiting(self) -> Mapping[str, Parts]:
        with self._lock:
            return {i: p for i, p in self._parts.items() if i not in self._records}

    def say(self, said: Said, request_id: str, *, taking: bool = False) -> Ticket:
        """Nothing is there to be taken over."""
        del taking
        ticket = Ticket(said.port, request_id)
        before = self.parts(said.port)
        try:
            after = sides.after(before, said)
            document = assembled(after, self.hostname)
        except errors.VifError as error:
            ticket.fail(error)
            return ticket
        if document is None:
            return self._lacking(said, before, after, ticket)
        made = self._plug(document, request_id)
        if made.accepted.done() and made.accepted.exception(0) is not None:
            return made
        self._parts[said.port] = after
        made.keep(after)
        for waiter in self._waiters.pop(said.port, []):
            made.done.add_done_callback(partial(_pass_on, waiter))
        return made

    def _lacking(self, said: Said, before: Parts | None, after: Parts, ticket: Ticket) -> Ticket:
        port_id = said.port
        if said.part is not None:
            self._parts[port_id] = after
            self._waiters.setdefault(port_id, []).append(ticket)
            ticket.keep(after)
            return ticket
        if before is None or after.bare:
            self._parts.pop(port_id, None)
        else:
            self._parts[port_id] = after
        if port_id in self._records:
            return self._unplug(port_id, ticket.request_id)
        ticket.fail(errors.PortNotFound(facts={"port": port_id}))
        return ticket

    def compare(
        self, side: Side, owner: str | None, ids: Sequence[str], request_id: str, *, remove: bool,
        force: bool,
    ) -> Compared:  # fmt: skip
        every = {i: self.parts(i) for i in (*self._records, *self._parts)}
        known = {i: parts for i, parts in every.items() if parts is not None}
        found = compared(known, side, owner, ids, time.time() - YOUNG)
        if not remove or not found.stale:
            return found
        if len(found.stale) > FEW and not force:
            facts = {"count": len(found.stale), "total": len(known), "reason": "too many"}
            raise errors.GarbageLimit(facts=facts, stage="compare")
        for port_id in found.stale:
            self.say(Said(port_id, side), request_id)
        return Compared(found.stale, found.missing, removed=True)

    def awaited(self, port_id: str, request_id: str) -> Ticket:
        if self.parts(port_id) is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        ticket = Ticket(port_id, request_id)
        if port_id in self._records:
            # by the same way as the plug before it, or it would be answered first
            self._disk.put(lambda: self._lane.put(lambda: ticket.finish(self.port(port_id))))
        else:
            self._waiters.setdefault(port_id, []).append(ticket)
        return ticket


def _pass_on(waiter: Ticket, done: Future[PortRecord]) -> None:
    error = done.exception(0)
    if error is not None:
        waiter.fail(error)
    else:
        waiter.finish(done.result(0))
