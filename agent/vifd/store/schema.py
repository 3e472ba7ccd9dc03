"""The schema of the journal and its migrations."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Callable
from typing import Any

from vifd.store.rows import COLUMNS, checksum


def _v1(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE ports (id TEXT PRIMARY KEY, plugin TEXT NOT NULL, vif_type TEXT NOT NULL,"
        " phase TEXT NOT NULL, open INTEGER NOT NULL, removing INTEGER NOT NULL,"
        " applied INTEGER NOT NULL, revision INTEGER NOT NULL,"
        " updated_at REAL NOT NULL, request_id TEXT NOT NULL, doc BLOB NOT NULL, names BLOB,"
        " wiring BLOB, report BLOB, vif BLOB, error BLOB) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)")
    db.execute(
        "CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT,"
        " port_id TEXT UNIQUE NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL)"
    )
    db.execute("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
    db.execute("INSERT INTO counters VALUES ('revision', 0)")


def _v2(db: sqlite3.Connection) -> None:
    """How a port was chosen, checksums, and a place for what the daemon must remember besides
    ports."""
    db.execute("ALTER TABLE ports ADD COLUMN selection BLOB")
    for table in ("ports", "events", "outbox"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN sum INTEGER NOT NULL DEFAULT 0")
    _sum_up(db, "ports", "id", COLUMNS, lambda row: checksum(row))
    _sum_up(db, "events", "id", ("body",), lambda row: zlib.crc32(row[0]))
    _sum_up(db, "outbox", "seq", ("body",), lambda row: zlib.crc32(row[0]))
    db.execute(
        "CREATE TABLE notes (name TEXT PRIMARY KEY, body BLOB NOT NULL, sum INTEGER NOT NULL)"
        " WITHOUT ROWID"
    )


def _v3(db: sqlite3.Connection) -> None:
    """What the sides of a port say, each for itself. A port without a row is a whole document."""
    db.execute(
        "CREATE TABLE parts (port_id TEXT PRIMARY KEY, body BLOB NOT NULL, sum INTEGER NOT NULL)"
        " WITHOUT ROWID"
    )


def _v4(db: sqlite3.Connection) -> None:
    """Shared sets, a head per set and a row per piece, and the number of their last change."""
    db.execute(
        "CREATE TABLE sets (kind TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,"
        " sum INTEGER NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE set_pieces (kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,"
        " body BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (kind, id, name)) WITHOUT ROWID"
    )
    db.execute("INSERT INTO counters VALUES ('sets', 0)")


def _v5(_db: sqlite3.Connection) -> None:
    """Ports that were made ahead of compute: an older vifd can read them, and would open them."""


def _sum_up(
    db: sqlite3.Connection, table: str, key: str, columns: tuple[str, ...],
    total: Callable[[tuple[Any, ...]], int],
) -> None:  # fmt: skip
    rows = db.execute(f"SELECT {key}, {', '.join(columns)} FROM {table}").fetchall()  # noqa: S608
    sums = [(total(row[1:]), row[0]) for row in rows]
    db.executemany(f"UPDATE {table} SET sum = ? WHERE {key} = ?", sums)  # noqa: S608


#: Migration number n brings schema n to schema n + 1; never edit one that was released.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_v1, _v2, _v3, _v4, _v5)
VERSION = len(MIGRATIONS)
#: The schema with ports that were made ahead. Its tables are those of the one before.
_AHEAD = 5


def called(*, ahead: bool) -> int:
    """The number that a journal of these tables bears: who knows no more than that can read it.

    :param ahead: it holds a port that was made ahead of compute
    """
    return VERSION if ahead or VERSION > _AHEAD else _AHEAD - 1


def migrate(db: sqlite3.Connection, have: int) -> None:
    """Bring the tables of an older schema up to date, each step in a transaction of its own."""
    for number in range(have, called(ahead=False)):
        db.execute("BEGIN IMMEDIATE")
        MIGRATIONS[number](db)
        db.execute(f"PRAGMA user_version = {number + 1}")
        db.execute("COMMIT")


def complete(db: sqlite3.Connection) -> bool:
    """Whether the tables are those that the migrations make."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        migrate(model, 0)
        return _tables(db) == _tables(model)


def _tables(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    sql = "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    return sorted(db.execute(sql).fetchall())
