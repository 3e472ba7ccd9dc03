"""Journals of other versions, and documents that this one cannot read."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from unit.docs import port_id
from unit.store.journals import filled, flip
from vifd import errors
from vifd.model import decode
from vifd.store import Journal
from vifd.store import schema as store_schema


def test_a_journal_of_a_newer_vifd_is_left_as_it_is(path: Path) -> None:
    filled(path, 3).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(errors.JournalTooNew) as caught:
        Journal.open(path)
    assert caught.value.facts == {
        "path": str(path), "have": 99, "wanted": store_schema.VERSION,
    }  # fmt: skip
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["journal.db"]


def test_an_older_schema_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later vifd with one more migration opens the journal of this one."""
    filled(path, 3).close()

    def more(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE ports ADD COLUMN extra TEXT DEFAULT 'x'")

    monkeypatch.setattr(store_schema, "MIGRATIONS", (*store_schema.MIGRATIONS, more))
    monkeypatch.setattr(store_schema, "VERSION", store_schema.VERSION + 1)
    journal = Journal.open(path)
    assert len(journal.records()) == 3
    assert journal.set_aside is None
    assert journal._db.execute("PRAGMA user_version").fetchone() == (store_schema.VERSION,)
    assert journal._db.execute("SELECT DISTINCT extra FROM ports").fetchall() == [("x",)]
    journal.close()


def test_a_migration_that_fails_leaves_the_old_schema(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path, 3).close()

    def half(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM ports")
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(store_schema, "MIGRATIONS", (*store_schema.MIGRATIONS, half))
        patch.setattr(store_schema, "VERSION", store_schema.VERSION + 1)
        with pytest.raises(errors.JournalError, match="disk I/O"):
            Journal.open(path)
    journal = Journal.open(path)
    assert len(journal.records()) == 3
    journal.close()


def test_a_journal_of_the_first_schema_gets_its_checksums(path: Path) -> None:
    """As vifd wrote it before rows had any."""
    journal = filled(path, 3)
    journal.close()
    with sqlite3.connect(path) as db:
        for table in ("ports", "events", "outbox"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN sum")
        db.execute("ALTER TABLE ports DROP COLUMN selection")
        db.execute("DROP TABLE notes")
        for table in ("parts", "sets", "set_pieces"):
            db.execute(f"DROP TABLE {table}")
        db.execute("DELETE FROM counters WHERE name = 'sets'")
        db.execute("DELETE FROM counters WHERE name = 'open'")
        db.execute("PRAGMA user_version = 1")
    db.close()
    again = Journal.open(path)
    assert again.set_aside is None
    assert again.records() == journal.records()
    assert len(again.events(0, 99)) == len(again.outbox()) == 3
    again.close()
    flip(path, path.read_bytes().index(b"fa:16:3e:00:00:02"), 1)
    again = Journal.open(path)
    assert again.set_aside is not None
    assert set(again.records()) == {port_id(1), port_id(3)}
    again.close()


def test_a_document_that_this_vifd_cannot_read_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that adds up is no damage: a downgrade must not cost the others."""
    filled(path, 3).close()

    def refuse(raw: Any, *, port_id: str) -> Any:
        if port_id.startswith("00000002"):
            raise errors.BadDocument.at_field("port", "not of this version", port=port_id)
        return decode(raw, port_id=port_id)

    with monkeypatch.context() as patch:
        patch.setattr("vifd.store.rows.restore", refuse)
        journal = Journal.open(path)
        assert set(journal.records()) == {port_id(1), port_id(3)}
        assert journal.set_aside is None
        assert "not of this version" in journal.unreadable[port_id(2)]
        assert port_id(2) in caplog.text
        journal.close()
    journal = Journal.open(path)
    assert len(journal.records()) == 3
    journal.close()
