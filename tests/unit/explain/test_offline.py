"""Explaining from a journal on disk: of this version, an older one, a newer one, a damaged one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from unit.docs import port_id
from unit.explain.test_causes import finding, record
from vifd import errors
from vifd.explain import offline
from vifd.model import Report
from vifd.model.event import Event
from vifd.store import Journal, schema

ID = port_id(1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def write(path: Path, *, close: bool = True) -> Journal:
    """A journal with one port that was found with a wrong tag."""
    journal = Journal.open(path)
    tag = finding("ovsdb.tag", 77, 1)
    known = replace(record(), report=Report([tag], at=5.0))
    event = Event(0, "degraded", 5.0, port=ID, findings=[tag])
    journal.commit({ID: lambda _: known}, events=lambda _old, _new: [event])
    if close:
        journal.close()
    return journal


def files(path: Path) -> dict[str, tuple[int, bytes]]:
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in path.parent.iterdir()}


def test_a_journal_that_was_closed_is_not_touched(path):
    write(path)
    before = files(path)
    found = offline.recall(path, ID)
    assert (found.broken, found.asked, found.read_at) == ("port", False, 5.0)
    assert found.unasked == offline.STOPPED
    assert [h.text for h in found.history] == ["ovsdb.tag was 77, wanted 1"]
    assert "nothing while it does not run" in found.action
    assert files(path) == before
    assert list(before) == ["journal.db"]


def test_what_is_in_the_write_ahead_log_alone_is_read(path):
    journal = write(path, close=False)
    try:
        assert offline.recall(path, ID).broken == "port"
        # the writer is not in the way of the reader, nor the other way round
        journal.commit({ID: lambda _: record()})
        assert offline.recall(path, ID).healthy
        with offline._reading(path) as db:
            db.execute("BEGIN")
            db.execute("SELECT * FROM ports").fetchone()
            journal.commit({ID: lambda now: now and replace(now, open=False)}, durable=True)
    finally:
        journal.close()


def test_it_cannot_be_written(path):
    write(path)
    with offline._reading(path) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM ports")


def test_a_port_that_is_not_there(path):
    write(path)
    with pytest.raises(errors.PortNotFound):
        offline.recall(path, port_id(2))
    assert offline.answer(path, port_id(2))["error"]["code"] == "E_STATE_NOT_FOUND"


def test_a_journal_of_the_first_schema(path):
    db = sqlite3.connect(path)
    schema._v1(db)
    row = write(path.with_name("other.db"), close=False)
    values = row._db.execute("SELECT * FROM ports").fetchone()
    columns = [c[1] for c in db.execute("PRAGMA table_info(ports)")]
    theirs = [c[1] for c in row._db.execute("PRAGMA table_info(ports)")]
    by_name = dict(zip(theirs, values, strict=True))
    marks = ", ".join("?" * len(columns))
    db.execute(f"INSERT INTO ports VALUES ({marks})", [by_name[c] for c in columns])
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    row.close()
    assert offline.recall(path, ID).broken == "port"


def test_a_journal_of_a_newer_vifd(path):
    write(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    with pytest.raises(errors.JournalTooNew):
        offline.recall(path, ID)


def test_a_row_that_does_not_add_up(path):
    write(path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE ports SET plugin = 'nobody'")
    db.close()
    with pytest.raises(errors.JournalError, match=r"cannot be read: .*does not add up"):
        offline.recall(path, ID)


@pytest.mark.parametrize("content", [b"", b"this is no database" * 100])
def test_a_file_that_is_no_journal(path, content):
    path.write_bytes(content)
    assert offline.answer(path, ID)["error"]["class"] == "journal"


def test_no_file(path):
    found = offline.answer(path, ID)["error"]
    assert "No such file" in found["message"]
    assert "--journal" in found["remediation"]
    assert list(path.parent.iterdir()) == []
