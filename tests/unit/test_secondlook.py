"""Before anything is refused for what the host is, the host is read once more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.daemon.hostview import HostView
from vifd.engine import Settings
from vifd.model import Phase, decode
from vifd.negotiation.secondlook import SecondLook, mendable
from vifd.plugin import Health, Probe
from vifd.testing.plugin import FakeBackend

ILL = Probe(Health.UNAVAILABLE, ["/dev/net/tun does not exist"])
WELL = Probe(Health.READY)


class Looks:
    """The host's view, and how often it was asked; a test may hold the answers back."""

    def __init__(self, machine: Machine) -> None:
        self.view = HostView(machine.engine)
        self.count = 0
        self.held: list[Future[Any]] | None = None

    def read(self) -> Future[Any]:
        self.count += 1
        if self.held is None:
            return self.view.refresh()
        self.held.append(Future())
        return self.held[-1]

    def release(self) -> None:
        held, self.held = self.held or [], None
        self.view.refresh().result(WAIT)
        for future in held:
            future.set_result(None)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, FakeBackend(), Settings(verify=0.05, retry_first=0.01))
    machine.boot()
    yield machine
    machine.halt()


@pytest.fixture
def looks(machine: Machine) -> Iterator[Looks]:
    found = Looks(machine)
    found.view.start()
    machine.engine.reconsider(SecondLook(found.read, pause=0.0, patience=WAIT))
    yield found
    found.view.stop(WAIT)


def fall_ill(machine: Machine) -> None:
    machine.backend.health = ILL
    machine.engine.lanes.probe_all()
    until(lambda: machine.engine.probes["fake"] == ILL)


def test_what_was_mended_is_seen(machine: Machine, looks: Looks) -> None:
    fall_ill(machine)
    machine.backend.health = WELL  # which nothing tells of
    assert machine.plug(document(1)).phase is Phase.LIVE
    assert looks.count == 1
    assert machine.plug(document(2)).phase is Phase.LIVE
    assert looks.count == 1


def test_what_was_not_is_refused_after_one_look(machine: Machine, looks: Looks) -> None:
    fall_ill(machine)
    error = machine.put(document(1)).done.exception(WAIT)
    assert isinstance(error, errors.PluginUnhealthy)
    assert "tun" in error.message
    assert looks.count == 1
    with pytest.raises(errors.PortNotFound):
        machine.record(1)


def test_many_share_a_look(machine: Machine, looks: Looks) -> None:
    fall_ill(machine)
    looks.held = []
    tickets = [machine.put(document(n)) for n in range(1, 40)]
    until(lambda: len(machine.engine.intake._looking) == 39)
    machine.backend.health = WELL
    looks.release()
    assert {t.done.result(WAIT).phase for t in tickets} == {Phase.LIVE}
    assert looks.count <= 3


def test_an_offer_as_well(machine: Machine, looks: Looks) -> None:
    fall_ill(machine)
    attachment = decode(document(1)).attachment
    with pytest.raises(errors.NoCommonVif):
        machine.agent.offers.submit(attachment, None, "1.0").result(WAIT)
    machine.backend.health = WELL
    assert machine.agent.offers.submit(attachment, None, "1.0").result(WAIT).choice.plugin == "fake"


def test_the_last_request_has_the_last_word(machine: Machine, looks: Looks) -> None:
    fall_ill(machine)
    looks.held = []
    plug = machine.put(document(1))
    until(lambda: machine.engine.intake._looking)
    gone = machine.drop(1)
    assert isinstance(plug.done.exception(WAIT), errors.PluginUnhealthy)
    assert isinstance(gone.done.exception(WAIT), errors.PortNotFound)
    machine.backend.health = WELL
    looks.release()
    machine.plug(document(2))  # the first would have had its turn by now
    with pytest.raises(errors.PortNotFound):
        machine.record(1)


def test_a_later_document_takes_the_place_of_the_one_that_waits(
    machine: Machine, looks: Looks
) -> None:
    fall_ill(machine)
    looks.held = []
    first = machine.put(document(1, network__mtu=1400))
    until(lambda: machine.engine.intake._looking)
    second = machine.put(document(1, network__mtu=1300))
    assert first.done.exception(WAIT) is not None
    machine.backend.health = WELL
    looks.release()
    assert second.done.result(WAIT).doc.attachment.network.mtu == 1300


def test_nobody_waits_for_ever(machine: Machine, looks: Looks) -> None:
    fall_ill(machine)
    looks.held = []
    ticket = machine.put(document(1))
    until(lambda: machine.engine.intake._looking)
    machine.engine.intake.stop(WAIT)
    assert isinstance(ticket.done.exception(WAIT), errors.Stopping)


def test_a_look_that_fails_or_hangs_is_no_answer_less(machine: Machine) -> None:
    def broken() -> Future[Any]:
        raise RuntimeError("no thread left")

    fall_ill(machine)
    for look in (SecondLook(broken, pause=0.0), SecondLook(Future, pause=0.0, patience=0.01)):
        machine.engine.reconsider(look)
        assert isinstance(machine.put(document(1)).done.exception(WAIT), errors.PluginUnhealthy)


def test_what_is_nobodys_fault_on_the_host_costs_no_look(machine: Machine, looks: Looks) -> None:
    machine.plug(document(1))
    conflict = machine.put(document(1, network__segment={"network_type": "flat",
                                                         "physical_network": "x"}))  # fmt: skip
    assert conflict.done.exception(WAIT) is not None
    missing = machine.put(document(2, plugin="absent"))
    assert isinstance(missing.done.exception(WAIT), errors.PluginMissing)
    assert looks.count == 0


def test_what_a_look_may_change() -> None:
    ill = errors.PluginUnhealthy(facts={"plugin": "a", "reason": "b"})
    missing = errors.PluginMissing(facts={"wanted": "a", "have": []})
    taken = errors.DuplicateAddress(facts={})
    assert mendable(ill)
    assert not mendable(missing)
    assert not mendable(taken)
    assert mendable(errors.NoCommonVif(facts={}, candidates=[missing, ill]))
    assert not mendable(errors.NoCommonVif(facts={}, candidates=[missing, taken]))
