"""Shared sets in memory, for tests of plugins: changed as their owner would, and what became of
them told as the engine tells it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vifd.model.setreading import read_set
from vifd.model.setrecord import pieces_of
from vifd.model.sets import (
    AddressGroup,
    Forwarding,
    GroupLog,
    SecurityGroup,
    SetBody,
    SetKey,
    SetKind,
)
from vifd.plugin.sets import SetChange


class MemorySets:
    """:class:`vifd.plugin.sets.Sets` whose owner is the test."""

    def __init__(self) -> None:
        self.bodies: dict[SetKey, SetBody] = {}

    def put(self, kind: SetKind, set_id: str, **said: Any) -> SetChange:
        """Say a set whole, in the words of the API."""
        key = SetKey(kind, set_id)
        return self.change(key, read_set(said, key))

    def group(self, group_id: str, *rules: dict[str, Any], **said: Any) -> SetChange:
        """Say a security group with these rules."""
        return self.put(SetKind.SECURITY_GROUP, group_id, rules=list(rules), **said)

    def change(self, key: SetKey, after: SetBody | None) -> SetChange:
        """Put a set there, or take it away."""
        before = self.bodies.pop(key, None)
        if after is not None:
            self.bodies[key] = after
        had, has = (pieces_of(body) if body is not None else {} for body in (before, after))
        return SetChange(
            key=key, before=before, after=after,
            added=tuple(piece for name, piece in has.items() if had.get(name) != piece),
            removed=tuple(piece for name, piece in had.items() if has.get(name) != piece),
        )  # fmt: skip

    def told(self, local: Iterable[str]) -> list[SetChange]:
        """What the engine tells once ports came, changed or went: their groups may have others."""
        ids = frozenset(local)
        return [SetChange(key=k, before=b, after=b, local=ids) for k, b in self.bodies.items()
                if k.kind is SetKind.SECURITY_GROUP]  # fmt: skip

    # --- as plugins see them ---

    def security_group(self, group_id: str) -> SecurityGroup | None:
        """A security group."""
        found = self.bodies.get(SetKey(SetKind.SECURITY_GROUP, group_id))
        return found if isinstance(found, SecurityGroup) else None

    def address_group(self, group_id: str) -> AddressGroup | None:
        """An address group."""
        found = self.bodies.get(SetKey(SetKind.ADDRESS_GROUP, group_id))
        return found if isinstance(found, AddressGroup) else None

    def forwarding(self, network_id: str) -> Forwarding | None:
        """The forwarding of a network."""
        found = self.bodies.get(SetKey(SetKind.FORWARDING, network_id))
        return found if isinstance(found, Forwarding) else None

    def logs(self) -> list[GroupLog]:
        """The logs that are switched on."""
        return [b for b in self.bodies.values() if isinstance(b, GroupLog) and b.enabled]
