"""A port that is ready is opened before anything is written, and proven after."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.engine.intents import Intents
from vifd.engine.ticket import Ticket
from vifd.model import Phase, Role, Status
from vifd.model.status import status_of
from vifd.testing.plugin import FakeBackend

ID = port_id(1)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    settings = Settings(
        verify=0.5, retry_first=0.01, retry_longest=0.05, intents=tmp_path / "opening"
    )
    machine = Machine(tmp_path, FakeBackend(), settings)
    machine.boot()
    yield machine
    machine.halt()


@contextmanager
def held(machine: Machine) -> Iterator[None]:
    """Nothing can be written to the journal meanwhile."""
    other = sqlite3.connect(machine.path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def passes(machine: Machine) -> bool:
    return machine.backend.ports[ID].open


def test_it_is_open_and_announced_before_it_is_on_disk(machine: Machine) -> None:
    machine.plug(document(1, role="INACTIVE"))
    with held(machine):
        ticket = machine.agent.set_role(ID, Role.ACTIVE, "r")
        until(lambda: machine.backend.announced == [ID])
        assert passes(machine)
        assert not ticket.accepted.done()
        assert (machine.path / "opening" / ID).exists()
    record = ticket.done.result(WAIT)
    assert (record.phase, record.open, status_of(record)) == (Phase.LIVE, True, Status.ACTIVE)
    until(lambda: not (machine.path / "opening" / ID).exists())
    assert len(machine.backend.called("activate")) == 1
    assert machine.backend.called("deactivate") == []


def test_nobody_closes_it_while_the_journal_is_written(machine: Machine) -> None:
    machine.plug(document(1, role="INACTIVE"))
    with held(machine):
        ticket = machine.agent.set_role(ID, Role.ACTIVE, "r")
        until(lambda: passes(machine))
        checks = len(machine.backend.called("check"))
        for _ in range(20):
            machine.engine.again([ID])
            until(lambda: not machine.engine.lanes["fake"].waiting)
        assert len(machine.backend.called("check")) == checks
    ticket.done.result(WAIT)
    assert machine.backend.called("deactivate") == []


def test_a_refusal_closes_it_again(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.plug(document(1, role="INACTIVE"))

    def full(*_: object, durable: bool = False, **__: object) -> None:
        if durable:
            until(lambda: passes(machine))
        raise errors.JournalError(facts={"problem": "the disk is full", "path": "journal.db"})

    with monkeypatch.context() as patched:
        patched.setattr(machine.journal, "commit", full)
        ticket = machine.agent.set_role(ID, Role.ACTIVE, "r")
        with pytest.raises(errors.JournalError):
            ticket.done.result(WAIT)
        until(lambda: machine.backend.called("deactivate"))
    assert machine.record(1).role is Role.INACTIVE
    until(lambda: not passes(machine))
    until(lambda: not (machine.path / "opening" / ID).exists())
    machine.agent.set_role(ID, Role.ACTIVE, "r2").done.result(WAIT)
    assert passes(machine)


def test_a_second_word_that_it_is_inactive_is_the_last(machine: Machine) -> None:
    machine.plug(document(1, role="INACTIVE"))
    with held(machine):
        first = machine.agent.set_role(ID, Role.ACTIVE, "r")
        until(lambda: passes(machine))
        second = machine.agent.set_role(ID, Role.INACTIVE, "r")
    first.accepted.result(WAIT)
    record = second.done.result(WAIT)
    assert not passes(machine)
    assert record.phase in (Phase.READY, Phase.QUIESCED)


def test_what_cannot_be_opened_takes_the_usual_path(machine: Machine) -> None:
    machine.plug(document(1, role="INACTIVE"))
    fault = errors.DeviceError(facts={"device": "tap1", "problem": "is gone"})
    machine.backend.faults["activate", ID] = fault
    ticket = machine.agent.set_role(ID, Role.ACTIVE, "r")
    with pytest.raises(errors.DeviceError):
        ticket.done.result(WAIT)
    assert machine.record(1).phase is Phase.FAILED
    assert status_of(machine.record(1)) is Status.ERROR
    machine.backend.faults.clear()
    until(lambda: machine.engine.tick() >= 0 and machine.record(1).phase is Phase.LIVE)


def test_one_that_is_not_ready_yet_is_announced_once_it_is_open(machine: Machine) -> None:
    machine.backend.gate.clear()
    machine.put(document(1, role="INACTIVE")).accepted.result(WAIT)
    ticket = machine.agent.set_role(ID, Role.ACTIVE, "r")
    machine.backend.gate.set()
    ticket.done.result(WAIT)
    assert machine.backend.announced == [ID]


def test_one_that_is_being_made_is_announced_once_it_is_open(machine: Machine) -> None:
    """The word comes while its plug is under way, which then opens it at its end."""
    words: list[Ticket] = []

    def word(verb: str) -> None:
        if verb == "plug" and not words:
            words.append(machine.agent.set_role(ID, Role.ACTIVE, "r"))
            words[0].accepted.result(WAIT)

    machine.backend.spy = word
    machine.put(document(1, role="INACTIVE")).accepted.result(WAIT)
    until(lambda: words)
    words[0].done.result(WAIT)
    assert machine.backend.announced == [ID]


def test_a_port_that_is_made_open_is_not_announced(machine: Machine) -> None:
    machine.plug(document(1))
    assert machine.backend.announced == []


def test_a_rollback_announces_where_the_port_is_again(machine: Machine) -> None:
    machine.plug(document(1))
    machine.agent.set_role(ID, Role.INACTIVE, "r").done.result(WAIT)
    assert machine.record(1).phase is Phase.QUIESCED
    machine.agent.set_role(ID, Role.ACTIVE, "r").done.result(WAIT)
    assert machine.backend.announced == [ID]


def test_one_that_cannot_be_announced_is_open_all_the_same(machine: Machine) -> None:
    machine.plug(document(1, role="INACTIVE"))
    machine.backend.faults["announce", "*"] = errors.BackendError(facts={"problem": "no"})
    machine.agent.set_role(ID, Role.ACTIVE, "r").done.result(WAIT)
    assert machine.record(1).phase is Phase.LIVE


@pytest.mark.parametrize("opened", [True, False], ids=["after the bundle", "before it"])
def test_what_was_being_opened_at_a_kill_is_opened_by_the_next_start(
    machine: Machine, opened: bool
) -> None:
    machine.plug(document(1, role="INACTIVE"))
    machine.halt()
    Intents(machine.path / "opening").write(ID, "r")
    machine.backend.ports[ID].open = opened
    machine.boot()
    until(lambda: machine.record(1).phase is Phase.LIVE)
    assert machine.record(1).role is Role.ACTIVE
    assert machine.backend.called("deactivate") == []
    assert len(machine.backend.called("plug")) == 1
    until(lambda: not (machine.path / "opening" / ID).exists())


def test_what_was_being_opened_on_another_boot_stays_closed(machine: Machine) -> None:
    machine.plug(document(1, role="INACTIVE"))
    machine.halt()
    Intents(machine.path / "opening", boot="another").write(ID, "r")
    machine.boot()
    assert not passes(machine)
    assert machine.record(1).role is Role.INACTIVE
    assert not (machine.path / "opening" / ID).exists()


def test_one_that_is_unplugged_meanwhile_is_gone(machine: Machine) -> None:
    machine.plug(document(1, role="INACTIVE"))
    with held(machine):
        ticket = machine.agent.set_role(ID, Role.ACTIVE, "r")
        until(lambda: passes(machine))
        gone = machine.drop(1)
    gone.done.result(WAIT)
    until(ticket.done.done)
    assert ID not in machine.backend.ports
    until(lambda: not (machine.path / "opening" / ID).exists())
