"""Many ports in one call: all documents are read before anything is asked of the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import falcon
from msgspec import Struct
from msgspec.structs import replace

from vifd import errors
from vifd.api import query
from vifd.api.body import read_json
from vifd.api.described import (
    ALWAYS,
    BODY,
    TEXT,
    UUID_SCHEMA,
    Call,
    Calls,
    Kind,
    Schema,
    Shape,
    good,
    many,
    ref,
    wait,
)
from vifd.api.ports import claims_of
from vifd.api.resource import Resource, answer, port_id_of
from vifd.api.view import PortView
from vifd.engine.ticket import Ticket
from vifd.model import Attachment, Document, PortRecord, decode
from vifd.model.family import Families
from vifd.negotiation import token

#: Ports in one call.
MAX_PORTS = 1000


class Item(Struct, frozen=True, omit_defaults=True):
    """What became of one port of a batch: the port, or the error that stood in the way.

    :param status: the HTTP status that a call for this port alone would have had
    """

    id: str
    status: int
    port: PortView | None = None
    error: dict[str, Any] | None = None


class Batch(Struct, frozen=True):
    """One item per port, in the order of the request."""

    ports: list[Item]


def _plug_request() -> Schema:
    """Documents, and the tokens of those that have one."""
    request = many("ports", ref(Attachment), MAX_PORTS)
    tokens = {"type": "object", "propertyNames": UUID_SCHEMA, "additionalProperties": TEXT}
    request["properties"]["tokens"] = {**tokens, "description": "by port, the token of an offer"}
    return request


def _call(summary: str, body: Kind, waiting: tuple[Schema, ...]) -> Call:
    answers = {
        200: good("all done", Batch),
        202: good("all accepted", Batch),
        207: good("see the status and error of each item", Batch),
    }
    return Call(summary, answers, (*ALWAYS, *BODY), waiting, body, works=True)


class Plug(Resource):
    """``/v1/ports:plug``"""

    calls = Calls(
        post=_call(
            "Plug many ports",
            Shape("PlugRequest", _plug_request(), (Attachment,)),
            wait("active", "every port is where its document wants it"),
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        deadline = query.deadline(req, "active")
        docs, claims = read_json(req, _plugs)
        tickets = self.backend.plug(docs, req.context.request_id, claims)
        self.collect(resp, tickets, deadline)

    def collect(
        self, resp: falcon.Response, tickets: Sequence[Ticket], deadline: query.Deadline | None
    ) -> None:
        """Answer with one item per ticket."""
        ended = [self.end(ticket, deadline) for ticket in tickets]
        families = Families(self.backend.ports)  # read once for all of them, and now
        items = [
            item if record is None else replace(item, port=self.shown(record, families))
            for item, record in ended
        ]
        good = 202 if deadline is None else 200
        failed = any(item.error is not None for item in items)
        answer(resp, 207 if failed else good, Batch(items))

    def end(
        self, ticket: Ticket, deadline: query.Deadline | None
    ) -> tuple[Item, PortRecord | None]:
        """Wait for one ticket; all of a batch share the deadline. With the record of a port that
        is answered with."""
        try:
            record = self.waits.accepted(ticket)
            if deadline is not None:
                record = self.waits.done(ticket, deadline)
        except Exception as error:  # noqa: BLE001 - one port's failure is its own
            known = errors.wrap(error, stage="api", port=ticket.port_id)
            return Item(ticket.port_id, known.http, error=known.to_dict()), None
        if deadline is None:
            return Item(ticket.port_id, 202), record
        return Item(ticket.port_id, 201 if ticket.created else 200), record


class Unplug(Plug):
    """``/v1/ports:unplug``"""

    calls = Calls(
        post=_call(
            "Unplug many ports",
            Shape("UnplugRequest", many("ids", UUID_SCHEMA, MAX_PORTS)),
            wait("gone", "all are gone"),
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        deadline = query.deadline(req, "gone")
        ids = read_json(req, read_ids)
        tickets = self.backend.unplug(ids, req.context.request_id)
        self.collect(resp, tickets, deadline)

    def end(self, ticket: Ticket, deadline: query.Deadline | None) -> tuple[Item, None]:
        """Wait for one ticket: 204 once the port is gone, 202 while it goes."""
        try:
            self.waits.accepted(ticket)
            if deadline is not None:
                self.waits.done(ticket, deadline)
        except errors.PortNotFound:
            return Item(ticket.port_id, 204), None
        except Exception as error:  # noqa: BLE001 - one port's failure is its own
            known = errors.wrap(error, stage="api", port=ticket.port_id)
            return Item(ticket.port_id, known.http, error=known.to_dict()), None
        return Item(ticket.port_id, 204 if ticket.done.done() else 202), None


def _plugs(body: Any) -> tuple[list[Document], dict[str, token.Claims]]:
    docs = read_documents(body)
    return docs, read_tokens(body, docs)


def read_documents(body: Any) -> list[Document]:
    """``{"ports": [document, …]}``; a bad one refuses the whole call.

    :raises errors.BadDocument: with the field's path, ``ports[3].network.mtu``
    """
    docs: list[Document] = []
    seen: set[str] = set()
    for i, raw in enumerate(_members(body, "ports", ("tokens",))):
        try:
            doc = decode(raw)
        except errors.BadDocument as error:
            raise below(error, f"ports[{i}]") from error
        if doc.id in seen:
            raise errors.BadDocument.at_field(f"ports[{i}].port.id", "appears twice", port=doc.id)
        seen.add(doc.id)
        docs.append(doc)
    return docs


def read_tokens(body: Any, docs: Sequence[Document]) -> dict[str, token.Claims]:
    """``{"tokens": {port: token, …}}`` beside the documents, if there are any.

    :raises errors.BadDocument: with the field's path
    """
    given = body.get("tokens", {})
    if not isinstance(given, dict):
        raise errors.BadDocument.at_field("tokens", "must be an object")
    ports = {doc.id for doc in docs}
    claims = {}
    for port_id, text in given.items():
        field = f"tokens.{port_id[:64]}"
        if port_id not in ports:
            raise errors.BadDocument.at_field(field, "is no port of this call")
        if not isinstance(text, str):
            raise errors.BadDocument.at_field(field, "must be a string")
        claims[port_id] = claims_of(text, port_id, field)
    return claims


def read_ids(body: Any) -> list[str]:
    """``{"ids": [id, …]}``

    :raises errors.BadDocument: with the field's path, ``ids[3]``
    """
    ids: dict[str, None] = {}
    for i, raw in enumerate(_members(body, "ids")):
        try:
            port_id = port_id_of(raw if isinstance(raw, str) else "")
        except errors.BadDocument as error:
            raise errors.BadDocument.at_field(f"ids[{i}]", error.facts["problem"]) from None
        if port_id in ids:
            raise errors.BadDocument.at_field(f"ids[{i}]", "appears twice", port=port_id)
        ids[port_id] = None
    return list(ids)


def _members(body: Any, name: str, more: Sequence[str] = ()) -> list[Any]:
    if not isinstance(body, dict):
        raise errors.BadDocument.at_field("(body)", "must be a JSON object")
    for key in body:
        if key != name and key not in more:
            raise errors.BadDocument.at_field(key[:64] or '""', "is not a field of this call")
    if name not in body:
        raise errors.BadDocument.at_field(name, "is required")
    members = body[name]
    if not isinstance(members, list):
        raise errors.BadDocument.at_field(name, "must be an array")
    if not 1 <= len(members) <= MAX_PORTS:
        raise errors.BadDocument.at_field(name, f"must have 1 to {MAX_PORTS} items")
    return members


def below(error: errors.BadDocument, prefix: str) -> errors.BadDocument:
    """The same error seen from the whole body."""
    field = str(error.facts["field"])
    path = prefix if field == "(document)" else f"{prefix}.{field}"
    return type(error)(facts={**error.facts, "field": path}, stage=error.stage, port=error.port)
