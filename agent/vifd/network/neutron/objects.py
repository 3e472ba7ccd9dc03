"""Neutron's versioned objects as they come over the bus, as plain values. Pure.

Which version of each type is spoken is agreed on with the servers (``versions.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: The versions of each type of object that are understood, the newest first: of Neutron 29, and
#: of 27 and 28 where they differ.
SERVED = {
    "Port": ("1.11", "1.10"),
    "Network": ("1.3", "1.2"),
    "Subnet": ("1.2",),
    "SecurityGroup": ("1.6",),
    "SecurityGroupRule": ("1.3",),
    "AddressGroup": ("1.2",),
    "QosPolicy": ("1.10",),
    "Trunk": ("1.1",),
    "SubPort": ("1.0",),
    "Log": ("1.0",),
}
#: The oldest of each, which every release that is supported serves.
VERSIONS = {kind: versions[-1] for kind, versions in SERVED.items()}

#: Of a plain object: the name of its type, where several may stand in one place.
TYPE = "__type__"

Plain = dict[str, Any]


def topic_of(kind: str, version: str) -> str:
    """Where changes of a type of object are told in one version."""
    return f"neutron-vo-{kind}-{version}"


def plain(value: Any) -> Any:
    """A versioned object, and those within it, as dictionaries."""
    if isinstance(value, Mapping):
        if "versioned_object.data" in value:
            data = value["versioned_object.data"]
            made = {str(k): plain(v) for k, v in data.items()}
            made[TYPE] = value.get("versioned_object.name", "")
            return made
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def objects(primitives: Any) -> list[Plain]:
    """The objects of an answer or a message; what is none is left out."""
    if not isinstance(primitives, list | tuple):
        return []
    found = [plain(p) for p in primitives]
    return [o for o in found if isinstance(o, dict) and isinstance(o.get("id"), str)]


def revision(item: Mapping[str, Any]) -> int:
    """An object's count of changes; 0 where it has none."""
    number = item.get("revision_number")
    return number if isinstance(number, int) and number >= 0 else 0


def mapping(value: Any) -> Plain:
    """A dictionary that may be written as JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value else {}
        except ValueError:
            return {}
    return dict(value) if isinstance(value, Mapping) else {}


def entries(item: Mapping[str, Any], name: str) -> list[Plain]:
    """The objects in one field."""
    value = item.get(name)
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def mac(value: Any) -> str:
    """A MAC address in lower case with colons; empty where there is none."""
    return str(value).replace("-", ":").lower() if value else ""
