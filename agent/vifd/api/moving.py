"""Ports that change their back end under their running guests."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.batch import below
from vifd.api.body import BODY, read_json
from vifd.api.described import ADDRESSED, FLAG, TIMEOUT, Call, Calls, Schema, Shape, good, only, ref
from vifd.api.described import BODY as BODY_CODES
from vifd.api.resource import Resource, answer, port_id_of
from vifd.migration.moved import Moved
from vifd.model import Attachment, Document, decode

_FIELDS = ("to", "dry_run", "document")
#: Characters of a plugin's name.
_LONGEST = 64

_MORE: dict[str, Schema] = {
    "dry_run": {
        **FLAG,
        "default": False,
        "description": "only say whether it can be done; nothing is changed",
    },
    "document": {
        **ref(Attachment),
        "description": "of a port that another program plugged with its tap behind a bridge of its "
        "own (hybrid plugging)",
    },
}
_TO: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": _LONGEST,
    "description": "the plugin that shall serve the port",
}
ASKED = Shape(
    "BackendRequest",
    {**only({"to": _TO, **_MORE}), "required": ["to"]},
    (Attachment,),
)


class Wish(NamedTuple):
    """What is asked for."""

    to: str
    dry_run: bool
    doc: Document | None


class Backend(Resource):
    """``/v1/ports/{id}/backend``"""

    calls = Calls(
        post=Call(
            "Have another plugin serve a port, with its tap as it stands and its guest running",
            {200: good("what became of it", Moved)},
            (*ADDRESSED, *BODY_CODES),
            [TIMEOUT],
            ASKED,
            works=True,
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        """Move a port to another back end of this host."""
        deadline = query.within(req, "moved")
        port_id = port_id_of(port_id)
        wish = read_json(req, partial(_wish, port_id))
        future = self.backend.moves.move(
            port_id,
            wish.to,
            req.context.request_id,
            dry_run=wish.dry_run,
            doc=wish.doc,
        )
        answer(resp, 200, self.waits.result(future, port_id, deadline))


def _wish(port_id: str, body: Any) -> Wish:
    """:raises errors.BadDocument: with the field's path"""
    if not isinstance(body, dict):
        raise errors.BadDocument.at_field(BODY, "must be a JSON object")
    for key in body:
        if key not in _FIELDS:
            raise errors.BadDocument.at_field(str(key)[:64] or '""', "is not a field of this call")
    to, dry_run = body.get("to"), body.get("dry_run", False)
    if not isinstance(to, str) or not 0 < len(to) <= _LONGEST:
        raise errors.BadDocument.at_field("to", "must be the name of a plugin")
    if not isinstance(dry_run, bool):
        raise errors.BadDocument.at_field("dry_run", "must be true or false")
    if "document" not in body:
        return Wish(to, dry_run, None)
    try:
        return Wish(to, dry_run, decode(body["document"], port_id=port_id))
    except errors.BadDocument as error:
        raise below(error, "document") from error
