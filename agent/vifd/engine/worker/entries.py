"""The journal as plugins may see it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from weakref import WeakKeyDictionary

from vifd.model import PortRecord
from vifd.plugin import Entry
from vifd.store import Journal


class _Ledger:
    """The entries of one journal, made anew only for ports whose records are others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: int | None = None
        self._made: dict[str, tuple[PortRecord, Entry | None]] = {}
        self._entries: Mapping[str, Entry] = MappingProxyType({})

    def of(self, journal: Journal) -> Mapping[str, Entry]:
        with self._lock:
            # read first: what is committed meanwhile is seen twice, and not missed
            version = journal.version
            if version != self._version:
                made: dict[str, tuple[PortRecord, Entry | None]] = {}
                for port_id, record in journal.records().items():
                    known = self._made.get(port_id)
                    same = known is not None and known[0] is record
                    made[port_id] = known if same and known else (record, _entry(record))
                self._made = made
                entries = {i: entry for i, (_, entry) in self._made.items() if entry is not None}
                self._entries = MappingProxyType(entries)
                self._version = version
            return self._entries


_ledgers: WeakKeyDictionary[Journal, _Ledger] = WeakKeyDictionary()
_lock = threading.Lock()


def _entry(record: PortRecord) -> Entry | None:
    wiring = record.wiring or record.names
    if wiring is None:
        return None
    opened = record.open and (record.released or not record.removing)
    return Entry(record.doc.attachment, wiring, opened)


def ledger(journal: Journal) -> Mapping[str, Entry]:
    """Every port that has names, as plugins may see it. One that did not change is the same object
    as before."""
    with _lock:
        known = _ledgers.get(journal)
        if known is None:
            known = _ledgers[journal] = _Ledger()
    return known.of(journal)
