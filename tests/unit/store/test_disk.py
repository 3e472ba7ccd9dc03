"""A journal on a file system that fails, or lets others in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from unit.docs import port_id
from unit.store.journals import filled, new, phase, reopened, said, told
from vifd import errors
from vifd.model import Phase
from vifd.model.event import Event
from vifd.store import Journal, Outgoing


def fill(journal: Journal) -> None:
    """Let the file grow no further, as on a full disk."""
    pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
    journal._db.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_changes_nothing_on_disk_or_in_memory(journal: Journal) -> None:
    journal.commit(new(1), events=said("bound"), outgoing=told)
    before = (dict(journal.records()), journal.events(0, 99), journal.outbox())
    fill(journal)
    with pytest.raises(errors.JournalError) as caught:
        journal.commit(
            {port_id(1): phase(Phase.LIVE), **new(*range(2, 200))},
            events=said("bound"), outgoing=told, durable=True,
        )  # fmt: skip
    assert "full" in caught.value.facts["problem"]
    assert caught.value.facts["path"] == str(journal.path)
    assert caught.value.retryable
    assert (dict(journal.records()), journal.events(0, 99), journal.outbox()) == before
    journal._db.execute("PRAGMA max_page_count = 1000000")
    journal.commit(new(2))
    again = reopened(journal)
    assert set(again.records()) == {port_id(1), port_id(2)}
    again.close()


def test_that_there_is_space_again_is_found_without_a_change(journal: Journal) -> None:
    journal._db.execute("PRAGMA query_only = ON")
    with pytest.raises(errors.JournalError):
        journal.commit(new(1))
    journal.try_again()
    assert journal.problem
    journal._db.execute("PRAGMA query_only = OFF")
    journal.try_again()
    assert not journal.problem


def test_a_file_that_may_not_be_written_fails_every_kind_of_write(journal: Journal) -> None:
    journal.commit(new(1), outgoing=told)
    journal._db.execute("PRAGMA query_only = ON")
    writes: list[Callable[[], object]] = [
        lambda: journal.commit({port_id(1): lambda _: None}),
        lambda: journal.post([Event(0, "x", 1.0)]),
        lambda: journal.reassert(lambda r: Outgoing(r.id, "ACTIVE", 9)),
        lambda: journal.acknowledge([(port_id(1), 1)]),
    ]
    for write in writes:
        with pytest.raises(errors.JournalError):
            write()
    journal._db.execute("PRAGMA query_only = OFF")
    assert set(journal.records()) == {port_id(1)}
    assert [o.revision for o in journal.outbox()] == [1]


def test_a_closed_journal_says_so_in_its_own_words(path: Path) -> None:
    journal = Journal.open(path)
    journal.close()
    for call in (lambda: journal.commit(new(1)), journal.outbox, journal.outbox_size,
                 lambda: journal.events(0, 1)):  # fmt: skip
        with pytest.raises(errors.JournalError):
            call()


def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.JournalError) as caught:
        Journal.open(tmp_path / "file" / "journal.db")
    assert caught.value.facts["path"].endswith("file/journal.db")


def test_only_its_owner_may_read_it(journal: Journal, path: Path) -> None:
    journal.commit(new(1))
    modes = {p.name: p.stat().st_mode & 0o777 for p in path.parent.iterdir()}
    assert modes == {"journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}


def test_a_file_that_others_may_read_is_closed_to_them(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path, 1).close()
    path.chmod(0o664)
    with caplog.at_level(logging.WARNING):
        Journal.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "had mode 664" in caplog.text


def test_a_directory_in_its_place_is_said(path: Path) -> None:
    path.mkdir()
    with pytest.raises(errors.JournalError) as caught:
        Journal.open(path)
    assert caught.value.facts["path"] == str(path)
    assert path.is_dir()
