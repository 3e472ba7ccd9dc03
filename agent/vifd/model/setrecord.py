"""A shared set as the journal keeps it: in pieces, so that a change costs what it changes. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TypeVar

from vifd.model.sets import (
    AddressGroup,
    Behind,
    Endpoint,
    Forwarding,
    GroupLog,
    LogSettings,
    Member,
    Reachable,
    SecurityGroup,
    SecurityGroupRule,
    SetBody,
    SetKey,
    SetKind,
    SetPart,
    log_of,
)

#: The pieces of a set by their names in it.
Pieces = Mapping[str, SetPart]
T = TypeVar("T")
_NONE: Pieces = MappingProxyType({})
#: The name of what a log is about.
LOG = "log"


def name_of(piece: SetPart) -> str:
    """What a piece is called in its set: another form of the same piece has the same name."""
    if isinstance(piece, SecurityGroupRule):
        return f"rule/{piece.id}"
    if isinstance(piece, Member):
        return f"member/{piece.ip_address}|{piece.mac_address or ''}"
    if isinstance(piece, Behind):
        mac = piece.port and piece.port.mac_address
        return f"behind/{mac}" if mac else f"endpoint/{piece.endpoint}"
    return LOG if isinstance(piece, LogSettings) else f"address/{piece}"


def pieces_of(body: SetBody) -> dict[str, SetPart]:
    """The pieces of a whole set."""
    return {name_of(piece): piece for piece in _every(body)}


def _every(body: SetBody) -> Iterator[SetPart]:
    if isinstance(body, SecurityGroup):
        yield from body.rules
        yield from body.members
    elif isinstance(body, AddressGroup):
        yield from body.addresses
    elif isinstance(body, GroupLog):
        yield body.settings
    else:
        for endpoint in body.endpoints:
            yield Behind(endpoint.address)
            yield from (Behind(endpoint.address, port) for port in endpoint.ports)


@dataclass(frozen=True)
class SetRecord:
    """One set of the journal.

    :param pieces: what it holds
    :param owner: who said it last
    :param revision: grows with every change of any set on this host, never given twice
    :param owner_revision: the owner's own count of changes, where it has one
    :param going: its owner took it away, and it goes once nothing refers to it
    :param updated_at: seconds since the epoch
    :param total: what the checksums of its pieces on disk add up to
    """

    key: SetKey
    owner: str
    name: str = ""
    stateful: bool = True
    pieces: Pieces = field(default_factory=dict, repr=False)
    revision: int = 0
    owner_revision: int | None = None
    going: bool = False
    updated_at: float = 0.0
    request_id: str = ""
    total: int = 0

    @cached_property
    def body(self) -> SetBody:
        """The whole set."""
        found = self.pieces.values()
        if self.key.kind is SetKind.SECURITY_GROUP:
            return SecurityGroup(
                id=self.key.id, name=self.name, stateful=self.stateful,
                rules=tuple(p for p in found if type(p) is SecurityGroupRule),
                members=tuple(p for p in found if type(p) is Member),
            )  # fmt: skip
        if self.key.kind is SetKind.ADDRESS_GROUP:
            addresses = tuple(p for p in found if type(p) is str)
            return AddressGroup(id=self.key.id, name=self.name, addresses=addresses)
        if self.key.kind is SetKind.LOG:
            return log_of(self.key.id, self.name, self.settings)
        return Forwarding(id=self.key.id, endpoints=tuple(_endpoints(found)))

    @property
    def settings(self) -> LogSettings:
        """Of a log: what it is about. Of one that lost that, nothing."""
        found = self.pieces.get(LOG)
        return found if isinstance(found, LogSettings) else LogSettings(enabled=False)

    @cached_property
    def _named(self) -> frozenset[SetKey]:
        rules = (p for p in self.pieces.values() if type(p) is SecurityGroupRule)
        return frozenset(key for r in rules if (key := r.refers_to) is not None)

    def written(self, revision: int, total: int) -> SetRecord:
        """The record as it is on disk; what was made of it stays made."""
        found = replace(self, revision=revision, total=total)
        vars(found).update({n: v for n, v in vars(self).items() if n in ("body", "_named")})
        return found

    @property
    def refers_to(self) -> frozenset[SetKey]:
        """Other sets that its rules name."""
        return self._named - {self.key}

    @property
    def names_itself(self) -> bool:
        """Whether a rule lets members of this very group pass."""
        return self.key in self._named


def _endpoints(pieces: Iterable[SetPart]) -> Iterator[Endpoint]:
    behind: dict[str, list[Behind]] = {}
    for piece in pieces:
        if isinstance(piece, Behind):
            found = behind.setdefault(piece.endpoint, [])
            if piece.port is not None:
                found.append(piece)
    for address, entries in behind.items():
        yield Endpoint(address=address, ports=tuple(e.port for e in entries if e.port is not None))


@dataclass(frozen=True)
class SetUpdate:
    """What becomes of one set: the record after it, and what differs.

    :param after: ``None``: it is gone
    :param put: pieces that came or changed
    :param drop: pieces that went
    """

    before: SetRecord | None
    after: SetRecord | None
    put: Pieces = field(default_factory=dict)
    drop: frozenset[str] = frozenset()

    @property
    def key(self) -> SetKey:
        """Which set."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a set that is and was not")
        return found.key

    @property
    def revision(self) -> int:
        """Of the set after it, or of the one that went."""
        found = self.after or self.before
        return found.revision if found is not None else 0

    @property
    def idle(self) -> bool:
        """Whether nothing changes, but perhaps who said it, and when."""
        before, after = self.before, self.after
        if before is None or after is None:
            return before is after
        said = (after.owner, after.name, after.stateful, after.going, after.owner_revision)
        had = (before.owner, before.name, before.stateful, before.going, before.owner_revision)
        return not self.put and not self.drop and said == had

    def then(self, later: SetUpdate) -> SetUpdate:
        """This change and a later one that began where it ended, as one."""
        had = self.before.pieces if self.before else {}
        put = {n: p for n, p in self.put.items() if n not in later.drop} | dict(later.put)
        put = {n: p for n, p in put.items() if had.get(n) != p}
        has = later.after.pieces if later.after else {}
        gone = had.keys() if self.after is None else self.drop
        drop = frozenset(n for n in gone | later.drop if n in had and n not in has)
        return SetUpdate(self.before, later.after, put, drop)

    @property
    def added(self) -> tuple[SetPart, ...]:
        """The pieces that came, in their new form."""
        return tuple(self.put.values())

    @property
    def removed(self) -> tuple[SetPart, ...]:
        """The pieces that went, in their old form, those among them that changed."""
        had = self.before.pieces if self.before else _NONE
        names = had if self.after is None else [*self.drop, *(n for n in self.put if n in had)]
        return tuple(had[n] for n in names)


