"""A lane that is slow is not one that hangs: what counts is its last step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings, quarantine
from vifd.model import Phase, decode
from vifd.plugin import Health
from vifd.safety.steady import Steady, advance
from vifd.testing.plugin import FakeBackend

HANG = 60.0


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, FakeBackend(), Settings(hang=HANG, retry_first=30))
    made.boot()
    yield made
    made.halt()


class Slow:
    """A plugin's verb in the middle of its work, one step at a time."""

    def __init__(self, machine: Machine) -> None:
        self._step, self._stood = threading.Event(), threading.Event()
        self.over = False
        good = machine.plugin.plug

        def plug(batch: Any) -> Any:
            while not self.over:
                self._stood.set()
                self._step.wait(WAIT)
                self._step.clear()
                advance()
            return good(batch)

        machine.plugin.plug = plug  # type: ignore[method-assign]
        self._lane = machine.engine.lanes["fake"]
        self._machine = machine

    def waits(self) -> None:
        assert self._stood.wait(WAIT)

    def step(self) -> None:
        self._stood.clear()
        self._step.set()
        self.waits()

    def end(self) -> None:
        self.over = True
        self._step.set()

    def look(self, seconds: float) -> None:
        """What the engine's clock sees so many seconds after the last step."""
        at = max(self._lane.busy.since, self._lane._thread.advanced)  # type: ignore[union-attr]
        self._machine.engine._quarantine.watch(self._lane, at + seconds, HANG)


def hangs(machine: Machine) -> bool:
    return machine.engine.lanes["fake"].quarantined


def test_a_long_batch_that_gets_on_is_left_alone(machine: Machine) -> None:
    docs = [decode(document(n)) for n in range(1, 251)]
    slow = Slow(machine)
    tickets = machine.agent.plug(docs, "r")
    slow.waits()
    lane = machine.engine.lanes["fake"]
    for _ in range(20):
        # nearly as long as one step may take, again and again
        slow.look(HANG - 1)
        assert not lane.quarantined
        slow.step()
    slow.end()
    assert {t.done.result(WAIT).phase for t in tickets} == {Phase.LIVE}
    assert machine.engine.probes["fake"].health is Health.READY


def test_one_step_that_does_not_end_is_a_hang(machine: Machine) -> None:
    slow = Slow(machine)
    ticket = machine.put(document(1))
    slow.waits()
    slow.step()
    slow.look(HANG + 1)
    assert machine.engine.lanes["fake"].quarantined
    error = ticket.done.exception(WAIT)
    assert isinstance(error, errors.PluginTimeout)
    assert error.facts["seconds"] == HANG + 1
    slow.end()
    until(lambda: not machine.engine.lanes["fake"].quarantined)
    until(lambda: machine.record(1).phase is Phase.LIVE)


def test_steps_that_lead_nowhere_are_a_hang_in_the_end(machine: Machine) -> None:
    slow = Slow(machine)
    ticket = machine.put(document(1))
    slow.waits()
    lane = machine.engine.lanes["fake"]
    busy = lane.busy
    assert busy is not None
    limit = HANG * (quarantine.LONGEST + 1)
    lane._thread.advanced = busy.since + limit
    machine.engine._quarantine.watch(lane, busy.since + limit - 1, HANG)
    assert not hangs(machine)
    machine.engine._quarantine.watch(lane, busy.since + limit + 1, HANG)
    assert hangs(machine)
    assert isinstance(ticket.done.exception(WAIT), errors.PluginTimeout)
    slow.end()
    until(lambda: machine.record(1).phase is Phase.LIVE)


@pytest.mark.parametrize("verb", ["name", "plug", "check", "activate"])
def test_every_call_of_a_plugin_is_a_step(machine: Machine, verb: str) -> None:
    seen: list[float] = []
    lane = machine.engine.lanes["fake"]
    machine.backend.spy = lambda called: (
        seen.append(lane._thread.advanced) if called == verb else None
    )
    before = lane._thread.advanced
    machine.plug(document(1))
    assert seen[-1] > before
    assert machine.journal.get(port_id(1)) is not None


def test_other_threads_have_no_steps() -> None:
    advance()
    seen: list[float] = []

    def work() -> None:
        advance()
        seen.append(thread.advanced)

    thread = Steady(work, "steps")
    thread.start()
    thread.join(WAIT)
    assert seen[0] > 0
