"""Ports that are made ahead of compute: closed until it uses them, and gone where it never does."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from unit.sides import compute, drop, network, put
from vifd import errors
from vifd.engine import Settings
from vifd.guests.holding import holder
from vifd.model import (
    Document,
    Part,
    Parts,
    Phase,
    PortRecord,
    Side,
    Status,
    Wiring,
    assembling,
    decode,
)
from vifd.model import parts as model_parts
from vifd.model.evidence import Evidence, Report
from vifd.model.status import status_of, why_closed
from vifd.plugin import Advert
from vifd.testing.plugin import FakeBackend, FakePlugin

NETWORK, COMPUTE = Side.NETWORK, Side.COMPUTE
SETTINGS = Settings(verify=5.0, retry_first=0.01, retry_longest=0.05, hostname="here")


@dataclass
class Clock:
    """Seconds that go by when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Both(FakePlugin):
    """Serves two types of VIF."""

    @classmethod
    def describe(cls) -> Advert:
        known = super().describe()
        return dataclasses.replace(known, vif_types=("fake", "other"))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, FakeBackend(), SETTINGS, make=Both)
    machine.boot()
    machine.engine.prewiring.clock = Clock()
    yield machine
    machine.halt()


def made(machine: Machine, number: int = 1, **changes: object) -> PortRecord:
    """A port that the network side has made ahead."""
    body = network(number, **changes)
    return put(machine, NETWORK, number, body, ahead=True).done.result(WAIT)


def late(machine: Machine, seconds: float = 601.0) -> None:
    """So much time goes by."""
    clock = machine.engine.prewiring.clock
    assert isinstance(clock, Clock)
    clock.now += seconds
    machine.engine.tick()


def gone(machine: Machine, number: int = 1) -> bool:
    return machine.journal.get(port_id(number)) is None and not machine.backend.ports


def test_it_is_made_proven_and_closed_and_opens_with_computes_part(machine: Machine) -> None:
    record = made(machine)
    assert (record.phase, record.open, status_of(record)) == (Phase.READY, False, Status.DOWN)
    assert record.wiring is not None
    assert record.report is not None
    assert record.report.clean
    assert machine.backend.called("activate") == []
    parts = machine.agent.parts(port_id(1))
    assert parts is not None
    assert assembling.missing(parts) == []
    assert assembling.unsaid(parts, "here").startswith("waits for compute: made ahead")
    assert why_closed(record) == "it was made ahead, and no instance uses it yet"
    device = record.wiring.device
    used = put(machine, COMPUTE, 1, compute()).done.result(WAIT)
    assert (used.phase, used.open) == (Phase.LIVE, True)
    assert used.doc.raw == document(1), "as if both had said it at once"
    assert used.wiring is not None
    assert used.wiring.device == device
    assert why_closed(used) == ""


def test_the_role_that_the_binding_says_holds_all_the_same(machine: Machine) -> None:
    """As before a live migration: it is made ahead, compute plugs it, and it stays closed."""
    record = made(machine, role="INACTIVE")
    used = put(machine, COMPUTE, 1, compute()).done.result(WAIT)
    assert (record.phase, used.phase, used.open) == (Phase.READY, Phase.READY, False)
    opened = put(machine, NETWORK, 1, network(), ahead=True).done.result(WAIT)
    assert (opened.phase, opened.open) == (Phase.LIVE, True)


def test_a_binding_that_becomes_active_opens_nothing_before_compute_came(machine: Machine) -> None:
    made(machine, role="INACTIVE")
    record = put(machine, NETWORK, 1, network(role="ACTIVE"), ahead=True).done.result(WAIT)
    assert (record.phase, record.open) == (Phase.READY, False)
    assert machine.backend.called("activate") == []
    assert machine.backend.announced == []


def test_what_compute_came_for_first_is_made_as_ever(machine: Machine) -> None:
    put(machine, COMPUTE, 1, compute()).kept.result(WAIT)
    assert made(machine).phase is Phase.LIVE


def test_an_open_port_is_not_closed_because_it_would_be_made_ahead(machine: Machine) -> None:
    whole = {k: v for k, v in document(1).items() if k != "instance"}
    assert machine.plug(whole).open
    assert made(machine).open


def test_after_its_use_it_is_not_made_ahead_again(machine: Machine) -> None:
    made(machine)
    put(machine, COMPUTE, 1, compute()).done.result(WAIT)
    drop(machine, COMPUTE, 1).done.result(WAIT)
    assert gone(machine)
    again = put(machine, NETWORK, 1, network(network__mtu=1400), ahead=True)
    again.kept.result(WAIT)
    (lacks,) = assembling.missing(machine.agent.waiting()[port_id(1)])
    assert lacks.startswith("waits for compute")
    assert put(machine, COMPUTE, 1, compute()).done.result(WAIT).phase is Phase.LIVE


def test_bound_anew_it_is_made_ahead_anew(machine: Machine) -> None:
    made(machine)
    put(machine, COMPUTE, 1, compute()).done.result(WAIT)
    drop(machine, COMPUTE, 1).done.result(WAIT)
    drop(machine, NETWORK, 1).accepted.exception(WAIT)
    assert machine.agent.parts(port_id(1)) is None
    assert made(machine).phase is Phase.READY


@pytest.mark.parametrize("side", [NETWORK, COMPUTE])
def test_a_side_that_takes_back_what_it_said_takes_it_down(machine: Machine, side: Side) -> None:
    """nova unplugs what it never plugged when a build fails; Neutron unbinds or deletes the
    port."""
    made(machine)
    drop(machine, side, 1).done.result(WAIT)
    assert gone(machine)
    left = machine.agent.parts(port_id(1))
    assert (left is None) is (side is NETWORK)


