"""One side's part of a port: what the network service says of it, and what compute does."""

from __future__ import annotations

import time
from functools import partial
from typing import ClassVar

import falcon
from msgspec import Struct

from vifd import errors
from vifd.api import query
from vifd.api.body import expect_empty, read_json
from vifd.api.described import (
    ADDRESSED,
    ALWAYS,
    BODY,
    WHERE_WANTED,
    Call,
    Calls,
    Kind,
    Schema,
    Shape,
    good,
    parameter,
    wait,
)
from vifd.api.ports import GONE, PUT, REMOVED, TAKING
from vifd.api.resource import Resource, answer, port_id_of
from vifd.engine.ticket import Ticket
from vifd.model import Attachment, ComputeSaid, Part, Side
from vifd.model.assembling import disagreement
from vifd.model.partreading import said
from vifd.model.sides import Said

#: The largest count of changes that an owner may give.
MAX_REVISION = 2**63 - 1
_OWNER = 64


class PartView(Struct, frozen=True):
    """One side's part of a port as it was sent."""

    owner: str
    revision: int | None
    at: float
    body: dict[str, object]


#: What ``prewire`` may say, and what it means: wanted without compute's part, made ahead of it.
_PREWIRED = {"true": (True, False), "false": (False, False), "closed": (False, True)}
_PREWIRE = parameter(
    "prewire", {"enum": list(_PREWIRED)},
    "the port is made without waiting for compute's part; `closed`: ahead of it, and opened once "
    "compute uses it",
)  # fmt: skip
_OWNED = parameter(
    "owner", {"type": "string", "minLength": 1, "maxLength": _OWNER}, "who says it, for people"
)
_COUNTED = parameter(
    "revision", {"type": "integer", "minimum": 0},
    "the owner's own count of changes: what is older than what was said before is refused",
)  # fmt: skip


def _compute_part(made: dict[str, Schema]) -> Schema:
    part = made.pop("ComputeSaid")
    part["properties"]["version"] = {"enum": ["1.0"]}
    return part


COMPUTE_PART = Shape("ComputePart", _compute_part, (ComputeSaid,))
NETWORK_PART = Shape(
    "NetworkPart",
    lambda made: {**made["Attachment"], "not": {"required": ["instance"]}},
    (Attachment,),
)


def _calls(whose: str, body: Kind, more: Schema) -> Calls:
    """What each side says of a port."""
    waiting = wait("active", f"{WHERE_WANTED}; both parts are waited for")
    return Calls(
        get=Call(f"What {whose} said of a port", {200: good("what it said", PartView)}, ADDRESSED),
        put=Call(
            f"Say {whose}'s part of a port; the other one is left as it is",
            PUT,
            (*ALWAYS, *BODY),
            [*waiting, _OWNED, _COUNTED, more],
            body,
            works=True,
        ),
        delete=Call(
            f"Take {whose}'s part away: the port is unplugged, the other stays",
            GONE,
            ALWAYS,
            [*REMOVED, _COUNTED],
            works=True,
        ),
    )


class OneSide(Resource):
    """What one side says of a port.

    :cvar owner: who says it, where the caller names nobody
    :cvar more: the parameters that this side alone has
    """

    side: ClassVar[Side]
    owner: ClassVar[str]
    more: ClassVar[tuple[str, ...]]

    def on_get(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        query.params(req, ())
        parts = self.backend.parts(port_id_of(port_id))
        part = parts.of(self.side) if parts else None
        if part is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        answer(resp, 200, PartView(part.owner, part.revision, part.at, part.body))

    def on_put(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        known = ("owner", "revision", *self.more)
        deadline = query.deadline(req, "active", known)
        given = query.params(req, ("wait", "timeout", *known))
        taking = "take_over" in given and query.boolean("take_over", given["take_over"])
        alone, ahead = _prewire(given)
        owner, revision = self._owner(given), _revision(given)
        port_id = port_id_of(port_id)
        body = read_json(req, partial(said, self.side, port_id=port_id))
        part = Part(owner, body, revision, time.time())
        wanted = Said(port_id, self.side, part, revision, alone, ahead=ahead)
        ticket = self.backend.say(wanted, req.context.request_id, taking=taking)
        if deadline is None:
            self.waits.result(ticket.kept, port_id, _on_disk())
            answer(resp, 202, self.present(port_id))
            return
        self._done(resp, ticket, deadline)

    def _done(self, resp: falcon.Response, ticket: Ticket, deadline: query.Deadline) -> None:
        """Answer once the port is where its parts want it, and as compute expects it."""
        record = self.awaited(ticket, deadline)
        parts = self.backend.parts(ticket.port_id)
        if parts is not None and (problem := disagreement(parts, record.vif)) is not None:
            raise problem.at("parts", ticket.port_id)
        answer(resp, 201 if ticket.created else 200, self.shown(record))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        deadline = query.deadline(req, "gone", ("revision",), sooner=query.DETACHED)
        given = query.params(req, ("wait", "timeout", "revision"))
        expect_empty(req)
        wanted = Said(port_id_of(port_id), self.side, None, _revision(given))
        ticket = self.backend.say(wanted, req.context.request_id)
        try:
            record = self.waits.accepted(ticket)
            if deadline is not None:
                self.waits.gone(ticket, deadline)
        except errors.PortNotFound:
            # what is gone already is as the caller wants it
            resp.status = 204
            return
        if deadline is not None or ticket.done.done():
            resp.status = 204
        else:
            answer(resp, 202, self.shown(record))

    def _owner(self, given: dict[str, str]) -> str:
        owner = given.get("owner", self.owner)
        if not (owner.isprintable() and 1 <= len(owner) <= _OWNER):
            raise query.bad("owner", f"must be 1 to {_OWNER} printable characters")
        return owner


class ComputeSide(OneSide):
    """``/v1/ports/{id}/instance``"""

    side, owner, more = Side.COMPUTE, "compute", ("take_over",)
    calls = _calls("compute", COMPUTE_PART, TAKING)


class NetworkSide(OneSide):
    """``/v1/ports/{id}/network``"""

    side, owner, more = Side.NETWORK, "network", ("prewire",)
    calls = _calls("the network service", NETWORK_PART, _PREWIRE)


def _prewire(given: dict[str, str]) -> tuple[bool | None, bool | None]:
    """Whether the port is wanted without compute's part, and whether it is made ahead of it;
    ``None`` leaves that as it is."""
    if (text := given.get("prewire")) is None:
        return None, None
    if text not in _PREWIRED:
        raise query.bad("prewire", f"must be {', '.join(_PREWIRED)}")
    return _PREWIRED[text]


def _revision(given: dict[str, str]) -> int | None:
    text = given.get("revision")
    return None if text is None else query.integer("revision", text, 0, MAX_REVISION)


def _on_disk() -> query.Deadline:
    return query.Deadline("accepted", query.DEFAULT_TIMEOUT)
