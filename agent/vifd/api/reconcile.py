"""What an upgrade would change on this host, and the approval of it."""

from __future__ import annotations

import falcon

from vifd import errors
from vifd.api import query
from vifd.api.body import BODY, read_json
from vifd.api.described import ALWAYS, Call, Calls, Shape, good
from vifd.api.described import BODY as BODY_CODES
from vifd.api.resource import Resource, answer
from vifd.engine.upgrade.view import UpgradeView

#: The body that lets an upgrade begin.
APPROVE = Shape(
    "ApproveRequest",
    {
        "type": "object",
        "required": ["approve"],
        "properties": {"approve": {"const": True}},
        "additionalProperties": False,
    },
)
_PENDING = "what an upgrade would change of ports that pass traffic, and where that is"


class Reconcile(Resource):
    """``/v1/reconcile``"""

    calls = Calls(
        get=Call("What an upgrade would change", {200: good(_PENDING, UpgradeView)}),
        post=Call(
            "Approve it",
            {202: good("it begins, with one port", UpgradeView)},
            (*ALWAYS, *BODY_CODES),
            body=APPROVE,
        ),
    )

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The pending difference."""
        query.params(req, ())
        answer(resp, 200, self.backend.upgrades.view())

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let it begin, with one port; repeating it, or with nothing pending, changes nothing."""
        query.params(req, ())
        body = read_json(req, lambda value: value)
        if not isinstance(body, dict):
            raise errors.BadDocument.at_field(BODY, "must be a JSON object")
        for key in body:
            if key != "approve":
                raise errors.BadDocument.at_field(key[:64] or '""', "is not a field of this call")
        if body.get("approve") is not True:
            raise errors.BadDocument.at_field("approve", "must be true")
        answer(resp, 202, self.backend.upgrades.approve())
