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
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from vifd import errors
from vifd.model import Parts, PortRecord
from vifd.model.event import Event
from vifd.model.setrecord import SetUpdate
from vifd.store import file, rows, schema, settables
from vifd.store.commit import Change, Committed, Records
from vifd.store.disk import Disk
from vifd.store.ondisk import OnDisk
from vifd.store.rows import Outgoing
from vifd.store.salvage import Salvage, salvage
from vifd.store.shared import SharedSets
from vifd.store.tables import Tables

LOG = logging.getLogger(__name__)

#: What is left free above the numbers of a file that was damaged.
_MARGIN = 1_000_000
#: Under this name it is noted that the host must be asked for ports.
_DOUBT = "in_doubt"


class Journal(OnDisk):
    """The open journal; made by :meth:`open`.

    :ivar fresh: there was no file: what the host holds is all that is known
    :ivar incomplete: why its last commits may be missing, or the empty string
    :ivar in_doubt: ports may be on the host that the file does not tell of; until :meth:`trust`
    :ivar unreadable: why a port's row, which is as it was written, makes no sense to this vifd; it
        stays on disk until somebody wants the port anew
    :ivar sets: shared sets, and who refers to them
    :ivar rebuilt: called after the file was lost under the running daemon and written anew: the
        statuses that waited in the outbox are gone with it
    """

    def __init__(self, path: Path, opened: file.Opened) -> None:
        self.path = path
        self._aside: Path | None = None
        self.fresh = False
        self.incomplete = opened.incomplete
        self.in_doubt = False
        self.unreadable: dict[str, str] = {}
        self.rebuilt: Callable[[], None] = lambda: None
        super().__init__(Disk(path, opened, self._refill, self._anew_told))
        self._records: dict[str, PortRecord] = {}
        self._snapshot: Mapping[str, PortRecord] | None = None
        #: how often ports changed; whoever keeps what he made of them looks at it first
        self.version = 0
        #: ports that were made ahead of compute
        self._ahead: frozenset[str] = frozenset()
        self._parts: dict[str, Parts] = {}
        self.sets = SharedSets()
        self._floor = 0
        self._last_event = 0
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
        journal._aside = aside
        kept = journal._carry_over(salvage(aside))
        facts = {"path": str(path), "problem": problem, "aside": str(aside), "kept": kept}
        told = errors.JournalDamaged(facts=facts, stage="journal")
        LOG.error("%s: %s. Next: %s", told.code, told.message, told.hint)
        journal.post([Event(0, "journal-damaged", time.time(), error=told.to_dict())])
        return journal

    @property
    def problem(self) -> str:
        """Why the last change could not be written; empty where it was."""
        return self._disk.problem

    def try_again(self) -> None:
        """Where the last change could not be written, see whether one can be now."""
        if self.problem:
            with contextlib.suppress(errors.JournalError):
                self.remember("last-tried", time.time())
                LOG.info("journal %s: it can be written again", self._disk.path)

    @property
    def set_aside(self) -> Path | None:
        """Where a damaged file was moved to, at start or since."""
        return self._disk.set_aside or self._aside

    @property
    def _db(self) -> sqlite3.Connection:
        return self._disk.db

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
        with self._disk.lock:
            if self._snapshot is None:
                self._snapshot = MappingProxyType(dict(self._records))
            return self._snapshot

    def get(self, port_id: str) -> PortRecord | None:
        return self._records.get(port_id)

    def parts(self, port_id: str) -> Parts | None:
        """What the sides of a port say; ``None`` where a whole document says it, or nothing."""
        return self._parts.get(port_id)

    def all_parts(self) -> Mapping[str, Parts]:
        """A snapshot of what the sides of ports say, by port."""
        with self._disk.lock:
            return MappingProxyType(dict(self._parts))

    # --- writing ---

    def commit(
        self,
        changes: Mapping[str, Change],
        *,
        events: Callable[[Records, Records], Sequence[Event]] | None = None,
        outgoing: Callable[[Records, Records], Sequence[Outgoing]] | None = None,
        durable: bool = False,
        parts: Mapping[str, Parts | None] = MappingProxyType({}),
        sets: Sequence[SetUpdate] = (),
        told: Callable[[Sequence[SetUpdate]], Sequence[Event]] = lambda _updates: (),
    ) -> Committed:
        """Apply changes to the present records, all or nothing.

        :param parts: what the sides of ports say now; ``None`` forgets it
        :param sets: changes of shared sets, each from its present record
        :param told: what to add to the event stream of these, with their revisions
        :param events: called with the old and the new records; what to add to the event stream
        :param outgoing: the same for the outbox
        :raises errors.JournalError: nothing was changed, on disk or in memory
        """
        with self._disk.lock:
            old = {port_id: self._records.get(port_id) for port_id in changes}
            with self._disk.transaction(durable=durable) as tables:
                new = {i: self._counted(old[i], change(old[i])) for i, change in changes.items()}
                floor = self._write(tables, old, new)
                ahead = self._made_ahead(tables, new)
                tables.write_parts(parts)
                updates = self.sets.numbered(sets)
                tables.sets.write(updates, self.sets.number + len(updates))
                more = events(old, new) if events else ()
                posted = self._post(tables, [*told(updates), *more])
                outgoing_count = tables.enqueue(outgoing(old, new) if outgoing else ())
            self._floor, self._ahead = floor, ahead
            for port_id, record in new.items():
                if record is None:
                    self._records.pop(port_id, None)
                else:
                    self._records[port_id] = record
                    self.unreadable.pop(port_id, None)
            self._snapshot = None if new else self._snapshot
            self.version += bool(new)
            self._keep(parts)
            self.sets.keep(updates)
            released = self.sets.ports(new)
        return Committed(old, new, posted, outgoing_count, updates, released)

    def post(self, events: Sequence[Event]) -> list[Event]:
        """Add events that change no port.

        :raises errors.JournalError: nothing was added
        """
        with self._disk.transaction(durable=False) as tables:
            return self._post(tables, events)

    def reassert(self, make: Callable[[PortRecord], Outgoing]) -> int:
        """Put the status of every port that is not being removed into the outbox again.

        :returns: how many
        :raises errors.JournalError: nothing was added
        """
        with self._disk.transaction(durable=False) as tables:
            return tables.enqueue(make(r) for r in self._records.values() if not r.removing)

    def acknowledge(self, taken: Iterable[tuple[str, int]]) -> None:
        """Remove what the network service took, unless something newer waits for the port.

        :param taken: (port id, revision) pairs
        :raises errors.JournalError: nothing was removed
        """
        with self._disk.transaction(durable=False) as tables:
            tables.acknowledge(taken)

    def remember(self, name: str, value: object) -> None:
        """Keep something that concerns no port, until the next value of the same name.

        :raises errors.JournalError: the old value stays
        """
        with self._disk.transaction(durable=True) as tables:
            tables.remember(name, value)

    def size(self) -> int:
        """Bytes on disk, without the write-ahead log."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        """Fold the write-ahead log in and close."""
        self._disk.close()

    # --- inside ---

    def _refill(self) -> None:
        """Write all that is known into a new file, in its first transaction."""
        self._fill(self._disk.tables, self._records, self._floor, self._last_event)

    def _anew_told(self) -> None:
        """The new file is there; what waited in the outbox is gone."""
        try:
            self.rebuilt()
        except errors.JournalError as error:
            LOG.warning("%s: statuses are told again later", error)

    def _fill(
        self, tables: Tables, records: Mapping[str, PortRecord], floor: int, last_event: int
    ) -> None:
        """Write records into an empty journal, as they are."""
        tables.set_floor(floor)
        tables.set_last_event(last_event)
        tables.write_ports((), records.values())
        self._ahead = frozenset(i for i, record in records.items() if _ahead(record))
        tables.call(ahead=bool(self._ahead))
        tables.write_parts(self._parts)
        tables.sets.fill(self.sets.all().values(), self.sets.number)

    def _counted(self, old: PortRecord | None, new: PortRecord | None) -> PortRecord | None:
        """The record with its revision, which goes on where that of a removed port ended."""
        if new is None or new is old:
            return new
        revision = (old.revision if old else self._floor) + 1
        return msgspec.structs.replace(new, revision=revision, updated_at=time.time())

    def _write(self, tables: Tables, old: Records, new: Records) -> int:
        """Write what differs; returns the revision above which new ports begin."""
        gone = [o for port_id, o in old.items() if o is not None and new[port_id] is None]
        # The last word on a removed port has the revision after its last record's.
        floor = max((o.revision + 1 for o in gone), default=self._floor)
        if floor > self._floor:
            tables.set_floor(floor)
        changed = [r for i, r in new.items() if r is not None and r is not old.get(i)]
        tables.write_ports([o.id for o in gone], changed)
        return max(floor, self._floor)

    def _made_ahead(self, tables: Tables, new: Records) -> frozenset[str]:
        """Which ports were made ahead of compute; with the first of them, and without the last, the
        file is one for other versions of vifd."""
        now = {port_id for port_id, record in new.items() if _ahead(record)}
        ahead = self._ahead - new.keys() | now if now or self._ahead else self._ahead
        if bool(ahead) is not bool(self._ahead):
            tables.call(ahead=bool(ahead))
        return ahead

    def _keep(self, parts: Mapping[str, Parts | None]) -> None:
        for port_id, said in parts.items():
            if said is None:
                self._parts.pop(port_id, None)
            else:
                self._parts[port_id] = said

    def _post(self, tables: Tables, events: Sequence[Event]) -> list[Event]:
        posted = tables.post(events)
        if posted:
            self._last_event = posted[-1].id
        return posted

    def _load(self) -> None:
        """Read every port; a row that does not add up is damage that SQLite did not see."""
        try:
            self._floor, self._last_event = self._disk.tables.numbers()
            for row in self._disk.tables.ports():
                self._take(row)
            self._parts = self._disk.tables.parts()
            found = settables.records(self._disk.tables.sets.read(), strict=True)
            self.sets.take(found, self._disk.tables.sets.number())
            self.sets.ports(self._records)
        except rows.Wrong as error:
            raise file.Damaged(str(error)) from error
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise file.Damaged(f"{type(error).__name__}: {error}") from error
        # A counter that lost a bit must not give a revision twice.
        self._floor = max(self._floor, *(r.revision for r in self._records.values()), 0)
        self._call()

    def _call(self) -> None:
        """Have a file that was written by another vifd say which ones can read it. What this one
        cannot read may be a port that was made ahead, where the file says that there are any."""
        said = self._disk.tables.called()
        ahead = {port_id for port_id, record in self._records.items() if _ahead(record)}
        if said > schema.called(ahead=False):
            ahead |= self.unreadable.keys()
        self._ahead = frozenset(ahead)
        if said != schema.called(ahead=bool(ahead)):
            with self._disk.transaction(durable=True) as tables:
                tables.call(ahead=bool(ahead))

    def _take(self, row: tuple[Any, ...]) -> None:
        try:
            record = rows.port_record(row)
        except rows.Unreadable as error:
            self.unreadable[row[0]] = str(error)
            LOG.error("journal: %s; its row is kept, and the port left as it is", error)
        else:
            self._records[record.id] = record

    def _carry_over(self, saved: Salvage) -> int:
        """Take what can be read of a damaged file; returns how many ports that were."""
        kept = saved.records()
        # The counts of the old file are lost. No port changes more than once in a second in the
        # long run, so that the clock is ahead of every number that was ever given; where the clock
        # was lost as well, what can still be read is a hint.
        highest = max((r.revision for r in kept.values()), default=0)
        now, doubt = int(time.time()), _MARGIN
        floor = max(now, highest + doubt, saved.revision + doubt)
        event = max(now, saved.event + doubt)
        self._parts = dict(saved.parts)
        sets = settables.records(saved.sets, strict=False)
        self.sets.take(sets, max(now, saved.change + doubt))
        self.sets.ports(kept)
        with self._disk.transaction(durable=True) as tables:
            tables.write_notes(saved.notes)
            self._fill(tables, kept, floor, event)
        self._records, self._floor, self._last_event = kept, floor, event
        self._snapshot = None
        return len(kept)


def _ahead(record: PortRecord | None) -> bool:
    """Whether a vifd of before there were such ports would open this one: it was made ahead of
    compute."""
    return record is not None and record.doc.attachment.prewired
