"""Shared sets, one at a time: security groups, address groups, the forwarding of networks, logs."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, ClassVar

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.body import expect_empty, read_json
from vifd.api.described import (
    ACCEPTED,
    ALWAYS,
    BODY,
    FLAG,
    Answer,
    Call,
    Calls,
    Errors,
    fields,
    good,
    header,
    parameter,
    ref,
    wait,
)
from vifd.api.resource import Resource, answer, port_id_of
from vifd.api.setview import HEADS, NAMES, PATCHES, SAID, VIEWS, head, view
from vifd.engine.setdesk import SetDesk
from vifd.engine.setrequest import SetTicket
from vifd.model.setpatch import read_patch
from vifd.model.setreading import read_set
from vifd.model.sets import SetKey, SetKind

MAX_REVISION = 2**63 - 1
_OWNER = 64
#: Seconds in which a change must be on disk.
_ON_DISK = 30.0
_ETAG = re.compile(r'"(\d{1,19})"')

OWNED = parameter(
    "owner", {"type": "string", "minLength": 1, "maxLength": _OWNER, "default": "api"},
    "who says it",
)  # fmt: skip
COUNTED = parameter(
    "revision", {"type": "integer", "minimum": 0},
    "the owner's own count of changes: what is older than what it said before is refused",
)  # fmt: skip
LATER = parameter(
    "later", FLAG, "what is in use stays in force, and goes once nothing refers to it"
)
MATCH = header(
    "If-Match",
    {"type": "string"},
    'revisions that the set must have, as in its ETag ("17"); *: any',
)
APPLIED = wait("applied", "every plugin concerned has brought this host to it")
CHANGING: Errors = (
    *ALWAYS, errors.SetStale, errors.SetChanged, errors.SetLimit, errors.SetNotFound,
    errors.JournalError, errors.Stopping, errors.WaitTimeout,
)  # fmt: skip


def _calls(kind: SetKind) -> Calls:
    what = str(kind).replace("-", " ")
    answers = {
        200: good("it is in force", VIEWS[kind]), 201: good("new, and in force", VIEWS[kind]),
        202: good(ACCEPTED, VIEWS[kind]),
    }  # fmt: skip
    asked = [*APPLIED, OWNED, COUNTED, MATCH]
    gone = {
        200: good("in use: it stays in force until nothing refers to it", VIEWS[kind]),
        202: good("the same, taken up by the plugins soon", VIEWS[kind]),
        204: Answer("it is gone, or was not there", media=""),
    }
    return Calls(
        get=Call(f"One {what}, with its revision as ETag", {200: good("the set", VIEWS[kind])},
                 (*ALWAYS, errors.SetNotFound)),
        put=Call(f"Want a {what} to be this, whole", answers, (*CHANGING, *BODY), asked,
                 SAID[kind], works=True),
        patch=Call(f"Add to a {what}, or remove from it", answers, (*CHANGING, *BODY), asked,
                   PATCHES[kind], works=True),
        delete=Call(f"Take a {what} away", gone, (*CHANGING, errors.SetInUse),
                    [*asked, LATER], works=True),
    )  # fmt: skip


def _list(kind: SetKind) -> Calls:
    items = {"type": "array", "items": ref(HEADS[kind])}
    found = Answer("sets without what they hold", (HEADS[kind],),
                   schema=fields({NAMES[kind][1]: items}))  # fmt: skip
    owner = parameter("owner", {"type": "string"}, "only those of this owner")
    return Calls(get=Call(f"Every {str(kind).replace('-', ' ')}", {200: found}, ALWAYS, [owner]))


class SetList(Resource):
    """All sets of a kind."""

    kind: ClassVar[SetKind]

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = query.params(req, ("owner",))
        desk = self.backend.sets
        found = [head(r, desk) for r in desk.all(self.kind, given.get("owner"))]
        answer(resp, 200, {NAMES[self.kind][1]: found})


class OneSet(Resource):
    """One set."""

    kind: ClassVar[SetKind]

    def on_get(self, req: falcon.Request, resp: falcon.Response, set_id: str) -> None:
        query.params(req, ())
        self._show(resp, 200, SetKey(self.kind, port_id_of(set_id)))

    def on_put(self, req: falcon.Request, resp: falcon.Response, set_id: str) -> None:
        asked, key = Asked(req), SetKey(self.kind, port_id_of(set_id))
        body = read_json(req, partial(read_set, key=key))
        ticket = self.backend.sets.put(body, asked.owner, **asked.more)
        self._finish(resp, ticket, asked)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, set_id: str) -> None:
        asked, key = Asked(req), SetKey(self.kind, port_id_of(set_id))
        patch = read_json(req, partial(read_patch, key=key))
        ticket = self.backend.sets.patch(key, patch, asked.owner, **asked.more)
        self._finish(resp, ticket, asked)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, set_id: str) -> None:
        asked, key = Asked(req, ("later",)), SetKey(self.kind, port_id_of(set_id))
        expect_empty(req)
        later = asked.flag("later")
        ticket = self.backend.sets.delete(key, asked.owner, later=later, **asked.more)
        try:
            self._finish(resp, ticket, asked)
        except errors.SetNotFound:
            # what is gone already is as the caller wants it
            resp.status = 204

    def _finish(self, resp: falcon.Response, ticket: SetTicket, asked: Asked) -> None:
        on_disk = query.Deadline("accepted", _ON_DISK)
        record = self.waits.result(ticket.accepted, ticket.key.id, on_disk)
        if asked.deadline is not None:
            applied(self, ticket, asked.deadline)
        if record is None:
            resp.status = 204
            return
        good = 201 if ticket.created else 200
        self._show(resp, good if asked.deadline is not None else 202, ticket.key)

    def _show(self, resp: falcon.Response, status: int, key: SetKey) -> None:
        desk: SetDesk = self.backend.sets
        record = desk.get(key)
        if record is None:
            raise errors.SetNotFound(facts={"set": str(key)})
        resp.set_header("ETag", f'"{record.revision}"')
        answer(resp, status, view(record, desk))


def applied(resource: Resource, ticket: SetTicket, deadline: query.Deadline) -> None:
    """Wait until the change is in force.

    :raises errors.WaitTimeout: it takes longer; it names who has yet to take it up
    """
    try:
        resource.waits.result(ticket.done, ticket.key.id, deadline)
    except errors.WaitTimeout as error:
        left = ", ".join(resource.backend.sets.waiting(ticket.key)) or "none"
        facts = {**error.facts, "phase": f"{ticket.key}: on disk, not taken up by plugin {left}"}
        raise errors.WaitTimeout(facts=facts, stage="wait") from error


class Asked:
    """What a call that changes a set says besides its body.

    :ivar more: parameters of the request, as the desk takes them
    """

    def __init__(self, req: falcon.Request, more: tuple[str, ...] = ()) -> None:
        known = ("owner", "revision", *more)
        self.deadline = query.deadline(req, "applied", known)
        self._given = query.params(req, ("wait", "timeout", *known))
        self.owner = owner_of(self._given)
        revision = self._given.get("revision")
        self.more: dict[str, Any] = {
            "revision": None if revision is None else query.integer("revision", revision, 0,
                                                                    MAX_REVISION),
            "request_id": req.context.request_id, "match": _match(req),
        }  # fmt: skip

    def flag(self, name: str) -> bool:
        """A parameter that is ``true`` or ``false``, and is the latter where it is left out."""
        return name in self._given and query.boolean(name, self._given[name])


def owner_of(given: dict[str, str]) -> str:
    """The owner that a call names.

    :raises errors.BadDocument: it is no name
    """
    owner = given.get("owner", "api")
    if not (owner.isprintable() and 1 <= len(owner) <= _OWNER):
        raise query.bad("owner", f"must be 1 to {_OWNER} printable characters")
    return owner


def _match(req: falcon.Request) -> frozenset[int] | None:
    """The revisions of ``If-Match``; empty for any, ``None`` where there is no such header."""
    text = req.env.get("HTTP_IF_MATCH")
    if text is None:
        return None
    if text.strip() == "*":
        return frozenset()
    tags = [_ETAG.fullmatch(tag.strip()) for tag in text.split(",")]
    if not all(tags):
        problem = 'must be revisions as in ETag ("17"), separated by commas, or *'
        raise errors.BadDocument.at_field("header.If-Match", problem)
    return frozenset(int(tag.group(1)) for tag in tags if tag)


class SecurityGroups(SetList):
    """``/v1/security-groups``"""

    kind = SetKind.SECURITY_GROUP
    calls = _list(kind)


class OneSecurityGroup(OneSet):
    """``/v1/security-groups/{id}``"""

    kind = SetKind.SECURITY_GROUP
    calls = _calls(kind)


class AddressGroups(SetList):
    """``/v1/address-groups``"""

    kind = SetKind.ADDRESS_GROUP
    calls = _list(kind)


class OneAddressGroup(OneSet):
    """``/v1/address-groups/{id}``"""

    kind = SetKind.ADDRESS_GROUP
    calls = _calls(kind)


class Networks(SetList):
    """``/v1/networks``"""

    kind = SetKind.FORWARDING
    calls = _list(kind)


class NetworkForwarding(OneSet):
    """``/v1/networks/{id}/forwarding``"""

    kind = SetKind.FORWARDING
    calls = _calls(kind)


class Logs(SetList):
    """``/v1/logs``"""

    kind = SetKind.LOG
    calls = _list(kind)


class OneLog(OneSet):
    """``/v1/logs/{id}``"""

    kind = SetKind.LOG
    calls = _calls(kind)
