"""``[engine] repair = false``: drift is reported and left; requests are carried out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from unit.test_beyond_repair import BOTH, CLEAN, OURS, record
from vifd.engine import Settings, outcome
from vifd.engine.plan import next_step
from vifd.model import Phase, Report, Status
from vifd.model.lifecycle import Step
from vifd.model.status import status_of
from vifd.testing.plugin import FakeBackend

FROZEN = Settings(verify=0.05, retry_first=0.01, retry_longest=0.05, repair=False)


@pytest.mark.parametrize("report", [OURS, BOTH])
def test_a_degraded_port_is_only_read_back(report):
    assert next_step(record(report), repair=False) is Step.CHECK
    assert not outcome.unfinished(record(report), repair=False)
    assert next_step(record(report), repair=True) is Step.PLUG
    assert outcome.unfinished(record(report), repair=True)


def test_what_was_asked_for_is_done():
    assert next_step(record(OURS, applied=False), repair=False) is Step.PLUG
    assert next_step(record(OURS, removing=True), repair=False) is Step.UNPLUG
    assert next_step(record(CLEAN, phase=Phase.READY, open=False), repair=False) is Step.ACTIVATE


def test_a_port_that_was_found_closed_is_not_active():
    """It stays open in the record, so that the next reading is held against that."""
    closed = Report([OURS.evidence[0]], passing=False)
    found = outcome.checked(closed, 1.0, repair=False)(record(CLEAN, phase=Phase.LIVE))
    assert found is not None
    assert (found.phase, found.open, status_of(found)) == (Phase.DEGRADED, True, Status.BUILD)
    mended = outcome.checked(Report([], passing=True), 2.0, repair=False)(found)
    assert mended is not None
    assert (mended.phase, mended.open, status_of(mended)) == (Phase.LIVE, True, Status.ACTIVE)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, FakeBackend(), FROZEN)
    made.boot()
    yield made
    made.halt()


def check(machine: Machine) -> None:
    machine.agent.check(port_id(1), "req").result(WAIT)


def test_drift_is_told_and_left_until_repair_is_on_again(machine):
    machine.plug(document(1))
    assert machine.agent.status()["repair"] is False
    plugs = len(machine.backend.called("plug"))
    machine.backend.ports[port_id(1)].damage = "a dent"
    check(machine)
    machine.quiet()
    assert machine.record(1).phase is Phase.DEGRADED
    assert machine.backend.ports[port_id(1)].damage == "a dent"
    assert len(machine.backend.called("plug")) == plugs
    (event,) = [e for e in machine.agent.events(0) if e.event == "degraded"]
    assert event.findings is not None
    assert [(f.fact, f.have) for f in event.findings] == [("damage", "a dent")]
    machine.engine.configure(Settings(verify=0.05, repair=True))
    check(machine)
    until(lambda: machine.record(1).phase is Phase.LIVE)
    assert machine.backend.ports[port_id(1)].damage == ""


def test_a_degraded_port_takes_requests(machine):
    machine.plug(document(1))
    machine.backend.ports[port_id(1)].damage = "a dent"
    check(machine)
    machine.plug(document(1, role="INACTIVE"))
    assert not machine.backend.ports[port_id(1)].open
    machine.drop(1).done.result(WAIT)
    assert port_id(1) not in machine.backend.ports


def test_other_findings_of_a_degraded_port_are_another_event(machine):
    machine.plug(document(1))
    machine.backend.ports[port_id(1)].damage = "a dent"
    check(machine)
    check(machine)
    machine.backend.dirty[port_id(1)] = 1
    check(machine)
    told = [[f.fact for f in e.findings or ()] for e in machine.agent.events(0)
            if e.event == "degraded"]  # fmt: skip
    assert told == [["damage"], ["damage", "settling"]]
