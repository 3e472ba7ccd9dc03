"""Who waits is answered once, by the record that answers the question, and never twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document, port_id
from vifd import errors
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind, Tickets
from vifd.model import Evidence, Phase, PortRecord, Report, Wiring, decode

ID = port_id(1)
WIRING = Wiring("fake", "fake", "tap1")


def record(**changes: Any) -> PortRecord:
    base = PortRecord(doc=decode(document(1)), plugin="fake", vif_type="fake", wiring=WIRING,
                      phase=Phase.LIVE, open=True, applied=True)  # fmt: skip
    return replace(base, **changes)


LIVE = record()
BUSY = record(phase=Phase.PLUGGING, open=False, applied=False)
GOING = record(phase=Phase.UNPLUGGING, removing=True)
SEEN = record(report=Report([Evidence("x", 1)]))
ERROR = errors.DeviceError("stuck")
STUCK = replace(GOING, error=ERROR.to_dict())
FAILED = record(phase=Phase.FAILED, open=False, error=ERROR.to_dict())

CASES: list[tuple[Kind, PortRecord | None, PortRecord | None, errors.VifError | None, object]] = [
    (Kind.PLUG, BUSY, LIVE, None, LIVE),
    (Kind.PLUG, None, BUSY, None, None),
    (Kind.PLUG, BUSY, replace(LIVE, applied=False), None, None),
    (Kind.PLUG, BUSY, FAILED, ERROR, ERROR),
    (Kind.PLUG, FAILED, FAILED, None, None),
    (Kind.PLUG, BUSY, GOING, None, errors.Superseded),
    (Kind.PLUG, GOING, None, None, errors.Superseded),
    (Kind.UNPLUG, LIVE, GOING, None, None),
    (Kind.UNPLUG, GOING, None, None, GOING),
    (Kind.UNPLUG, None, None, None, errors.PortNotFound),
    (Kind.UNPLUG, GOING, STUCK, ERROR, ERROR),
    # an attempt to plug that ended while the removal waited is no answer to the removal
    (Kind.UNPLUG, GOING, GOING, ERROR, None),
    (Kind.UNPLUG, GOING, LIVE, None, errors.Superseded),
    (Kind.CHECK, LIVE, SEEN, None, SEEN),
    (Kind.CHECK, LIVE, LIVE, None, None),
    (Kind.CHECK, LIVE, FAILED, ERROR, ERROR),
    (Kind.CHECK, LIVE, GOING, None, errors.Superseded),
    (Kind.CHECK, GOING, None, None, errors.Superseded),
]


@pytest.mark.parametrize(("kind", "old", "new", "error", "answer"), CASES)
def test_what_a_record_means_to_a_ticket(
    kind: Kind, old: PortRecord | None, new: PortRecord | None,
    error: errors.VifError | None, answer: object,
) -> None:  # fmt: skip
    tickets, ticket = Tickets(), Ticket(ID)
    tickets.add(kind, ticket)
    tickets.settle(ID, old, new, error)
    if answer is None:
        assert not ticket.done.done()
        assert tickets.waiting == 1
        return
    assert tickets.waiting == 0
    assert ticket.accepted.done()
    if isinstance(answer, PortRecord):
        assert ticket.done.result(0) is answer
    elif isinstance(answer, errors.VifError):
        assert ticket.done.exception(0) is answer
    else:
        assert isinstance(ticket.done.exception(0), answer)  # type: ignore[arg-type]


def test_other_ports_wait_on() -> None:
    tickets, ticket = Tickets(), Ticket(port_id(2))
    tickets.add(Kind.PLUG, ticket)
    tickets.settle(ID, BUSY, LIVE, None)
    tickets.fail({ID: ERROR})
    assert not ticket.done.done()


def test_all_who_wait_for_a_port_are_answered() -> None:
    tickets, mine = Tickets(), [Ticket(ID) for _ in range(3)]
    for ticket in mine:
        tickets.add(Kind.PLUG, ticket)
    tickets.settle(ID, BUSY, LIVE, None)
    assert all(t.done.result(0) is LIVE for t in mine)


def test_once_closed_nobody_waits_any_more() -> None:
    tickets, before, after = Tickets(), Ticket(ID), Ticket(ID)
    tickets.add(Kind.PLUG, before)
    tickets.close(errors.Stopping())
    tickets.add(Kind.PLUG, after)
    for ticket in (before, after):
        assert isinstance(ticket.accepted.exception(0), errors.Stopping)
        assert isinstance(ticket.done.exception(0), errors.Stopping)
    assert tickets.waiting == 0


def test_the_first_answer_counts_and_the_second_does_no_harm() -> None:
    ticket = Ticket(ID)
    ticket.accept(BUSY)
    ticket.fail(ERROR)
    ticket.finish(LIVE)
    ticket.fail(errors.Stopping())
    assert ticket.accepted.result(0) is BUSY
    assert ticket.done.exception(0) is ERROR


def test_a_caller_that_cancelled_does_no_harm() -> None:
    tickets, gone, there = Tickets(), Ticket(ID), Ticket(ID)
    gone.done.cancel()
    for ticket in (gone, there):
        tickets.add(Kind.PLUG, ticket)
    tickets.settle(ID, BUSY, LIVE, None)
    assert there.done.result(0) is LIVE


def test_a_race_of_answers_never_raises() -> None:
    for _ in range(200):
        ticket, failed = Ticket(ID), list[BaseException]()
        start = threading.Barrier(2)

        def answer(
            say: Callable[[], None], start: threading.Barrier = start,
            failed: list[BaseException] = failed,
        ) -> None:  # fmt: skip
            start.wait()
            try:
                say()
            except BaseException as error:
                failed.append(error)

        calls: list[Callable[[], None]] = [
            lambda t=ticket: t.finish(LIVE), lambda t=ticket: t.fail(ERROR),  # type: ignore[misc]
        ]  # fmt: skip
        threads = [threading.Thread(target=answer, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert ticket.done.done()


def _trunk(ticket: Ticket, tickets: Tickets) -> None:
    sub_ports = [{"port_id": ID, "segmentation_type": "vlan", "segmentation_id": 101}]
    parent = document(5, port__trunk_details={"trunk_id": port_id(90), "sub_ports": sub_ports})
    tickets.parents.expect(decode(parent), ticket)


WAITS = errors.SubPortWaits(facts={"missing": "a parent"})


def test_who_plugs_a_sub_port_hears_nothing_of_a_parent_that_is_on_its_way() -> None:
    tickets, parent, mine = Tickets(), Ticket(port_id(5)), Ticket(ID)
    look, go = Ticket(ID), Ticket(ID)
    _trunk(parent, tickets)
    for kind, ticket in ((Kind.PLUG, mine), (Kind.CHECK, look), (Kind.UNPLUG, go)):
        tickets.add(kind, ticket)
    tickets.settle(ID, BUSY, FAILED, WAITS)
    assert look.done.exception(0) is WAITS
    assert isinstance(go.done.exception(0), errors.Superseded)
    parent.finish(LIVE)
    assert not mine.done.done()
    tickets.settle(ID, FAILED, LIVE, None)
    assert mine.done.result(0) is LIVE


def test_it_is_told_once_the_parent_has_failed() -> None:
    tickets, parent, again, mine = Tickets(), Ticket(port_id(5)), Ticket(port_id(5)), Ticket(ID)
    for ticket in (parent, again):
        _trunk(ticket, tickets)
    tickets.add(Kind.PLUG, mine)
    tickets.settle(ID, BUSY, FAILED, WAITS)
    parent.fail(ERROR)
    assert not mine.done.done()
    again.fail(ERROR)
    assert mine.done.exception(0) is WAITS


def test_it_is_told_at_once_where_no_parent_comes_and_other_errors_are_in_any_case() -> None:
    tickets, parent = Tickets(), Ticket(port_id(5))
    _trunk(parent, tickets)
    parent.finish(LIVE)
    first, second = Ticket(ID), Ticket(ID)
    tickets.add(Kind.PLUG, first)
    tickets.settle(ID, BUSY, FAILED, WAITS)
    assert first.done.exception(0) is WAITS
    _trunk(Ticket(port_id(5)), tickets)
    tickets.add(Kind.PLUG, second)
    tickets.settle(ID, BUSY, FAILED, ERROR)
    assert second.done.exception(0) is ERROR


def test_a_request_that_comes_once_more_ends_once(caplog: pytest.LogCaptureFixture) -> None:
    """As one that would have taken a port over, where there was none."""
    tickets, parent, mine = Tickets(), Ticket(port_id(5)), Ticket(ID)
    for _ in range(2):
        _trunk(parent, tickets)
    tickets.add(Kind.PLUG, mine)
    tickets.settle(ID, BUSY, FAILED, WAITS)
    parent.fail(ERROR)
    assert mine.done.exception(0) is WAITS
    assert caplog.text == ""
