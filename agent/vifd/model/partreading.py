"""Reads what one side says of a port, before anything of it is believed."""

from __future__ import annotations

import difflib
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from vifd import errors
from vifd.model import unread
from vifd.model.attachment import Attachment, Instance
from vifd.model.document import DOCUMENT_VERSIONS, bad_field, decode
from vifd.model.parts import Side
from vifd.model.values import Id, MacAddress, Mtu, Text


class ComputeSaid(Struct, frozen=True, omit_defaults=True):
    """Compute's part of a port: who uses it, and what the guest's definition expects.

    :param mac_address: the port's, as compute knows it; another one than the network's is refused
    :param network_id: the port's network, for hosts where what compute says is all that is needed
    :param vif_type: what the guest's definition is written for
    :param device: the device that it names; told to the caller where another one is made
    :param socket_path: the same of a vhost-user socket
    :param queues: how many queue pairs the device must take; flavor and image decide without it
    """

    version: Text
    instance: Instance
    mac_address: MacAddress | None = None
    mtu: Mtu | None = None
    network_id: Id | None = None
    vif_type: Text | None = None
    device: Text | None = None
    socket_path: Annotated[str, Meta(max_length=4096)] | None = None
    queues: Annotated[int, Meta(ge=1, le=256)] | None = None


def network_said(raw: Any, port_id: str) -> dict[str, Any]:
    """Read the network's part: a document without ``instance``, whose role may not be known yet.

    :raises errors.BadDocument: with the field's path
    """
    if isinstance(raw, dict) and "instance" in raw:
        raise errors.BadDocument.at_field("instance", "belongs to compute's part of the port")
    decode(raw, port_id=port_id)
    return dict(raw)


def compute_said(raw: Any, port_id: str) -> dict[str, Any]:
    """Read compute's part.

    :raises errors.BadDocument: with the field's path
    """
    if not isinstance(raw, dict):
        raise errors.BadDocument.at_field("(document)", "must be a JSON object")
    version = raw.get("version")
    if isinstance(version, str) and version not in DOCUMENT_VERSIONS:
        facts = {"field": "version", "wanted": version[:64], "have": list(DOCUMENT_VERSIONS)}
        raise errors.UnsupportedVersion(facts=facts, stage="decode")
    try:
        msgspec.convert(raw, ComputeSaid)
    except msgspec.ValidationError as error:
        raise bad_field(str(error), port_id) from error
    _all_compute(raw, port_id)
    _little_unread(raw, port_id)
    return dict(raw)


def _all_compute(raw: dict[str, Any], port_id: str) -> None:
    """What is no field of compute's part is nothing that anybody would look at."""
    known = ComputeSaid.__struct_fields__
    for name in raw.keys() - {*known}:
        problem = "is no field of compute's part of the port"
        if name in Attachment.__struct_fields__:
            problem = "belongs to the network's part of the port"
        elif close := difflib.get_close_matches(name, known, 1, 0.7):
            problem = f"{problem}; did you mean {close[0]}?"
        raise errors.BadDocument.at_field(name[:64], problem, port=port_id)


def _little_unread(raw: dict[str, Any], port_id: str) -> None:
    """Of the instance, what is not read is kept, within bounds."""
    document = {"instance": raw["instance"]}
    if (size := unread.size(document)) > unread.MAX_DOCUMENT:
        path, _ = max(unread.unread(document), key=lambda f: len(msgspec.json.encode(f[1])))
        problem = f"is not read; of such fields {unread.MAX_DOCUMENT} bytes are kept"
        facts = {"field": path[:255], "problem": problem, "have": size}
        raise errors.UnreadTooLarge(facts=facts, stage="decode", port=port_id)


def said(side: Side, raw: Any, port_id: str) -> dict[str, Any]:
    """Read one side's part.

    :raises errors.BadDocument: with the field's path
    """
    return (network_said if side is Side.NETWORK else compute_said)(raw, port_id)
