"""How a bridge shows fragments: set where ports are secured, read back, and set again."""

from __future__ import annotations

import pytest

from contract import ovs as make
from vifd.errors import BackendUnavailable
from vifd.openflow import fragments
from vifd.openflow.fragments import Config
from vifd.openflow.message import Message, Type
from vifd.testing.attachments import attachment
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine

BRIDGE = "br-int"


@pytest.fixture
def machine():
    return FakeMachine()


@pytest.fixture
def ledger(machine):
    return Ledger(machine.drivers, make.plugin)


def test_a_secured_port_has_it_set(machine, ledger):
    assert not ledger.plug(attachment(1))
    assert machine.openflow.fragments(BRIDGE) == "nx-match"


def test_a_port_without_port_security_leaves_it(machine, ledger):
    assert not ledger.plug(attachment(1, port_security_enabled=False))
    assert machine.openflow.fragments(BRIDGE) == "normal"
    assert not ledger.findings()


def test_the_first_secured_port_has_it_set_whoever_was_there_before(machine, ledger):
    assert not ledger.plug(attachment(1, port_security_enabled=False))
    assert not ledger.plug(attachment(2))
    assert machine.openflow.fragments(BRIDGE) == "nx-match"
    assert not ledger.findings()


def test_a_port_that_becomes_secured_has_it_set(machine, ledger):
    one = attachment(1, port_security_enabled=False)
    assert not ledger.plug(one)
    assert not ledger.plug(attachment(1))
    assert machine.openflow.fragments(BRIDGE) == "nx-match"
    assert not ledger.findings()


def test_it_is_set_again_after_a_time_without_secured_ports(machine, ledger):
    assert not ledger.plug(attachment(1, port_security_enabled=False), attachment(2))
    assert not ledger.unplug(attachment(2).id)
    machine.openflow.set_fragments(BRIDGE, "normal")
    assert not ledger.plug(attachment(3))
    assert machine.openflow.fragments(BRIDGE) == "nx-match"


def test_a_switch_that_restarts_gets_it_back(machine, ledger):
    ledger.plug(attachment(1))
    machine.restart_switch()
    assert machine.openflow.fragments(BRIDGE) == "normal"
    ledger.carry_out([attachment(1).id])
    assert machine.openflow.fragments(BRIDGE) == "nx-match"
    assert not ledger.findings()


def test_what_another_program_set_is_a_finding_and_is_mended(machine, ledger):
    one = attachment(1)
    ledger.plug(one, attachment(2))
    machine.openflow.set_fragments(BRIDGE, "drop")
    found = ledger.findings()
    assert set(found) == {"flows.fragments"}
    assert not ledger.carry_out([one.id])
    assert not ledger.findings()


def test_a_switch_that_does_not_answer_is_asked_once(machine, ledger, monkeypatch):
    ledger.plug(attachment(1), attachment(2), attachment(3))
    asked = []

    def hangs(bridge: str) -> str:
        asked.append(bridge)
        raise BackendUnavailable(facts={"backend": bridge, "problem": "no answer in time"})

    monkeypatch.setattr(machine.openflow, "fragments", hangs)
    assert ledger.findings()
    assert asked == [BRIDGE]


@pytest.mark.parametrize("mode", fragments.MODES)
def test_the_message(mode):
    sent = fragments.change(7, Config(mode, 128))
    assert sent == bytes((5, 9, 0, 12, 0, 0, 0, 7, 0, fragments.MODES.index(mode), 0, 128))
    told = Message(5, Type.GET_CONFIG_REPLY, 7, sent[8:])
    assert fragments.config([told]) == Config(mode, 128)


def test_no_answer_is_that_of_a_new_switch():
    assert fragments.config([]) == Config("normal", 0)
    assert fragments.config([Message(5, Type.ERROR, 7, bytes(4))]) == Config("normal", 0)
