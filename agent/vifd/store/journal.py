"""The journal: every port of this host, what is wanted of it and what was made for it.

SQLite in WAL mode behind one lock, and a copy of the port records in memory for reading. A commit
takes any number of changes (group commit). ``durable`` commits reach the disk before they return:
what a caller was promised. The others survive a crash of the daemon but not of the machine: what
they record (devices, flows) does not survive that either, or bears its own marks.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

from vifd import errors
from vifd.model import PortRecord
from vifd.store import file, rows
from vifd.store.rows import Outgoing
from vifd.ticket import Event

LOG = logging.getLogger(__name__)

#: Events kept for callers that resume; older ones are dropped.
EVENTS_KEPT = 10_000
#: What is left free above the numbers of a file that was damaged.
_MARGIN = 1_000_000
#: Under this name it is noted that the host must be asked for ports.
_DOUBT = "in_doubt"

#: Makes the new record from the present one (``None`` where there is none); ``None`` forgets it.
Change = Callable[[PortRecord | None], PortRecord | None]

#: Port records by id; ``None`` where there is none.
Records = Mapping[str, PortRecord | None]

T = TypeVar("T")


class Committed(NamedTuple):
    """What a commit did.

    :param old: the records as they were
    :param new: the records as they are (``None``: forgotten)
    :param events: the events with their ids
    :param mail: how many statuses went into the outbox
    """

    old: Records
    new: Records
    events: list[Event]
    mail: int


class Journal:
    """The open journal; made by :meth:`open`.

    :ivar set_aside: where a damaged file was moved to, or ``None``
    :ivar fresh: there was no file: what the host holds is all that is known
    :ivar incomplete: why its last commits may be missing, or the empty string
    :ivar in_doubt: ports may be on the host that the file does not tell of; until :meth:`trust`
    :ivar unreadable: why a port's row, which is as it was written, makes no sense to this vifd; it
        stays on disk until somebody wants the port anew
    :ivar rebuilt: called after the file was lost under the running daemon and written anew: the
        statuses that waited in the outbox are gone with it
    """

    def __init__(self, path: Path, opened: file.Opened) -> None:
        self.path = path
        self.set_aside: Path | None = None
        self.fresh = False
        self.incomplete = opened.incomplete
        self.in_doubt = False
        self.unreadable: dict[str, str] = {}
        self.rebuilt: Callable[[], None] = lambda: None
        self._db = opened.db
        self._lock = threading.RLock()
        self._records: dict[str, PortRecord] = {}
        self._floor = 0
        self._last_event = 0
        self._durable: bool | None = None
        self._rebuilding = False
        self._identity = _identity(path)
        self._load()

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open or create the journal.

        A damaged file is moved aside, what can still be read from it is carried over, and the path
        of the old file is in ``set_aside``.

        :raises errors.JournalTooNew: a newer vifd wrote it
        :raises errors.JournalError: it cannot be opened or written
        """
        fresh = not path.exists()
        try:
            journal = cls._open(path)
        except file.Damaged as error:
            journal = cls._anew(path, str(error))
        journal.fresh = fresh
        if journal.incomplete:
            LOG.error("journal %s: %s; ports are looked for on the host", path, journal.incomplete)
        journal._doubt()
        return journal

    @classmethod
    def _open(cls, path: Path) -> Journal:
        opened = file.connect(path)
        try:
            return cls(path, opened)
        except BaseException:
            opened.db.close()
            raise

    @classmethod
    def _anew(cls, path: Path, problem: str) -> Journal:
        try:
            aside = file.set_aside(path)
        except OSError as error:
            raise file.failed(path, OSError(f"{problem}; {error}")) from error
        journal = cls._open(path)
        journal.set_aside = aside
        kept = journal._carry_over(file.salvage(aside))
        facts = {"path": str(path), "problem": problem, "aside": str(aside), "kept": kept}
        told = errors.JournalDamaged(facts=facts, stage="journal")
        LOG.error("%s: %s. Next: %s", told.code, told.message, told.hint)
        journal.post([Event(0, "journal-damaged", time.time(), error=told.to_dict())])
        return journal

    def _doubt(self) -> None:
        """Note, over restarts, that ports may be on the host that the file does not tell of."""
        if self.fresh or self.set_aside is not None or self.incomplete:
            self.remember(_DOUBT, True)
        self.in_doubt = bool(self.note(_DOUBT, bool))

    def trust(self) -> None:
        """The host was asked for what the file may lack.

        :raises errors.JournalError: it is asked again after the next start
        """
        if self.in_doubt:
            self.remember(_DOUBT, False)
            self.in_doubt = False

    # --- reading ---

    def records(self) -> Mapping[str, PortRecord]:
        """A snapshot of all ports by id."""
        with self._lock:
            return MappingProxyType(dict(self._records))

    def get(self, port_id: str) -> PortRecord | None:
        return self._records.get(port_id)

    def events(self, after: int, limit: int) -> list[Event]:
        """Events with a larger id, oldest first.

        :raises errors.JournalError: the journal cannot be read
        """
        sql = "SELECT id, body, sum FROM events WHERE id > ? ORDER BY id LIMIT ?"
        found = [(row[0], _message(row[1:], Event)) for row in self._read(sql, after, limit)]
        return [msgspec.structs.replace(e, id=id_) for id_, e in found if e is not None]

    def outbox(self) -> list[Outgoing]:
        """What the network service has not acknowledged yet, oldest first.

        :raises errors.JournalError: the journal cannot be read
        """
        found = [_message(row, Outgoing)
                 for row in self._read("SELECT body, sum FROM outbox ORDER BY seq")]  # fmt: skip
        return [o for o in found if o is not None]

    def history(self, port_id: str, within: int) -> list[Event]:
        """The last events of a port, newest first.

        :param within: how many of the last events of all ports are gone through; a thousand take
            about a millisecond
        :raises errors.JournalError: the journal cannot be read
        """
        sql = (
            "SELECT id, body, sum FROM events WHERE id > (SELECT MAX(id) FROM events) - ?"
            " AND instr(body, ?) ORDER BY id DESC"
        )
        rows_ = self._read(sql, within, port_id.encode())
        found = [(row[0], _message(row[1:], Event)) for row in rows_]
        return [msgspec.structs.replace(e, id=i) for i, e in found if e and e.port == port_id]

    def waiting(self, port_id: str) -> Outgoing | None:
        """The status of a port that the network service has not acknowledged yet.

        :raises errors.JournalError: the journal cannot be read
        """
        found = self._read("SELECT body, sum FROM outbox WHERE port_id = ?", port_id)
        return _message(found[0], Outgoing) if found else None

    def outbox_size(self) -> int:
        """How many statuses the network service has not acknowledged yet.

        :raises errors.JournalError: the journal cannot be read
        """
        return int(self._read("SELECT COUNT(*) FROM outbox")[0][0])

    def note(self, name: str, kind: type[T]) -> T | None:
        """What :meth:`remember` kept under this name, or ``None``.

        :raises errors.JournalError: the journal cannot be read
        """
        found = self._read("SELECT body, sum FROM notes WHERE name = ?", name)
        return _message(found[0], kind) if found else None

    # --- writing ---

    def commit(
        self,
        changes: Mapping[str, Change],
        *,
        events: Callable[[Records, Records], Sequence[Event]] | None = None,
        outgoing: Callable[[Records, Records], Sequence[Outgoing]] | None = None,
        durable: bool = False,
    ) -> Committed:
        """Apply changes to the present records, all or nothing.

        :param events: called with the old and the new records; what to add to the event stream
        :param outgoing: the same for the outbox
        :raises errors.JournalError: nothing was changed, on disk or in memory
        """
        with self._lock:
            old = {port_id: self._records.get(port_id) for port_id in changes}
            with self._transaction(durable):
                new = {i: self._counted(old[i], change(old[i])) for i, change in changes.items()}
                floor = self._write(old, new)
                posted = self._post(events(old, new) if events else ())
                mail = self._enqueue(outgoing(old, new) if outgoing else ())
            self._floor = floor
            for port_id, record in new.items():
                if record is None:
                    self._records.pop(port_id, None)
                else:
                    self._records[port_id] = record
                    self.unreadable.pop(port_id, None)
        return Committed(old, new, posted, mail)

    def post(self, events: Sequence[Event]) -> list[Event]:
        """Add events that change no port.

        :raises errors.JournalError: nothing was added
        """
        with self._lock, self._transaction(durable=False):
            return self._post(events)

    def reassert(self, make: Callable[[PortRecord], Outgoing]) -> int:
        """Put the status of every port that is not being removed into the outbox again.

        :returns: how many
        :raises errors.JournalError: nothing was added
        """
        with self._lock, self._transaction(durable=False):
            return self._enqueue(make(r) for r in self._records.values() if not r.removing)

    def acknowledge(self, taken: Iterable[tuple[str, int]]) -> None:
        """Remove what the network service took, unless something newer waits for the port.

        :param taken: (port id, revision) pairs
        :raises errors.JournalError: nothing was removed
        """
        with self._lock, self._transaction(durable=False):
            self._db.executemany("DELETE FROM outbox WHERE port_id = ? AND revision = ?", taken)

    def remember(self, name: str, value: object) -> None:
        """Keep something that concerns no port, until the next value of the same name.

        :raises errors.JournalError: the old value stays
        """
        with self._lock, self._transaction(durable=True):
            values = (name, *rows.packed(value))
            self._db.execute("REPLACE INTO notes (name, body, sum) VALUES (?, ?, ?)", values)

    def size(self) -> int:
        """Bytes on disk, without the write-ahead log."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        with self._lock:
            try:
                file.close(self._db)
            except sqlite3.Error as error:
                LOG.warning("journal %s: last checkpoint failed: %s", self.path, error)

    # --- inside ---

    def _read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._coded():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _coded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if file.corrupt(error):
                self._rebuild(str(error))
            raise file.failed(self.path, error) from error

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[None]:
        if durable and _identity(self.path) != self._identity:
            self._rebuild("it was removed or replaced")
        with self._coded():
            if self._durable is not durable:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite rolls back by itself where the disk fails; a second time is an error.
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def _rebuild(self, problem: str) -> None:
        """Write the journal anew from memory: the file went under the running daemon.

        :raises errors.JournalError: that cannot be done now; the next commit tries again
        """
        if self._rebuilding:
            return
        LOG.error("journal %s: %s; writing it anew from memory", self.path, problem)
        records, floor, last = self._records, self._floor, self._last_event
        try:
            aside = file.set_aside(self.path) if self.path.exists() else None
            opened = file.connect(self.path)
        except (OSError, file.Damaged) as error:
            raise file.failed(self.path, error) from error
        self._db.close()
        self._db, self._durable, self._identity = opened.db, None, _identity(self.path)
        self.set_aside = aside or self.set_aside
        self._rebuilding = True
        try:
            self._fill(records, floor, last)
        finally:
            self._rebuilding = False
        LOG.warning("journal %s: written anew with %d ports", self.path, len(records))
        try:
            self.rebuilt()
        except errors.JournalError as error:
            LOG.warning("%s: statuses are told again later", error)

    def _fill(self, records: Mapping[str, PortRecord], floor: int, last_event: int) -> None:
        """Write records into an empty journal, as they are."""
        with self._transaction(durable=True):
            self._db.execute("UPDATE counters SET value = ? WHERE name = 'revision'", (floor,))
            self._db.execute("INSERT INTO events (id, body, sum) VALUES (?, x'', 0)", (last_event,))
            self._db.execute("DELETE FROM events")
            self._write(dict.fromkeys(records), records)
        self._records, self._floor, self._last_event = dict(records), floor, last_event

    def _counted(self, old: PortRecord | None, new: PortRecord | None) -> PortRecord | None:
        """The record with its revision, which goes on where that of a removed port ended."""
        if new is None or new is old:
            return new
        revision = (old.revision if old else self._floor) + 1
        return msgspec.structs.replace(new, revision=revision, updated_at=time.time())

    def _write(self, old: Records, new: Records) -> int:
        """Write what differs; returns the revision above which new ports begin."""
        gone = [o for port_id, o in old.items() if o is not None and new[port_id] is None]
        changed = [rows.port_row(r) for i, r in new.items() if r and r is not old.get(i)]
        # The last word on a removed port has the revision after its last record's.
        floor = max((o.revision + 1 for o in gone), default=self._floor)
        if floor > self._floor:
            self._db.execute("UPDATE counters SET value = ? WHERE name = 'revision'", (floor,))
        if gone:
            self._db.executemany("DELETE FROM ports WHERE id = ?", [(o.id,) for o in gone])
        if changed:
            marks = ", ".join("?" * (len(rows.COLUMNS) + 1))
            sql = f"REPLACE INTO ports ({file.PORT}) VALUES ({marks})"  # noqa: S608
            self._db.executemany(sql, changed)
        return max(floor, self._floor)

    def _post(self, events: Sequence[Event]) -> list[Event]:
        posted: list[Event] = []
        for event in events:
            sql = "INSERT INTO events (body, sum) VALUES (?, ?)"
            cursor = self._db.execute(sql, rows.packed(event))
            posted.append(msgspec.structs.replace(event, id=cursor.lastrowid or 0))
        if posted:
            self._last_event = posted[-1].id
            if posted[-1].id % 256 < len(posted):
                sql = "DELETE FROM events WHERE id <= ?"
                self._db.execute(sql, (posted[-1].id - EVENTS_KEPT,))
        return posted

    def _enqueue(self, outgoing: Iterable[Outgoing]) -> int:
        queued = [(o.port_id, o.revision, *rows.packed(o)) for o in outgoing]
        if queued:
            sql = "REPLACE INTO outbox (port_id, revision, body, sum) VALUES (?, ?, ?, ?)"
            self._db.executemany(sql, queued)
        return len(queued)

    def _load(self) -> None:
        """Read every port; a row that does not add up is damage that SQLite did not see."""
        try:
            sql = "SELECT value FROM counters WHERE name = 'revision'"
            self._floor = int(self._db.execute(sql).fetchone()[0])
            sql = "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
            self._last_event = int((self._db.execute(sql).fetchone() or (0,))[0])
            for row in self._db.execute(f"SELECT {file.PORT} FROM ports"):  # noqa: S608
                self._take(row)
        except rows.Wrong as error:
            raise file.Damaged(str(error)) from error
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise file.Damaged(f"{type(error).__name__}: {error}") from error
        # A counter that lost a bit must not give a revision twice.
        self._floor = max(self._floor, *(r.revision for r in self._records.values()), 0)

    def _take(self, row: tuple[Any, ...]) -> None:
        try:
            record = rows.port_record(row)
        except rows.Unreadable as error:
            self.unreadable[row[0]] = str(error)
            LOG.error("journal: %s; its row is kept, and the port left as it is", error)
        else:
            self._records[record.id] = record

    def _carry_over(self, saved: file.Salvage) -> int:
        """Take what can be read of a damaged file; returns how many ports that were."""
        kept: dict[str, PortRecord] = {}
        for row in saved.rows:
            try:
                record = rows.port_record(row)
            except (rows.Wrong, rows.Unreadable) as error:
                LOG.warning("journal: not carried over: %s", error)
            else:
                known = kept.get(record.id)
                kept[record.id] = max(known or record, record, key=lambda r: r.revision)
        # The counts of the old file are lost. No port changes more than once in a second in the
        # long run, so that the clock is ahead of every number that was ever given; where the clock
        # was lost as well, what can still be read is a hint.
        highest = max((r.revision for r in kept.values()), default=0)
        now, doubt = int(time.time()), _MARGIN
        floor = max(now, highest + doubt, saved.revision + doubt)
        with self._lock:
            self._fill(kept, floor, max(now, saved.event + doubt))
        return len(kept)


def _message(row: Sequence[Any], kind: type[T]) -> T | None:
    """What was packed, or ``None`` where it cannot be read any more."""
    try:
        return rows.unpacked(row[0], row[1], kind)
    except rows.Wrong as error:
        LOG.warning("journal: %s", error)
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is, whatever its name; ``None`` where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
