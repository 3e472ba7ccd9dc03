"""What is lost while it is made, what cannot be healed, and that neither costs anybody else."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.engine.worker import attempt
from vifd.model import Document, Phase, Status, decode
from vifd.model.status import status_of
from vifd.plugin import Item, Outcomes
from vifd.testing.plugin import FakeBackend, FakePlugin

FAST = Settings(verify=2.0, retry_first=0.01, retry_longest=0.05)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(attempt, "PATIENCE", 0.01)
    machine = Machine(tmp_path, FakeBackend(), FAST)
    machine.boot()
    yield machine
    machine.halt()


def lose_once(machine: Machine, *numbers: int) -> None:
    """Have what was made for these ports vanish before it is read back, once."""
    left = [port_id(n) for n in numbers]

    def spy(verb: str) -> None:
        if verb == "check":
            while left:
                machine.backend.ports.pop(left.pop())

    machine.backend.spy = spy


def test_what_vanished_before_it_was_proven_is_made_again_within_the_deadline(
    machine: Machine,
) -> None:
    lose_once(machine, 1)
    assert machine.plug(document(1)).phase is Phase.LIVE
    assert machine.names() == ["bound", "plugging", "live"], "and nobody saw it fail"
    assert machine.backend.called("plug") == [(port_id(1),)] * 2


def test_only_what_is_not_clean_is_plugged_again(machine: Machine) -> None:
    lose_once(machine, 2)
    tickets = machine.agent.plug([decoded(n) for n in (1, 2, 3)], "req")
    for ticket in tickets:
        assert ticket.done.result(WAIT).phase is Phase.LIVE
    again = machine.backend.called("plug")[-1]
    assert again == (port_id(2),)


def decoded(number: int) -> Document:
    return decode(document(number))


def test_a_plug_in_vain_is_thorough_the_next_time(machine: Machine) -> None:
    seen: list[bool] = []

    def plug(batch: Sequence[Item]) -> Outcomes:
        seen.append(batch[0].thorough)
        return FakePlugin.plug(machine.plugin, batch)

    machine.plugin.plug = plug  # type: ignore[method-assign]
    machine.backend.dirty[port_id(1)] = 3
    assert machine.plug(document(1)).phase is Phase.LIVE
    assert seen[0] is False
    assert all(seen[1:])


def test_a_port_that_cannot_be_healed_is_tried_for_ever_and_holds_up_nobody(
    machine: Machine,
) -> None:
    problem = errors.NameClash(facts={"kind": "device", "name": "tap1", "have": "another's"})
    machine.backend.faults["plug", port_id(1)] = problem
    with pytest.raises(errors.NameClash):
        machine.plug(document(1))
    for number in range(2, 6):
        assert machine.plug(document(number)).phase is Phase.LIVE
        attempts = len(machine.backend.called("plug"))
        until(lambda: machine.engine.tick() < 9 and _tries(machine) > attempts)  # noqa: B023
        assert status_of(machine.record(1)) is Status.ERROR
        assert (machine.record(1).error or {})["code"] == "E_PLUG_NAME_CLASH"
    del machine.backend.faults["plug", port_id(1)]
    machine.quiet()
    assert machine.record(1).phase is Phase.LIVE
    assert machine.record(1).error is None


def _tries(machine: Machine) -> int:
    return len(machine.backend.called("plug"))


def test_a_timeout_throws_nothing_away_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One port of a batch is never clean: those beside it are proven and stay so, and what is
    tried again is that port alone."""
    monkeypatch.setattr(attempt, "PATIENCE", 0.01)
    machine = Machine(tmp_path, FakeBackend(), Settings(verify=0.05, retry_first=0.01))
    machine.boot()
    machine.backend.dirty[port_id(2)] = 10_000
    tickets = machine.agent.plug([decoded(n) for n in (1, 2, 3)], "req")
    failed = [t for t in tickets if t.done.exception(WAIT) is not None]
    assert [t.port_id for t in failed] == [port_id(2)]
    for number in (1, 3):
        assert machine.record(number).phase is Phase.LIVE
    before = len(machine.backend.calls)
    until(lambda: machine.engine.tick() < 9 and len(machine.backend.calls) > before + 2)
    again = [ids for verb, ids in machine.backend.calls[before:] if verb in ("plug", "check")]
    assert {i for ids in again for i in ids} == {port_id(2)}
    machine.backend.dirty.clear()
    machine.quiet()
    assert machine.record(2).phase is Phase.LIVE
    machine.halt()


def test_a_switch_that_came_back_is_told_to_the_plugin_unless_nothing_shall_be_repaired(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def reconnected(bridge: str) -> None:
        told.append(bridge)
        raise errors.BackendUnavailable(facts={"backend": bridge, "problem": "gone again"})

    machine.plugin.reconnected = reconnected  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        machine.engine.lanes.reconnected("br-int")
        until(lambda: told == ["br-int"])
        assert machine.plug(document(1)).phase is Phase.LIVE, "the lane goes on"
    assert "gone again" in caplog.text
    machine.engine.configure(Settings(repair=False))
    machine.engine.lanes.reconnected("br-int")
    assert machine.plug(document(2)).phase is Phase.LIVE
    assert told == ["br-int"]
