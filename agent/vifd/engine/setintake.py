"""The sets' part of the intake: what a group of requests makes of them, for one commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vifd import errors
from vifd.engine.setdecision import decide
from vifd.engine.setrequest import SetRequest, SetTicket
from vifd.model.setrecord import SetRecord, SetUpdate
from vifd.model.sets import SetKey
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Has a ticket wait until every plugin has taken up the change of its set.
Follow = Callable[[SetTicket], None]


@dataclass
class SetIntake:
    """On the intake's thread alone.

    :param follow: called for each change that is on disk
    """

    journal: Journal
    follow: Follow
    _updates: dict[SetKey, SetUpdate] = field(default_factory=dict)
    _ready: list[SetTicket] = field(default_factory=list)

    @property
    def updates(self) -> Sequence[SetUpdate]:
        """What is to be written; each set once."""
        return [update for update in self._updates.values() if not update.idle]

    def take(self, request: SetRequest) -> None:
        """Decide a request; whoever is refused is told at once."""
        key = request.ticket.key
        earlier = self._updates.get(key)
        present = earlier.after if earlier is not None else self.journal.sets.get(key)
        try:
            update = decide(request, present, self.journal.sets)
        except errors.VifError as error:
            self._refuse(request, error)
            return
        request.ticket.created = present is None
        if not update.idle:
            self._updates[key] = update if earlier is None else earlier.then(update)
        self._ready.append(request.ticket)

    def sweep(self) -> None:
        """Sets that were taken away and that nothing refers to any more are gone."""
        for key in self.journal.sets.needless():
            record = self.journal.sets.get(key)
            if record is not None and key not in self._updates:
                self._updates[key] = SetUpdate(record, None)
                LOG.info("set: %s is gone: its owner %s took it away, and nothing refers to it",
                         key, record.owner)  # fmt: skip

    def written(self) -> None:
        """It is on disk: tell so."""
        ready, now = self._ready, self._now()
        self._updates, self._ready = {}, []
        for ticket in ready:
            ticket.accept(now.get(ticket.key))
            self.follow(ticket)

    def _now(self) -> Mapping[SetKey, SetRecord]:
        found = {ticket.key: self.journal.sets.get(ticket.key) for ticket in self._ready}
        return {key: record for key, record in found.items() if record is not None}

    def failed(self, error: errors.VifError) -> None:
        """It is not on disk: nothing was changed."""
        ready = self._ready
        self._updates, self._ready = {}, []
        for ticket in ready:
            ticket.fail(error.copy())

    def _refuse(self, request: SetRequest, error: errors.VifError) -> None:
        refusal = error.at("intake")
        LOG.warning(
            "refused: %s: %s. Next: %s. set=%s owner=%s request=%s", refusal.code,
            refusal.message, refusal.hint, request.ticket.key, request.owner,
            request.ticket.request_id,
        )  # fmt: skip
        request.ticket.fail(refusal)
