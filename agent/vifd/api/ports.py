"""Ports, one at a time."""

from __future__ import annotations

import re
from functools import partial
from typing import ClassVar

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.body import expect_empty, read_json
from vifd.api.described import (
    ACCEPTED,
    ADDRESSED,
    ALWAYS,
    BODY,
    TEXT,
    TIMEOUT,
    UUID_SCHEMA,
    WHERE_WANTED,
    Answer,
    Call,
    Calls,
    Shape,
    fields,
    good,
    parameter,
    ref,
    wait,
)
from vifd.api.resource import Resource, answer, port_id_of
from vifd.api.view import FIELDS, PortView, also_matches, matches, only, view, waiting
from vifd.model import UUID, Attachment, Phase, PortRecord, Role, Status, decode
from vifd.model.family import Families
from vifd.negotiation import token

FILTERS = ("phase", "status", "plugin", "network", "instance")

_uuid = re.compile(UUID)
#: The fields that the record alone does not tell.
_BESIDE = frozenset({"enforcement", "parts", "waits", "trunk"})

_SOME_FIELDS = {
    "type": "object",
    "propertyNames": {"enum": list(PortView.__struct_fields__)},
    "description": "with ?fields=",
}
#: Ports, whole or with the fields that were asked for.
LIST = Shape(
    "PortList",
    fields({"ports": {"type": "array", "items": {"anyOf": [ref(PortView), _SOME_FIELDS]}}}),
    (PortView,),
)
_ASKED = (
    parameter("phase", {"enum": list(Phase)}, "only ports in this phase"),
    parameter("status", {"enum": list(Status)}, "only ports of this status"),
    parameter("plugin", TEXT, "only ports of this plugin"),
    parameter("network", UUID_SCHEMA, "only ports of this network"),
    parameter("instance", UUID_SCHEMA, "only ports of this instance"),
    parameter("fields", TEXT, "comma-separated names of the fields to answer with"),
)
_TOKEN = parameter(
    "token", TEXT, "of an offer: take just that candidate, if the host is still as it was then"
)
TAKING = parameter(
    "take_over", {"type": "boolean"},
    "what another program plugged is taken over in place, where there is such a port",
)  # fmt: skip

#: What may be waited for of a port that goes.
REMOVED = wait(
    "gone", "it is gone; `detached`: it is closed, its device and its place on the bridge are "
    "gone, and what is left of its flows follows", sooner=query.DETACHED,
)  # fmt: skip
_ONE = good("the port", PortView)
_ACCEPTED = good(ACCEPTED, PortView)
#: What a call that wants a port is answered with, and one that wants it gone.
PUT = {
    200: good(WHERE_WANTED, PortView),
    201: good("the same, and the port is new", PortView),
    202: _ACCEPTED,
}
GONE = {202: _ACCEPTED, 204: Answer("the port is gone, or never was", media="")}


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

    calls = Calls(get=Call("Ports of this host", {200: good("the ports", LIST)}, ALWAYS, _ASKED))

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = query.params(req, (*FILTERS, "fields"))
        fields = given.pop("fields", None)
        _check_filters(given)
        ports = self.backend.ports()
        whole = partial(self.shown, families=Families(lambda: ports))
        found = (r for r in ports if matches(r, given))
        unmade = [waiting(i, parts) for i, parts in sorted(self.backend.waiting().items())]
        unmade = [port for port in unmade if also_matches(port, given)]
        if fields is None:
            answer(resp, 200, {"ports": [*map(whole, found), *unmade]})
            return
        names = fields.split(",")
        if not set(names) <= set(FIELDS):
            raise query.bad("fields", f"may name {', '.join(FIELDS)}")
        # what is no part of the record costs more than all the rest: only for who asks for it
        shown = partial(view, enforcement=()) if _BESIDE.isdisjoint(names) else whole
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

    calls = Calls(
        get=Call(
            "One port, be it that it waits for a part",
            {200: _ONE},
            ADDRESSED,
            wait("active", WHERE_WANTED),
            works=True,
        ),
        put=Call(
            "Plug a port, or change it in place",
            PUT,
            (*ALWAYS, *BODY),
            [*wait("active", WHERE_WANTED), _TOKEN, TAKING],
            Attachment,
            works=True,
        ),
        delete=Call("Unplug a port", GONE, ALWAYS, REMOVED, works=True),
    )

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
        deadline = query.deadline(req, "gone", sooner=query.DETACHED)
        expect_empty(req)
        ticket = self.backend.unplug([port_id_of(port_id)], req.context.request_id)[0]
        try:
            record: PortRecord | None = self.waits.accepted(ticket)
            if deadline is not None:
                self.waits.gone(ticket, deadline)
        except errors.PortNotFound:
            # what is gone already is as the caller wants it
            record = None
        if deadline is not None or record is None or ticket.done.done():
            resp.status = 204
        else:
            answer(resp, 202, self.shown(record))


class Check(Resource):
    """``/v1/ports/{id}/check``"""

    calls = Calls(
        post=Call("Read the port back now", {200: _ONE}, ADDRESSED, [TIMEOUT], works=True)
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.within(req, "checked")
        expect_empty(req)
        port_id = port_id_of(port_id)
        future = self.backend.check(port_id, req.context.request_id)
        record = self.waits.result(future, port_id, deadline)
        answer(resp, 200, self.shown(record))


class SetRole(Resource):
    """Another role for a port.

    :cvar wanted: what ``?wait=`` waits for
    """

    role: ClassVar[Role]
    wanted: ClassVar[str]

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.deadline(req, self.wanted)
        expect_empty(req)
        ticket = self.backend.set_role(port_id_of(port_id), self.role, req.context.request_id)
        self.finish(resp, ticket, deadline)


def _moved(summary: str, wanted: str) -> Call:
    moved = {200: _ONE, 202: _ACCEPTED}
    return Call(summary, moved, ADDRESSED, wait(wanted, WHERE_WANTED), works=True)


class Activate(SetRole):
    """``/v1/ports/{id}/activate``"""

    role, wanted = Role.ACTIVE, "active"
    calls = Calls(post=_moved("Open traffic", wanted))


class Deactivate(SetRole):
    """``/v1/ports/{id}/deactivate``"""

    role, wanted = Role.INACTIVE, "inactive"
    calls = Calls(post=_moved("Close traffic, keep the rest", wanted))
