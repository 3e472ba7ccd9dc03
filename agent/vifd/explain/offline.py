"""Explains a port from the journal of a daemon that does not answer. Changes nothing at all.

A journal that was closed in order is one file, and is read as that, without locks and companions. A
daemon that crashed, or hangs, left a write-ahead log beside it; then SQLite reads both, as one more
reader beside a writer that may be there, and takes neither over.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from vifd import errors
from vifd.explain import causes
from vifd.explain.explainer import explain
from vifd.explain.explanation import Explanation
from vifd.explain.subject import Subject
from vifd.explain.unmade import explain_unmade
from vifd.model import Parts, PortRecord
from vifd.model.event import Event
from vifd.model.family import Families
from vifd.plugin import GROUP, registry
from vifd.store import rows, schema
from vifd.store.rows import COLUMNS, Outgoing

#: Why the host was not read.
STOPPED = "vifd does not run; this is what its journal says"
_EVENTS = 40


def recall(path: Path, port_id: str, unasked: str = STOPPED) -> Explanation:
    """Explain a port from the journal.

    :param unasked: why the host was not read
    :raises errors.PortNotFound: the journal has no such port
    :raises errors.JournalError: it cannot be read
    """
    with _reading(path) as db:
        record = _record(db, path, port_id)
        unmade = _parts(db, port_id) if record is None else None
        events, waiting = _events(db, port_id), _waiting(db, port_id)
        trunk = Families(lambda: _everybody(db)).of(record) if record is not None else None
    if unmade is not None:
        return explain_unmade(port_id, unmade, unasked)
    if record is None:
        raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
    _learn(record.plugin)
    now = time.time()
    return explain(
        Subject(
            record=record, now=now, report=record.report, unasked=unasked, running=False,
            waiting=waiting, events=events, unenforced=_unenforced(record),
            trunk=trunk,
        )
    )  # fmt: skip


def _learn(plugin: str) -> None:
    """What the port's plugin says its facts mean, where it is installed."""
    found = (p for p in registry.installed(GROUP) if p.name == plugin)
    with contextlib.suppress(Exception):
        for point in found:
            causes.learn(plugin, point.load())


def _unenforced(record: PortRecord) -> list[str]:
    """What the document asked for in vain when the plugin was chosen."""
    found = record.selection.enforcement if record.selection else []
    idle = [e for e in found if e.get("level") == "none" and e.get("requested") is not False]
    return [str(e.get("feature")) for e in idle]


def answer(path: Path, port_id: str, unasked: str = STOPPED) -> dict[str, Any]:
    """The same as plain JSON values: an ``explanation``, or the ``error`` that stood in the way."""
    try:
        found: dict[str, Any] = msgspec.to_builtins(
            {"explanation": recall(path, port_id, unasked)}, enc_hook=str
        )
    except errors.VifError as error:
        return {"error": error.to_dict()}
    return found


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        db = _open(path)
        with contextlib.closing(db):
            yield db
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, problem: str) -> errors.JournalError:
    hint = "name the right file with --journal, and read it as root or as the daemon's user"
    facts = {"path": str(path), "problem": problem}
    text = f"the journal {path} cannot be read: {problem}"
    return errors.JournalError(text, facts=facts, stage="explain", hint=hint)


def _open(path: Path) -> sqlite3.Connection:
    """Open the journal so that nothing is written, beside it neither."""
    with path.open("rb"):  # says in plain words what is wrong with the path
        pass
    log = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=2)
    try:
        (have,) = db.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    if have > schema.VERSION:
        db.close()
        raise errors.JournalTooNew(
            facts={"path": str(path), "have": have, "wanted": schema.VERSION}, stage="explain"
        )
    return db


def _record(db: sqlite3.Connection, path: Path, port_id: str) -> PortRecord | None:
    """The port's row; columns that a journal of an older vifd lacks are empty."""
    db.row_factory = sqlite3.Row
    found = db.execute("SELECT * FROM ports WHERE id = ?", (port_id,)).fetchone()
    if found is None:
        return None
    try:
        return _read(found)
    except (rows.Wrong, rows.Unreadable) as error:
        raise _unreadable(path, str(error)) from error


def _read(found: sqlite3.Row) -> PortRecord:
    """:raises rows.Wrong, rows.Unreadable:"""
    have = set(found.keys())
    whole = {*COLUMNS, "sum"} <= have
    values = [found[name] if name in have else None for name in COLUMNS]
    return rows.port_record((*values, found["sum"] if whole else None))


def _everybody(db: sqlite3.Connection) -> Iterator[PortRecord]:
    """Every port that can be read."""
    for found in db.execute("SELECT * FROM ports"):
        with contextlib.suppress(rows.Wrong, rows.Unreadable):
            yield _read(found)


def _parts(db: sqlite3.Connection, port_id: str) -> Parts | None:
    """What the sides of a port say; a journal of an older vifd knows no sides."""
    with contextlib.suppress(sqlite3.OperationalError):
        row = db.execute("SELECT * FROM parts WHERE port_id = ?", (port_id,)).fetchone()
        found: Parts | None = _message(row, Parts) if row is not None else None
        return found
    return None


def _events(db: sqlite3.Connection, port_id: str) -> Sequence[Event]:
    sql = "SELECT * FROM events WHERE instr(body, ?) ORDER BY id DESC LIMIT ?"
    found = []
    for row in db.execute(sql, (port_id.encode(), _EVENTS)):
        event = _message(row, Event)
        if event is not None and event.port == port_id:
            found.append(replace(event, id=row["id"]))
    return found


def _waiting(db: sqlite3.Connection, port_id: str) -> str:
    row = db.execute("SELECT * FROM outbox WHERE port_id = ?", (port_id,)).fetchone()
    outgoing = _message(row, Outgoing) if row is not None else None
    return outgoing.status if outgoing is not None else ""


def _message(row: sqlite3.Row, kind: Any) -> Any:
    """What was packed, or ``None`` where it cannot be read any more."""
    if "sum" not in row.keys():  # noqa: SIM118 - a Row is no mapping
        return None
    try:
        return rows.unpacked(row["body"], row["sum"], kind)
    except rows.Wrong:
        return None
