"""Forwarding of networks from a file: for hosts without a network service.

``{"networks": [{"id": NETWORK, "endpoints": [{"address": IP, "ports": [{"mac_address": MAC,
"ip_addresses": [IP, …]}, …]}, …]}, …]}``, the form of the API.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from vifd.errors import BadDocument
from vifd.model.setreading import read_set
from vifd.model.sets import Forwarding, SetKey, SetKind

#: Bytes of a file that are read.
LIMIT = 16 << 20


def read(path: str) -> list[Forwarding]:
    """The forwarding that a file holds.

    :raises BadDocument: with the path of the field; nothing of the file counts then
    """
    raw = _parsed(path)
    networks = raw.get("networks") if isinstance(raw, dict) else None
    if not isinstance(networks, list):
        raise BadDocument.at_field("networks", "must be a list of networks")
    found: dict[str, Forwarding] = {}
    for number, entry in enumerate(networks):
        forwarding = _network(entry, f"networks[{number}]")
        if forwarding.id in found:
            raise BadDocument.at_field(f"networks[{number}].id", "stands there twice")
        found[forwarding.id] = forwarding
    return list(found.values())


def _parsed(path: str) -> Any:
    try:
        with Path(path).open("rb") as file:
            text = file.read(LIMIT + 1)
        if len(text) > LIMIT:
            raise BadDocument.at_field("(file)", f"has more than {LIMIT} bytes")
        return msgspec.json.decode(text)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        raise BadDocument.at_field("(file)", problem) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadDocument.at_field("(file)", f"is no JSON: {error}") from error


def _network(entry: Any, path: str) -> Forwarding:
    network = entry.get("id") if isinstance(entry, dict) else None
    if not isinstance(network, str):
        raise BadDocument.at_field(f"{path}.id", "must be the id of a network")
    try:
        made = read_set(entry, SetKey(SetKind.FORWARDING, network))
    except BadDocument as error:
        field = f"{path}.{error.facts.get('field', '')}"
        raise BadDocument.at_field(field, str(error.facts.get("problem", error))) from error
    if not isinstance(made, Forwarding):
        raise BadDocument.at_field(path, "is no forwarding")
    return made
