"""The journal's file: schema, migrations, and what to do with a file that is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vifd import errors

COLUMNS = (
    "id", "plugin", "vif_type", "phase", "open", "removing", "applied", "revision",
    "updated_at", "request_id", "doc", "names", "wiring", "report", "vif", "error",
)  # fmt: skip


class Damaged(Exception):
    """The file is not a journal that SQLite can trust."""


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


#: Migration number n brings schema n to schema n + 1; never edit one that was released.
MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_v1,)
VERSION = len(MIGRATIONS)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, check it, and bring its schema up to date.

    :raises Damaged: SQLite does not trust the file
    :raises errors.JournalTooNew: a newer vifd wrote it; the file is left as it is
    :raises errors.JournalError: the file cannot be opened or written
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = _create(path)
        if not fresh and path.stat().st_size == 0:
            raise Damaged("the file is empty")
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    except (OSError, sqlite3.Error) as error:
        raise _failed(path, error) from error
    try:
        _prepare(db, path, fresh)
    except sqlite3.DatabaseError as error:
        db.close()
        if isinstance(error, sqlite3.OperationalError) and not _corrupt(error):
            raise _failed(path, error) from error
        raise Damaged(str(error)) from error
    except BaseException:
        db.close()
        raise
    return db


def _create(path: Path) -> bool:
    """Make the file readable for its owner alone, as SQLite makes the companions like it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def _prepare(db: sqlite3.Connection, path: Path, fresh: bool) -> None:
    (have,) = db.execute("PRAGMA user_version").fetchone()
    if have > VERSION:
        facts = {"path": str(path), "have": have, "wanted": VERSION}
        raise errors.JournalTooNew(facts=facts, stage="journal")
    db.execute("PRAGMA journal_mode = WAL")
    if not fresh:
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != ("ok",):
            raise Damaged(str(verdict[0]))
    for number in range(have, VERSION):
        db.execute("BEGIN IMMEDIATE")
        MIGRATIONS[number](db)
        db.execute(f"PRAGMA user_version = {number + 1}")
        db.execute("COMMIT")
    # What is only half there was written by no vifd.
    db.execute(f"SELECT {', '.join(COLUMNS)} FROM ports LIMIT 1")  # noqa: S608
    for table in ("events", "outbox", "counters"):
        db.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608


_CORRUPT = ("malformed", "no such", "not a database", "already exists", "file is encrypted")


def _corrupt(error: sqlite3.Error) -> bool:
    return any(sign in str(error) for sign in _CORRUPT)


def _failed(path: Path, error: Exception) -> errors.JournalError:
    return errors.JournalError(facts={"path": str(path), "problem": str(error)}, stage="journal")


def set_aside(path: Path) -> Path:
    """Move a damaged file with its companions away, and say where the file is now."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    number = 0
    while aside.exists():
        number += 1
        aside = aside.with_name(f"{aside.name}.{number}")
    for suffix in ("-wal", "-shm", ""):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside


def salvage(path: Path) -> list[tuple[Any, ...]]:
    """The rows of ports that can still be read from a damaged file, each once."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error:
        return []
    db.text_factory = _text
    rows: dict[Any, tuple[Any, ...]] = {}
    # A scan ends at the first damaged page: the other direction reads what is behind it.
    for order in ("ASC", "DESC"):
        sql = f"SELECT {', '.join(COLUMNS)} FROM ports ORDER BY id {order}"  # noqa: S608
        with contextlib.suppress(sqlite3.Error):
            for row in db.execute(sql):
                rows.setdefault(row[0], tuple(row))
    db.close()
    return list(rows.values())


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
