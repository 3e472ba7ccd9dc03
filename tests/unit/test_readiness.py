"""Started means: every port is proven or has its error, not merely looked at."""

from __future__ import annotations

import pytest

from unit.docs import document, port_id
from unit.machine import Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.model import Phase
from vifd.testing.plugin import FakeBackend


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path, FakeBackend(), Settings(verify=0.2, retry_first=60.0))
    made.boot()
    yield made
    made.halt()


def boot_again(machine, check):
    """Start over what the host kept, looking at the engine whenever the plugin is called."""
    seen = []
    machine.halt()
    machine.backend.spy = lambda verb: seen.append((verb, machine.engine.ready))
    check()
    machine.boot()
    machine.backend.spy = lambda verb: None
    return seen


def test_a_port_that_is_gone_is_made_again_before_it_is_ready(machine):
    """As after a power cut: the journal says LIVE, and nothing of it is there."""
    machine.plug(document())

    def cut():
        machine.backend.ports[port_id(1)].damage = "the power was cut"

    seen = boot_again(machine, cut)
    # A probe that answers late has the port checked once more, when it is ready.
    made = [ready for verb, ready in seen if verb in ("plug", "activate")]
    assert made
    assert not any(made)
    assert machine.record(1).phase is Phase.LIVE


def test_a_port_that_cannot_be_made_is_ready_with_its_error(machine):
    machine.plug(document())
    fault = errors.BackendError(facts={"problem": "down", "backend": "fake"})

    def cut():
        machine.backend.ports[port_id(1)].damage = "the power was cut"
        machine.backend.faults["plug", port_id(1)] = fault

    boot_again(machine, cut)
    until(lambda: machine.record(1).error)
    until(lambda: machine.engine.ready)
