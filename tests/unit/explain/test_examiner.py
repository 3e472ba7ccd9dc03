"""Reading the host for an explanation: on the lane, without a trace of it, and never in the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Engine, Settings
from vifd.explain import Explanation
from vifd.explain.examiner import Examiner
from vifd.model import Phase
from vifd.model.evidence import Evidence
from vifd.plugin import Item
from vifd.safety.holders import Holder
from vifd.testing.plugin import FakeBackend, FakePlugin

FROZEN = Settings(verify=0.05, retry_first=0.01, retry_longest=0.05, repair=False)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, FakeBackend(), FROZEN)
    made.boot()
    yield made
    made.halt()


def damage(machine: Machine, number: int = 1) -> None:
    machine.backend.ports[port_id(number)].damage = "a dent"


def explain(machine: Machine, number: int = 1) -> Explanation:
    return machine.agent.explainer.explain(port_id(number)).result(WAIT)


def test_what_was_read_is_neither_recorded_nor_repaired(machine):
    machine.plug(document(1))
    before, calls = machine.record(1), len(machine.backend.called("plug"))
    events = machine.names()
    damage(machine)
    found = explain(machine)
    assert (found.asked, found.healthy) == (True, False)
    assert "damage is a dent" in found.sentence
    assert machine.record(1) is before
    assert machine.names() == events
    assert len(machine.backend.called("plug")) == calls


def test_a_port_that_is_not_there(machine):
    with pytest.raises(errors.PortNotFound):
        explain(machine)
    with pytest.raises(errors.PortNotFound):
        machine.agent.explainer.recall(port_id(1), "")


def test_many_who_ask_cause_one_reading(machine):
    machine.plug(document(1))
    machine.backend.gate.clear()
    lane = machine.engine.lanes["fake"]
    lane.urgent("in the way", lambda: machine.plugin.probe())
    until(lambda: lane.busy is not None)
    before = len(machine.backend.called("check"))
    asked = [machine.agent.explainer.explain(port_id(1)) for _ in range(20)]
    machine.backend.gate.set()
    assert len({id(f.result(WAIT)) for f in asked}) == 1
    assert len(machine.backend.called("check")) == before + 1
    assert explain(machine).healthy


def test_ports_that_wait_are_served_between_explanations(machine):
    """Somebody who asks again and again must not keep the others from being plugged."""
    machine.plug(document(1))
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            explain(machine)

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    try:
        assert machine.plug(document(2)).phase is Phase.LIVE
    finally:
        stop.set()
        for thread in asking:
            thread.join(WAIT)


def test_a_hanging_plugin_is_not_waited_for(tmp_path):
    settings = Settings(verify=0.05, retry_first=0.01, hang=0.01)
    machine = Machine(tmp_path, FakeBackend(), settings)
    machine.boot()
    try:
        machine.plug(document(1))
        machine.backend.gate.clear()
        machine.put(document(2))

        def quarantined() -> bool:
            machine.engine.tick()
            return machine.engine.lanes["fake"].quarantined

        until(quarantined)
        found = machine.agent.explainer.explain(port_id(1)).result(0)
        assert (found.asked, found.broken) == (False, "choice")
        assert "hangs" in found.sentence
        assert found.read_at is not None
    finally:
        machine.halt()


def test_a_check_that_raises_leaves_the_last_report(machine):
    machine.plug(document(1))
    machine.backend.faults["check", "*"] = errors.BackendUnavailable(
        facts={"backend": "netlink", "problem": "no buffer"}
    )
    found = explain(machine)
    assert not found.asked
    assert "no buffer" in found.unasked
    assert found.read_at is not None


def test_a_plugin_that_is_gone(machine):
    machine.plug(document(1))
    without = Engine({}, machine.journal, machine.metrics, FROZEN)
    found = Examiner(without, machine.journal).explain(port_id(1)).result(0)
    assert (found.broken, found.asked) == ("choice", False)
    assert "plugin fake is not there" in found.sentence


class Unreachable:
    name, problem = "neutron", "no route to host"


def test_what_the_journal_says_beside_the_record(machine):
    machine.plug(document(1))
    examiner = Examiner(machine.engine, machine.journal, Unreachable())
    machine.agent.reassert()
    found = examiner.explain(port_id(1)).result(WAIT)
    assert found.broken == "report"
    assert "'neutron' has not taken the status ACTIVE: no route to host" in found.sentence


def test_the_past_is_told(machine):
    machine.plug(document(1))
    damage(machine)
    machine.agent.check(port_id(1), "req").result(WAIT)
    until(lambda: machine.record(1).phase is Phase.DEGRADED)
    machine.backend.ports[port_id(1)].damage = ""
    machine.agent.check(port_id(1), "req").result(WAIT)
    until(lambda: machine.record(1).phase is Phase.LIVE)
    found: Any = explain(machine)
    assert found.healthy
    assert [(h.text, h.lasted is not None) for h in found.history] == [
        ("damage was a dent, wanted nothing", True)
    ]


class Tapped(FakePlugin):
    """Its ports have a tap; the kernel gives it a carrier when it is opened."""

    carrier = False

    def _evidence(self, item: Item) -> list[Evidence]:
        return [
            *super()._evidence(item),
            Evidence("device.carrier", self.carrier, source="netlink"),
        ]


@pytest.mark.parametrize("taken", [False, True])
def test_a_carrier_is_missed_only_where_the_tap_was_open_before(tmp_path, taken):
    """A guest may open it between the reading of the tap and that of its openers."""
    machine = Machine(tmp_path, FakeBackend(), FROZEN, make=Tapped)
    machine.boot()

    def opens(_device: str) -> list[Holder]:
        assert isinstance(machine.plugin, Tapped)
        machine.plugin.carrier = not taken
        return [Holder(12, "qemu-system-x86")]

    try:
        machine.plug(document(1))
        examiner = Examiner(machine.engine, machine.journal, openers=opens)
        found = examiner.explain(port_id(1)).result(WAIT)
    finally:
        machine.halt()
    assert found.healthy is not taken
    assert ("process 12" in found.sentence) is taken
