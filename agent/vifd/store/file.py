"""The journal's file: opening and checking it, and what to do with one that is damaged."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import NamedTuple

from vifd import errors
from vifd.store import schema, wal
from vifd.store.rows import COLUMNS

LOG = logging.getLogger(__name__)

#: Columns of a port's row as they are read and written.
PORT = ", ".join((*COLUMNS, "sum"))

#: The errors of SQLite that say: these are not the bytes that were written.
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_CORRUPT_IO = {sqlite3.SQLITE_IOERR_SHORT_READ}
_FOREIGN = (
    "no such",
    "already exists",
    "duplicate column",
    "has no column",
    "unsupported file",
    "Could not decode",
)


class Damaged(Exception):
    """The file is not a journal that can be trusted."""


class Opened(NamedTuple):
    """An open journal file.

    :param incomplete: why the last commits may be missing, or the empty string
    """

    db: sqlite3.Connection
    incomplete: str = ""


def connect(path: Path) -> Opened:
    """Open the file, check it, and bring its schema up to date.

    :raises Damaged: it cannot be trusted
    :raises errors.JournalTooNew: a newer vifd wrote it; the file is left as it is
    :raises errors.JournalError: the file cannot be opened or written
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = _create(path)
        # SQLite takes a file of one byte for an empty one, and an empty one for a new one.
        if not fresh and path.stat().st_size <= 1:
            raise Damaged("the file is empty")
        _recognise(path)
        log = wal.read(_companion(path, "-wal"))
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    except (OSError, sqlite3.Error) as error:
        raise failed(path, error) from error
    try:
        return Opened(db, _prepare(db, path, log, fresh=fresh))
    except sqlite3.Error as error:
        db.close()
        if not corrupt(error):
            raise failed(path, error) from error
        raise Damaged(str(error)) from error
    except (ValueError, TypeError) as error:
        db.close()
        raise Damaged(f"{type(error).__name__}: {error}") from error
    except BaseException:
        db.close()
        raise


def _recognise(path: Path) -> None:
    """SQLite calls a file of an unknown format read-only, which hides that it is damaged."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) == 20 and not set(head[18:20]) <= {1, 2}:
        raise Damaged("its header names a format that is not SQLite's")


def corrupt(error: sqlite3.Error) -> bool:
    """Whether an error says that the bytes on disk are not those that were written."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code & 0xFF in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_OK) and any(
        sign in str(error) for sign in _FOREIGN
    ):
        return True
    return not isinstance(error, sqlite3.OperationalError)


def failed(path: Path, error: Exception) -> errors.JournalError:
    """The error of a journal that cannot be used."""
    return errors.JournalError(facts={"path": str(path), "problem": str(error)}, stage="journal")


def _create(path: Path) -> bool:
    """Make the file readable for its owner alone, as SQLite makes the companions like it."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        _close_to_others(path)
        return False
    return True


def _close_to_others(path: Path) -> None:
    """Documents name guests and addresses: what others may read is closed, where it is ours."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        LOG.warning("journal %s had mode %o; it is 600 now", path, mode)
        for file in (path, _companion(path, "-wal"), _companion(path, "-shm")):
            with contextlib.suppress(FileNotFoundError):
                file.chmod(0o600)


def _companion(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _prepare(db: sqlite3.Connection, path: Path, log: wal.Log, *, fresh: bool) -> str:
    (have,) = db.execute("PRAGMA user_version").fetchone()
    if have < 0:
        raise Damaged(f"schema {have} was never given")
    if have > schema.VERSION:
        facts = {"path": str(path), "have": have, "wanted": schema.VERSION}
        raise errors.JournalTooNew(facts=facts, stage="journal")
    db.execute("PRAGMA journal_mode = WAL")
    taken = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    if not fresh:
        verdict = db.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != ("ok",):
            raise Damaged(str(verdict[0]))
    schema.migrate(db, have)
    if not schema.complete(db):
        raise Damaged("its tables are not those of a journal")
    return _mark_open(db, log, max(0, taken))


def _mark_open(db: sqlite3.Connection, log: wal.Log, taken: int) -> str:
    """Note in the file itself that it is in use, and say what the last use left of it."""
    was_open = db.execute("SELECT value FROM counters WHERE name = 'open'").fetchone() == (1,)
    if not was_open:
        db.execute("REPLACE INTO counters VALUES ('open', 1)")
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    elif log.size < 0:
        return "its write-ahead log is gone"
    lost = log.lost(taken)
    return f"the last {lost} transactions of its write-ahead log cannot be read" if lost else ""


def close(db: sqlite3.Connection) -> None:
    """Fold the log in, note that nothing is missing, and close.

    :raises sqlite3.Error: the file is closed, but the log was not folded in
    """
    try:
        db.execute("REPLACE INTO counters VALUES ('open', 0)")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()


def set_aside(path: Path) -> Path:
    """Move a damaged file with its companions away, and say where the file is now."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
    number = 0
    while aside.exists():
        number += 1
        aside = aside.with_name(f"{aside.name}.{number}")
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            _companion(path, suffix).rename(aside.with_name(aside.name + suffix))
    return aside
