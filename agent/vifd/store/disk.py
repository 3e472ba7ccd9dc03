"""The open file of the journal: its lock, its transactions, and another file where it is lost."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vifd import errors
from vifd.store import file
from vifd.store.tables import Tables

LOG = logging.getLogger(__name__)


class Disk:
    """What a journal is kept on.

    :param refill: called in a transaction on an empty file, after the old one was lost while it was
        open; writes what is known from memory
    :param rebuilt: called after that
    :ivar tables: of the present file
    :ivar set_aside: where a file that was lost so was moved to, or ``None``
    """

    def __init__(
        self, path: Path, opened: file.Opened, refill: Callable[[], None],
        rebuilt: Callable[[], None],
    ) -> None:  # fmt: skip
        self.path = path
        self.db = opened.db
        self.tables = Tables(opened.db)
        self.lock = threading.RLock()
        self.set_aside: Path | None = None
        #: why the last change could not be written; empty where it was
        self.problem = ""
        self._refill = refill
        self._rebuilt = rebuilt
        self._durable: bool | None = None
        self._rebuilding = False
        self._identity = _identity(path)

    @contextmanager
    def reading(self) -> Iterator[Tables]:
        """The tables, for reading.

        :raises errors.JournalError: they cannot be read
        """
        with self.lock, self._coded():
            yield self.tables

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[Tables]:
        """The tables, for changes that are made all or not at all.

        :param durable: the disk has it when the block ends
        :raises errors.JournalError: nothing was changed
        """
        try:
            with self._changing(durable=durable) as tables:
                yield tables
        except errors.JournalError as error:
            self.problem = error.message
            raise
        self.problem = ""

    @contextmanager
    def _changing(self, *, durable: bool) -> Iterator[Tables]:
        with self.lock:
            if durable and _identity(self.path) != self._identity:
                self._rebuild("it was removed or replaced")
            with self._coded():
                if self._durable is not durable:
                    self.db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                    self._durable = durable
                self.db.execute("BEGIN IMMEDIATE")
                try:
                    yield self.tables
                    self.db.execute("COMMIT")
                except BaseException:
                    # SQLite rolls back by itself where the disk fails; again is an error.
                    with contextlib.suppress(sqlite3.Error):
                        self.db.execute("ROLLBACK")
                    raise

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        with self.lock:
            try:
                file.close(self.db)
            except sqlite3.Error as error:
                LOG.warning("journal %s: last checkpoint failed: %s", self.path, error)

    @contextmanager
    def _coded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if file.corrupt(error):
                self._rebuild(str(error))
            raise file.failed(self.path, error) from error

    def _rebuild(self, problem: str) -> None:
        """Go on with a new file: the old one went under the running daemon.

        :raises errors.JournalError: that cannot be done now; the next transaction tries again
        """
        if self._rebuilding:
            return
        LOG.error("journal %s: %s; writing it anew from memory", self.path, problem)
        notes = self._notes()
        try:
            self.set_aside = file.set_aside(self.path) if self.path.exists() else self.set_aside
            opened = file.connect(self.path)
        except (OSError, file.Damaged) as error:
            raise file.failed(self.path, error) from error
        self.db.close()
        self.db, self.tables = opened.db, Tables(opened.db)
        self._durable, self._identity = None, _identity(self.path)
        self._rebuilding = True
        try:
            with self.transaction(durable=True) as tables:
                tables.write_notes(notes)
                self._refill()
        finally:
            self._rebuilding = False
        LOG.warning("journal %s: written anew", self.path)
        self._rebuilt()

    def _notes(self) -> list[tuple[str, bytes, int]]:
        """The notes of the file that is open; a file without a name can still be read."""
        try:
            return self.tables.notes()
        except sqlite3.Error as error:
            LOG.warning("journal %s: its notes are lost: %s", self.path, error)
            return []


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, whatever its name; ``None`` where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
