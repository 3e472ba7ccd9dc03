"""A side's own list of ports, held against what is here."""

from __future__ import annotations

from typing import Any, ClassVar

import falcon
from msgspec import Struct

from vifd import errors
from vifd.api import query
from vifd.api.batch import MAX_PORTS, read_ids
from vifd.api.body import BODY, read_json
from vifd.api.described import ALWAYS, FLAG, UUID_SCHEMA, Call, Calls, Shape, good
from vifd.api.described import BODY as BODY_CODES
from vifd.api.resource import Resource, answer
from vifd.model import Side
from vifd.model.comparison import Compared

COMPARE = Shape(
    "CompareRequest",
    {
        "type": "object",
        "required": ["ids"],
        "properties": {
            "ids": {
                "type": "array", "items": UUID_SCHEMA, "maxItems": MAX_PORTS, "uniqueItems": True,
            },
            "owner": {"type": ["string", "null"], "description": "only parts of this owner"},
            "remove": {**FLAG, "default": False, "description": "take the stale parts away"},
            "force": {**FLAG, "default": False, "description": "beyond the limits of [garbage]"},
        },
        "additionalProperties": False,
    },
)  # fmt: skip


class Wanted(Struct, frozen=True):
    """What a caller wants compared."""

    ids: list[str]
    owner: str | None
    remove: bool
    force: bool


class Compare(Resource):
    """A side's list of its ports."""

    side: ClassVar[Side]

    calls = Calls(
        post=Call(
            "Hold a side's list of its ports against what is here",
            {200: good("how the list and this host differ", Compared)},
            (*ALWAYS, *BODY_CODES, errors.GarbageLimit),
            body=COMPARE,
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        wanted = read_json(req, _wanted)
        found = self.backend.compare(
            self.side, wanted.owner, wanted.ids, req.context.request_id,
            remove=wanted.remove, force=wanted.force,
        )  # fmt: skip
        answer(resp, 200, found)


class CompareCompute(Compare):
    """``/v1/compute:compare``"""

    side = Side.COMPUTE


class CompareNetwork(Compare):
    """``/v1/network:compare``"""

    side = Side.NETWORK


def _wanted(body: Any) -> Wanted:
    if not isinstance(body, dict):
        raise errors.BadDocument.at_field(BODY, "must be a JSON object")
    rest = dict(body)
    owner = rest.pop("owner", None)
    if owner is not None and not isinstance(owner, str):
        raise errors.BadDocument.at_field("owner", "must be a string")
    remove, force = _flag(rest, "remove"), _flag(rest, "force")
    # A side may have no port here at all.
    ids = [] if rest == {"ids": []} else read_ids(rest)
    return Wanted(ids, owner, remove, force)


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.pop(name, False)
    if not isinstance(value, bool):
        raise errors.BadDocument.at_field(name, "must be true or false")
    return value
