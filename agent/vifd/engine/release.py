"""Release: giving a port back, in place, to the hand it was adopted from.

The lane of its plugin looks first; then what is wanted is on disk before the first effect. The port
stays open, with its status, until it is gone. Killed anywhere, the next start takes the same path.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from vifd import errors
from vifd.engine import Engine
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.model import PortRecord
from vifd.plugin import Item
from vifd.plugin.guarded import does
from vifd.store import Journal


@dataclass(frozen=True)
class Release:
    """Gives ports back."""

    engine: Engine
    journal: Journal

    def give_back(self, port_id: str, request_id: str, *, force: bool = False) -> Ticket:
        """Want this port given back; never blocks.

        :param force: although vifd made it, or nobody else would pass its frames
        """
        ticket = Ticket(port_id, request_id)
        try:
            self.engine.serving()
            present = self._served(port_id)
            if present.removing:
                self._join(present, ticket)
                return ticket
        except errors.VifError as error:
            ticket.fail(error.at("release", port_id))
            return ticket
        begin = partial(self._begin, ticket, force=force)
        self.engine.lanes.serve(present.plugin, "release", ticket, begin)
        return ticket

    def _served(self, port_id: str) -> PortRecord:
        """The port's record, where its plugin can give ports back.

        :raises errors.VifError: it cannot be done
        """
        present = self.journal.get(port_id)
        if present is None:
            raise errors.PortNotFound(facts={"port": port_id})
        plugin = self.engine.plugins.get(present.plugin)
        if plugin is None:
            have = list(self.engine.plugins)
            raise errors.PluginMissing(facts={"wanted": present.plugin, "have": have})
        if not does(plugin, "release"):
            raise errors.ReleaseUnsupported(facts={"plugin": present.plugin})
        if present.wiring is None and not present.removing:
            raise errors.NotPlugged(facts={"port": port_id, "phase": present.phase.value})
        return present

    def _join(self, present: PortRecord, ticket: Ticket) -> None:
        """It goes already: wait for that, if it is this way of going."""
        if not present.released:
            raise errors.Superseded(facts={"by": "unplug"})
        ticket.accept(present)
        self._await(present.id, present, ticket)

    def _begin(self, ticket: Ticket, *, force: bool) -> None:
        """On the lane: look at the port, put on disk that it is to go, and have the lane do it."""
        seen = self._served(ticket.port_id)
        if not force and seen.wiring is not None:
            item = Item(seen.doc.attachment, seen.names or seen.wiring, seen.wiring, open=seen.open)
            problem = self.engine.plugins[seen.plugin].release_problem(item)
            if problem:
                facts = {"device": seen.wiring.device, "problem": problem}
                raise errors.ReleaseUnfit(facts=facts)

        def change(now: PortRecord | None) -> PortRecord | None:
            if now is None or now.removing:
                return now
            return replace(now, removing=True, released=True, request_id=ticket.request_id)

        present = self.engine.accept({seen.id: change}, {seen.id: None})[seen.id]
        if present is None or not present.released:
            raise errors.Superseded(facts={"by": "unplug"})
        ticket.accept(present)
        self._await(seen.id, present, ticket)

    def _await(self, port_id: str, present: PortRecord, ticket: Ticket) -> None:
        tickets = self.engine.tickets
        tickets.add(Kind.UNPLUG, ticket)
        tickets.settle(port_id, present, self.journal.get(port_id), None)
        self.engine.again([port_id])
