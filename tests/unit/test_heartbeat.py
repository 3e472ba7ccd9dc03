"""Whether what plugins work through answers is felt, told once, and has ports looked at."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.docs import document
from unit.machine import Machine
from vifd.engine import Settings
from vifd.engine.heartbeat import Heartbeat
from vifd.model import Evidence
from vifd.plugin.meanings import Meanings
from vifd.testing.plugin import FakeBackend, FakePlugin


class Felt(FakePlugin):
    """A plugin whose means fall silent when a test says so."""

    problem = ""

    @classmethod
    def meanings(cls) -> Meanings:
        return Meanings(through={"flows": "the switch"})

    def pulse(self, timeout: float) -> list[Evidence]:
        if self.problem == "raises":
            raise ValueError("x")
        silent = Evidence("flows", self.problem, "readable", ok=False)
        return [silent] if self.problem else []


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    settings = Settings(verify=1.0, retry_first=0.01)
    made = Machine(tmp_path, FakeBackend(), settings, make=Felt)
    made.boot()
    yield made
    made.halt()


def felt(machine: Machine) -> Felt:
    assert isinstance(machine.plugin, Felt)
    return machine.plugin


def test_silence_and_its_end_are_events(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    changed: list[str] = []
    heart = Heartbeat(machine.engine, machine.journal, lambda: changed.append("x"))
    with caplog.at_level(logging.INFO):
        felt(machine).problem = "no answer within 1 s"
        heart.beat()
        assert not changed, "nothing is served, so nobody is asked"
        machine.plug(document(1))
        heart.beat()
        heart.beat()
        assert len(changed) == 1
        felt(machine).problem = ""
        heart.beat()
        heart.beat()
        assert len(changed) == 2
    said = [r.message for r in caplog.records if "heartbeat" in r.name]
    assert len(said) == 2
    assert "the switch gives no answer: no answer within 1 s" in said[0]
    assert "answers again" in said[1]


def test_a_pulse_that_raises_is_none(machine: Machine) -> None:
    machine.plug(document(1))
    felt(machine).problem = "raises"
    heart = Heartbeat(machine.engine, machine.journal, lambda: pytest.fail("nothing changed"))
    heart.beat()
