"""Sub-ports of a random history: which parent has them, and what shall become of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from support.oracle import Wanted
from unit.docs import document, port_id
from vifd.model.trunks import SUB_PORT_OWNER

Documents = Mapping[int, dict[str, Any]]
#: The sub-ports by number, with their tags.
SUB_PORTS = {11: 301, 12: 302}


def sub_port(number: int, role: str, **where: Any) -> dict[str, Any]:
    """A sub-port's document."""
    made = document(number, role=role, port__device_owner=SUB_PORT_OWNER, **where)
    del made["instance"]
    return made


def parent_of(number: int, documents: Documents) -> int | None:
    """The port that has a sub-port."""
    named = port_id(number)
    return next((n for n, d in documents.items() if named in _named(d)), None)


def toggled(number: int, wanted: dict[str, Any], parent: int) -> dict[str, Any]:
    """A parent's document with a sub-port more, or without it."""
    new = copy.deepcopy(wanted)
    have = [s for s in _entries(new) if s["port_id"] != port_id(number)]
    if len(have) == len(_entries(new)):
        have.append({"port_id": port_id(number), "segmentation_id": SUB_PORTS[number],
                     "segmentation_type": "vlan"})  # fmt: skip
    new["port"]["trunk_details"] = {"trunk_id": port_id(0xF000 + parent), "sub_ports": have}
    if not have:
        del new["port"]["trunk_details"]
    return new


def wanted(sub_ports: Documents, documents: Documents) -> Iterator[Wanted]:
    """The sub-ports that have a parent here. A parent that is down carries them all the same."""
    for number, raw in sub_ports.items():
        parent = parent_of(number, documents)
        if parent is not None:
            carried = documents[parent]["role"] == "ACTIVE"
            opened = carried and raw["role"] == "ACTIVE"
            yield Wanted(raw, opened, parent=port_id(parent), vlan=SUB_PORTS[number])


def astray(port: Mapping[str, Any], sub_ports: Documents, documents: Documents) -> list[str]:
    """What is wrong with what the daemon says of a sub-port."""
    found = {w.id: w for w in wanted(sub_ports, documents)}.get(port["id"])
    opened = found is not None and found.open
    if (port["status"] == "ACTIVE") == opened and not (opened and port["error"]):
        return []
    problem = (port["error"] or {}).get("message") or port["findings"]
    return [
        f"sub-port {port['id']} is {port['status']}, its parent carries it: {opened}: {problem}"
    ]


def _entries(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list((raw["port"].get("trunk_details") or {}).get("sub_ports", ()))


def _named(raw: Mapping[str, Any]) -> set[str]:
    return {s["port_id"] for s in _entries(raw)}
