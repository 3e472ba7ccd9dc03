"""Statuses reach the network service, whatever it does: none lost, none stale, none in the way."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from unit.docs import document, port_id
from vifd.model import Phase, PortRecord, decode
from vifd.network import NetworkService
from vifd.network.reporter import CHUNK, StatusReporter
from vifd.store import Journal, Outgoing, Records
from vifd.testing.wait import until

WAIT = 60.0


class Service(NetworkService):
    """Remembers what it was told and behaves as ordered."""

    name = "fake"

    def __init__(self) -> None:
        super().__init__(None)
        self.calls: list[list[Outgoing]] = []
        self.known: dict[str, Outgoing] = {}
        self.behave: Callable[[Sequence[Outgoing]], Sequence[Outgoing]] = list
        self.gate = threading.Event()
        self.gate.set()

    def report(self, statuses: Sequence[Outgoing]) -> Sequence[Outgoing]:
        self.calls.append(list(statuses))
        assert self.gate.wait(WAIT)
        taken = self.behave(statuses)
        self.known |= {o.port_id: o for o in taken}
        return taken


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path / "journal.db")
    yield journal
    journal.close()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def reporter(service: Service, journal: Journal) -> Iterator[StatusReporter]:
    reporter = StatusReporter(service, journal, first=0.01)
    yield reporter
    service.gate.set()
    reporter.stop(WAIT)


def outgoing(_old: Records, new: Records) -> list[Outgoing]:
    return [
        Outgoing(i, r.phase.value, r.revision) if r else Outgoing(i, "DOWN", 0, gone=True)
        for i, r in new.items()
    ]


def say(journal: Journal, phase: Phase, *numbers: int) -> None:
    def change(number: int, old: PortRecord | None) -> PortRecord:
        base = old or PortRecord(doc=decode(document(number)), plugin="f", vif_type="f")
        return replace(base, phase=phase)

    changes = {port_id(n): lambda old, n=n: change(n, old) for n in numbers}
    journal.commit(changes, outgoing=outgoing)


def empty(journal: Journal) -> None:
    until(lambda: journal.outbox_size() == 0, "the outbox is empty")


def test_what_waits_at_start_and_what_comes_later_is_taken(
    reporter: StatusReporter, service: Service, journal: Journal
) -> None:
    say(journal, Phase.BOUND, 1, 2)
    reporter.start()
    empty(journal)
    say(journal, Phase.LIVE, 1)
    reporter.notify()
    empty(journal)
    assert service.known[port_id(1)].status == "LIVE"
    assert service.known[port_id(2)].status == "BOUND"


def test_without_mail_nothing_is_sent(
    reporter: StatusReporter, service: Service, journal: Journal
) -> None:
    reporter.start()
    for _ in range(3):
        reporter.notify()
    say(journal, Phase.BOUND, 1)
    reporter.notify()
    empty(journal)
    assert len(service.calls) == 1


def test_a_service_that_raises_is_asked_again(
    reporter: StatusReporter, service: Service, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    def down(_: Sequence[Outgoing]) -> Sequence[Outgoing]:
        raise ConnectionError("the bus is away")

    service.behave = down
    say(journal, Phase.LIVE, 1)
    with caplog.at_level(logging.WARNING):
        reporter.start()
        until(lambda: len(service.calls) >= 3, "three attempts")
    assert "network service fake: 1 statuses wait (ConnectionError: the bus is away)" in caplog.text
    assert reporter.failures >= 2
    service.behave = list
    empty(journal)
    until(lambda: reporter.failures == 0, "the count begins anew")
    assert service.known[port_id(1)].status == "LIVE"


@pytest.mark.parametrize("nonsense", [None, 3, [None]])
def test_a_service_that_answers_nonsense_loses_nothing(
    reporter: StatusReporter, service: Service, journal: Journal, nonsense: object
) -> None:
    service.report = lambda _: nonsense  # type: ignore[method-assign, assignment, return-value]
    say(journal, Phase.LIVE, 1)
    reporter.start()
    until(lambda: reporter.failures >= 2, "two attempts")
    assert journal.outbox_size() == 1


def test_half_is_taken_and_the_other_half_stays(
    reporter: StatusReporter, service: Service, journal: Journal
) -> None:
    service.behave = lambda statuses: [o for o in statuses if o.port_id != port_id(2)]
    say(journal, Phase.LIVE, 1, 2, 3)
    reporter.start()
    until(lambda: reporter.failures >= 2, "two attempts")
    assert [o.port_id for o in journal.outbox()] == [port_id(2)]
    assert set(service.known) == {port_id(1), port_id(3)}
    service.behave = list
    empty(journal)


def test_one_that_is_refused_for_ever_does_not_delay_the_others(
    service: Service, journal: Journal
) -> None:
    """The pause before the refused one's next attempt is an hour; new mail must not wait for it."""
    service.behave = lambda statuses: [o for o in statuses if o.port_id != port_id(1)]
    reporter = StatusReporter(service, journal, first=3600.0)
    say(journal, Phase.LIVE, 1)
    reporter.start()
    until(lambda: reporter.failures == 1, "the first attempt failed")
    say(journal, Phase.LIVE, 2)
    reporter.notify()
    until(lambda: port_id(2) in service.known, "the other one is told")
    assert [o.port_id for o in journal.outbox()] == [port_id(1)]
    reporter.stop(WAIT)