def replaced(
    before: SetRecord | None, body: SetBody, key: SetKey, *, owner: str,
    owner_revision: int | None = None, request_id: str = "",
) -> SetUpdate:  # fmt: skip
    """The set with a whole new body."""
    had, has = (before.pieces if before else _NONE), pieces_of(body)
    put = {name: piece for name, piece in has.items() if had.get(name) != piece}
    after = SetRecord(
        key, owner, getattr(body, "name", ""), getattr(body, "stateful", True), has,
        before.revision if before else 0, owner_revision, False, time.time(), request_id,
        before.total if before else 0,
    )  # fmt: skip
    return SetUpdate(before, after, put, frozenset(had.keys() - has.keys()))


def patched(
    before: SetRecord, put: Pieces, drop: Iterable[str], *, owner: str, name: str | None = None,
    stateful: bool | None = None, owner_revision: int | None = None, request_id: str = "",
) -> SetUpdate:  # fmt: skip
    """The set with some pieces changed; costs what they are, and a copy of the names."""
    had = before.pieces
    gone = frozenset(n for n in drop if n in had and n not in put)
    new = {n: piece for n, piece in put.items() if had.get(n) != piece}
    pieces: Pieces = had
    if gone or new:
        pieces = copy = dict(had)
        for one in gone:
            del copy[one]
        copy.update(new)
    after = replace(
        before, pieces=pieces, owner=owner, updated_at=time.time(),
        name=before.name if name is None else name,
        stateful=before.stateful if stateful is None else stateful,
        owner_revision=before.owner_revision if owner_revision is None else owner_revision,
        request_id=request_id,
    )  # fmt: skip
    update = SetUpdate(before, after, new, gone)
    _handed_on(before, after, update)
    return update


def _handed_on(before: SetRecord, after: SetRecord, update: SetUpdate) -> None:
    """What was made of a record is made of the next one at the cost of the change."""
    touched = {name.partition("/")[0] for name in (*update.put, *update.drop)}
    if "rule" not in touched and "_named" in vars(before):
        vars(after)["_named"] = vars(before)["_named"]
    body = vars(before).get("body")
    if isinstance(body, SecurityGroup):
        rules = body.rules
        if "rule" in touched:
            every = after.pieces.values()
            rules = tuple(p for p in every if type(p) is SecurityGroupRule)
        members = _without(body.members, update, Member)
        vars(after)["body"] = SecurityGroup(
            id=after.key.id, name=after.name, stateful=after.stateful, rules=rules, members=members
        )
    elif isinstance(body, AddressGroup):
        addresses = _without(body.addresses, update, str)
        vars(after)["body"] = AddressGroup(id=after.key.id, name=after.name, addresses=addresses)
    elif isinstance(body, Forwarding):
        endpoints = tuple(_reached(body.endpoints, update, after.pieces))
        vars(after)["body"] = Forwarding(id=after.key.id, endpoints=endpoints)


def _reached(
    held: Iterable[Endpoint], update: SetUpdate, pieces: Pieces
) -> Iterator[Endpoint]:  # fmt: skip
    """The endpoints of a forwarding after a change: those that it does not touch are the same
    objects."""
    gone: dict[str, set[str]] = {}
    came: dict[str, list[Reachable]] = {}
    for piece in (*update.removed, *update.added):
        if isinstance(piece, Behind):
            gone.setdefault(piece.endpoint, set())
            came.setdefault(piece.endpoint, [])
    for piece in update.removed:
        if isinstance(piece, Behind) and piece.port is not None:
            gone[piece.endpoint].add(piece.port.mac_address)
    for piece in update.added:
        if isinstance(piece, Behind) and piece.port is not None:
            came[piece.endpoint].append(piece.port)
    for endpoint in held:
        address = endpoint.address
        if address not in gone:
            yield endpoint
            continue
        left = (p for p in endpoint.ports if p.mac_address not in gone[address])
        ports = (*left, *came.pop(address))
        if ports or name_of(Behind(address)) in pieces:
            yield Endpoint(address=address, ports=ports)
    for address, added in came.items():
        if added or name_of(Behind(address)) in pieces:
            yield Endpoint(address=address, ports=tuple(added))


def _without(held: tuple[T, ...], update: SetUpdate, kind: type[T]) -> tuple[T, ...]:
    """Pieces of one kind after a change; their order is that in which they came."""
    left = list(held)
    for piece in update.removed:
        if isinstance(piece, kind):
            left.remove(piece)
    left += [piece for piece in update.added if isinstance(piece, kind)]
    return tuple(left)
