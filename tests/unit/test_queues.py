"""One queue or several, on each plugin's host of fakes: what was made, and when it is made anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import linuxbridge, ovs, vhostuser
from unit.docs import document
from unit.ovn.test_plugin import Scene as OvnScene
from vifd.capabilities.enforcement import Level, as_made, report
from vifd.engine.differing import differences
from vifd.engine.plan import covered
from vifd.model import Attachment, Document, PortRecord, Vif, decode
from vifd.negotiation.offering import Negotiator
from vifd.plugin import Health, Host, Probe
from vifd.plugin.queues import told
from vifd.testing.attachments import attachment
from vifd.testing.dpdk import FakeDpdk
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine

PORT = attachment(1).id
TAP = "tap00000001-00"
FLAVOR = {"hw:vif_multiqueue_enabled": "true"}


def sized(vcpus: int, **image: str) -> Attachment:
    instance = {"vcpus": vcpus, "flavor_extra_specs": FLAVOR, "image_properties": image}
    return attachment(1, instance=instance)


class Fakes:
    """A host of fakes with one plugin."""

    def __init__(self, machine: FakeMachine, ledger: Ledger) -> None:
        self.machine, self.ledger = machine, ledger

    def resize(self, vcpus: int) -> None:
        failed = self.ledger.plug(sized(vcpus))
        assert not failed, failed

    @property
    def link(self) -> Any:
        return self.machine.links.peek(TAP)

    @property
    def queues(self) -> int:
        record = self.ledger.records[PORT]
        assert record.wiring is not None
        return self.ledger.plugin.vif(record.attachment, record.wiring).queues

    def guest(self, *, runs: bool) -> None:
        self.machine.links.place(TAP, kind="tun", alias=self.link.alias, carrier=runs)

    def obstacles(self, vcpus: int) -> list[Any]:
        wiring = self.ledger.records[PORT].wiring
        assert wiring is not None
        return list(self.ledger.plugin.obstacles(sized(vcpus), wiring))


@pytest.fixture(params=["ovs", "linuxbridge", "ovn"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fakes]:
    if request.param == "ovn":
        scene = OvnScene(tmp_path)
        yield Fakes(scene.machine, scene.ledger)
        scene.close()
        return
    machine = FakeMachine()
    make = {"ovs": ovs.plugin, "linuxbridge": linuxbridge.plugin}[request.param]
    yield Fakes(machine, Ledger(machine.drivers, make, patience=0))


def test_a_device_that_nobody_has_open_is_made_anew(host: Fakes) -> None:
    for vcpus, several in ((1, False), (4, True), (2, True), (1, False), (4, True)):
        before = host.link
        host.resize(vcpus)
        assert (host.link.multi_queue, host.queues) == (several, vcpus)
        assert host.ledger.findings() == {}
        if before is not None:
            assert (host.link.ifindex == before.ifindex) == (before.multi_queue == several)


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1)])
def test_a_guest_has_the_device_open(host: Fakes, before: int, after: int) -> None:
    host.resize(before)
    assert host.obstacles(after) == []
    host.guest(runs=True)
    assert host.obstacles(before) == []
    (error,) = host.obstacles(after)
    assert (error.code, error.http) == ("E_STATE_QUEUES", 409)
    assert TAP in error.message
    assert "shut the guest down" in error.hint


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1)])
def test_a_guest_whose_carrier_was_taken_keeps_its_device(
    host: Fakes, before: int, after: int
) -> None:
    host.resize(before)
    index = host.link.ifindex
    host.machine.links.held.add(TAP)
    (error,) = host.obstacles(after)
    assert error.code == "E_STATE_QUEUES"
    assert host.ledger.plug(sized(after)), "whoever does it nevertheless is told"
    assert host.link.ifindex == index
    host.machine.links.held.clear()
    assert host.obstacles(after) == []


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1)])
def test_a_guest_that_is_quicker_than_the_change_keeps_its_device(
    host: Fakes, before: int, after: int
) -> None:
    """What is told is what was made; the device is made anew once the guest is off."""
    host.resize(before)
    index = host.link.ifindex
    host.guest(runs=True)
    host.resize(after)
    assert host.link.ifindex == index
    assert host.queues == (1 if before == 1 else 2), "as the device can be opened"
    assert host.ledger.findings() == {}
    host.guest(runs=False)
    assert host.ledger.findings() == {"device.multi_queue": before > 1}
    assert not host.ledger.carry_out([PORT])
    assert (host.link.multi_queue, host.queues) == (after > 1, after)
    assert host.link.ifindex != index
    assert host.ledger.findings() == {}


def test_a_port_that_was_made_before_anybody_used_it(host: Fakes) -> None:
    assert not host.ledger.plug(attachment(1))
    host.resize(4)
    assert (host.link.multi_queue, host.queues) == (True, 4)


def test_a_vhost_user_port_has_what_its_guest_brings(tmp_path: Path) -> None:
    machine = FakeMachine()
    FakeDpdk(machine.ovsdb, machine.tracer)
    ledger = Ledger(machine.drivers, lambda h: vhostuser.plugin(h, tmp_path), patience=0)
    scene = Fakes(machine, ledger)
    for vcpus in (1, 4, 1):
        scene.resize(vcpus)
        assert scene.queues == vcpus
        assert scene.obstacles(4) == []
        assert ledger.findings() == {}


def test_a_resize_of_a_vhost_user_port_is_held_to_what_a_new_one_needs(tmp_path: Path) -> None:
    host = Host(FakeMachine().drivers, dict)
    plugin = vhostuser.plugin(host, tmp_path, file_backed_memory=False)
    advert = plugin.describe()
    negotiator = Negotiator(
        {"vhostuser": plugin}, {"vhostuser": advert}, lambda _: Probe(Health.READY), lambda _: None
    )

    def doc(vcpus: int, **specs: str) -> Document:
        flavor = {**FLAVOR, **specs}
        return decode(
            document(1, instance={"id": PORT, "vcpus": vcpus, "flavor_extra_specs": flavor})
        )

    before = doc(1, **{"hw:mem_page_size": "large"})
    present = PortRecord(doc=before, plugin="vhostuser", vif_type="vhostuser")
    larger, shrunk = doc(4, **{"hw:mem_page_size": "large"}), doc(4)
    for after in (larger, shrunk):
        changed = differences(before, after)
        assert changed
        assert all(covered(path, advert.in_place) for path in changed)
    assert negotiator.objections(present, larger.attachment) == []
    refused = negotiator.objections(present, shrunk.attachment)
    assert "E_CAP_SHARED_MEMORY" in [e.code for e in refused]


def test_what_compute_is_told() -> None:
    assert told(sized(4), 8, made=True) == 4
    assert told(sized(99), 8, made=True) == 8
    assert told(sized(4), 8, made=False) == 1
    assert told(sized(1), 8, made=True) == 2
    assert told(sized(4, hw_vif_model="e1000"), 8, made=True) == 1


def test_the_enforcement_report_tells_what_was_made() -> None:
    advert = ovs.plugin(Host(FakeMachine().drivers, dict)).describe()

    def entry(made: Vif | None) -> tuple[Any, Level, str]:
        found = as_made(report(sized(4), advert, plugin="ovs"), made)
        (one,) = [e for e in found if e.feature == "multiqueue"]
        return one.requested, one.level, one.note

    assert entry(None) == (4, Level.DATAPLANE, "")
    assert entry(Vif("ethernet", queues=4)) == (4, Level.DATAPLANE, "")
    assert entry(Vif("ethernet", queues=2)) == (4, Level.DATAPLANE, "2 of 4 queues")
    wanted, level, note = entry(Vif("ethernet", queues=1))
    assert (wanted, level) == (4, Level.NONE)
    assert "made for one queue" in note
