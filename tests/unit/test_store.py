"""The journal on a real file: all or nothing, never reused, never lost without a word."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document, port_id
from vifd import errors
from vifd.model import Evidence, Phase, PortRecord, Report, Vif, Wiring, decode
from vifd.store import Change, Journal, Outgoing, Records
from vifd.store import schema as store_schema
from vifd.ticket import Event


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal.open(path)
    yield journal
    journal.close()


def record(number: int = 1, **changes: Any) -> PortRecord:
    base = PortRecord(doc=decode(document(number)), plugin="fake", vif_type="fake")
    return replace(base, **changes)


def new(*numbers: int) -> dict[str, Change]:
    return {port_id(n): lambda _old, n=n: record(n) for n in numbers}  # type: ignore[misc]


def phase(wanted: Phase) -> Change:
    return lambda old: old and replace(old, phase=wanted)


def said(name: str) -> Callable[[Records, Records], list[Event]]:
    return lambda _old, now: [Event(0, name, 1.0, port=port_id) for port_id in now]


def told(_old: Records, now: Records) -> list[Outgoing]:
    return [
        Outgoing(i, r.phase.value if r else "DOWN", r.revision if r else 0) for i, r in now.items()
    ]


def reopened(journal: Journal) -> Journal:
    journal.close()
    return Journal.open(journal.path)


# --- commits --------------------------------------------------------------------------------------


def test_everything_of_a_record_is_there_after_a_restart(journal: Journal) -> None:
    full = record(
        phase=Phase.LIVE, open=True, applied=True, removing=True, request_id="r",
        names=Wiring("fake", "fake", "tap1", {"number": 1}),
        wiring=Wiring("fake", "fake", "tap1", {"number": 1, "list": [1, None]}),
        report=Report([Evidence("mtu", 1450, wanted=1450, source="netlink")], at=5.0, passing=True),
        vif=Vif("ethernet", "tap1", queues=4), error=errors.DeviceError().to_dict(),
    )  # fmt: skip
    stored = journal.commit({full.id: lambda _: full}).new[full.id]
    again = reopened(journal)
    assert again.get(full.id) == stored
    assert stored == replace(full, revision=1, updated_at=stored.updated_at)  # type: ignore[union-attr]
    again.close()


def test_many_changes_are_one_transaction(journal: Journal, path: Path) -> None:
    seen: list[str] = []
    journal._db.set_trace_callback(seen.append)
    journal.commit(new(*range(1, 101)), events=said("bound"), outgoing=told, durable=True)
    assert seen.count("COMMIT") == 1
    assert len(journal.records()) == len(journal.outbox()) == len(journal.events(0, 1000)) == 100


def test_durable_commits_are_synced_and_the_others_are_not(journal: Journal) -> None:
    def level() -> int:
        return int(journal._db.execute("PRAGMA synchronous").fetchone()[0])

    journal.commit(new(1), durable=True)
    assert level() == 2
    journal.commit({port_id(1): phase(Phase.PLUGGING)})
    assert level() == 1


def test_a_change_sees_the_present_record_and_none_changes_nothing(journal: Journal) -> None:
    journal.commit(new(1))
    same = journal.commit({port_id(1): lambda old: old}).new[port_id(1)]
    assert same is not None
    assert same.revision == 1
    done = journal.commit({port_id(1): phase(Phase.LIVE), port_id(2): lambda old: old})
    assert done.old[port_id(1)] is same
    assert done.new[port_id(2)] is None
    assert done.new[port_id(1)] == journal.get(port_id(1))
    assert set(journal.records()) == {port_id(1)}


def test_a_snapshot_does_not_change(journal: Journal) -> None:
    before = journal.records()
    journal.commit(new(1))
    assert before == {}
    with pytest.raises(TypeError):
        before["x"] = record()  # type: ignore[index]


def test_a_change_that_raises_rolls_everything_back(journal: Journal) -> None:
    def boom(_: PortRecord | None) -> PortRecord | None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError):
        journal.commit({**new(1), port_id(2): boom}, events=said("bound"), outgoing=told)
    with pytest.raises(ZeroDivisionError):
        journal.commit(new(1), events=said("bound"), outgoing=lambda _o, _n: [1 / 0])  # type: ignore[list-item]
    assert (journal.records(), journal.events(0, 9), journal.outbox()) == ({}, [], [])
    journal.commit(new(1))
    assert set(reopened(journal).records()) == {port_id(1)}


def test_what_a_plugin_puts_in_must_not_cost_the_commit(journal: Journal) -> None:
    odd = Report([Evidence("thing", object(), wanted={1, 2})])
    journal.commit({port_id(1): lambda _: record(report=odd)})
    again = reopened(journal)
    stored = again.get(port_id(1))
    assert stored is not None
    assert stored.report is not None
    assert stored.report.evidence[0].have.startswith("<object object")
    again.close()


def test_two_threads_never_lose_a_change(journal: Journal) -> None:
    journal.commit(new(1))
    start = threading.Barrier(2)

    def count() -> None:
        start.wait()
        for _ in range(100):
            journal.commit({port_id(1): lambda old: old and replace(old, updated_at=0.0)},
                           events=said("updated"))  # fmt: skip

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = journal.get(port_id(1))
    assert stored is not None
    assert stored.revision == 201
    assert [e.id for e in journal.events(0, 1000)] == list(range(1, 201))
    again = reopened(journal)
    assert again.get(port_id(1)) == stored
    again.close()


# --- a file system that fails ---------------------------------------------------------------------


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


# --- events, outbox, revisions --------------------------------------------------------------------


def test_event_ids_are_never_given_twice(journal: Journal) -> None:
    first = journal.post([Event(0, "a", 1.0), Event(0, "b", 1.0)])
    assert [e.id for e in first] == [1, 2]
    journal._db.execute("DELETE FROM events")
    again = reopened(journal)
    assert [e.id for e in again.post([Event(0, "c", 1.0)])] == [3]
    assert [(e.id, e.event) for e in again.events(2, 10)] == [(3, "c")]
    again.close()


def test_old_events_are_dropped(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vifd.store.tables.EVENTS_KEPT", 10)
    for _ in range(6):
        journal.post([Event(0, "x", 1.0)] * 100)
    kept = journal.events(0, 1000)
    assert kept[-1].id == 600
    assert len(kept) < 300


def test_events_come_in_pages(journal: Journal) -> None:
    journal.post([Event(0, str(n), 1.0) for n in range(5)])
    assert [e.event for e in journal.events(1, 2)] == ["1", "2"]


def test_the_outbox_has_the_last_word_on_each_port(journal: Journal) -> None:
    journal.commit(new(1, 2), outgoing=told)
    journal.commit({port_id(1): phase(Phase.LIVE)}, outgoing=told)
    assert [(o.port_id, o.status) for o in journal.outbox()] == [
        (port_id(2), "BOUND"), (port_id(1), "LIVE"),
    ]  # fmt: skip
    assert journal.outbox_size() == 2


def test_an_acknowledgement_of_the_old_leaves_the_new(journal: Journal) -> None:
    journal.commit(new(1), outgoing=told)
    taken = [(o.port_id, o.revision) for o in journal.outbox()]
    journal.commit({port_id(1): phase(Phase.LIVE)}, outgoing=told)
    journal.acknowledge(taken)
    assert [o.status for o in journal.outbox()] == ["LIVE"]
    journal.acknowledge([(o.port_id, o.revision) for o in journal.outbox()])
    assert journal.outbox() == []


def test_a_port_that_comes_back_goes_on_counting(journal: Journal) -> None:
    """An acknowledgement of the removed port must never be one of its successor."""
    journal.commit(new(1))
    journal.commit({port_id(1): phase(Phase.LIVE)})
    gone = journal.commit({port_id(1): lambda _: None}).old[port_id(1)]
    assert gone is not None
    again = reopened(journal)
    fresh = again.commit(new(1)).new[port_id(1)]
    assert fresh is not None
    assert fresh.revision > gone.revision + 1
    again.close()


def test_reassertion_tells_of_every_port_that_stays(journal: Journal) -> None:
    journal.commit({**new(1), port_id(2): lambda _: record(2, removing=True)})
    assert journal.reassert(lambda r: Outgoing(r.id, "ACTIVE", r.revision)) == 1
    assert [o.port_id for o in journal.outbox()] == [port_id(1)]


# --- damage ---------------------------------------------------------------------------------------


def filled(path: Path, ports: int = 200) -> Journal:
    journal = Journal.open(path)
    journal.commit(new(*range(1, ports + 1)), events=said("bound"), outgoing=told)
    return journal


def flip(path: Path, at: int, length: int = 64) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(length)
        file.seek(at)
        file.write(bytes(b ^ 0xA5 for b in old))


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


def test_a_message_that_makes_no_sense_is_left_out(journal: Journal) -> None:
    journal.commit(new(1, 2), events=said("bound"), outgoing=told)
    journal._db.execute("UPDATE events SET body = x'c1' WHERE id = 1")
    journal._db.execute("UPDATE outbox SET body = x'93' WHERE seq = 1")
    assert [e.id for e in journal.events(0, 10)] == [2]
    assert len(journal.outbox()) == 1


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


# --- versions -------------------------------------------------------------------------------------


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


# --- a file that goes under the running daemon ----------------------------------------------------


def lose(path: Path, how: str) -> None:
    if how == "directory":
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
    elif how == "replaced":
        path.rename(path.with_name("elsewhere"))
        path.write_bytes(b"somebody else's")
    else:
        for file in path.parent.iterdir():
            file.unlink()


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


def test_what_is_remembered_is_there_after_a_restart(journal: Journal) -> None:
    assert journal.note("thing", dict) is None
    journal.remember("thing", {"a": 1})
    journal.remember("thing", {"a": 2})
    again = reopened(journal)
    assert again.note("thing", dict) == {"a": 2}
    again._db.execute("UPDATE notes SET body = x'c0' WHERE name = 'thing'")
    assert again.note("thing", dict) is None
    again.close()


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


def test_a_journal_of_the_first_schema_gets_its_checksums(path: Path) -> None:
    """As vifd wrote it before rows had any."""
    journal = filled(path, 3)
    journal.close()
    with sqlite3.connect(path) as db:
        for table in ("ports", "events", "outbox"):
            db.execute(f"ALTER TABLE {table} DROP COLUMN sum")
        db.execute("ALTER TABLE ports DROP COLUMN selection")
        db.execute("DROP TABLE notes")
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
