"""The tables of the journal: statements, within the lock and the transaction of the caller."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from vifd.model import Parts, PortRecord
from vifd.model.event import Event
from vifd.store import rows, schema
from vifd.store.file import PORT
from vifd.store.rows import Outgoing
from vifd.store.settables import SetTables

LOG = logging.getLogger(__name__)

#: Events kept for callers that resume; older ones are dropped.
EVENTS_KEPT = 10_000

T = TypeVar("T")


class Tables:
    """An open file by its tables. Every method may raise :class:`sqlite3.Error`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.sets = SetTables(db)

    # --- ports and numbers ---

    def ports(self) -> Iterator[tuple[Any, ...]]:
        """The rows of all ports with their checksums."""
        return self._db.execute(f"SELECT {PORT} FROM ports")  # noqa: S608

    def write_ports(self, gone: Iterable[str], changed: Iterable[PortRecord]) -> None:
        """Remove and replace rows."""
        if ids := [(port_id,) for port_id in gone]:
            self._db.executemany("DELETE FROM ports WHERE id = ?", ids)
        if values := [rows.port_row(record) for record in changed]:
            marks = ", ".join("?" * len(values[0]))
            self._db.executemany(f"REPLACE INTO ports ({PORT}) VALUES ({marks})", values)  # noqa: S608

    def parts(self) -> dict[str, Parts]:
        """What the sides of each port say; a row that does not add up is told and left out."""
        found = self._db.execute("SELECT port_id, body, sum FROM parts")
        read = [(row[0], _message(row[1:], Parts)) for row in found]
        return {port_id: parts for port_id, parts in read if parts is not None}

    def write_parts(self, changes: Mapping[str, Parts | None]) -> None:
        """Replace and remove what the sides of ports say."""
        if gone := [(port_id,) for port_id, parts in changes.items() if parts is None]:
            self._db.executemany("DELETE FROM parts WHERE port_id = ?", gone)
        values = [(i, *rows.packed(parts)) for i, parts in changes.items() if parts is not None]
        if values:
            sql = "REPLACE INTO parts (port_id, body, sum) VALUES (?, ?, ?)"
            self._db.executemany(sql, values)

    def numbers(self) -> tuple[int, int]:
        """The revision above which new ports begin, and the id of the last event."""
        sql = "SELECT value FROM counters WHERE name = 'revision'"
        floor = int(self._db.execute(sql).fetchone()[0])
        sql = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
        return floor, int((self._db.execute(sql).fetchone() or (0,))[0])

    def set_floor(self, revision: int) -> None:
        """New ports begin above this revision."""
        self._db.execute("UPDATE counters SET value = ? WHERE name = 'revision'", (revision,))

    def called(self) -> int:
        """The schema that the file says it has."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def call(self, *, ahead: bool) -> None:
        """Have the file say which vifd can read it.

        :param ahead: it holds a port that was made ahead of compute
        """
        self._db.execute(f"PRAGMA user_version = {schema.called(ahead=ahead)}")

    def set_last_event(self, number: int) -> None:
        """The next event has a larger id; there is none yet."""
        self._db.execute("INSERT INTO events (id, body, sum) VALUES (?, x'', 0)", (number,))
        self._db.execute("DELETE FROM events")

    # --- events ---

    def post(self, events: Iterable[Event]) -> list[Event]:
        """Add events; returns them with their ids."""
        posted: list[Event] = []
        for event in events:
            sql = "INSERT INTO events (body, sum) VALUES (?, ?)"
            cursor = self._db.execute(sql, rows.packed(event))
            posted.append(msgspec.structs.replace(event, id=cursor.lastrowid or 0))
        if posted and posted[-1].id % 256 < len(posted):
            sql = "DELETE FROM events WHERE id <= ?"
            self._db.execute(sql, (posted[-1].id - EVENTS_KEPT,))
        return posted

    def events(self, after: int, limit: int) -> list[Event]:
        """Events with a larger id, oldest first."""
        sql = "SELECT id, body, sum FROM events WHERE id > ? ORDER BY id LIMIT ?"
        found = [(r[0], _message(r[1:], Event)) for r in self._db.execute(sql, (after, limit))]
        return [msgspec.structs.replace(e, id=id_) for id_, e in found if e is not None]

    def history(self, port_id: str, within: int) -> list[Event]:
        """The events of a port among the last ``within`` of all ports, newest first."""
        sql = (
            "SELECT id, body, sum FROM events WHERE id > (SELECT MAX(id) FROM events) - ?"
            " AND instr(body, ?) ORDER BY id DESC"
        )
        read = self._db.execute(sql, (within, port_id.encode()))
        found = [(row[0], _message(row[1:], Event)) for row in read]
        return [msgspec.structs.replace(e, id=i) for i, e in found if e and e.port == port_id]

    # --- the outbox ---

    def enqueue(self, outgoing: Iterable[Outgoing]) -> int:
        """Add statuses, each in the place of an older one of its port; returns how many."""
        queued = [(o.port_id, o.revision, *rows.packed(o)) for o in outgoing]
        if queued:
            sql = "REPLACE INTO outbox (port_id, revision, body, sum) VALUES (?, ?, ?, ?)"
            self._db.executemany(sql, queued)
        return len(queued)

    def acknowledge(self, taken: Iterable[tuple[str, int]]) -> None:
        """Remove statuses by port and revision."""
        self._db.executemany("DELETE FROM outbox WHERE port_id = ? AND revision = ?", taken)

    def outbox(self) -> list[Outgoing]:
        """What was not acknowledged yet, oldest first."""
        found = self._db.execute("SELECT body, sum FROM outbox ORDER BY seq")
        return [o for row in found if (o := _message(row, Outgoing)) is not None]

    def waiting(self, port_id: str) -> Outgoing | None:
        """What was not acknowledged yet of one port."""
        sql = "SELECT body, sum FROM outbox WHERE port_id = ?"
        row = self._db.execute(sql, (port_id,)).fetchone()
        return None if row is None else _message(row, Outgoing)

    def outbox_size(self) -> int:
        """How many those are."""
        return int(self._db.execute("SELECT COUNT(*) FROM outbox").fetchone()[0])

    # --- notes ---

    def remember(self, name: str, value: object) -> None:
        """Keep a value under a name."""
        values = (name, *rows.packed(value))
        self._db.execute("REPLACE INTO notes (name, body, sum) VALUES (?, ?, ?)", values)

    def notes(self) -> list[tuple[str, bytes, int]]:
        """All notes that add up, as they are written."""
        found = self._db.execute("SELECT name, body, sum FROM notes")
        return [(name, body, total) for name, body, total in found if rows.right(body, total)]

    def write_notes(self, notes: Iterable[tuple[str, bytes, int]]) -> None:
        """Write notes as :meth:`notes` gave them."""
        self._db.executemany("REPLACE INTO notes (name, body, sum) VALUES (?, ?, ?)", notes)

    def note(self, name: str, kind: type[T]) -> T | None:
        """What was kept under a name, or ``None``."""
        row = self._db.execute("SELECT body, sum FROM notes WHERE name = ?", (name,)).fetchone()
        return _message(row, kind) if row else None


def _message(row: Sequence[Any], kind: type[T]) -> T | None:
    """What was packed, or ``None`` where it cannot be read any more."""
    try:
        return rows.unpacked(row[0], row[1], kind)
    except rows.Wrong as error:
        LOG.warning("journal: %s", error)
        return None
