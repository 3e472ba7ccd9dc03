"""Ports, one at a time."""

from __future__ import annotations

import re
from functools import partial
from typing import ClassVar

import falcon
import msgspec

from vifd import errors
from vifd.api import query
from vifd.api.backend import Backend
from vifd.api.body import expect_empty, read_json
from vifd.api.view import FIELDS, PortView, also_matches, matches, only, view, waiting
from vifd.api.waits import Waits
from vifd.engine.ticket import Ticket
from vifd.model import UUID, Phase, PortRecord, Role, Status, decode
from vifd.model.parts import missing
from vifd.negotiation import token

FILTERS = ("phase", "status", "plugin", "network", "instance")

_encode = msgspec.json.Encoder(enc_hook=str).encode
_uuid = re.compile(UUID)


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
    """What every resource needs."""

    def __init__(self, backend: Backend, waits: Waits) -> None:
        self.backend = backend
        self.waits = waits

    def finish(
        self, resp: falcon.Response, ticket: Ticket, deadline: query.Deadline | None
    ) -> None:
        """Answer with the port: 202 once accepted; with a deadline 200, or 201 for a new port,
        once it is where it shall be."""
        record = self.waits.accepted(ticket)
        status = 202
        if deadline is not None:
            record = self.waits.done(ticket, deadline)
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

    def shown(self, record: PortRecord) -> PortView:
        """A port as the API answers it."""
        parts = self.backend.parts(record.id)
        return view(record, self.backend.enforcement(record), parts, self.backend.hostname)


def claims_of(text: str, port_id: str, field: str) -> token.Claims:
    """What a token says.

    :param field: where it was found, for the error
    :raises errors.BadDocument: it is damaged, or of an offer for another port
    """
    claims = token.read(text, field)
    if claims.port != port_id:
        problem = f"is of an offer for port {claims.port}"
        raise errors.BadDocument.at_field(field, problem, port=port_id)
    return claims


class PortList(Resource):
    """``/v1/ports``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = query.params(req, (*FILTERS, "fields"))
        fields = given.pop("fields", None)
        _check_filters(given)
        found = (r for r in self.backend.ports() if matches(r, given))
        unmade = [waiting(i, parts) for i, parts in sorted(self.backend.waiting().items())]
        unmade = [port for port in unmade if also_matches(port, given)]
        if fields is None:
            answer(resp, 200, {"ports": [*(self.shown(r) for r in found), *unmade]})
            return
        names = fields.split(",")
        if not set(names) <= set(FIELDS):
            raise query.bad("fields", f"may name {', '.join(FIELDS)}")
        # the report costs more than all the rest of the answer: only for those who ask for it
        shown = self.shown if "enforcement" in names else partial(view, enforcement=())
        every = [*(shown(r) for r in found), *unmade]
        answer(resp, 200, {"ports": [only(port, names) for port in every]})


def _check_filters(given: dict[str, str]) -> None:
    for name, kind in (("phase", Phase), ("status", Status)):
        if name in given and given[name] not in list(kind):
            raise query.bad(name, f"must be one of {', '.join(kind)}")
    for name in ("network", "instance"):
        if name in given and not _uuid.fullmatch(given[name]):
            raise query.bad(name, "must be a UUID in lower case")


class OnePort(Resource):
    """``/v1/ports/{id}``"""

    def on_get(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.deadline(req, "active")
        if deadline is None:
            answer(resp, 200, self.present(port_id_of(port_id)))
            return
        ticket = self.backend.awaited(port_id_of(port_id), req.context.request_id)
        answer(resp, 200, self.shown(self.awaited(ticket, deadline)))

    def on_put(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.deadline(req, "active", ("token", "take_over"))
        params = query.params(req, ("wait", "timeout", "token", "take_over"))
        taking = "take_over" in params and query.boolean("take_over", params["take_over"])
        given = params.get("token")
        claims = {} if given is None else {port_id: claims_of(given, port_id, "query.token")}
        doc = read_json(req, partial(decode, port_id=port_id_of(port_id)))
        ticket = self.backend.plug([doc], req.context.request_id, claims, taking=taking)[0]
        self.finish(resp, ticket, deadline)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.deadline(req, "gone")
        expect_empty(req)
        ticket = self.backend.unplug([port_id_of(port_id)], req.context.request_id)[0]
        try:
            record: PortRecord | None = self.waits.accepted(ticket)
            if deadline is not None:
                self.waits.done(ticket, deadline)
        except errors.PortNotFound:
            # what is gone already is as the caller wants it
            record = None
        if deadline is not None or record is None or ticket.done.done():
            resp.status = 204
        else:
            answer(resp, 202, self.shown(record))


class Check(Resource):
    """``/v1/ports/{id}/check``"""

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        given = query.params(req, ("timeout",))
        timeout = query.seconds(given["timeout"]) if given else query.DEFAULT_TIMEOUT
        expect_empty(req)
        port_id = port_id_of(port_id)
        future = self.backend.check(port_id, req.context.request_id)
        record = self.waits.result(future, port_id, query.Deadline("checked", timeout))
        answer(resp, 200, self.shown(record))


class SetRole(Resource):
    """``/v1/ports/{id}/activate`` and ``…/deactivate``"""

    wanted: ClassVar[dict[Role, str]] = {Role.ACTIVE: "active", Role.INACTIVE: "inactive"}

    def __init__(self, backend: Backend, waits: Waits, role: Role) -> None:
        super().__init__(backend, waits)
        self.role = role

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.deadline(req, self.wanted[self.role])
        expect_empty(req)
        ticket = self.backend.set_role(port_id_of(port_id), self.role, req.context.request_id)
        self.finish(resp, ticket, deadline)
