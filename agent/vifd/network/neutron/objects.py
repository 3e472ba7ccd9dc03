"""Neutron's versioned objects as they come over the bus, as plain values. Pure.

The service publishes an object in every version that some agent reports, and where it cannot, no
agent hears of the change. So what is asked for is the oldest version that has all that is read
here: those of the releases 27 and 28, which 29 converts to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: The version of each type of object that is asked for, listened to and reported.
VERSIONS = {
    "Port": "1.10",
    "Network": "1.2",
    "Subnet": "1.2",
    "SecurityGroup": "1.6",
    "SecurityGroupRule": "1.3",
    "AddressGroup": "1.2",
    "QosPolicy": "1.10",
}

#: Of a plain object: the name of its type, where several may stand in one place.
TYPE = "__type__"

Plain = dict[str, Any]


def topic(kind: str) -> str:
    """Where changes of a type of object are told."""
    return f"neutron-vo-{kind}-{VERSIONS[kind]}"


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
