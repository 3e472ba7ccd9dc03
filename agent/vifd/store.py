"""The journal: every port of this host, what is wanted of it and what was made for it.

SQLite in WAL mode behind one lock, and a copy of the port records in memory for reading. A commit
takes any number of changes (group commit). ``durable`` commits reach the disk before they return:
what a caller was promised. The others survive a crash of the daemon but not of the machine: what
they record (devices, flows) does not survive that either, or bears its own marks.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from vifd import errors, store_schema
from vifd.model import Document, Phase, PortRecord, Report, Vif, Wiring, decode
from vifd.ticket import Event

LOG = logging.getLogger(__name__)

#: Events kept for callers that resume; older ones are dropped.
EVENTS_KEPT = 10_000

#: Makes the new record from the present one (``None`` where there is none); ``None`` forgets it.
Change = Callable[[PortRecord | None], PortRecord | None]


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


class Journal:
    """The open journal; made by :meth:`open`.

    :ivar set_aside: where a damaged file was moved to, or ``None``
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self.set_aside: Path | None = None
        self._db = db
        self._lock = threading.RLock()
        self._records: dict[str, PortRecord] = {}
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
        try:
            return cls(path, store_schema.connect(path))
        except store_schema.Damaged as error:
            aside = store_schema.set_aside(path)
            LOG.error("journal %s is damaged (%s); moved to %s", path, error, aside)
            journal = cls(path, store_schema.connect(path))
            journal.set_aside = aside
            journal._carry_over(store_schema.salvage(aside))
            return journal

    # --- reading ---

    def records(self) -> Mapping[str, PortRecord]:
        """A snapshot of all ports by id."""
        with self._lock:
            return MappingProxyType(dict(self._records))

    def get(self, port_id: str) -> PortRecord | None:
        return self._records.get(port_id)

    def events(self, after: int, limit: int) -> list[Event]:
        """Events with a larger id, oldest first."""
        sql = "SELECT id, body FROM events WHERE id > ? ORDER BY id LIMIT ?"
        with self._lock:
            rows = self._db.execute(sql, (after, limit)).fetchall()
        return [
            msgspec.structs.replace(msgspec.msgpack.decode(body, type=Event), id=id_)
            for id_, body in rows
        ]

    def outbox(self) -> list[Outgoing]:
        """What the network service has not acknowledged yet, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM outbox ORDER BY seq").fetchall()
        return [msgspec.msgpack.decode(body, type=Outgoing) for (body,) in rows]

    # --- writing ---

    def commit(
        self,
        changes: Mapping[str, Change],
        *,
        events: Callable[[Mapping[str, PortRecord | None]], Sequence[Event]] | None = None,
        outgoing: Callable[[Mapping[str, PortRecord | None]], Sequence[Outgoing]] | None = None,
        durable: bool = False,
    ) -> tuple[dict[str, PortRecord | None], list[Event]]:
        """Apply changes to the present records, all or nothing.

        :param events: called with the new records; what to add to the event stream
        :param outgoing: the same for the outbox
        :returns: the new records (``None``: forgotten) and the events with their ids
        :raises errors.JournalError: nothing was changed, on disk or in memory
        """
        with self._lock, self._transaction(durable):
            new: dict[str, PortRecord | None] = {}
            for port_id, change in changes.items():
                old = self._records.get(port_id)
                record = change(old)
                if record is not None and record is not old:
                    record = msgspec.structs.replace(
                        record, revision=(old.revision if old else record.revision) + 1,
                        updated_at=time.time(),
                    )  # fmt: skip
                new[port_id] = record
            self._write(new)
            posted = self._post(events(new) if events else ())
            self._enqueue(outgoing(new) if outgoing else ())
        with self._lock:
            for port_id, record in new.items():
                if record is None:
                    self._records.pop(port_id, None)
                else:
                    self._records[port_id] = record
        return new, posted

    def post(self, events: Sequence[Event]) -> list[Event]:
        """Add events that change no port."""
        with self._lock, self._transaction(durable=False):
            return self._post(events)

    def enqueue(self, outgoing: Iterable[Outgoing]) -> None:
        """Put statuses into the outbox again (re-assertion)."""
        with self._lock, self._transaction(durable=False):
            self._enqueue(outgoing)

    def acknowledge(self, taken: Iterable[tuple[str, int]]) -> None:
        """Remove what the network service took, unless something newer waits for the port.

        :param taken: (port id, revision) pairs
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

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[None]:
        try:
            if self._durable is not durable:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            facts = {"path": str(self.path), "problem": str(error)}
            raise errors.JournalError(facts=facts, stage="journal") from error

    def _write(self, new: Mapping[str, PortRecord | None]) -> None:
        gone = [(port_id,) for port_id, record in new.items() if record is None]
        rows = [_row(r) for port_id, r in new.items() if r and r is not self._records.get(port_id)]
        if gone:
            self._db.executemany("DELETE FROM ports WHERE id = ?", gone)
        if rows:
            marks = ", ".join("?" * len(store_schema.COLUMNS))
            columns = ", ".join(store_schema.COLUMNS)
            self._db.executemany(f"REPLACE INTO ports ({columns}) VALUES ({marks})", rows)  # noqa: S608

    def _post(self, events: Sequence[Event]) -> list[Event]:
        posted: list[Event] = []
        for event in events:
            body = msgspec.msgpack.encode(event)
            cursor = self._db.execute("INSERT INTO events (body) VALUES (?)", (body,))
            posted.append(msgspec.structs.replace(event, id=cursor.lastrowid or 0))
        if posted and posted[-1].id % 256 < len(posted):
            self._db.execute("DELETE FROM events WHERE id <= ?", (posted[-1].id - EVENTS_KEPT,))
        return posted

    def _enqueue(self, outgoing: Iterable[Outgoing]) -> None:
        rows = [(o.port_id, o.revision, msgspec.msgpack.encode(o)) for o in outgoing]
        if rows:
            sql = "REPLACE INTO outbox (port_id, revision, body) VALUES (?, ?, ?)"
            self._db.executemany(sql, rows)

    def _load(self) -> None:
        columns = ", ".join(store_schema.COLUMNS)
        for row in self._db.execute(f"SELECT {columns} FROM ports"):  # noqa: S608
            record = _record(row)
            self._records[record.id] = record

    def _carry_over(self, rows: Iterable[tuple[Any, ...]]) -> None:
        kept = []
        for row in rows:
            try:
                kept.append(_record(row))
            except (msgspec.DecodeError, errors.VifError, ValueError, TypeError) as error:
                LOG.warning("journal: row %.64r cannot be read any more: %s", row[0], error)
        with self._lock, self._transaction(durable=True):
            self._write({record.id: record for record in kept})
        self._records = {record.id: record for record in kept}
        LOG.warning("journal: %d ports carried over from the damaged file", len(kept))


def _row(record: PortRecord) -> tuple[Any, ...]:
    def pack(value: Any) -> bytes | None:
        return None if value is None else msgspec.json.encode(value)

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
