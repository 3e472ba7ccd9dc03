"""Offers: what this host can give an attachment, asked before anything is bound."""

from __future__ import annotations

from typing import Any, NamedTuple

import falcon
from msgspec.structs import replace

from vifd import errors
from vifd.api import query
from vifd.api.batch import below
from vifd.api.body import read_json
from vifd.api.described import (
    ALWAYS,
    BODY,
    TIMEOUT,
    Call,
    Calls,
    Schema,
    Shape,
    fields,
    good,
    ref,
)
from vifd.api.resource import Resource, answer
from vifd.model import Attachment, decode, notes, unread_remarks
from vifd.negotiation import Acceptable, Offer, acceptable, spoken

_FIELDS = ("attachment", "acceptable", "contract_version")


def _asked() -> Schema:
    """An attachment without a choice, and what the network side takes."""
    asked = fields({"attachment": ref(Attachment)}, additionalProperties=False)
    asked["properties"]["acceptable"] = {
        "type": ["array", "null"], "items": ref(Acceptable), "minItems": 1, "maxItems": 256,
        "description": "what the network side takes, in its order; without it, everything",
    }  # fmt: skip
    asked["properties"]["contract_version"] = {
        "type": ["string", "null"],
        "description": "of the offer; without it, the highest",
    }
    return asked


class Question(NamedTuple):
    """A request for an offer."""

    attachment: Attachment
    acceptable: list[Acceptable] | None
    contract: str
    unread: list[str]


class Offers(Resource):
    """``/v1/offers``. Changes nothing."""

    calls = Calls(
        post=Call(
            "What this host can give an attachment; nothing is changed",
            {200: good("candidates, refusals, the choice and its token", Offer)},
            (
                *ALWAYS, *BODY, errors.ContractVersion, errors.NoCommonVif, errors.PluginUnhealthy,
                errors.Stopping, errors.WaitTimeout,
            ),
            [TIMEOUT],
            Shape("OfferRequest", _asked(), (Attachment, Acceptable)),
        )
    )  # fmt: skip

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        deadline = query.within(req, "offered")
        asked = read_json(req, read)
        future = self.backend.offers.submit(asked.attachment, asked.acceptable, asked.contract)
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
