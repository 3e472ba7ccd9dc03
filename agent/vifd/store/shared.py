"""The shared sets of the journal in memory, and who refers to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from vifd.model import PortRecord
from vifd.model.setrecord import SetRecord, SetUpdate
from vifd.model.sets import (
    AddressGroup,
    Forwarding,
    GroupLog,
    SecurityGroup,
    SetBody,
    SetKey,
    SetKind,
)
from vifd.store.references import References
from vifd.store.settables import summed


class SharedSets:
    """What is on disk, for reading on any thread; changed by the journal alone, under its lock.

    Plugins have it as :class:`vifd.plugin.Sets`.

    :ivar number: of the last change of any set
    :ivar pieces: how many all sets have
    """

    def __init__(self) -> None:
        self._records: dict[SetKey, SetRecord] = {}
        self.references = References()
        self._logs: tuple[GroupLog, ...] = ()
        self.number = 0
        self.pieces = 0

    def __len__(self) -> int:
        """How many sets."""
        return len(self._records)

    def get(self, key: SetKey) -> SetRecord | None:
        """A set, or ``None``."""
        return self._records.get(key)

    def all(self) -> Mapping[SetKey, SetRecord]:
        """A snapshot of all sets."""
        return MappingProxyType(dict(self._records))

    def security_group(self, group_id: str) -> SecurityGroup | None:
        """See :class:`vifd.plugin.Sets`."""
        found = self._body(SetKind.SECURITY_GROUP, group_id)
        return found if isinstance(found, SecurityGroup) else None

    def address_group(self, group_id: str) -> AddressGroup | None:
        """See :class:`vifd.plugin.Sets`."""
        found = self._body(SetKind.ADDRESS_GROUP, group_id)
        return found if isinstance(found, AddressGroup) else None

    def forwarding(self, network_id: str) -> Forwarding | None:
        """See :class:`vifd.plugin.Sets`."""
        found = self._body(SetKind.FORWARDING, network_id)
        return found if isinstance(found, Forwarding) else None

    def logs(self) -> tuple[GroupLog, ...]:
        """See :class:`vifd.plugin.Sets`."""
        return self._logs

    def _body(self, kind: SetKind, set_id: str) -> SetBody | None:
        record = self._records.get(SetKey(kind, set_id))
        return record.body if record is not None else None

    def counts(self) -> dict[SetKind, int]:
        """How many sets there are of each kind."""
        found = Counter(key.kind for key in self.all())
        return {kind: found[kind] for kind in SetKind}

    def missing(self, keys: Iterable[SetKey]) -> list[SetKey]:
        """Those of these sets that are not here."""
        return [key for key in keys if key not in self._records]

    def going(self) -> list[SetKey]:
        """Sets that their owners took away and that something may still refer to."""
        return [key for key, record in self.all().items() if record.going]

    def needless(self) -> list[SetKey]:
        """Those of them that nothing refers to any more."""
        if not (going := self.going()):
            return []
        held = self.references.held(going, self.all())
        return [key for key in going if key not in held]

    # --- for the journal ---

    def numbered(self, updates: Sequence[SetUpdate]) -> list[SetUpdate]:
        """The updates with their revisions."""
        return [summed(u, self.number + i) for i, u in enumerate(updates, 1)]

    def keep(self, updates: Iterable[SetUpdate]) -> None:
        """What is on disk now."""
        for update in updates:
            self.number += 1
            self._set(update.key, update.after)

    def take(self, records: Mapping[SetKey, SetRecord], number: int) -> None:
        """What was read from disk."""
        for key, record in records.items():
            self._set(key, record)
        revisions = (r.revision for r in records.values())
        self.number = max(number, *revisions, 0)

    def _set(self, key: SetKey, record: SetRecord | None) -> None:
        had = self._records.get(key)
        self.pieces += (len(record.pieces) if record else 0) - (len(had.pieces) if had else 0)
        if record is not None:
            self._records[key] = record
        elif had is not None:
            del self._records[key]
        self.references.put_set(key, record)
        if key.kind is SetKind.LOG:
            every = (r.body for k, r in sorted(self._records.items()) if k.kind is SetKind.LOG)
            logs = (body for body in every if isinstance(body, GroupLog))
            self._logs = tuple(log for log in logs if log.enabled)

    def ports(self, records: Mapping[str, PortRecord | None]) -> bool:
        """Ports changed; returns whether one refers to fewer sets than before."""
        fewer = [self.references.put_port(i, record) for i, record in records.items()]
        return any(fewer)
