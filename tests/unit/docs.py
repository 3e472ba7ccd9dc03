"""Attachment documents for tests."""

from __future__ import annotations

import uuid
from typing import Any

NETWORK = "0d1e0000-0000-4000-8000-000000000001"


def port_id(number: int) -> str:
    """A port's id that differs in its first eleven characters from every other number's."""
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def document(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A valid document of port ``number``; ``changes`` are dotted paths written with ``__``."""
    doc: dict[str, Any] = {
        "version": "1.0",
        "role": "ACTIVE",
        "port": {
            "id": port_id(number),
            "name": f"port{number}",
            "mac_address": f"fa:16:3e:00:{number >> 8 & 255:02x}:{number & 255:02x}",
        },
        "network": {"id": NETWORK, "mtu": 1450, "segment": {"network_type": "local"}},
        "fixed_ips": [{"ip_address": f"10.0.{number >> 8 & 255}.{number & 255}"}],
        "subnets": [],
        "instance": {"id": str(uuid.UUID(int=number)), "name": f"instance-{number:08x}"},
    }
    for path, value in changes.items():
        where = doc
        *parents, leaf = path.split("__")
        for parent in parents:
            where = where[parent]
        where[leaf] = value
    return doc
