"""A change of single pieces of a set: what to add and what to remove. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vifd import errors
from vifd.model.setreading import (
    read_addresses,
    read_endpoint,
    read_endpoints,
    read_members,
    read_rules,
)
from vifd.model.setrecord import Pieces, SetRecord, name_of
from vifd.model.sets import (
    MAX_ENDPOINTS,
    MAX_MEMBERS,
    MAX_REACHABLE,
    MAX_RULES,
    Behind,
    Endpoint,
    Member,
    SetKey,
    SetKind,
    SetPart,
)
from vifd.model.values import UUID

#: What may be added and removed, by the kind of set.
FIELDS = {
    SetKind.SECURITY_GROUP: ("rules", "members"),
    SetKind.ADDRESS_GROUP: ("addresses",),
    SetKind.FORWARDING: ("endpoints",),
    SetKind.LOG: (),
}
#: What may be switched, by the kind of set.
_FLAGS = {SetKind.SECURITY_GROUP: "stateful", SetKind.LOG: "enabled"}
_UUID = re.compile(UUID)
_LIMITS = {
    "rule": ("rules", MAX_RULES), "member": ("members", MAX_MEMBERS),
    "address": ("addresses", MAX_MEMBERS), "endpoint": ("endpoints", MAX_ENDPOINTS),
    "behind": ("endpoints", MAX_REACHABLE),
}  # fmt: skip


@dataclass(frozen=True)
class SetPatch:
    """Removals come first, so that one call can move a piece.

    :param add: pieces, each in the place of one of the same name
    :param remove: names of pieces; what is not there is no error
    :param endpoints: endpoints that go with everybody behind them
    :param moved: MAC addresses that go, each only if it is behind this endpoint
    :param members: addresses of members that go, whatever their MAC address
    :param enabled: of a log
    """

    add: tuple[SetPart, ...] = ()
    remove: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()
    moved: frozenset[tuple[str, str]] = frozenset()
    members: frozenset[str] = frozenset()
    name: str | None = None
    stateful: bool | None = None
    enabled: bool | None = None


def read_patch(raw: Any, key: SetKey) -> SetPatch:
    """Read the body of a PATCH: ``{"add": {...}, "remove": {...}, "name": …, "stateful": …}``.

    :raises errors.BadDocument: with the field's path
    """
    if not isinstance(raw, dict):
        raise errors.BadDocument.at_field("(document)", "must be a JSON object")
    known = {"add", "remove"} if FIELDS[key.kind] else set()
    if key.kind is not SetKind.FORWARDING:
        known.add("name")
    if (flag := _FLAGS.get(key.kind)) is not None:
        known.add(flag)
    _only(raw, known, "")
    name = raw.get("name")
    if name is not None and not (isinstance(name, str) and len(name) <= 255):
        raise errors.BadDocument.at_field("name", "must be a text of at most 255 characters")
    stateful, enabled = (_flag(raw, field) for field in ("stateful", "enabled"))
    add, remove = (_said(raw, side, key) for side in ("add", "remove"))
    return SetPatch(
        tuple(_added(add, key)), *_removed(remove), name=name, stateful=stateful, enabled=enabled
    )  # fmt: skip


def _flag(raw: dict[str, Any], field: str) -> bool | None:
    value = raw.get(field)
    if value is not None and not isinstance(value, bool):
        raise errors.BadDocument.at_field(field, "must be true or false")
    return value


def _only(raw: dict[str, Any], known: set[str], path: str) -> None:
    for name in raw:
        if name not in known:
            raise errors.BadDocument.at_field(
                f"{path}{name[:64]}",
                f"is not a field of this call (known: {', '.join(sorted(known))})",
            )


def _said(raw: dict[str, Any], side: str, key: SetKey) -> dict[str, Any]:
    said = raw.get(side, {})
    if not isinstance(said, dict):
        raise errors.BadDocument.at_field(side, "must be a JSON object")
    _only(said, set(FIELDS[key.kind]), f"{side}.")
    return said


def _added(said: dict[str, Any], key: SetKey) -> Iterator[SetPart]:
    yield from read_rules(said.get("rules", []), key.id, "add.rules")
    yield from read_members(said.get("members", []), "add.members")
    yield from read_addresses(said.get("addresses", []), "add.addresses")
    for endpoint in read_endpoints(said.get("endpoints", []), "add.endpoints"):
        yield from behind(endpoint)


def behind(endpoint: Endpoint) -> Iterator[Behind]:
    """An endpoint and those behind it, as pieces."""
    yield Behind(endpoint.address)
    yield from (Behind(endpoint.address, port) for port in endpoint.ports)


def _removed(
    said: dict[str, Any],
) -> tuple[frozenset[str], frozenset[str], frozenset[tuple[str, str]], frozenset[str]]:
    names = {f"rule/{_rule_id(r, f'remove.rules[{i}]')}"
             for i, r in enumerate(_list(said, "rules"))}  # fmt: skip
    anyway: set[str] = set()
    for member in read_members(said.get("members", []), "remove.members"):
        if member.mac_address is None:
            anyway.add(member.ip_address)
        else:
            names.add(name_of(member))
    names |= {name_of(a) for a in read_addresses(said.get("addresses", []), "remove.addresses")}
    whole, moved = _endpoints(said)
    return frozenset(names), frozenset(whole), frozenset(moved), frozenset(anyway)


def _list(said: dict[str, Any], name: str) -> list[Any]:
    found = said.get(name, [])
    if not isinstance(found, list):
        raise errors.BadDocument.at_field(f"remove.{name}", "must be an array")
    return found


def _rule_id(raw: Any, path: str) -> str:
    """A rule to remove, by its id or by an object that has one."""
    found = raw.get("id") if isinstance(raw, dict) else raw
    if not (isinstance(found, str) and _UUID.fullmatch(found)):
        raise errors.BadDocument.at_field(path, "must be the id of a rule: a UUID in lower case")
    return found


def _endpoints(said: dict[str, Any]) -> tuple[set[str], set[tuple[str, str]]]:
    """Endpoints that go as a whole, and those that go from behind one. An address alone names the
    whole endpoint, as does an object that names nobody behind it."""
    whole: set[str] = set()
    moved: set[tuple[str, str]] = set()
    for i, raw in enumerate(_list(said, "endpoints")):
        path = f"remove.endpoints[{i}]"
        named = {"address": raw} if isinstance(raw, str) else _without_addresses(raw)
        found = read_endpoint(named, path)
        moved |= {(found.address, port.mac_address) for port in found.ports}
        if not found.ports:
            whole.add(found.address)
    return whole, moved


def _without_addresses(raw: Any) -> Any:
    """A port behind an endpoint may be named by its MAC address as text."""
    if not isinstance(raw, dict) or not isinstance(raw.get("ports"), list):
        return raw
    ports = [{"mac_address": p} if isinstance(p, str) else p for p in raw["ports"]]
    return {**raw, "ports": ports}


def drops(record: SetRecord, patch: SetPatch) -> set[str]:
    """The names of the pieces that a patch removes from this set."""
    names = set(patch.remove)
    if patch.members:
        members = ((n, p) for n, p in record.pieces.items() if isinstance(p, Member))
        names |= {n for n, member in members if member.ip_address in patch.members}
    for endpoint, mac in patch.moved:
        piece = record.pieces.get(f"behind/{mac}")
        if isinstance(piece, Behind) and piece.endpoint == endpoint:
            names.add(f"behind/{mac}")
    if patch.endpoints:
        names |= {n for n, p in record.pieces.items()
                  if isinstance(p, Behind) and p.endpoint in patch.endpoints}  # fmt: skip
    return names


def check_size(pieces: Pieces) -> None:
    """:raises errors.BadDocument: the set would hold more than one may"""
    if len(pieces) <= min(limit for _, limit in _LIMITS.values()):
        return
    counts = Counter(name.partition("/")[0] for name in pieces)
    for kind, (field, limit) in _LIMITS.items():
        if counts[kind] > limit:
            problem = f"would be more than {limit} with what is there"
            raise errors.BadDocument.at_field(f"add.{field}", problem)
