"""A port whose proof takes long goes on behind the others, and loses nothing by that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.engine.worker import attempt
from vifd.model import Phase, Role, decode
from vifd.testing.plugin import FakeBackend

#: So many readings find something: more than any test waits for.
NEVER = 10**9
#: Nothing here ends by its deadline.
SLOW = Settings(verify=3600.0, retry_first=0.01, retry_longest=0.05)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(attempt, "GRACE", 0.0)
    machine = Machine(tmp_path, FakeBackend(), SLOW)
    machine.boot()
    yield machine
    machine.halt()


def begin(machine: Machine, number: int = 1) -> None:
    """Have a port that does not become clean, and is being proven."""
    machine.backend.dirty[port_id(number)] = NEVER
    machine.put(document(number)).accepted.result(WAIT)
    checks = len(machine.backend.called("check"))
    until(lambda: len(machine.backend.called("check")) > checks + 1)


def gone(machine: Machine, *numbers: int) -> None:
    """Remove ports, and wait until they are gone."""
    ids = [port_id(n) for n in numbers]
    for ticket in machine.agent.unplug(ids, "req"):
        ticket.done.result(WAIT)
    assert not machine.backend.ports.keys() & set(ids)


def test_nobody_waits_for_it(machine: Machine) -> None:
    begin(machine)
    for number in (2, 3):
        assert machine.plug(document(number)).phase is Phase.LIVE
    gone(machine, 2)
    assert machine.record(1).phase is Phase.PLUGGING


def test_one_that_failed_before_has_no_time_of_its_own(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.engine.configure(replace(SLOW, verify=0.0))
    machine.backend.dirty[port_id(1)] = NEVER
    with pytest.raises(errors.WireTimeout):
        machine.plug(document(1))
    machine.engine.configure(SLOW)
    monkeypatch.setattr(attempt, "GRACE", 3600.0)
    checks = len(machine.backend.called("check"))
    until(lambda: (machine.engine.tick(), len(machine.backend.called("check")) > checks)[1])
    assert machine.plug(document(2)).phase is Phase.LIVE


def test_those_of_its_own_batch_do_not_wait_either(machine: Machine) -> None:
    machine.backend.dirty[port_id(2)] = NEVER
    tickets = machine.agent.plug([decode(document(n)) for n in (1, 2, 3)], "req")
    for ticket in (tickets[0], tickets[2]):
        assert ticket.done.result(WAIT).phase is Phase.LIVE
    assert not tickets[1].done.done()


def test_it_comes_to_its_end_and_nobody_saw_it_fail(machine: Machine) -> None:
    begin(machine)
    machine.plug(document(2))
    machine.backend.dirty.clear()
    machine.quiet()
    assert machine.record(1).phase is Phase.LIVE
    mine = [e.event for e in machine.agent.events(0) if e.port == port_id(1)]
    assert mine == ["bound", "plugging", "live"]
    assert machine.backend.called("name").count((port_id(1),)) == 1


def test_removals_are_not_kept_waiting(machine: Machine) -> None:
    numbers = range(2, 42)
    for ticket in machine.agent.plug([decode(document(n)) for n in numbers], "req"):
        ticket.done.result(WAIT)
    begin(machine)
    gone(machine, *numbers)
    assert machine.record(1).phase is Phase.PLUGGING


def test_questions_are_not_kept_waiting(machine: Machine) -> None:
    begin(machine)
    asked = threading.Event()
    machine.engine.lanes["fake"].urgent("a question", asked.set)
    assert asked.wait(WAIT)


def test_it_can_be_removed(machine: Machine) -> None:
    begin(machine)
    machine.plug(document(2))
    gone(machine, 1)
    assert port_id(1) not in machine.backend.ports


def test_another_document_is_taken_up_at_once(machine: Machine) -> None:
    begin(machine)
    ticket = machine.put(document(1, network__mtu=1400))
    until(lambda: machine.backend.ports[port_id(1)].attachment.network.mtu == 1400)
    machine.backend.dirty.clear()
    assert ticket.done.result(WAIT).phase is Phase.LIVE


def test_what_it_made_is_taken_back_where_the_next_attempt_fails(machine: Machine) -> None:
    begin(machine)
    machine.plug(document(2))
    machine.backend.faults["plug", port_id(1)] = errors.DeviceError(
        facts={"device": "tap1", "problem": "is full"}
    )
    with pytest.raises(errors.DeviceError):
        machine.plug(document(1, network__mtu=1400))
    assert port_id(1) not in machine.backend.ports
    machine.backend.faults.clear()
    machine.backend.dirty.clear()
    machine.quiet()


@pytest.mark.parametrize("first", ["plug", "activate"])
def test_one_that_was_opened_and_shall_be_closed_is_closed(machine: Machine, first: str) -> None:
    """Its second proof takes long; then the network service wants it closed."""
    if first == "activate":
        machine.plug(document(1, role="INACTIVE"))
    machine.backend.spy = lambda verb: _stain(machine, verb)
    if first == "activate":
        machine.agent.set_role(port_id(1), Role.ACTIVE, "r")
    else:
        machine.put(document(1))
    until(lambda: port_id(1) in machine.backend.ports and machine.backend.ports[port_id(1)].open)
    machine.plug(document(2))
    machine.backend.spy = lambda verb: None
    machine.agent.set_role(port_id(1), Role.INACTIVE, "r").accepted.result(WAIT)
    until(lambda: not machine.backend.ports[port_id(1)].open)
    machine.backend.dirty.clear()
    machine.quiet()
    assert not machine.record(1).open
    assert not machine.backend.ports[port_id(1)].open
    assert machine.record(1).phase in (Phase.READY, Phase.QUIESCED)


def _stain(machine: Machine, verb: str) -> None:
    if verb == "activate":
        machine.backend.dirty.setdefault(port_id(1), NEVER)


def test_the_daemon_ends_without_waiting_for_it_and_goes_on_after_its_start(
    machine: Machine,
) -> None:
    begin(machine)
    assert machine.engine.lanes["fake"].stop(WAIT)
    machine.halt()
    machine.backend.dirty.clear()
    machine.boot()
    machine.quiet()
    assert machine.record(1).phase is Phase.LIVE
