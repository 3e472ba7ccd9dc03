"""What can still be read from a journal file that is damaged."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from vifd.model import Parts, PortRecord
from vifd.store.file import PORT
from vifd.store.rows import COLUMNS, Unreadable, Wrong, port_record, right, unpacked
from vifd.store.settables import SetRows, salvaged

LOG = logging.getLogger(__name__)

#: What reading a damaged file can raise: what SQLite hands out may be no text and no number.
_UNREADABLE = (sqlite3.Error, ValueError, TypeError)


class Salvage(NamedTuple):
    """What can still be read from a damaged file.

    :param rows: ports, each once, with their checksums
    :param revision: the highest revision that any of it names
    :param event: the highest id of an event
    :param notes: name, body and checksum of each that adds up
    :param parts: what the sides of each port say, where that adds up
    :param sets: rows of shared sets, with their checksums
    :param change: the highest number of a change of a set
    """

    rows: list[tuple[Any, ...]]
    revision: int = 0
    event: int = 0
    notes: Sequence[tuple[str, bytes, int]] = ()
    parts: Mapping[str, Parts] = MappingProxyType({})
    sets: SetRows = SetRows()
    change: int = 0

    def records(self) -> dict[str, PortRecord]:
        """The ports that add up and can be read, each in its latest form."""
        kept: dict[str, PortRecord] = {}
        for row in self.rows:
            try:
                record = port_record(row)
            except (Wrong, Unreadable) as error:
                LOG.warning("journal: not carried over: %s", error)
            else:
                known = kept.get(record.id)
                kept[record.id] = max(known or record, record, key=lambda r: r.revision)
        return kept


def salvage(path: Path) -> Salvage:
    """Read what can be read; never raises."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return Salvage([])
    db.text_factory = lambda raw: raw.decode(errors="replace")
    with contextlib.closing(db):
        rows: set[tuple[Any, ...]] = set()
        # A scan ends at the first damaged page: the other direction reads what is behind it.
        for order in ("ASC", "DESC"):
            sql = f"SELECT {_port_columns(db)} FROM ports ORDER BY id {order}"  # noqa: S608
            with contextlib.suppress(*_UNREADABLE):
                rows.update(tuple(row) for row in db.execute(sql))
        return Salvage(
            list(rows),
            _number(db, "SELECT value FROM counters WHERE name = 'revision'"),
            max(_number(db, "SELECT seq FROM sqlite_sequence WHERE name = 'events'"),
                _number(db, "SELECT MAX(id) FROM events")),
            _saved_notes(db),
            _saved_parts(db),
            salvaged(db, _UNREADABLE),
            _number(db, "SELECT value FROM counters WHERE name = 'sets'"),
        )  # fmt: skip


def _saved_notes(db: sqlite3.Connection) -> list[tuple[str, bytes, int]]:
    notes: list[tuple[str, bytes, int]] = []
    with contextlib.suppress(*_UNREADABLE):
        for name, body, total in db.execute("SELECT name, body, sum FROM notes"):
            if isinstance(name, str) and right(body, total):
                notes.append((name, body, total))
    return notes


def _saved_parts(db: sqlite3.Connection) -> dict[str, Parts]:
    saved: dict[str, Parts] = {}
    with contextlib.suppress(*_UNREADABLE):
        for port_id, body, total in db.execute("SELECT port_id, body, sum FROM parts"):
            with contextlib.suppress(Wrong):
                if isinstance(port_id, str):
                    saved[port_id] = unpacked(body, total, Parts)
    return saved


def _port_columns(db: sqlite3.Connection) -> str:
    """The columns of a port's row; the first schema had neither the last one nor checksums."""
    try:
        db.execute("SELECT sum FROM ports LIMIT 0")
    except _UNREADABLE as error:
        if "no such column" in str(error):
            return f"{', '.join(COLUMNS[:-1])}, NULL, NULL"
    return PORT


def _number(db: sqlite3.Connection, sql: str) -> int:
    with contextlib.suppress(*_UNREADABLE):
        row = db.execute(sql).fetchone()
        # A damaged number may be any number.
        if row is not None and isinstance(row[0], int) and 0 <= row[0] < 2**48:
            return int(row[0])
    return 0
