"""A side's own list of ports, held against what is here."""

from __future__ import annotations

from typing import Any

import falcon
from msgspec import Struct

from vifd import errors
from vifd.api import query
from vifd.api.backend import Backend
from vifd.api.batch import read_ids
from vifd.api.body import BODY, read_json
from vifd.api.ports import Resource, answer
from vifd.api.waits import Waits
from vifd.model import Side


class Wanted(Struct, frozen=True):
    """What a caller wants compared."""

    ids: list[str]
    owner: str | None
    remove: bool
    force: bool


class Compare(Resource):
    """``/v1/compute:compare`` and ``/v1/network:compare``"""

    def __init__(self, backend: Backend, waits: Waits, side: Side) -> None:
        super().__init__(backend, waits)
        self.side = side

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query.params(req, ())
        wanted = read_json(req, _wanted)
        found = self.backend.compare(
            self.side, wanted.owner, wanted.ids, req.context.request_id,
            remove=wanted.remove, force=wanted.force,
        )  # fmt: skip
        answer(resp, 200, found)


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
