"""Events, the outbox and revisions: never given twice, and the last word counts."""

from __future__ import annotations

import pytest

from unit.docs import port_id
from unit.store.journals import new, phase, record, reopened, said, told
from vifd.model import Phase
from vifd.model.event import Event
from vifd.store import Journal, Outgoing


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


def test_a_message_that_makes_no_sense_is_left_out(journal: Journal) -> None:
    journal.commit(new(1, 2), events=said("bound"), outgoing=told)
    journal._db.execute("UPDATE events SET body = x'c1' WHERE id = 1")
    journal._db.execute("UPDATE outbox SET body = x'93' WHERE seq = 1")
    assert [e.id for e in journal.events(0, 10)] == [2]
    assert len(journal.outbox()) == 1
