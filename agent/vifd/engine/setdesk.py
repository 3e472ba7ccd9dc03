"""Shared sets as the API and the drivers of network services ask for them; no call blocks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from vifd.engine.setrequest import SetRequest, SetTicket
from vifd.model.comparison import YOUNG, Compared
from vifd.model.setpatch import SetPatch
from vifd.model.setrecord import SetRecord
from vifd.model.sets import SetBody, SetKey, SetKind, key_of
from vifd.model.text import names_in
from vifd.store.shared import SharedSets

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SetDesk:
    """Hands requests to the engine and answers questions from memory.

    :param submit: queues requests
    :param sets: those of the journal
    :param waiting: the plugins that have yet to take up what is known of a set
    """

    submit: Callable[[Sequence[SetRequest]], None]
    sets: SharedSets
    waiting: Callable[[SetKey], list[str]] = lambda _key: []

    # --- questions ---

    def get(self, key: SetKey) -> SetRecord | None:
        """A set; ``None`` where it is not here."""
        return self.sets.get(key)

    def all(self, kind: SetKind | None = None, owner: str | None = None) -> list[SetRecord]:
        """All sets by id, or those of a kind or an owner."""
        found = (r for key, r in sorted(self.sets.all().items()) if kind in (None, key.kind))
        return [record for record in found if owner in (None, record.owner)]

    def users(self, key: SetKey) -> tuple[list[str], list[SetKey]]:
        """The ports, and the other sets whose rules, name a set."""
        references = self.sets.references
        return sorted(references.ports(key)), sorted(references.sets(key))

    # --- requests ---

    def put(
        self, body: SetBody, owner: str, *, revision: int | None = None, request_id: str = "",
        match: frozenset[int] | None = None,
    ) -> SetTicket:  # fmt: skip
        """Want a set to be this, whole; what differs is what changes. It is in place of one of
        another owner.

        :param body: as :func:`vifd.model.setreading.read_set` reads it
        :param revision: the owner's own count of changes: a lower one than the last is refused with
            :class:`vifd.errors.SetStale`
        :param match: revisions of this host, one of which the set must have; empty: any
        """
        return self.put_all([body], owner, revision=revision, request_id=request_id, match=match)[0]

    def put_all(
        self, bodies: Sequence[SetBody], owner: str, *, revision: int | None = None,
        request_id: str = "", match: frozenset[int] | None = None,
    ) -> list[SetTicket]:  # fmt: skip
        """Want many sets, in one commit; one ticket each, in order."""
        tickets = [SetTicket(key_of(body), request_id) for body in bodies]
        self.submit([
            SetRequest(ticket, owner, body=body, revision=revision, match=match)
            for ticket, body in zip(tickets, bodies, strict=True)
        ])  # fmt: skip
        return tickets

    def patch(
        self, key: SetKey, patch: SetPatch, owner: str, *, revision: int | None = None,
        request_id: str = "", match: frozenset[int] | None = None,
    ) -> SetTicket:  # fmt: skip
        """Add and remove pieces; costs what they are. What is there already, or is not there, is no
        error. A network's forwarding is made where there is none; of other kinds that is
        :class:`vifd.errors.SetNotFound`.
        """
        ticket = SetTicket(key, request_id)
        self.submit([SetRequest(ticket, owner, patch=patch, revision=revision, match=match)])
        return ticket

    def delete(
        self, key: SetKey, owner: str, *, revision: int | None = None, request_id: str = "",
        match: frozenset[int] | None = None, later: bool = True,
    ) -> SetTicket:  # fmt: skip
        """Want a set gone.

        :param later: one that something refers to stays in force, and goes by itself once nothing
            does; else that is refused with :class:`vifd.errors.SetInUse`
        """
        ticket = SetTicket(key, request_id)
        self.submit([SetRequest(ticket, owner, revision=revision, match=match, later=later)])
        return ticket

    def compare(
        self, kind: SetKind, owner: str, ids: Collection[str], *, remove: bool = False,
        request_id: str = "",
    ) -> Compared:  # fmt: skip
        """Hold an owner's whole list of sets against what it said here.

        :param remove: what is not listed goes, once nothing refers to it; what came in the last
            :data:`vifd.model.comparison.YOUNG` seconds is not held against a list made before
        """
        return compared(self, kind, owner, ids, remove=remove, request_id=request_id)


def compared(
    desk: SetDesk, kind: SetKind, owner: str, ids: Collection[str], *, remove: bool,
    request_id: str,
) -> Compared:  # fmt: skip
    """See :meth:`SetDesk.compare`."""
    listed, now = set(ids), time.time()
    here: Mapping[str, SetRecord] = {r.key.id: r for r in desk.all(kind, owner)}
    stale = [
        set_id for set_id, record in here.items()
        if set_id not in listed and not record.going and now - record.updated_at >= YOUNG
    ]  # fmt: skip
    for set_id in stale if remove else ():
        desk.delete(SetKey(kind, set_id), owner, request_id=request_id)
    if stale:
        LOG.warning(
            "%s does not list %d sets that it had here: %s %s. Next: %s. request=%s", owner,
            len(stale), kind, names_in(stale, 4),
            "they go once nothing refers to them" if remove else "look at them", request_id,
        )  # fmt: skip
    return Compared(sorted(stale), sorted(listed - here.keys()), removed=remove and bool(stale))
