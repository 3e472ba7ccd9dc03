"""Whether a guest may move to the port of this host."""

from __future__ import annotations

from typing import Any

import falcon
from msgspec import Struct

from vifd import errors
from vifd.api import query
from vifd.api.batch import below
from vifd.api.body import convert, read_json
from vifd.api.described import ADDRESSED, BODY, Call, Calls, Shape, fields, good, ref
from vifd.api.resource import Resource, answer, port_id_of
from vifd.migration.prechecks import unfit
from vifd.model import Attachment, Evidence, PortRecord, Vif, decode


class PrecheckView(Struct, frozen=True):
    """Whether it may, and every reason why not.

    :param reasons: error objects
    """

    port: str
    ok: bool
    reasons: list[dict[str, Any]]


#: The port as the API of the other host shows it.
ASKED = Shape(
    "PrecheckRequest",
    fields(
        {"document": ref(Attachment)},
        description="the port as the host shows it where the guest runs (GET /v1/ports/{id}); of "
        "its other fields vif and evidence are looked at, where they are there",
    ),
    (Attachment,),
)


class Precheck(Resource):
    """``/v1/ports/{id}/precheck``. Changes nothing."""

    calls = Calls(
        post=Call(
            "Whether a guest may move to this port from another host's, with all reasons",
            {200: good("whether it may", PrecheckView)},
            (*ADDRESSED, *BODY),
            body=ASKED,
        )
    )

    def on_post(self, req: falcon.Request, resp: falcon.Response, port_id: str) -> None:
        query.params(req, ())
        port_id = port_id_of(port_id)
        source, vif, facts = read_json(req, lambda body: _read(body, port_id))
        found = unfit(source, vif, self.backend.port(port_id), self._other, facts)
        reasons = [reason.to_dict() for reason in found]
        answer(resp, 200, PrecheckView(port_id, not reasons, reasons))

    def _other(self, port_id: str) -> PortRecord | None:
        try:
            return self.backend.port(port_id)
        except errors.PortNotFound:
            return None


def _read(body: Any, port_id: str) -> tuple[Attachment, Vif | None, list[Evidence]]:
    """:raises errors.BadDocument: with the field's path"""
    if not isinstance(body, dict) or "document" not in body:
        raise errors.BadDocument.at_field("document", "is required")
    try:
        source = decode(body["document"], port_id=port_id).attachment
    except errors.BadDocument as error:
        raise below(error, "document") from error
    given = {name: body[name] for name in ("vif", "evidence") if body.get(name) is not None}
    known = convert(given, _Given)
    return source, known.vif, known.evidence


class _Given(Struct, frozen=True):
    vif: Vif | None = None
    evidence: list[Evidence] = []
