"""A damaged file is moved aside, and what adds up is carried over."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from unit.docs import port_id
from unit.store.journals import filled, flip, new, reopened
from vifd.store import Journal


def expect_set_aside(path: Path, caplog: pytest.LogCaptureFixture) -> Journal:
    with caplog.at_level(logging.WARNING):
        journal = Journal.open(path)
    assert journal.set_aside is not None
    assert journal.set_aside.exists()
    assert journal.set_aside.parent == path.parent
    assert str(journal.set_aside) in caplog.text
    assert "E_REC_STORE_CORRUPT" in caplog.text
    assert not journal.fresh
    fresh = journal.commit(new(9999)).new[port_id(9999)]
    assert fresh is not None
    assert fresh.revision > 1_000_000_000, "above every revision of the lost file"
    return journal


def test_a_new_journal_is_fresh_and_an_old_one_is_not(path: Path) -> None:
    journal = Journal.open(path)
    assert journal.fresh
    again = reopened(journal)
    assert not again.fresh
    assert again.set_aside is None
    again.close()


@pytest.mark.parametrize("damage", ["garbage", "empty", "truncated", "header"])
def test_a_damaged_file_is_set_aside(
    path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    filled(path).close()
    size = path.stat().st_size
    if damage == "garbage":
        path.write_bytes(b"not a journal at all " * 1000)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        with path.open("r+b") as file:
            file.truncate(size // 2 // 4096 * 4096 + 100)
    else:
        flip(path, 0, 100)
    damaged = path.read_bytes()
    journal = expect_set_aside(path, caplog)
    assert journal.set_aside is not None
    assert journal.set_aside.read_bytes() == damaged
    journal.close()


def test_what_can_still_be_read_is_carried_over(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path).close()
    size = path.stat().st_size
    flip(path, size // 8192 * 4096 + 16, 512)
    journal = expect_set_aside(path, caplog)
    kept = len(journal.records()) - 1
    assert 50 < kept < 200
    assert f"{kept} ports were carried over" in caplog.text
    again = reopened(journal)
    assert len(again.records()) == kept + 1
    again.close()


def test_a_row_that_makes_no_sense_costs_only_itself(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes that SQLite does not check."""
    journal = filled(path, 3)
    journal._db.execute("UPDATE ports SET doc = '{' WHERE id = ?", (port_id(1),))
    journal._db.execute("UPDATE ports SET phase = 'DREAMING' WHERE id = ?", (port_id(2),))
    journal.close()
    journal = expect_set_aside(path, caplog)
    assert set(journal.records()) == {port_id(3), port_id(9999)}
    assert port_id(1) in caplog.text
    assert port_id(2) in caplog.text
    journal.close()


def test_two_damaged_files_do_not_overwrite_each_other(path: Path) -> None:
    aside = []
    for _ in range(3):
        path.write_bytes(b"rubbish" * 1000)
        journal = Journal.open(path)
        aside.append(journal.set_aside)
        journal.close()
    assert len(set(aside)) == 3


def test_a_foreign_database_is_set_aside(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE ports (name TEXT)")
    db.commit()
    db.close()
    journal = Journal.open(path)
    assert journal.set_aside is not None
    journal.close()
