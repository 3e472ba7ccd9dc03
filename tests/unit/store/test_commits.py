"""Commits of the journal: all or nothing, and nobody's change is lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from unit.docs import port_id
from unit.store.journals import new, phase, record, reopened, said, told
from vifd import errors
from vifd.model import Evidence, Phase, PortRecord, Report, Vif, Wiring
from vifd.store import Journal


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


def test_a_port_that_is_given_back_is_not_removed_after_a_restart(journal: Journal) -> None:
    journal.commit({
        port_id(1): lambda _: record(1, removing=True, released=True),
        port_id(2): lambda _: record(2, removing=True),
    })  # fmt: skip
    again = reopened(journal)
    known = [again.get(port_id(n)) for n in (1, 2)]
    assert [(r.removing, r.released) for r in known if r] == [(True, True), (True, False)]
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
