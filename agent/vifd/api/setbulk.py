"""Many sets in one call: for a network service that says all it has."""

from __future__ import annotations

from typing import Annotated, Any

import falcon
from msgspec import Meta, Struct

from vifd import errors
from vifd.api import query
from vifd.api.batch import below
from vifd.api.body import convert, read_json
from vifd.api.described import (
    BODY,
    FLAG,
    TEXT,
    UUID_SCHEMA,
    Call,
    Calls,
    Schema,
    Shape,
    good,
    parameter,
    ref,
)
from vifd.api.resource import Resource, answer, port_id_of
from vifd.api.sets import APPLIED, CHANGING, OWNED, Asked, applied
from vifd.api.setview import NAMES, SAID
from vifd.engine.setrequest import SetTicket
from vifd.model.comparison import Compared
from vifd.model.setreading import read_set
from vifd.model.sets import BODIES, SetBody, SetKey, SetKind, key_of

#: Sets in one call.
MAX_SETS = 5000
#: Names of sets in one list that is compared.
MAX_IDS = 20_000


class SetItem(Struct, frozen=True, omit_defaults=True):
    """What became of one set, or the error that stood in the way.

    :param status: the HTTP status that a call for this set alone would have had
    """

    kind: SetKind
    id: str
    status: int
    revision: int | None = None
    error: dict[str, Any] | None = None


class SetBatch(Struct, frozen=True):
    """One item per set, in the order of the request.

    :param going: sets of the owner that a complete list does not name: they are gone, or go once
        nothing refers to them
    """

    sets: list[SetItem]
    going: list[str]


def _request(made: dict[str, Schema]) -> Schema:
    del made
    lists: dict[str, Schema] = {
        NAMES[kind][1]: {"type": "array", "items": ref(SAID[kind]), "maxItems": MAX_SETS}
        for kind in SetKind
    }
    return {
        "type": "object",
        "properties": lists,
        "additionalProperties": False,
        "minProperties": 1,
    }


PUT_MANY = Shape("SetsRequest", _request, tuple(BODIES.values()))
COMPARE = Shape(
    "SetsCompareRequest",
    {
        "type": "object",
        "required": ["kind", "owner", "ids"],
        "properties": {
            "kind": {"enum": [kind.value for kind in SetKind]},
            "owner": TEXT,
            "ids": {"type": "array", "items": UUID_SCHEMA, "maxItems": MAX_IDS},
            "remove": {**FLAG, "default": False, "description": "what is not listed goes"},
        },
        "additionalProperties": False,
    },
)


class PutMany(Resource):
    """``/v1/sets:put``"""

    calls = Calls(
        post=Call(
            "Want many sets to be these, in one commit",
            {
                200: good("all are in force", SetBatch),
                202: good("accepted: they are on disk", SetBatch),
                207: good("some were refused", SetBatch),
            },
            (*CHANGING, *BODY),
            [*APPLIED, OWNED, parameter(
                "complete", FLAG, "these are all that the owner has of each kind that the body "
                "names: others of its sets go, once nothing refers to them")],
            PUT_MANY,
            works=True,
        )
    )  # fmt: skip

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        asked = Asked(req, ("complete",))
        complete = asked.flag("complete")
        bodies, kinds = read_json(req, read_many)
        tickets = self.backend.sets.put_all(bodies, asked.owner, **asked.more)
        items = [self._item(ticket, asked) for ticket in tickets]
        going = self._rest(bodies, kinds, asked) if complete else []
        failed = any(item.error is not None for item in items)
        good = 202 if asked.deadline is None else 200
        answer(resp, 207 if failed else good, SetBatch(items, going))

    def _item(self, ticket: SetTicket, asked: Asked) -> SetItem:
        kind, set_id = ticket.key
        try:
            on_disk = query.Deadline("accepted", query.DEFAULT_TIMEOUT)
            record = self.waits.result(ticket.accepted, set_id, on_disk)
            if asked.deadline is not None:
                applied(self, ticket, asked.deadline)
        except Exception as error:  # noqa: BLE001 - one set's failure is its own
            known = errors.wrap(error, stage="api")
            return SetItem(kind, set_id, known.http, error=known.to_dict())
        good = 201 if ticket.created else 200
        status = good if asked.deadline is not None else 202
        return SetItem(kind, set_id, status, record.revision if record else None)

    def _rest(self, bodies: list[SetBody], kinds: list[SetKind], asked: Asked) -> list[str]:
        """What the owner had besides goes; what is new enough to have crossed the list stays."""
        keys = [key_of(body) for body in bodies]
        going: list[str] = []
        for kind in kinds:
            ids = [key.id for key in keys if key.kind is kind]
            found = self.backend.sets.compare(
                kind, asked.owner, ids, remove=True, request_id=asked.more["request_id"]
            )
            going += [f"{kind}/{set_id}" for set_id in found.stale]
        return going


