"""Garbage: what is orphaned on this host, removing it, and putting it back; and ports that change
hands."""

from __future__ import annotations

from functools import partial
from typing import Any

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.body import BODY, read_json
from vifd.api.described import (
    ADDRESSED,
    ALWAYS,
    FLAG,
    TIMEOUT,
    Answer,
    Call,
    Calls,
    Kind,
    Shape,
    good,
    only,
    wait,
)
from vifd.api.described import BODY as BODY_CODES
from vifd.api.resource import Resource, answer, port_id_of
from vifd.api.view import PortView
from vifd.engine.garbage.view import CollectedView, GarbageView, RestoredView
from vifd.model import Attachment, decode

#: Orphans in one call.
MAX_IDS = 10_000
#: Bytes of an orphan's id.
MAX_ID = 512


_IDS = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
    "minItems": 1,
    "maxItems": MAX_IDS,
}
COLLECT = Shape(
    "CollectRequest",
    only(
        {
            "ids": {**_IDS, "description": "which orphans; all that are ripe by default"},
            "force": {**FLAG, "default": False,
                      "description": "beyond the limits, and although a journal was lost"},
        }
    ),
)  # fmt: skip
UNDO = Shape(
    "UndoRequest", only({"ids": {**_IDS, "description": "which ones; the last one by default"}})
)
RELEASE = Shape(
    "ReleaseRequest",
    only(
        {
            "force": {
                **FLAG, "default": False,
                "description": "although vifd made the port, or nobody else passes its frames",
            }
        }
    ),
)  # fmt: skip


def _call(summary: str, kind: Kind, body: Kind) -> Call:
    answers = {200: good("what became of each", kind)}
    codes = (*ALWAYS, *BODY_CODES)
    return Call(summary, answers, codes, [TIMEOUT], body, required=False, works=True)


class Garbage(Resource):
    """``/v1/garbage``"""

    calls = Calls(
        get=Call(
            "Compare the host with the journal now",
            {200: good("what was found; nothing is removed", GarbageView)},
            ALWAYS,
            [TIMEOUT],
            works=True,
        ),
        post=_call("Remove orphans", CollectedView, COLLECT),
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A dry run: look now, and remove nothing."""
        deadline = query.within(req, "looked at")
        answer(resp, 200, self.waits.result(self.backend.garbage.dry_run(), "", deadline))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Remove what is ripe."""
        deadline = query.within(req, "collected")
        body = _object(req, ("ids", "force"))
        future = self.backend.garbage.collect(_ids(body), force=_force(body))
        answer(resp, 200, self.waits.result(future, "", deadline))


class Undo(Resource):
    """``/v1/garbage/undo``"""

    calls = Calls(post=_call("Put removed orphans back", RestoredView, UNDO))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Put removed orphans back; the last one by default."""
        deadline = query.within(req, "put back")
        future = self.backend.garbage.undo(_ids(_object(req, ("ids",))))
        answer(resp, 200, self.waits.result(future, "", deadline))


class Adopt(Resource):
    """``/v1/ports/{id}/adopt``"""

    calls = Calls(
        post=Call(
            "Take over a port that somebody else plugged",
            {
                200: good("the port is taken over", PortView),
                201: good("the same", PortView),
                202: good("it was found, and will be taken over", PortView),
            },
            (*ADDRESSED, *BODY_CODES),
            wait("active", "the port is taken over and proven"),
            Attachment,
            works=True,
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        """Take over a port that somebody else plugged, in place."""
        deadline = query.deadline(req, "active")
        doc = read_json(req, partial(decode, port_id=port_id_of(port_id)))
        self.finish(resp, self.backend.adoption.take_over(doc, req.context.request_id), deadline)


class Release(Resource):
    """``/v1/ports/{id}/release``"""

    calls = Calls(
        post=Call(
            "Give a port back in place: its traffic goes on, its record goes",
            {
                202: good("accepted: it is on disk and will be done", PortView),
                204: Answer("the port is given back; its device and switch port stay", media=""),
            },
            (*ADDRESSED, *BODY_CODES),
            wait("gone", "it is given back"),
            RELEASE,
            required=False,
            works=True,
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        """Give a port back, in place."""
        deadline = query.deadline(req, "gone")
        force = _force(_object(req, ("force",)))
        ticket = self.backend.releases.give_back(
            port_id_of(port_id), req.context.request_id, force=force
        )
        record = self.waits.accepted(ticket)
        if deadline is not None:
            self.waits.done(ticket, deadline)
        if deadline is not None or ticket.done.done():
            resp.status = 204
        else:
            answer(resp, 202, self.shown(record))


def _object(req: falcon.Request, known: tuple[str, ...]) -> dict[str, Any]:
    """The body, which may be left out."""
    if req.env.get("CONTENT_LENGTH", "0") == "0" and "HTTP_TRANSFER_ENCODING" not in req.env:
        return {}
    body = read_json(req, lambda value: value)
    if not isinstance(body, dict):
        raise errors.BadDocument.at_field(BODY, "must be a JSON object")
    for key in body:
        if key not in known:
            raise errors.BadDocument.at_field(key[:64] or '""', "is not a field of this call")
    return body


def _force(body: dict[str, Any]) -> bool:
    force = body.get("force", False)
    if not isinstance(force, bool):
        raise errors.BadDocument.at_field("force", "must be true or false")
    return force


def _ids(body: dict[str, Any]) -> list[str] | None:
    """``ids``, or ``None`` where it is left out."""
    if "ids" not in body:
        return None
    ids = body["ids"]
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_IDS:
        raise errors.BadDocument.at_field("ids", f"must be an array of 1 to {MAX_IDS} items")
    for i, id_ in enumerate(ids):
        if not isinstance(id_, str) or not 1 <= len(id_) <= MAX_ID:
            raise errors.BadDocument.at_field(f"ids[{i}]", "must be the id of an orphan")
    return ids