def test_a_status_that_changes_while_it_is_told_is_told_again(
    reporter: StatusReporter, service: Service, journal: Journal
) -> None:
    say(journal, Phase.LIVE, 1)
    service.gate.clear()
    reporter.start()
    until(lambda: service.calls, "the call runs")
    say(journal, Phase.FAILED, 1)
    reporter.notify()
    service.gate.set()
    empty(journal)
    assert [[o.status for o in call] for call in service.calls] == [["LIVE"], ["FAILED"]]
    assert service.known[port_id(1)].status == "FAILED"


def test_a_port_that_comes_back_while_its_end_is_told_is_not_forgotten(
    reporter: StatusReporter, service: Service, journal: Journal
) -> None:
    say(journal, Phase.LIVE, 1)
    journal.commit(
        {port_id(1): lambda _: None},
        outgoing=lambda old, _: [Outgoing(port_id(1), "DOWN", old[port_id(1)].revision + 1, True)],  # type: ignore[union-attr]
    )
    service.gate.clear()
    reporter.start()
    until(lambda: service.calls, "the call runs")
    for phase in (Phase.BOUND, Phase.LIVE):
        say(journal, phase, 1)
    reporter.notify()
    service.gate.set()
    empty(journal)
    assert service.known[port_id(1)].status == "LIVE"


def test_each_port_is_told_in_order(
    reporter: StatusReporter, service: Service, journal: Journal
) -> None:
    reporter.start()
    for _ in range(20):
        for phase in (Phase.BOUND, Phase.PLUGGING, Phase.LIVE):
            say(journal, phase, 1, 2)
            reporter.notify()
    empty(journal)
    for port in (port_id(1), port_id(2)):
        told = [o.revision for call in service.calls for o in call if o.port_id == port]
        assert told == sorted(set(told)), "never the same or an older one after a newer one"
        assert told[-1] == 60


def test_many_go_in_parts(reporter: StatusReporter, service: Service, journal: Journal) -> None:
    say(journal, Phase.LIVE, *range(1, CHUNK * 2 + 2))
    reporter.start()
    empty(journal)
    assert [len(call) for call in service.calls] == [CHUNK, CHUNK, 1]


def test_re_asserted_statuses_are_told_again(
    reporter: StatusReporter, service: Service, journal: Journal
) -> None:
    say(journal, Phase.LIVE, 1)
    reporter.start()
    empty(journal)
    journal.reassert(lambda r: Outgoing(r.id, r.phase.value, r.revision))
    reporter.notify()
    empty(journal)
    assert [[o.status for o in call] for call in service.calls] == [["LIVE"], ["LIVE"]]


def test_a_stop_does_not_wait_for_a_pause(service: Service, journal: Journal) -> None:
    def down(_: Sequence[Outgoing]) -> Sequence[Outgoing]:
        raise ConnectionError

    service.behave = down
    reporter = StatusReporter(service, journal, first=3600.0)
    say(journal, Phase.LIVE, 1)
    reporter.start()
    until(lambda: reporter.failures == 1, "the first attempt failed")
    reporter.stop(WAIT)
    assert not reporter._thread.is_alive()
    assert journal.outbox_size() == 1, "it is told after the next start"


def test_a_journal_that_cannot_be_read_does_not_end_it(
    reporter: StatusReporter, service: Service, journal: Journal
) -> None:
    say(journal, Phase.LIVE, 1)
    # A lock of another program is waited for; nobody may read meanwhile.
    journal._db.execute("PRAGMA busy_timeout = 1")
    with contextlib.closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        journal._db.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        reporter.start()
        until(lambda: reporter.failures >= 2, "two attempts")
        other.execute("ROLLBACK")
    empty(journal)


def test_an_end_between_two_rounds_is_not_slept_through(
    service: Service, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter = StatusReporter(service, journal, first=0.01)
    rest = reporter._wake.clear

    def ends() -> None:
        """The end is told right before."""
        reporter._stopping.set()
        reporter._wake.set()
        rest()

    monkeypatch.setattr(reporter._wake, "clear", ends)
    reporter.start()
    reporter._thread.join(WAIT)
    ended = not reporter._thread.is_alive()
    reporter.stop(WAIT)
    assert ended


class Broken(NetworkService):
    """One that cannot even say what is wrong with it."""

    name = "broken"

    def report(self, statuses: Sequence[Outgoing]) -> Sequence[Outgoing]:
        return statuses

    def problem(self) -> str:
        raise RuntimeError("the driver's own fault")


def test_a_driver_that_raises_when_asked_is_told_of(journal: Journal) -> None:
    assert StatusReporter(Broken(None), journal).problem == "RuntimeError: the driver's own fault"