class CompareSets(Resource):
    """``/v1/sets:compare``"""

    calls = Calls(
        post=Call(
            "Hold an owner's list of its sets of one kind against what is here",
            {200: good("how the list and this host differ", Compared)},
            (*CHANGING, *BODY),
            body=COMPARE,
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        wanted = read_json(req, _wanted)
        found = self.backend.sets.compare(
            wanted.kind, wanted.owner, wanted.ids, remove=wanted.remove,
            request_id=req.context.request_id,
        )  # fmt: skip
        answer(resp, 200, found)


class _Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    kind: SetKind
    owner: str
    ids: Annotated[list[str], Meta(max_length=MAX_IDS)]
    remove: bool = False


def _wanted(body: Any) -> _Wanted:
    wanted = convert(body, _Wanted)
    for i, set_id in enumerate(wanted.ids):
        try:
            port_id_of(set_id)
        except errors.BadDocument as error:
            raise errors.BadDocument.at_field(f"ids[{i}]", error.facts["problem"]) from None
    return wanted


def read_many(body: Any) -> tuple[list[SetBody], list[SetKind]]:
    """``{"security_groups": [...], "address_groups": [...], "networks": [...]}``; a bad one refuses
    the whole call.

    :raises errors.BadDocument: with the field's path, ``security_groups[3].rules[0].protocol``
    """
    if not isinstance(body, dict):
        raise errors.BadDocument.at_field("(body)", "must be a JSON object")
    known = {NAMES[kind][1]: kind for kind in SetKind}
    bodies: dict[SetKey, SetBody] = {}
    for name, items in body.items():
        if name not in known:
            raise errors.BadDocument.at_field(name[:64] or '""', "is not a field of this call")
        if not isinstance(items, list):
            raise errors.BadDocument.at_field(name, "must be an array")
        for i, raw in enumerate(items):
            found = _one(raw, known[name], f"{name}[{i}]")
            if bodies.setdefault(key_of(found), found) is not found:
                raise errors.BadDocument.at_field(f"{name}[{i}].id", "appears twice")
        if len(bodies) > MAX_SETS:
            raise errors.BadDocument.at_field(name, f"one call takes {MAX_SETS} sets")
    if not body:
        raise errors.BadDocument.at_field("(body)", f"names none of {', '.join(known)}")
    return list(bodies.values()), [known[name] for name in body]


def _one(raw: Any, kind: SetKind, path: str) -> SetBody:
    set_id = raw.get("id", raw.get("network_id")) if isinstance(raw, dict) else None
    try:
        set_id = port_id_of(set_id if isinstance(set_id, str) else "")
    except errors.BadDocument as error:
        raise errors.BadDocument.at_field(f"{path}.id", error.facts["problem"]) from None
    try:
        return read_set(raw, SetKey(kind, set_id))
    except errors.BadDocument as error:
        raise below(error, path) from error
