"""Offers: what this host can give an attachment, asked before anything is bound."""

from __future__ import annotations

from typing import Any, NamedTuple

import falcon
from msgspec.structs import replace

from vifd import errors
from vifd.api import query
from vifd.api.batch import below
from vifd.api.body import read_json
from vifd.api.ports import Resource, answer
from vifd.model import Attachment, decode, notes, unread_remarks
from vifd.negotiation import Acceptable, acceptable, spoken

_FIELDS = ("attachment", "acceptable", "contract_version")


class Question(NamedTuple):
    """A request for an offer."""

    attachment: Attachment
    acceptable: list[Acceptable] | None
    contract: str
    unread: list[str]


class Offers(Resource):
    """``/v1/offers``. Changes nothing."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        given = query.params(req, ("timeout",))
        timeout = query.seconds(given["timeout"]) if given else query.DEFAULT_TIMEOUT
        asked = read_json(req, read)
        future = self.backend.offer(asked.attachment, asked.acceptable, asked.contract)
        deadline = query.Deadline("offered", timeout)
        found = self.waits.result(future, asked.attachment.id, deadline)
        answer(resp, 200, replace(found, unread=asked.unread, notes=notes(asked.attachment)))


def read(body: Any) -> Question:
    """``{"attachment": document, "acceptable": […], "contract_version": "1.0"}``

    The version is looked at first: what a newer one means is not known here.

    :raises errors.ContractVersion: it is not spoken here
    :raises errors.BadDocument: with the field's path
    """
    if not isinstance(body, dict):
        raise errors.BadDocument.at_field("(body)", "must be a JSON object")
    wanted = body.get("contract_version")
    if wanted is not None and not isinstance(wanted, str):
        raise errors.BadDocument.at_field("contract_version", "must be a string")
    contract = spoken(wanted)
    for name in body:
        if name not in _FIELDS:
            raise errors.BadDocument.at_field(name[:64] or '""', "is not a field of this call")
    if "attachment" not in body:
        raise errors.BadDocument.at_field("attachment", "is required")
    try:
        doc = decode(body["attachment"])
    except errors.BadDocument as error:
        raise below(error, "attachment") from error
    listed = body.get("acceptable")
    accepted = None if listed is None else acceptable.read(listed)
    return Question(doc.attachment, accepted, contract, unread_remarks(doc.raw))
