"""A change in place is held to the checks of a new port: to what it makes worse, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.model import decode
from vifd.plugin import Health, Probe, Uplink
from vifd.testing.plugin import FakeBackend

VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 5}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, FakeBackend(), Settings(retry_first=0.01))
    made.backend.health = reaching(up=True)
    made.boot()
    yield made
    made.halt()


def reaching(*, up: bool, mtu: int = 1500) -> Probe:
    return Probe(Health.READY, physical_networks={"physnet1": Uplink("eth1", up=up, mtu=mtu)})


def probed(machine: Machine, health: Probe) -> None:
    machine.backend.health = health
    machine.engine.lanes.probe_all()
    until(lambda: machine.engine.probes["fake"] == health)


def wanted(number: int = 1, **changes: Any) -> dict[str, Any]:
    return document(number, network__segment=VLAN, **changes)


def test_a_change_for_the_worse_is_refused_and_nothing_changes(machine: Machine) -> None:
    before = machine.plug(wanted())
    with pytest.raises(errors.MtuTooLarge):
        machine.plug(wanted(network__mtu=9000))
    assert machine.record(1) == before
    assert machine.plug(wanted(network__mtu=1400)).doc.attachment.network.mtu == 1400


def test_the_address_of_a_neighbour_is_refused(machine: Machine) -> None:
    machine.plug(wanted(2))
    machine.plug(wanted())
    with pytest.raises(errors.DuplicateAddress):
        machine.plug(wanted(fixed_ips=document(2)["fixed_ips"]))


def test_what_is_wrong_already_is_no_reason(machine: Machine) -> None:
    machine.plug(wanted())
    probed(machine, reaching(up=False, mtu=1400))
    with pytest.raises(errors.PhysnetDown):
        machine.plug(wanted(2))
    assert machine.plug(wanted(port__name="new")).doc.attachment.port.name == "new"
    with pytest.raises(errors.MtuTooLarge):
        machine.plug(wanted(network__mtu=1500, port__name="new"))


def test_a_role_is_never_refused(machine: Machine) -> None:
    machine.plug(wanted(role="INACTIVE"))
    probed(machine, reaching(up=False, mtu=100))
    assert machine.plug(wanted(role="ACTIVE")).open


def test_two_ports_of_one_group_do_not_get_one_address(machine: Machine) -> None:
    """Decided in one go, before the first is on disk."""
    ips = [{"ip_address": "10.0.0.99"}]
    docs = [decode(wanted(n, fixed_ips=ips)) for n in (1, 2, 3)]
    first, *others = machine.agent.plug(docs, "req-1")
    assert first.done.result(WAIT).open
    for ticket in others:
        with pytest.raises(errors.DuplicateAddress):
            ticket.done.result(WAIT)
    assert len(machine.journal.records()) == 1
