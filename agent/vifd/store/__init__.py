"""The journal: every port of this host, what is wanted of it and what was made for it."""

from __future__ import annotations

from vifd.store.commit import Change, Committed, Records
from vifd.store.file import Damaged
from vifd.store.journal import Journal
from vifd.store.rows import Outgoing
from vifd.store.schema import VERSION
from vifd.store.tables import EVENTS_KEPT

__all__ = [
    "EVENTS_KEPT",
    "VERSION",
    "Change",
    "Committed",
    "Damaged",
    "Journal",
    "Outgoing",
    "Records",
]
