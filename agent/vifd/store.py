"""The journal: every port of this host, what is wanted of it and what was made for it.

SQLite in WAL mode behind one lock, and a copy of the port records in memory for reading. A commit
takes any number of changes (group commit). ``durable`` commits reach the disk before they return:
what a caller was promised. The others survive a crash of the daemon but not of the machine: what
they record (devices, flows) does not survive that either, or bears its own marks.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import msgspec

from vifd import errors, store_schema
from vifd.model import Document, Phase, PortRecord, Report, Vif, Wiring, decode
from vifd.ticket import Event

LOG = logging.getLogger(__name__)

#: Events kept for callers that resume; older ones are dropped.
EVENTS_KEPT = 10_000

#: Makes the new record from the present one (``None`` where there is none); ``None`` forgets it.
Change = Callable[[PortRecord | None], PortRecord | None]

#: Port records by id; ``None`` where there is none.
Records = Mapping[str, PortRecord | None]

T = TypeVar("T")


class Outgoing(msgspec.Struct, frozen=True):
    """A status on its way to the network service.

    :param gone: the port is no longer on this host
    """

    port_id: str
    status: str
    revision: int
    gone: bool = False
    error: dict[str, Any] | None = None
    network_id: str = ""
    device: str = ""
    role: str = ""


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
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self.set_aside: Path | None = None
        self.fresh = False
        self._db = db
        self._lock = threading.RLock()
        self._records: dict[str, PortRecord] = {}
        self._floor = 0
        self._durable: bool | None = None
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
        except store_schema.Damaged as error:
            try:
                aside = store_schema.set_aside(path)
            except OSError as problem:
                facts = {"path": str(path), "problem": f"{error}; {problem}"}
                raise errors.JournalError(facts=facts, stage="journal") from problem
            LOG.error("journal %s is damaged (%s); moved to %s", path, error, aside)
            journal = cls._open(path)
            journal.set_aside = aside
            journal._carry_over(store_schema.salvage(aside))
        journal.fresh = fresh
        return journal

    @classmethod
    def _open(cls, path: Path) -> Journal:
        db = store_schema.connect(path)
        try:
            return cls(path, db)
        except BaseException:
            db.close()
            raise

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
        rows = self._read("SELECT id, body FROM events WHERE id > ? ORDER BY id LIMIT ?",
                          after, limit)  # fmt: skip
        found = [(id_, _unpacked(body, Event)) for id_, body in rows]
        return [msgspec.structs.replace(e, id=id_) for id_, e in found if e is not None]

    def outbox(self) -> list[Outgoing]:
        """What the network service has not acknowledged yet, oldest first.

        :raises errors.JournalError: the journal cannot be read
        """
        rows = self._read("SELECT body FROM outbox ORDER BY seq")
        found = [_unpacked(body, Outgoing) for (body,) in rows]
        return [o for o in found if o is not None]

    def outbox_size(self) -> int:
        """How many statuses the network service has not acknowledged yet.

        :raises errors.JournalError: the journal cannot be read
        """
        return int(self._read("SELECT COUNT(*) FROM outbox")[0][0])

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

    def size(self) -> int:
        """Bytes on disk, without the write-ahead log."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        with self._lock:
            try:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                LOG.warning("journal %s: last checkpoint failed: %s", self.path, error)
            self._db.close()

    # --- inside ---

    def _read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._coded():
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def _coded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            facts = {"path": str(self.path), "problem": str(error)}
            raise errors.JournalError(facts=facts, stage="journal") from error

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[None]:
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

    def _counted(self, old: PortRecord | None, new: PortRecord | None) -> PortRecord | None:
        """The record with its revision, which goes on where that of a removed port ended."""
        if new is None or new is old:
            return new
        revision = (old.revision if old else self._floor) + 1
        return msgspec.structs.replace(new, revision=revision, updated_at=time.time())

    def _write(self, old: Records, new: Records) -> int:
        """Write what differs; returns the revision above which new ports begin."""
        gone = [o for port_id, o in old.items() if o is not None and new[port_id] is None]
        rows = [_row(r) for port_id, r in new.items() if r and r is not old.get(port_id)]
        # The last word on a removed port has the revision after its last record's.
        floor = max((o.revision + 1 for o in gone), default=self._floor)
        if floor > self._floor:
            self._db.execute("UPDATE counters SET value = ? WHERE name = 'revision'", (floor,))
        if gone:
            self._db.executemany("DELETE FROM ports WHERE id = ?", [(o.id,) for o in gone])
        if rows:
            marks = ", ".join("?" * len(store_schema.COLUMNS))
            columns = ", ".join(store_schema.COLUMNS)
            self._db.executemany(f"REPLACE INTO ports ({columns}) VALUES ({marks})", rows)  # noqa: S608
        return max(floor, self._floor)

    def _post(self, events: Sequence[Event]) -> list[Event]:
        posted: list[Event] = []
        for event in events:
            body = msgspec.msgpack.encode(event, enc_hook=repr)
            cursor = self._db.execute("INSERT INTO events (body) VALUES (?)", (body,))
            posted.append(msgspec.structs.replace(event, id=cursor.lastrowid or 0))
        if posted and posted[-1].id % 256 < len(posted):
            self._db.execute("DELETE FROM events WHERE id <= ?", (posted[-1].id - EVENTS_KEPT,))
        return posted

    def _enqueue(self, outgoing: Iterable[Outgoing]) -> int:
        rows = [(o.port_id, o.revision, msgspec.msgpack.encode(o, enc_hook=repr)) for o in outgoing]
        if rows:
            sql = "REPLACE INTO outbox (port_id, revision, body) VALUES (?, ?, ?)"
            self._db.executemany(sql, rows)
        return len(rows)

    def _load(self) -> None:
        """Read every port; one row that makes no sense is damage that SQLite did not see."""
        columns = ", ".join(store_schema.COLUMNS)
        try:
            sql = "SELECT value FROM counters WHERE name = 'revision'"
            self._floor = int(self._db.execute(sql).fetchone()[0])
            for row in self._db.execute(f"SELECT {columns} FROM ports"):  # noqa: S608
                record = _record(row)
                self._records[record.id] = record
        except Exception as error:
            raise store_schema.Damaged(f"{type(error).__name__}: {error}") from error

    def _carry_over(self, rows: Iterable[tuple[Any, ...]]) -> None:
        kept: dict[str, PortRecord] = {}
        for row in rows:
            try:
                record = _record(row)
            except Exception as error:  # noqa: BLE001 - a damaged file may hold anything
                LOG.warning("journal: row %.64r cannot be read any more: %s", row[0], error)
            else:
                kept[record.id] = record
        # The old count is lost. No port changes more than once in a second in the long run, so that
        # the clock is ahead of every revision that was ever given.
        floor = max(int(time.time()), self._floor)
        with self._lock, self._transaction(durable=True):
            self._db.execute("UPDATE counters SET value = ? WHERE name = 'revision'", (floor,))
            self._write(dict.fromkeys(kept), kept)
        self._records, self._floor = dict(kept), floor
        LOG.warning("journal: %d ports carried over from the damaged file", len(kept))


