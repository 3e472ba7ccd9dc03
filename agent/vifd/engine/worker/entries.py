"""The journal as plugins may see it."""

from __future__ import annotations

from vifd.plugin import Entry
from vifd.store import Journal


def ledger(journal: Journal) -> dict[str, Entry]:
    """Every port that has names, as plugins may see it."""
    entries: dict[str, Entry] = {}
    for port_id, record in journal.records().items():
        wiring = record.wiring or record.names
        if wiring is not None:
            opened = record.open and (record.released or not record.removing)
            entries[port_id] = Entry(record.doc.attachment, wiring, opened)
    return entries
