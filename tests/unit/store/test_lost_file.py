"""A file that goes under the running daemon, and what is remembered beyond it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.docs import port_id
from unit.store.journals import filled, flip, lose, new, phase, reopened, said, told
from vifd import errors
from vifd.model import Phase
from vifd.store import Journal


@pytest.mark.parametrize("how", ["directory", "files", "replaced"])
def test_a_file_that_is_gone_is_written_anew_before_anything_is_promised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    path = tmp_path / "state" / "journal.db"
    journal = Journal.open(path)
    journal.commit(new(1, 2), events=said("bound"), outgoing=told)
    journal.commit({port_id(2): lambda _: None})
    first = journal.get(port_id(1))
    journal.rebuilt = lambda: calls.append("rebuilt")
    calls: list[str] = []
    lose(path, how)
    done = journal.commit(new(3), events=said("bound"), durable=True)
    assert calls == ["rebuilt"]
    assert "writing it anew from memory" in caplog.text
    assert [e.id for e in done.events] == [3], "ids go on"
    third = done.new[port_id(3)]
    assert third is not None
    assert third.revision > 2, "the count of the removed port goes on"
    assert (journal.set_aside is not None) == (how == "replaced")
    again = reopened(journal)
    assert dict(again.records()) == {port_id(1): first, port_id(3): third}
    again.close()


def test_damage_that_shows_while_it_runs_costs_one_commit(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = filled(path, 50)
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal._db.execute("PRAGMA cache_size = 0")
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    path.write_bytes(raw)
    before = dict(journal.records())
    with pytest.raises(errors.JournalError):
        journal.commit({port_id(7): phase(Phase.LIVE)}, durable=True)
    assert dict(journal.records()) == before
    journal.commit({port_id(7): phase(Phase.LIVE)}, durable=True)
    assert journal.set_aside is not None
    assert "writing it anew from memory" in caplog.text
    again = reopened(journal)
    assert again.set_aside is None
    assert {i: r.phase for i, r in again.records().items() if r.phase is Phase.LIVE} == {
        port_id(7): Phase.LIVE
    }
    assert len(again.records()) == 50
    again.close()


def test_what_is_remembered_is_there_after_a_restart(journal: Journal) -> None:
    assert journal.note("thing", dict) is None
    journal.remember("thing", {"a": 1})
    journal.remember("thing", {"a": 2})
    again = reopened(journal)
    assert again.note("thing", dict) == {"a": 2}
    again._db.execute("UPDATE notes SET body = x'c0' WHERE name = 'thing'")
    assert again.note("thing", dict) is None
    again.close()


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_what_is_remembered_outlives_the_file(path: Path, how: str) -> None:
    journal = filled(path, 40)
    journal.remember("thing", {"a": 1})
    if how == "gone":
        lose(path, "files")
        journal.commit(new(99), durable=True)
    journal.close()
    if how == "damaged":
        raw = path.read_bytes()
        flip(path, raw.index(b"fa:16:3e:00:00:07"), 1)
    again = Journal.open(path)
    assert again.note("thing", dict) == {"a": 1}
    assert (again.set_aside is not None) == (how == "damaged")
    again.close()
