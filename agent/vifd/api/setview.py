"""What the API shows of shared sets, and how that is described. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from vifd.api.described import FLAG, TEXT, UUID_SCHEMA, Derived, Schema, Shape
from vifd.engine.setdesk import SetDesk
from vifd.model.setrecord import SetRecord
from vifd.model.sets import BODIES, GroupLog, LogSettings, SetKind

#: How a set and the list of its kind are called in bodies.
NAMES = {
    SetKind.SECURITY_GROUP: ("security_group", "security_groups"),
    SetKind.ADDRESS_GROUP: ("address_group", "address_groups"),
    SetKind.FORWARDING: ("forwarding", "networks"),
    SetKind.LOG: ("log", "logs"),
}
_COUNTED = {"rule": "rules", "member": "members", "address": "addresses",
            "endpoint": "endpoints", "behind": "ports_behind"}  # fmt: skip
#: What a log has besides, which its list shows as well.
_OF_LOG = LogSettings.__struct_fields__
_IDS: Schema = {"type": "array", "items": UUID_SCHEMA}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_HEAD: dict[str, Schema] = {
    "id": {**UUID_SCHEMA, "description": "of a network's forwarding, the network's"},
    "owner": {**TEXT, "description": "who said it last"},
    "revision": {**_NUMBER, "description": "of this host; also the ETag"},
    "owner_revision": {"type": ["integer", "null"], "description": "the owner's own count"},
    "going": {**FLAG, "description": "taken away; it goes once nothing refers to it"},
    "updated_at": {"type": "number", "description": "seconds since the epoch"},
    "request_id": TEXT,
    "pending": {"type": "array", "items": TEXT,
                "description": "plugins that have yet to bring this host to it"},
    "counts": {"type": "object", "additionalProperties": _NUMBER,
               "description": "how many pieces it has, by kind"},
    "ports": {**_IDS, "description": "ports of this host that refer to it"},
    "used_by": {"type": "array", "items": TEXT, "description": "sets whose rules refer to it"},
}  # fmt: skip


def head(record: SetRecord, desk: SetDesk) -> dict[str, Any]:
    """A set without its pieces."""
    ports, sets = desk.users(record.key)
    counts = Counter(name.partition("/")[0] for name in record.pieces)
    shown = {
        "id": record.key.id, "owner": record.owner, "revision": record.revision,
        "owner_revision": record.owner_revision, "going": record.going,
        "updated_at": record.updated_at, "request_id": record.request_id,
        "pending": desk.waiting(record.key), "ports": ports, "used_by": [str(k) for k in sets],
        "counts": {name: counts[kind] for kind, name in _COUNTED.items() if kind in counts},
    }  # fmt: skip
    if record.key.kind is not SetKind.FORWARDING:
        shown["name"] = record.name
    if record.key.kind is SetKind.SECURITY_GROUP:
        shown["stateful"] = record.stateful
    body = record.body
    if isinstance(body, GroupLog):
        shown |= {name: getattr(body, name) for name in _OF_LOG}
    return shown


def view(record: SetRecord, desk: SetDesk) -> dict[str, Any]:
    """A set with all it holds."""
    body = record.body
    pieces = {n: getattr(body, n) for n in ("rules", "members", "addresses", "endpoints")
              if hasattr(body, n)}  # fmt: skip
    return {**head(record, desk), **msgspec.to_builtins(pieces)}


def _shown(kind: SetKind, *, whole: bool) -> Derived:
    def make(made: dict[str, Schema]) -> Schema:
        body = made[BODIES[kind].__name__]["properties"]
        kept = {n: s for n, s in body.items() if whole or n in ("name", "stateful", *_OF_LOG)}
        fields = {**_HEAD, **{n: s for n, s in kept.items() if n not in ("id", "resource_type")}}
        return {"type": "object", "required": list(fields), "properties": fields}

    return make


def _shape(kind: SetKind, *, whole: bool) -> Shape:
    name = BODIES[kind].__name__ + ("View" if whole else "Head")
    return Shape(name, _shown(kind, whole=whole), (BODIES[kind],))


#: By kind: a set as it is shown alone, and in the list.
VIEWS = {kind: _shape(kind, whole=True) for kind in SetKind}
HEADS = {kind: _shape(kind, whole=False) for kind in SetKind}


def _said(kind: SetKind) -> Shape:
    """The body of a PUT: the set, whose id may be left out, and fields that say nothing here."""

    def make(made: dict[str, Schema]) -> Schema:
        schema = dict(made[BODIES[kind].__name__])
        schema.pop("required", None)
        schema["additionalProperties"] = True
        schema["description"] = (
            "as the Networking API shows it, without what says nothing to a host; a field that "
            "is not known is refused"
        )
        return schema

    return Shape(f"{BODIES[kind].__name__}Said", make, (BODIES[kind],))


SAID = {kind: _said(kind) for kind in SetKind}

_RULE = {"type": "array", "items": UUID_SCHEMA, "description": "ids of rules"}
_PATCHES: dict[SetKind, tuple[dict[str, Schema], dict[str, Schema]]] = {
    SetKind.SECURITY_GROUP: (
        {"rules": {"type": "array"}, "members": {"type": "array"}},
        {"rules": _RULE, "members": {"type": "array"}},
    ),
    SetKind.ADDRESS_GROUP: ({"addresses": {"type": "array"}}, {"addresses": {"type": "array"}}),
    SetKind.FORWARDING: (
        {"endpoints": {"type": "array"}},
        {"endpoints": {"type": "array", "description": (
            "addresses of endpoints that go as a whole; or objects with an address and the MAC "
            "addresses of those behind it that go, each only if it is still behind it"
        )}},
    ),
    SetKind.LOG: ({}, {}),
}  # fmt: skip


def _patch(kind: SetKind) -> Shape:
    add, remove = _PATCHES[kind]
    properties: dict[str, Schema] = {
        "add": {"type": "object", "properties": add, "additionalProperties": False,
                "description": "pieces; each in the place of one of the same name"},
        "remove": {"type": "object", "properties": remove, "additionalProperties": False,
                   "description": "before any is added; what is not there is no error"},
    }  # fmt: skip
    if not add:
        properties = {"enabled": FLAG}
    if kind is not SetKind.FORWARDING:
        properties["name"] = TEXT
    if kind is SetKind.SECURITY_GROUP:
        properties["stateful"] = FLAG
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return Shape(f"{BODIES[kind].__name__}Patch", schema)


PATCHES = {kind: _patch(kind) for kind in SetKind}
