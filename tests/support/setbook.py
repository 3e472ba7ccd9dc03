"""Shared sets of a daemon without a host: decided as the real one does, kept in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vifd import errors
from vifd.engine.setdecision import decide
from vifd.engine.setdesk import SetDesk
from vifd.engine.setrequest import SetRequest
from vifd.model.sets import SetKey
from vifd.store.shared import SharedSets


@dataclass
class SetBook:
    """What was said is in force once the lane has had its turn.

    :param later: has something done on the lane
    """

    later: Callable[[Callable[[], None]], None]
    sets: SharedSets = field(default_factory=SharedSets)
    waiting: set[SetKey] = field(default_factory=set)

    def desk(self) -> SetDesk:
        """For the backend."""
        return SetDesk(self._submit, self.sets, self._waiting)

    def _waiting(self, key: SetKey) -> list[str]:
        return ["fake"] if key in self.waiting else []

    def _submit(self, requests: Sequence[SetRequest]) -> None:
        for request in requests:
            self._one(request)

    def _one(self, request: SetRequest) -> None:
        ticket, present = request.ticket, self.sets.get(request.ticket.key)
        try:
            update = decide(request, present, self.sets)
        except errors.VifError as error:
            ticket.fail(error)
            return
        ticket.created = present is None
        if not update.idle:
            self.sets.keep(self.sets.numbered([update]))
        self.waiting.add(ticket.key)
        ticket.accept(self.sets.get(ticket.key))

        def done() -> None:
            self.waiting.discard(ticket.key)
            ticket.finish(self.sets.get(ticket.key))

        self.later(done)