def _unpacked(body: bytes, kind: type[T]) -> T | None:
    """What was packed, or ``None`` where it cannot be read any more."""
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        LOG.warning("journal: one %s cannot be read any more: %s", kind.__name__, error)
        return None


def _row(record: PortRecord) -> tuple[Any, ...]:
    def pack(value: Any) -> bytes | None:
        # What a plugin put in that is no JSON value is kept as text: it must not cost the commit.
        return None if value is None else msgspec.json.encode(value, enc_hook=repr)

    return (
        record.id, record.plugin, record.vif_type, record.phase.value, record.open, record.removing,
        record.applied, record.revision, record.updated_at, record.request_id,
        record.doc.text(), pack(record.names), pack(record.wiring), pack(record.report),
        pack(record.vif), pack(record.error),
    )  # fmt: skip


def _record(row: tuple[Any, ...]) -> PortRecord:
    values = dict(zip(store_schema.COLUMNS, row, strict=True))

    def unpack(column: str, kind: Any) -> Any:
        body = values[column]
        return None if body is None else msgspec.json.decode(body, type=kind)

    doc: Document = decode(msgspec.json.decode(values["doc"]), port_id=values["id"])
    return PortRecord(
        doc=doc,
        plugin=values["plugin"],
        vif_type=values["vif_type"],
        phase=Phase(values["phase"]),
        open=bool(values["open"]),
        removing=bool(values["removing"]),
        applied=bool(values["applied"]),
        revision=values["revision"],
        updated_at=values["updated_at"],
        request_id=values["request_id"],
        names=unpack("names", Wiring),
        wiring=unpack("wiring", Wiring),
        report=unpack("report", Report),
        vif=unpack("vif", Vif),
        error=unpack("error", dict[str, Any]),
    )
