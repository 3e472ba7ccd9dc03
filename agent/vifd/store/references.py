"""Who depends on which set: ports by what their documents name, sets by what their rules name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from vifd.model import PortRecord
from vifd.model.members import refers_to
from vifd.model.setrecord import SetRecord
from vifd.model.sets import LogSettings, SetKey, SetKind

T = TypeVar("T")


class References:
    """Kept with the journal's memory. Whoever changes that holds its lock; who reads does not, and
    takes a copy of what may change meanwhile before going through it."""

    def __init__(self) -> None:
        self._of_port: dict[str, tuple[SetKey, ...]] = {}
        self._ports: dict[SetKey, set[str]] = {}
        self._of_set: dict[SetKey, frozenset[SetKey]] = {}
        self._sets: dict[SetKey, set[SetKey]] = {}
        self._logs: dict[SetKey, LogSettings] = {}

    def put_port(self, port_id: str, record: PortRecord | None) -> bool:
        """A port is as this record says; returns whether it refers to fewer sets than before."""
        had = self._of_port.get(port_id, ())
        has = refers_to(record.doc.attachment) if record is not None else ()
        if had == has:
            return False
        for key in had:
            _drop(self._ports, key, port_id)
        for key in has:
            self._ports.setdefault(key, set()).add(port_id)
        if has:
            self._of_port[port_id] = has
        else:
            self._of_port.pop(port_id, None)
        return not set(had) <= set(has)

    def put_set(self, key: SetKey, record: SetRecord | None) -> None:
        """A set is as this record says."""
        if key.kind is SetKind.LOG:
            self._logs.pop(key, None)
            if record is not None:
                self._logs[key] = record.settings
            return
        had = self._of_set.get(key, frozenset())
        has = record.refers_to if record is not None else frozenset()
        for other in had - has:
            _drop(self._sets, other, key)
        for other in has - had:
            self._sets.setdefault(other, set()).add(key)
        if has:
            self._of_set[key] = has
        else:
            self._of_set.pop(key, None)

    def sets_of(self, port_id: str) -> tuple[SetKey, ...]:
        """The sets that a port names."""
        return self._of_port.get(port_id, ())

    def ports(self, key: SetKey) -> frozenset[str]:
        """The ports that name a set."""
        return frozenset(self._ports.get(key, ()))

    def sets(self, key: SetKey) -> frozenset[SetKey]:
        """The other sets whose rules name a set."""
        return frozenset(self._sets.get(key, ()))

    def named_by(self, key: SetKey) -> frozenset[SetKey]:
        """The other sets that the rules of a set name."""
        return self._of_set.get(key, frozenset())

    def dependents(self, key: SetKey) -> frozenset[str]:
        """The ports whose frames a set has a say in: those that name it, and those that name a set
        whose rules do. Of a log, those that have groups and that it may be about."""
        if key.kind is SetKind.LOG:
            return self._logged(self._logs.get(key, LogSettings()))
        found = set(self._ports.get(key, ()))
        for other in self.sets(key):
            found |= self.ports(other)
        return frozenset(found)

    def _logged(self, about: LogSettings) -> frozenset[str]:
        if about.resource_id is not None:
            found = self.ports(SetKey(SetKind.SECURITY_GROUP, about.resource_id))
        else:
            ports = ((i, set_key) for i, keys in list(self._of_port.items()) for set_key in keys)
            found = frozenset(i for i, k in ports if k.kind is SetKind.SECURITY_GROUP)
        return found if about.target_id is None else found & {about.target_id}

    def held(self, going: Iterable[SetKey], every: Iterable[SetKey]) -> set[SetKey]:
        """Of the sets that are going, those that something still needs: a port, a set that stays,
        or one of these. Sets that name each other do not hold each other."""
        left, held = set(going), set()
        queue = [key for key in every if key not in left or self._ports.get(key)]
        while queue:
            key = queue.pop()
            if key in left:
                left.discard(key)
                held.add(key)
            queue += [k for k in self._of_set.get(key, ()) if k in left]
        return held


def _drop(index: dict[SetKey, set[T]], key: SetKey, member: T) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(member)
        if not found:
            del index[key]
