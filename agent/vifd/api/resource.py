"""What every resource of the API needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import falcon
import msgspec

from vifd import errors
from vifd.api import query
from vifd.api.backend import Backend
from vifd.api.described import Calls
from vifd.api.feed import KEEP_ALIVE, Feed
from vifd.api.view import PortView, view, waiting
from vifd.api.waits import Waits
from vifd.engine.ticket import Ticket
from vifd.model import UUID, PortRecord
from vifd.model.assembling import missing
from vifd.model.family import Families

_encode = msgspec.json.Encoder(enc_hook=str).encode
_uuid = re.compile(UUID)


@dataclass(frozen=True)
class Context:
    """What resources work with.

    :param feed: wakes who waits for the next event
    :param keep_alive: seconds of silence after which a stream says that it is alive
    """

    backend: Backend
    waits: Waits
    feed: Feed
    keep_alive: float = KEEP_ALIVE


def port_id_of(text: str) -> str:
    """A port id from the path.

    :raises errors.BadDocument: when it is not a UUID in lower case
    """
    if not _uuid.fullmatch(text):
        raise errors.BadDocument.at_field("path.id", "must be a UUID in lower case")
    return text


def answer(resp: falcon.Response, status: int, value: object) -> None:
    """Send a value as JSON."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = _encode(value)


class Resource:
    """What is found at one path. A verb is its ``on_…`` and, above that, its line in ``calls``.

    :cvar calls: what the OpenAPI document says of each verb, by method
    """

    calls: ClassVar[Calls] = Calls()

    def __init__(self, context: Context) -> None:
        self.context = context
        self.backend = context.backend
        self.waits = context.waits

    def finish(
        self, resp: falcon.Response, ticket: Ticket, deadline: query.Deadline | None
    ) -> None:
        """Answer with the port: 202 once accepted; with a deadline 200, or 201 for a new port,
        once it is where it shall be."""
        if deadline is None:
            record, status = self.waits.accepted(ticket), 202
        else:
            # a request that is refused ends as a whole: one wait, and the hub is woken once
            try:
                record = self.waits.done(ticket, deadline)
            except errors.WaitTimeout:
                # what goes on was accepted
                self.waits.accepted(ticket)
                raise
            status = 201 if ticket.created else 200
        if status == 201:
            resp.set_header("Location", f"/v1/ports/{ticket.port_id}")
        answer(resp, status, self.shown(record))

    def awaited(self, ticket: Ticket, deadline: query.Deadline) -> PortRecord:
        """The record once the port is where it shall be.

        :raises errors.PartsMissing: another side has not said its part
        :raises errors.WaitTimeout: it takes longer, and goes on
        """
        try:
            return self.waits.done(ticket, deadline)
        except errors.WaitTimeout:
            parts = self.backend.parts(ticket.port_id)
            if parts is None or not (lacks := missing(parts)):
                raise
        facts = {"seconds": deadline.seconds, "missing": "; ".join(lacks)}
        raise errors.PartsMissing(facts=facts, stage="wait", port=ticket.port_id)

    def present(self, port_id: str) -> PortView:
        """A port as it is now, be it that it waits for a part.

        :raises errors.PortNotFound: there is none
        """
        parts = self.backend.parts(port_id)
        try:
            return self.shown(self.backend.port(port_id))
        except errors.PortNotFound:
            if parts is None:
                raise
        return waiting(port_id, parts)

    def shown(self, record: PortRecord, families: Families | None = None) -> PortView:
        """A port as the API answers it.

        :param families: of the ports that are answered with; read where they are not given
        """
        parts, backend = self.backend.parts(record.id), self.backend
        trunk = (families or Families(backend.ports)).of(record)
        return view(record, backend.enforcement(record), parts, backend.hostname, trunk)
