"""Reading a shared set: strictly, because a field that is ignored is a filter that nobody made.

The rules of a security group are judged as the Networking API judges them. Pure.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from vifd import errors
from vifd.model.document import bad_field
from vifd.model.rulereading import read_rule
from vifd.model.sets import (
    BODIES,
    MAX_REACHABLE,
    AddressGroup,
    Endpoint,
    GroupLog,
    Member,
    Reachable,
    SecurityGroup,
    SecurityGroupRule,
    SetBody,
    SetKey,
    SetKind,
)

#: Versions of a set's document that are understood; one that names none is of the first.
SET_VERSIONS = ("1.0",)
#: Fields of the Networking API that say nothing to a host.
_QUIET = frozenset((
    "project_id", "tenant_id", "description", "created_at", "updated_at", "revision_number",
    "tags", "shared", "is_default", "standard_attr_id", "location", "security_group_id",
    "normalized_cidr", "remote_group", "belongs_to_default_sg",
))  # fmt: skip
#: Names of the Networking API, and the fields here.
_NAMES = {"security_group_rules": "rules", "network_id": "id"}
#: The same of logs: there it counts whose ports they are about.
_OF_LOGS = {"project_id": "project_id", "tenant_id": "project_id"}
_ETHERTYPES = {"ipv4": "IPv4", "ipv6": "IPv6"}
#: Ids of rules that came without one are made of what they say, in this name space.
_RULES = uuid.UUID("7c2f2a0e-5d0b-4c7e-9b1a-3f6f3c3f7d11")

T = TypeVar("T", SecurityGroupRule, Member, Endpoint, Reachable)


def read_set(raw: Any, key: SetKey) -> SetBody:
    """Read a whole set.

    :param raw: the parsed JSON; its id may be left out
    :raises errors.BadDocument: with the field's path
    """
    if not isinstance(raw, dict):
        raise errors.BadDocument.at_field("(document)", "must be a JSON object")
    said = _named(_versioned(raw), key.kind)
    if said.setdefault("id", key.id) != key.id:
        raise errors.BadDocument.at_field("id", "differs from the id in the path")
    if key.kind is SetKind.SECURITY_GROUP and isinstance(said.get("rules"), list):
        said["rules"] = _rules_said(said["rules"], key.id, "rules")
    return _canonical(_converted(said, BODIES[key.kind], ""))


def read_rules(raw: Any, group_id: str, path: str) -> tuple[SecurityGroupRule, ...]:
    """Read rules alone.

    :param path: where they stand
    :raises errors.BadDocument: with the field's path
    """
    said = _rules_said(raw, group_id, path) if isinstance(raw, list) else raw
    rules = _converted(said, tuple[SecurityGroupRule, ...], path)
    return tuple(read_rule(rule, f"{path}[{i}]") for i, rule in enumerate(rules))


def read_members(raw: Any, path: str) -> tuple[Member, ...]:
    """Read members of a security group alone.

    :raises errors.BadDocument: with the field's path
    """
    return _members(_converted(raw, tuple[Member, ...], path), path)


def read_addresses(raw: Any, path: str) -> tuple[str, ...]:
    """Read addresses and prefixes alone.

    :raises errors.BadDocument: with the field's path
    """
    return _prefixes(_converted(raw, tuple[str, ...], path), path)


def read_endpoints(raw: Any, path: str) -> tuple[Endpoint, ...]:
    """Read endpoints with those behind them alone.

    :raises errors.BadDocument: with the field's path
    """
    return _endpoints(_converted(raw, tuple[Endpoint, ...], path), path)


def read_endpoint(raw: Any, path: str) -> Endpoint:
    """Read one endpoint.

    :raises errors.BadDocument: with the field's path
    """
    return _endpoint(_converted(raw, Endpoint, path), path)


def _versioned(raw: Mapping[str, Any]) -> dict[str, Any]:
    version = raw.get("version", SET_VERSIONS[0])
    if version not in SET_VERSIONS:
        wanted = version[:64] if isinstance(version, str) else repr(version)[:64]
        facts = {"field": "version", "wanted": wanted, "have": list(SET_VERSIONS)}
        raise errors.UnsupportedVersion(facts=facts, stage="decode")
    return {name: value for name, value in raw.items() if name != "version"}


def _named(raw: Mapping[str, Any], kind: SetKind) -> dict[str, Any]:
    """The set without what says nothing to a host, by the names here."""
    said: dict[str, Any] = {}
    names, quiet = _NAMES, _QUIET
    if kind is SetKind.LOG:
        names, quiet = _OF_LOGS, _QUIET - _OF_LOGS.keys()
    for name, value in raw.items():
        ours = names.get(name, name)
        if name in quiet or (value is None and name in _OF_LOGS):
            continue
        if said.setdefault(ours, value) != value:
            raise errors.BadDocument.at_field(name, f"differs from {ours}; say it once")
    return said


def _rules_said(raw: list[Any], group_id: str, path: str) -> list[Any]:
    for i, rule in enumerate(raw):
        if isinstance(rule, dict) and rule.get("security_group_id") not in (None, group_id):
            problem = "differs from the id of this group: the rule is another group's"
            raise errors.BadDocument.at_field(f"{path}[{i}].security_group_id", problem)
    return [_rule_said(rule, group_id) for rule in raw]


def _rule_said(raw: Any, group_id: str) -> Any:
    """A rule without what says nothing to a host, with an id."""
    if not isinstance(raw, dict):
        return raw
    said = {name: value for name, value in raw.items() if name not in _QUIET}
    protocol, ethertype = said.get("protocol"), said.get("ethertype")
    if isinstance(protocol, int) and not isinstance(protocol, bool):
        said["protocol"] = str(protocol)
    if isinstance(ethertype, str):
        said["ethertype"] = _ETHERTYPES.get(ethertype.lower(), ethertype)
    if said.get("id") is None:
        text = msgspec.json.encode({**said, "id": group_id}, order="deterministic").decode()
        said["id"] = str(uuid.uuid5(_RULES, text))
    return said


def _converted(raw: Any, kind: Any, path: str) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        found = bad_field(str(error), "")
        field = str(found.facts["field"])
        if path:
            field = (
                path if field == "(document)" else f"{path}{'' if field[0] == '[' else '.'}{field}"
            )
        raise errors.BadDocument.at_field(field, str(found.facts["problem"])) from error


def _canonical(body: SetBody) -> SetBody:
    if isinstance(body, SecurityGroup):
        rules = tuple(read_rule(rule, f"rules[{i}]") for i, rule in enumerate(body.rules))
        _unique((rule.id for rule in rules), "rules[{}].id")
        return replace(body, rules=rules, members=_members(body.members, "members"))
    if isinstance(body, AddressGroup):
        return replace(body, addresses=_prefixes(body.addresses, "addresses"))
    if isinstance(body, GroupLog):
        return body
    return replace(body, endpoints=_endpoints(body.endpoints, "endpoints"))


def _unique(values: Iterable[str], path: str) -> None:
    seen: set[str] = set()
    for i, value in enumerate(values):
        if value in seen:
            raise errors.BadDocument.at_field(path.format(i), f"{value} occurs twice")
        seen.add(value)


def _members(members: Iterable[Member], path: str) -> tuple[Member, ...]:
    found = (
        Member(
            ip_address=prefix(m.ip_address, f"{path}[{i}].ip_address"),
            mac_address=m.mac_address and _unicast(m.mac_address, f"{path}[{i}].mac_address"),
        )
        for i, m in enumerate(members)
    )
    return tuple(dict.fromkeys(found))


def _prefixes(texts: Iterable[str], path: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(prefix(t, f"{path}[{i}]") for i, t in enumerate(texts)))


def _endpoints(endpoints: Iterable[Endpoint], path: str) -> tuple[Endpoint, ...]:
    found = [_endpoint(e, f"{path}[{i}]") for i, e in enumerate(endpoints)]
    _unique((e.address for e in found), f"{path}[{{}}].address")
    behind: dict[str, str] = {}
    for i, e in enumerate(found):
        for j, port in enumerate(e.ports):
            other = behind.setdefault(port.mac_address, e.address)
            if other != e.address:
                problem = f"{port.mac_address} is behind endpoint {other} already"
                raise errors.BadDocument.at_field(f"{path}[{i}].ports[{j}].mac_address", problem)
    if len(behind) > MAX_REACHABLE:
        raise errors.BadDocument.at_field(path, f"has more than {MAX_REACHABLE} ports behind it")
    return tuple(found)


def _endpoint(endpoint: Endpoint, path: str) -> Endpoint:
    ports = tuple(
        Reachable(
            mac_address=_unicast(p.mac_address, f"{path}.ports[{i}].mac_address"),
            ip_addresses=tuple(
                address(ip, f"{path}.ports[{i}].ip_addresses[{j}]")
                for j, ip in enumerate(p.ip_addresses)
            ),
        )
        for i, p in enumerate(endpoint.ports)
    )
    _unique((p.mac_address for p in ports), f"{path}.ports[{{}}].mac_address")
    where = address(endpoint.address, f"{path}.address")
    ip = ipaddress.ip_address(where)
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback:
        problem = f"{where} is no address of a tunnel endpoint"
        raise errors.BadDocument.at_field(f"{path}.address", problem)
    return Endpoint(address=where, ports=ports)


def prefix(text: str, path: str) -> str:
    """An address or a prefix as it is written here.

    :raises errors.BadDocument: it is none
    """
    found = _prefix(text)
    if found is None:
        raise errors.BadDocument.at_field(path, f"{text!r:.64} is no address or prefix")
    return found


def address(text: str, path: str) -> str:
    """An address as it is written here.

    :raises errors.BadDocument: it is none
    """
    found = _prefix(text)
    if found is None or "/" in text:
        raise errors.BadDocument.at_field(path, f"{text!r:.64} is no IP address")
    return found


def _unicast(mac: str, path: str) -> str:
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise errors.BadDocument.at_field(path, f"{mac} is not a unicast MAC address")
    return mac.lower()


@lru_cache(maxsize=65536)
def _prefix(text: str) -> str | None:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if "%" in text:
        return None
    alone = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if alone else str(network)
