"""A port that goes: who waits until it is closed and its device gone is told before all of it is
cleared away, and nobody is who waits for the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from unit.sides import compute, drop, network, put
from vifd import errors
from vifd.engine import Settings
from vifd.model import Phase, Side, Wiring
from vifd.plugin import Item
from vifd.testing.plugin import FakeBackend, FakePlugin

SETTINGS = Settings(verify=5.0, retry_first=0.01, retry_longest=0.05, hostname="here")


class Clearing(FakePlugin):
    """Has something to clear away when a port is gone.

    :ivar held: cleared while that takes its time
    :ivar stuck: whether it fails
    """

    def __init__(self, backend: FakeBackend) -> None:
        super().__init__(backend)
        self.held, self.stuck = threading.Event(), False
        self.held.set()

    def _unplug(self, item: Item) -> Wiring:
        made = super()._unplug(item)
        item.detached()
        assert self.held.wait(WAIT)
        if self.stuck:
            raise errors.DeviceError(facts={"device": item.made.device, "problem": "stuck"})
        return made


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, FakeBackend(), SETTINGS, make=Clearing)
    machine.boot()
    yield machine
    assert isinstance(machine.plugin, Clearing)
    machine.plugin.held.set()
    machine.halt()


def plugin(machine: Machine) -> Clearing:
    assert isinstance(machine.plugin, Clearing)
    return machine.plugin


def test_it_is_told_while_the_rest_is_cleared_away(machine: Machine) -> None:
    machine.plug(document(1))
    plugin(machine).held.clear()
    ticket = machine.drop(1)
    ticket.detached.result(WAIT)
    assert not ticket.done.done()
    assert machine.record(1).removing, "a daemon that is killed now goes on with it"
    again = machine.put(document(1))
    until(lambda: machine.waits(again))
    plugin(machine).held.set()
    ticket.done.result(WAIT)
    assert again.done.result(WAIT).phase is Phase.LIVE


def test_what_is_on_disk_by_then_is_taken_up_by_the_next_daemon(machine: Machine) -> None:
    machine.plug(document(1))
    plugin(machine).stuck = True
    machine.drop(1).detached.result(WAIT)
    machine.halt()
    machine.boot()
    until(lambda: port_id(1) not in machine.journal.records())


def test_compute_is_told_as_well_and_the_network_side_s_part_stays(machine: Machine) -> None:
    put(machine, Side.NETWORK, 1, network())
    put(machine, Side.COMPUTE, 1, compute()).done.result(WAIT)
    plugin(machine).held.clear()
    ticket = drop(machine, Side.COMPUTE, 1)
    ticket.detached.result(WAIT)
    assert not ticket.done.done()
    plugin(machine).held.set()
    ticket.done.result(WAIT)
    parts = machine.journal.parts(port_id(1))
    assert parts is not None
    assert (parts.compute, parts.network is not None) == (None, True)


def test_a_failure_afterwards_is_told_to_who_waits_for_the_end(machine: Machine) -> None:
    machine.plug(document(1))
    plugin(machine).stuck = True
    ticket = machine.drop(1)
    ticket.detached.result(WAIT)
    with pytest.raises(errors.VifError, match="stuck"):
        ticket.done.result(WAIT)
    assert machine.record(1).removing
    plugin(machine).stuck = False
    machine.quiet()
    assert port_id(1) not in machine.journal.records()


def test_a_failure_before_is_told_to_both(machine: Machine) -> None:
    machine.plug(document(1))
    machine.backend.faults["unplug", "*"] = errors.DeviceError("stuck")
    ticket = machine.drop(1)
    for future in (ticket.detached, ticket.done):
        with pytest.raises(errors.VifError, match="stuck"):
            future.result(WAIT)
    machine.backend.faults.clear()
    machine.quiet()
    assert port_id(1) not in machine.journal.records()


def test_who_comes_too_late_is_told_at_the_end(machine: Machine) -> None:
    machine.plug(document(1))
    plugin(machine).held.clear()
    machine.drop(1).detached.result(WAIT)
    late = machine.drop(1)
    late.accepted.result(WAIT)
    assert not late.detached.done()
    plugin(machine).held.set()
    late.detached.result(WAIT)


def test_a_plugin_that_says_nothing_tells_it_with_the_end(tmp_path: Path) -> None:
    machine = Machine(tmp_path, FakeBackend(), SETTINGS)
    machine.boot()
    machine.plug(document(1))
    ticket = machine.drop(1)
    ticket.detached.result(WAIT)
    machine.halt()


def test_what_was_never_there_is_detached(machine: Machine) -> None:
    with pytest.raises(errors.PortNotFound):
        machine.drop(7).detached.result(WAIT)