def test_an_instance_that_never_comes_leaves_nothing(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    made(machine)
    late(machine, 599.0)
    with caplog.at_level(logging.INFO):
        late(machine, 2.0)
        until(lambda: gone(machine))
    assert "no instance has used it in 600 s: it is taken down" in caplog.text
    (lacks,) = assembling.missing(machine.agent.waiting()[port_id(1)])
    assert lacks.startswith("waits for compute")
    put(machine, NETWORK, 1, network(network__mtu=1400), ahead=True).kept.result(WAIT)
    assert gone(machine), "what came to nothing once is not made again by every change"
    assert put(machine, COMPUTE, 1, compute()).done.result(WAIT).phase is Phase.LIVE


def test_one_that_is_used_in_time_stays(machine: Machine) -> None:
    made(machine)
    late(machine, 599.0)
    put(machine, COMPUTE, 1, compute()).done.result(WAIT)
    late(machine)
    assert machine.plug(document(2)).open, "decided after whatever the clock had asked for"
    assert machine.record(1).open


def test_compute_comes_while_it_is_about_to_be_taken_down(machine: Machine) -> None:
    """Both are in the intake's queue; the later word finds what the earlier one left."""
    made(machine)
    machine.backend.gate.clear()
    blocked = machine.put(document(2))
    until(lambda: machine.engine.lanes["fake"].busy is not None)
    late(machine)
    used = put(machine, COMPUTE, 1, compute())
    machine.backend.gate.set()
    assert used.done.result(WAIT).open
    assert blocked.done.result(WAIT).open
    assert machine.record(1).doc.raw == document(1)


def test_nothing_is_taken_from_whoever_uses_it_unasked(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """A guest that stock os-vif plugged has the tap of that name open."""
    made(machine)
    machine.engine.hooks.holder = lambda _record: "qemu (process 7)"
    late(machine)
    assert "qemu (process 7) uses it: it stays, closed" in caplog.text
    assert machine.record(1).phase is Phase.READY
    machine.engine.hooks.holder = lambda _record: ""
    late(machine)
    until(lambda: gone(machine))


def test_without_a_limit_it_stays(machine: Machine) -> None:
    machine.engine.configure(Settings(hostname="here", prewire=0.0))
    made(machine)
    late(machine, 1e6)
    assert machine.plug(document(2)).open
    assert machine.record(1).phase is Phase.READY


def test_a_restart_keeps_it_closed_and_begins_to_wait_anew(machine: Machine) -> None:
    made(machine)
    machine.halt()
    machine.boot()
    machine.engine.prewiring.clock = clock = Clock()
    machine.engine.prewiring.seen({port_id(1): None})
    machine.engine.prewiring.seen(machine.journal.records())
    assert machine.record(1).phase is Phase.READY
    assert machine.backend.called("activate") == []
    late(machine)
    until(lambda: gone(machine))
    assert clock.now > 1000.0


def test_a_lost_journal_does_not_open_it(machine: Machine) -> None:
    """Its marks hold the document; whose parts they were is said again."""
    record = made(machine)
    parts = model_parts.parts_of(record.doc)
    assert parts.prewired
    assert parts.network is not None
    assert "prewired" not in parts.network.body
    again = model_parts.put(parts, NETWORK, Part("n", network()), ahead=True)
    doc = assembling.assembled(again, "here")
    assert doc is not None
    assert doc.raw == record.doc.raw


def test_what_compute_needs_otherwise_is_made_anew(machine: Machine) -> None:
    assert made(machine).vif_type == "fake"
    used = put(machine, COMPUTE, 1, compute(vif_type="other")).done.result(WAIT)
    assert (used.vif_type, used.open) == ("other", True)
    assert len(machine.backend.called("unplug")) == 1


def test_what_the_network_side_changes_for_good_is_made_anew(machine: Machine) -> None:
    made(machine)
    record = made(machine, port__mac_address="fa:16:3e:00:00:99")
    assert record.doc.attachment.mac == "fa:16:3e:00:00:99"
    assert (record.phase, record.open) == (Phase.READY, False)


def test_a_refusal_of_compute_leaves_nothing_of_it(machine: Machine) -> None:
    made(machine)
    ticket = put(machine, COMPUTE, 1, compute(vif_type="third"))
    with pytest.raises(errors.VifError):
        ticket.done.result(WAIT)
    assert ticket.kept.exception(WAIT) is not None
    until(lambda: gone(machine))
    left = machine.agent.waiting()[port_id(1)]
    assert (left.compute, left.network is None) == (None, False)


def test_a_caller_cannot_say_so_in_a_document() -> None:
    with pytest.raises(errors.BadDocument, match="prewired"):
        decode({**document(1), "prewired": True})


def test_who_holds_the_device_is_told_by_the_kernel_or_by_the_socket(tmp_path: Path) -> None:
    doc = Document(decode(document(1)).attachment, document(1))
    record = PortRecord(doc=doc, plugin="fake", vif_type="fake")
    assert holder(record) == ""
    wired = replace(record, wiring=Wiring("fake", "fake", "tapnobody0"))
    assert holder(wired) == ""
    for have, told in (("waiting for guest", ""), ("connected, process 7", "a guest")):
        report = Report([Evidence("guest", have=have, source="proc")])
        assert holder(replace(wired, report=report)) == told


def test_parts_of_an_earlier_vifd_mean_what_they_meant() -> None:
    parts = Parts(Part("neutron", network()), alone=True)
    assert not parts.prewired
    assert not model_parts.put(parts, NETWORK, Part("neutron", network()), ahead=True).prewired
