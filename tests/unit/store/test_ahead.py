"""A journal with ports that were made ahead of compute is none for a vifd of before there were any:
it would open them. One without them is."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from unit.docs import document, port_id
from unit.store.journals import filled, flip, lose, new, record, reopened
from vifd import errors
from vifd.model import Document, PortRecord, decode, restore
from vifd.plugin import packing
from vifd.store import Change, Journal
from vifd.store import schema as store_schema

BEFORE, AHEAD = 4, 5


def ahead(number: int) -> PortRecord:
    doc = restore({**document(number), "prewired": True})
    assert doc.attachment.prewired
    return replace(record(number), doc=doc)


def making(*numbers: int) -> dict[str, Change]:
    return {port_id(n): lambda _old, n=n: ahead(n) for n in numbers}  # type: ignore[misc]


def used(number: int) -> dict[str, Change]:
    doc: Document = decode(document(number))
    return {port_id(number): lambda old: old and replace(old, doc=doc)}


def going(*numbers: int) -> dict[str, Change]:
    return {port_id(n): lambda _old: None for n in numbers}


def called(path: Path) -> int:
    with sqlite3.connect(path) as db:
        (have,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return int(have)


def older(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a vifd of before knows."""
    monkeypatch.setattr(store_schema, "MIGRATIONS", store_schema.MIGRATIONS[:BEFORE])
    monkeypatch.setattr(store_schema, "VERSION", BEFORE)


def test_an_older_vifd_refuses_a_journal_with_a_port_that_was_made_ahead(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = filled(path, 3)
    journal.commit(making(4))
    journal.close()
    with monkeypatch.context() as patch:
        older(patch)
        with pytest.raises(errors.JournalTooNew, match="has schema 5, this vifd knows up to 4"):
            Journal.open(path)
    journal = Journal.open(path)
    assert len(journal.records()) == 4
    assert journal.records()[port_id(4)].doc.attachment.prewired
    journal.close()


@pytest.mark.parametrize("durable", [False, True])
def test_the_file_says_so_with_the_first_and_until_the_last(path: Path, *, durable: bool) -> None:
    journal = filled(path, 3)
    assert called(path) == BEFORE
    for changes, wanted in (
        (making(1), AHEAD), (making(4, 5), AHEAD), (used(1), AHEAD), (new(6), AHEAD),
        (going(4), AHEAD), (used(5), BEFORE), (new(7), BEFORE), (making(5), AHEAD),
        (going(5, 6), BEFORE),
    ):  # fmt: skip
        journal.commit(changes, durable=durable)
        assert called(path) == wanted, list(changes)
    journal.close()


def test_an_older_vifd_reads_it_once_they_are_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = filled(path, 3)
    journal.commit(making(4))
    journal.commit(used(4))
    journal.close()
    older(monkeypatch)
    journal = Journal.open(path)
    assert journal.set_aside is None
    assert len(journal.records()) == 4
    journal.close()


def test_a_commit_that_fails_leaves_the_number_as_it_is(path: Path) -> None:
    journal = filled(path, 1)

    def fails(_old: object, _new: object) -> list[Any]:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(errors.JournalError):
        journal.commit(making(2), events=fails)
    assert called(path) == BEFORE
    journal.commit(making(2))
    with pytest.raises(errors.JournalError):
        journal.commit(used(2), events=fails)
    assert called(path) == AHEAD
    journal.commit(used(2))
    assert called(path) == BEFORE
    journal.close()


def test_one_that_was_written_before_there_was_a_number_gets_it_when_it_is_opened(
    path: Path,
) -> None:
    journal = filled(path, 1)
    journal.commit(making(2))
    journal.close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {BEFORE}")
    db.close()
    journal = Journal.open(path)
    assert called(path) == AHEAD
    journal.commit(used(2))
    assert called(path) == BEFORE
    journal.close()


def test_what_cannot_be_read_may_be_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = filled(path, 1)
    journal.commit(making(2))
    journal.close()

    def refuse(raw: Any, *, port_id: str) -> Document:
        if raw.get("prewired"):
            raise errors.BadDocument.at_field("port", "not of this version", port=port_id)
        return decode(raw, port_id=port_id)

    with monkeypatch.context() as patch:
        patch.setattr("vifd.store.rows.restore", refuse)
        journal = Journal.open(path)
        assert list(journal.unreadable) == [port_id(2)]
        journal.commit(new(3))
        assert called(path) == AHEAD
        journal.commit(new(2))  # somebody wants it anew
        assert called(path) == BEFORE
        journal.close()


def test_a_file_that_is_written_anew_says_it_as_well(path: Path) -> None:
    journal = filled(path, 1)
    journal.commit(making(2))
    lose(path, "file")
    journal.commit(new(3), durable=True)
    assert called(path) == AHEAD
    journal.commit(used(2))
    assert called(path) == BEFORE
    journal.close()


def test_what_is_carried_over_from_a_damaged_file_says_it_as_well(path: Path) -> None:
    journal = filled(path, 3)
    journal.commit(making(4))
    journal.close()
    flip(path, path.read_bytes().index(b"fa:16:3e:00:00:02"), 1)
    journal = Journal.open(path)
    assert journal.set_aside is not None
    assert port_id(4) in journal.records()
    assert called(path) == AHEAD
    journal = reopened(journal)
    assert called(path) == AHEAD
    journal.close()


def test_a_later_schema_goes_up_over_this_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From there on the number is that of the tables, whatever ports there are."""
    filled(path, 1).close()
    ran: list[str] = []

    def later(db: sqlite3.Connection) -> None:
        ran.append(db.execute("PRAGMA database_list").fetchone()[2])

    monkeypatch.setattr(store_schema, "MIGRATIONS", (*store_schema.MIGRATIONS, later))
    monkeypatch.setattr(store_schema, "VERSION", 6)
    journal = Journal.open(path)
    assert called(path) == 6
    journal.commit(making(2))
    journal.commit(used(2))
    assert called(path) == 6
    reopened(journal).close()
    assert ran.count(str(path)) == 1


def test_its_marks_are_no_document_for_an_older_vifd() -> None:
    """Where the journal is gone as well, a port is taken back by them."""
    packed = packing.pack(ahead(1).doc.attachment)
    as_it_lies_there = msgspec.json.decode(zlib.decompress(packed))
    with pytest.raises(errors.UnsupportedVersion):
        decode({k: v for k, v in as_it_lies_there.items() if k != "prewired"})
    found = packing.unpack(packed)
    assert found is not None
    assert restore(found).attachment == ahead(1).doc.attachment
    plain = record(1).doc.attachment
    assert packing.unpack(packing.pack(plain)) == msgspec.json.decode(
        zlib.decompress(packing.pack(plain))
    )
