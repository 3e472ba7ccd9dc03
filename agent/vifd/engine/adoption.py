"""Adoption: taking over, in place, what somebody else plugged.

The record says from the start that the port is open, so that the one bundle of flows by which it
changes hands lets its traffic pass. A port that cannot be taken over is given back as it was, and
its record goes again: nobody may find a guest cut off because an operator asked too early.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from msgspec.structs import replace

from vifd import errors
from vifd.engine import Engine
from vifd.engine.decision import Request
from vifd.engine.intake import tell_unread
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.engine.worker import ledger
from vifd.model import Document, PortRecord, Wiring
from vifd.model.status import hosted, settled, untouched, wants_open
from vifd.plugin import VifPlugin
from vifd.plugin.guarded import does
from vifd.store import Change, Journal

LOG = logging.getLogger(__name__)

#: Seconds after which one that was not found is looked for once more: who has just plugged it may
#: be faster than the news of it.
SECOND_LOOK = 0.5


@dataclass(frozen=True)
class Adoption:
    """Takes ports over: finds them on the lane of the plugin that shall serve them, which then
    plugs them by the names that were found."""

    engine: Engine
    journal: Journal

    def requested(self, request: Request, doc: Document) -> None:
        """Take a port over where another program plugged it, else have it made; never blocks."""

        def make() -> None:
            self.engine.submit([dataclasses.replace(request, taking=False)])

        try:
            self._ask(self._plugins(doc), doc, request.ticket, [], make)
        except errors.VifError as error:
            request.ticket.fail(error.at("adopt", doc.id))

    def take_over(self, doc: Document, request_id: str) -> Ticket:
        """Want this port, as it stands; never blocks."""
        ticket = Ticket(doc.id, request_id)
        try:
            self.engine.serving()
            present = self.journal.get(doc.id)
            if present is not None and not untouched(present):
                self._known(present, doc, ticket)
            else:
                self._ask(self._plugins(doc), doc, ticket, [SECOND_LOOK])
        except errors.VifError as error:
            ticket.fail(error.at("adopt", doc.id))
        return ticket

    def _plugins(self, doc: Document) -> list[str]:
        """The plugins that can adopt, and serve what the document asks for."""
        wanted, kind = doc.attachment.plugin, doc.attachment.vif_type
        return [
            name
            for name, plugin in self.engine.plugins.items()
            if does(plugin, "claim")
            and wanted in (None, "", name)
            and (not kind or kind in self.engine.adverts[name].vif_types)
        ]

    def _ask(
        self,
        names: Sequence[str],
        doc: Document,
        ticket: Ticket,
        pauses: Sequence[float],
        absent: Callable[[], None] | None = None,
    ) -> None:
        """Have the first of these plugins look for the port, on its lane; then the next.

        :param pauses: seconds before each further look of all
        :param absent: what to do where nobody has it, in the place of an error
        """
        if not names and absent is not None:
            absent()
            return
        if not names:
            self._absent(doc, ticket, pauses)
            return
        name, *others = names

        def find() -> None:
            try:
                found = self._begin(name, doc, ticket)
            except errors.AdoptionUnfit as error:
                if absent is None or not self._stays_theirs(doc.id, error):
                    raise
                absent()
                return
            if not found:
                self._ask(others, doc, ticket, pauses, absent)

        self.engine.lanes.serve(name, "adopt", ticket, find)

    def _stays_theirs(self, port_id: str, error: errors.VifError) -> bool:
        """Whether a port that cannot be taken over is served all the same, as another program's."""
        present = self.journal.get(port_id)
        if present is None or present.removing or not hosted(present):
            return False
        LOG.warning("it stays the other program's, and is served as such: %s. port=%s",
                    error.message, port_id)  # fmt: skip
        return True

    def _absent(self, doc: Document, ticket: Ticket, pauses: Sequence[float]) -> None:
        """Nobody found it.

        :raises errors.AdoptionAbsent: and nobody will look once more
        """
        plugins = self._plugins(doc)
        if not pauses or not plugins:
            raise errors.AdoptionAbsent(facts={"port": doc.id})
        timer = threading.Timer(pauses[0], self._ask, (plugins, doc, ticket, pauses[1:]))
        timer.name, timer.daemon = "adopt-again", True
        timer.start()

    def _known(self, present: PortRecord, doc: Document, ticket: Ticket) -> None:
        """A port that is vifd's already is no error, as long as nothing else is wanted of it."""
        if present.doc.raw != doc.raw or present.removing:
            facts = {"fields": ["(document)"], "phase": present.phase.value}
            raise errors.StateConflict(facts=facts)
        if settled(present) and present.applied:
            ticket.finish(present)
            return
        ticket.accept(present)
        self.engine.tickets.add(Kind.PLUG, ticket)
        self.engine.again([doc.id])

    def _begin(self, name: str, doc: Document, ticket: Ticket) -> bool:
        """On the lane: find the port, put it on disk, and have the lane plug it.

        :returns: whether the plugin has the port
        """
        plugin = self.engine.plugins[name]
        with self.engine.naming:
            names = plugin.claim(doc.attachment, ledger(self.journal))
            if names is None:
                return False
            _require(plugin, doc)
            record = PortRecord(
                doc=doc, plugin=name, vif_type=names.vif_type, names=names,
                request_id=ticket.request_id,
            )  # fmt: skip
            record = replace(record, open=wants_open(record))
            known = self.journal.get(doc.id)
            parts = self.journal.parts(doc.id)
            ours = {doc.id: replace(parts, hosted=None)} if parts and parts.hosted else {}
            present = self.engine.accept({doc.id: lambda now: _made_or(now, record)}, ours)[doc.id]
        tell_unread(doc, ticket.request_id)
        if present is None or present.names != names:
            raise errors.Superseded(facts={"by": "plug"}, stage="adopt", port=doc.id)
        ticket.created = known is None or not hosted(known)
        ticket.done.add_done_callback(lambda done: self._ended(doc.id, names, done))
        ticket.accept(present)
        self.engine.tickets.add(Kind.PLUG, ticket)
        self.engine.again([doc.id])
        return True

    def _ended(self, port_id: str, names: Wiring, done: Future[PortRecord]) -> None:
        """What could not be taken over was given back by the attempt itself: drop its record."""
        if done.exception() is None:
            LOG.info("adopted: device %s. port=%s", names.device, port_id)
            return
        change: dict[str, Change] = {port_id: lambda now: _unless_made(now, names)}
        self.engine.record(change, None)


def _require(plugin: VifPlugin, doc: Document) -> None:
    """Refuse what the plugin could not plug either.

    :raises errors.VifError: the first thing that lacks
    """
    for need in plugin.requires(doc.attachment):
        if not need.met and need.error is not None:
            raise need.error


def _made_or(present: PortRecord | None, record: PortRecord) -> PortRecord:
    """The present record, or this one where nothing of the port was made; one that another program
    keeps is vifd's from now on, and passes traffic meanwhile as it does."""
    if present is None or untouched(present):
        return record
    if not hosted(present) or present.removing or present.plugin != record.plugin:
        return present
    return replace(
        present, doc=record.doc, vif_type=record.vif_type, names=record.names, wiring=None,
        applied=False, request_id=record.request_id,
    )  # fmt: skip


def _unless_made(present: PortRecord | None, names: Wiring) -> PortRecord | None:
    """The record, or nothing where the port was never taken over."""
    if present is None or present.wiring is not None or present.names != names:
        return present
    return None
