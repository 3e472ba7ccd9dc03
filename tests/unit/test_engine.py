"""The engine from a request to its record, on a fake plugin and a real journal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.model import Phase, PortRecord, Role, Status, decode
from vifd.model.status import status_of
from vifd.plugin import Health, Probe
from vifd.store import Journal
from vifd.testing.plugin import FakeBackend


@pytest.fixture
def verify() -> float:
    """Seconds that a port has to settle: few, for those that never do."""
    return 0.05


@pytest.fixture
def machine(tmp_path: Path, verify: float) -> Iterator[Machine]:
    settings = Settings(verify=verify, retry_first=0.01, retry_longest=0.05)
    machine = Machine(tmp_path, FakeBackend(), settings)
    machine.boot()
    yield machine
    machine.halt()


def test_plug_is_proven_then_open_then_live(machine: Machine) -> None:
    record = machine.plug(document(1))
    assert record.phase is Phase.LIVE
    assert record.open
    assert status_of(record) is Status.ACTIVE
    assert record.report is not None
    assert record.report.clean
    assert record.report.at > 0
    assert record.vif is not None
    assert record.vif.device == f"tap{port_id(1)[:11]}"
    verbs = [verb for verb, _ in machine.backend.calls if verb != "probe"]
    assert verbs == ["name", "plug", "check", "activate", "check"]
    assert machine.names() == ["bound", "plugging", "live"]


def test_names_are_on_disk_before_the_first_effect(machine: Machine) -> None:
    seen: list[PortRecord | None] = []

    def spy(verb: str) -> None:
        if verb == "plug":
            other = Journal.open(machine.path / "journal.db")
            seen.append(other.get(port_id(1)))
            other.close()

    machine.backend.spy = spy
    machine.plug(document(1))
    assert seen[0] is not None
    assert seen[0].names is not None
    assert seen[0].phase is Phase.PLUGGING


def test_inactive_role_is_proven_and_stays_closed(machine: Machine) -> None:
    record = machine.plug(document(1, role="INACTIVE"))
    assert record.phase is Phase.READY
    assert not machine.backend.ports[port_id(1)].open
    assert status_of(record) is Status.DOWN


def test_admin_down_is_never_opened(machine: Machine) -> None:
    record = machine.plug(document(1, port__admin_state_up=False))
    assert record.phase is Phase.READY
    assert not record.open


def test_role_moves_away_and_back(machine: Machine) -> None:
    machine.plug(document(1))
    machine.agent.set_role(port_id(1), Role.INACTIVE, "r").done.result(WAIT)
    assert machine.record(1).phase is Phase.QUIESCED
    assert not machine.backend.ports[port_id(1)].open
    machine.agent.set_role(port_id(1), Role.ACTIVE, "r").done.result(WAIT)
    assert machine.record(1).phase is Phase.LIVE
    assert machine.record(1).doc.raw["role"] == "ACTIVE"
    assert len(machine.backend.called("plug")) == 1


def test_the_same_document_again_has_no_effect(machine: Machine) -> None:
    first = machine.plug(document(1))
    calls = len(machine.backend.called("plug"))
    second = machine.plug(document(1))
    assert second.revision == first.revision
    assert len(machine.backend.called("plug")) == calls


def test_a_change_in_place_keeps_the_port_open(machine: Machine) -> None:
    machine.plug(document(1))
    record = machine.plug(document(1, network__mtu=1400))
    assert record.doc.attachment.network.mtu == 1400
    assert machine.backend.ports[port_id(1)].attachment.network.mtu == 1400
    assert record.phase is Phase.LIVE
    assert len(machine.backend.called("activate")) == 1


def test_a_change_that_needs_an_unplug_is_refused_with_its_fields(machine: Machine) -> None:
    machine.plug(document(1))
    ticket = machine.put(document(1, port__mac_address="fa:16:3e:ff:ff:ff"))
    with pytest.raises(errors.StateConflict) as caught:
        ticket.done.result(WAIT)
    assert caught.value.facts["fields"] == ["port.mac_address"]
    assert machine.record(1).doc.attachment.mac == "fa:16:3e:00:00:01"


def test_unknown_fields_are_kept_and_change_nothing(machine: Machine) -> None:
    machine.plug(document(1))
    record = machine.plug(document(1, port__vendor_thing={"a": 1}))
    assert record.doc.raw["port"]["vendor_thing"] == {"a": 1}
    assert len(machine.backend.called("plug")) == 1


def test_many_at_once_are_one_batch(machine: Machine) -> None:
    docs = [decode(document(n)) for n in range(1, 101)]
    machine.backend.gate.clear()
    machine.put(document(500))
    until(lambda: machine.backend.called("name"))
    tickets = machine.agent.plug(docs, "many")
    for ticket in tickets:
        ticket.accepted.result(WAIT)
    machine.backend.gate.set()
    for ticket in tickets:
        assert ticket.done.result(WAIT).phase is Phase.LIVE
    assert sorted(len(ids) for ids in machine.backend.called("plug")) == [1, 100]
    numbers = {made.number for made in machine.backend.ports.values()}
    assert len(numbers) == 101


def test_one_bad_port_costs_only_itself(machine: Machine) -> None:
    bad = errors.DeviceError(facts={"device": "tap2", "problem": "no"}, stage="tap")
    machine.backend.faults[("plug", port_id(2))] = bad
    tickets = machine.agent.plug([decode(document(n)) for n in (1, 2, 3)], "r")
    assert tickets[0].done.result(WAIT).phase is Phase.LIVE
    assert tickets[2].done.result(WAIT).phase is Phase.LIVE
    with pytest.raises(errors.DeviceError):
        tickets[1].done.result(WAIT)
    assert status_of(machine.record(2)) is Status.ERROR
    error = machine.record(2).error
    assert error is not None
    assert error["stage"] == "tap"


def test_a_failed_port_is_tried_again_until_it_works(machine: Machine) -> None:
    error = errors.BackendError(facts={"backend": "ovs", "problem": "busy"})
    machine.backend.faults[("plug", port_id(1))] = error
    with pytest.raises(errors.BackendError):
        machine.plug(document(1))
    machine.engine.tick()
    del machine.backend.faults[("plug", port_id(1))]

    def live() -> bool:
        machine.engine.tick()
        return machine.record(1).phase is Phase.LIVE

    until(live)
    assert machine.record(1).error is None


def test_a_fault_after_an_effect_is_undone(machine: Machine) -> None:
    late = errors.BackendError(facts={"backend": "ovs", "problem": "late"}, stage="ovsdb")
    machine.backend.faults[("plug.late", port_id(1))] = late
    with pytest.raises(errors.BackendError):
        machine.plug(document(1))
    assert machine.backend.ports == {}
    assert machine.record(1).wiring is None


def test_not_clean_before_the_deadline_is_undone_and_names_the_finding(machine: Machine) -> None:
    machine.backend.dirty[port_id(1)] = 1_000_000
    with pytest.raises(errors.WireTimeout) as caught:
        machine.plug(document(1))
    assert "settling" in caught.value.message
    assert machine.backend.ports == {}
    assert machine.record(1).phase is Phase.FAILED


@pytest.mark.parametrize("verify", [60.0])
def test_a_port_that_settles_before_the_deadline_is_live(machine: Machine) -> None:
    machine.backend.dirty[port_id(1)] = 2
    assert machine.plug(document(1)).phase is Phase.LIVE


def test_a_plugin_that_raises_fails_the_batch_and_goes_on(machine: Machine) -> None:
    machine.backend.faults[("plug", "*")] = RuntimeError("boom")
    with pytest.raises(errors.InternalError, match="boom"):
        machine.plug(document(1))
    del machine.backend.faults[("plug", "*")]
    assert machine.plug(document(2)).phase is Phase.LIVE


def test_a_refused_port_leaves_no_trace(machine: Machine) -> None:
    segment = {"network_type": "vlan", "physical_network": "physnet9", "segmentation_id": 5}
    ticket = machine.put(document(1, network__segment=segment))
    with pytest.raises(errors.PhysnetUnmapped) as caught:
        ticket.accepted.result(WAIT)
    assert caught.value.facts == {"wanted": "physnet9", "have": ["physnet1"]}
    with pytest.raises(errors.PortNotFound):
        machine.record(1)
    assert machine.names() == []


def test_an_unavailable_plugin_refuses_and_comes_back(machine: Machine) -> None:
    machine.backend.health = Probe(Health.UNAVAILABLE, ["ovsdb cannot be reached"])
    machine.engine.lanes.probe_all()
    until(lambda: machine.engine.probes["fake"].health is Health.UNAVAILABLE)
    with pytest.raises(errors.PluginUnhealthy, match="ovsdb cannot be reached"):
        machine.plug(document(1))
    machine.backend.health = Probe(Health.READY)
    machine.engine.lanes.probe_all()
    until(lambda: machine.engine.probes["fake"].health is Health.READY)
    assert machine.plug(document(1)).phase is Phase.LIVE


def test_unplug_removes_and_forgets_and_repeats(machine: Machine) -> None:
    machine.plug(document(1))
    assert machine.drop(1).done.result(WAIT).id == port_id(1)
    assert machine.backend.ports == {}
    assert machine.agent.ports() == []
    with pytest.raises(errors.PortNotFound):
        machine.drop(1).done.result(WAIT)
    assert machine.names()[-2:] == ["unplugging", "unplugged"]


def test_down_is_in_the_outbox_before_the_first_removal(machine: Machine) -> None:
    machine.plug(document(1))
    statuses: list[str] = []

    def spy(verb: str) -> None:
        if verb == "unplug":
            statuses.extend(o.status for o in machine.journal.outbox())

    machine.backend.spy = spy
    machine.drop(1).done.result(WAIT)
    assert statuses == ["DOWN"]


def test_a_failed_unplug_is_reported_and_repeated(machine: Machine) -> None:
    machine.plug(document(1))
    machine.backend.faults[("unplug", port_id(1))] = errors.DeviceError("stuck")
    with pytest.raises(errors.UnplugPartial):
        machine.drop(1).done.result(WAIT)
    del machine.backend.faults[("unplug", port_id(1))]

    def gone() -> bool:
        machine.engine.tick()
        return machine.agent.ports() == []

    until(gone)


def test_plug_during_unplug_waits_and_starts_anew(machine: Machine) -> None:
    machine.plug(document(1))
    machine.backend.gate.clear()
    gone = machine.drop(1)
    gone.accepted.result(WAIT)
    again = machine.put(document(1, port__mac_address="fa:16:3e:ff:ff:ff"))
    machine.backend.gate.set()
    gone.done.result(WAIT)
    assert again.done.result(WAIT).doc.attachment.mac == "fa:16:3e:ff:ff:ff"


def test_unplug_during_plug_wins(machine: Machine) -> None:
    machine.backend.gate.clear()
    wanted = machine.put(document(1))
    wanted.accepted.result(WAIT)
    until(lambda: machine.backend.called("name"))
    gone = machine.drop(1)
    gone.accepted.result(WAIT)
    machine.backend.gate.set()
    gone.done.result(WAIT)
    assert wanted.done.exception(WAIT) is not None
    assert machine.backend.ports == {}
    assert machine.agent.ports() == []


def test_check_reports_drift_and_repairs_it(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.plug(document(1))
    machine.backend.ports[port_id(1)].damage = "tag changed"
    with caplog.at_level(logging.WARNING):
        record = machine.agent.check(port_id(1), "r").result(WAIT)
    assert record.phase is Phase.DEGRADED
    assert [f.fact for f in record.report.findings] == ["damage"] if record.report else False
    until(lambda: machine.record(1).phase is Phase.LIVE)
    assert machine.backend.ports[port_id(1)].damage == ""
    assert "tag changed" in caplog.text
    assert port_id(1) in caplog.text


def test_a_hanging_plugin_is_quarantined_and_released(tmp_path: Path) -> None:
    settings = Settings(verify=0.05, retry_first=0.01, retry_longest=0.05, hang=0.01)
    machine = Machine(tmp_path, FakeBackend(), settings)
    machine.boot()
    try:
        machine.backend.gate.clear()
        ticket = machine.put(document(1))
        ticket.accepted.result(WAIT)

        def quarantined() -> bool:
            machine.engine.tick()
            return machine.engine.lanes["fake"].quarantined

        # it may be for a probe that had no turn within hang seconds, and be over before the port's
        until(lambda: quarantined() and ticket.done.done())
        with pytest.raises(errors.PluginTimeout):
            ticket.done.result(WAIT)
        until(quarantined)
        with pytest.raises(errors.PluginUnhealthy):
            machine.plug(document(2))
        machine.backend.gate.set()

        def healed() -> bool:
            machine.engine.tick()
            well = machine.engine.probes["fake"].health is Health.READY
            return well and machine.record(1).phase is Phase.LIVE

        # a thread that is not served for hang seconds is taken for one that hangs, and heals too
        until(healed)
    finally:
        machine.halt()


def test_restart_checks_what_stands_and_changes_nothing(machine: Machine) -> None:
    machine.plug(document(1))
    machine.plug(document(2, role="INACTIVE"))
    machine.halt()
    machine.backend.calls.clear()
    machine.boot()
    verbs = {verb for verb, _ in machine.backend.calls}
    assert verbs == {"probe", "check"}
    assert machine.record(1).phase is Phase.LIVE
    assert machine.record(2).phase is Phase.READY


def test_restart_replaces_what_is_gone(machine: Machine) -> None:
    machine.plug(document(1))
    machine.halt()
    machine.backend.ports.clear()
    machine.boot()
    until(lambda: machine.record(1).phase is Phase.LIVE)
    assert machine.backend.ports[port_id(1)].open


def test_a_journal_that_cannot_be_written_means_nothing_is_done(machine: Machine) -> None:
    machine.journal._db.execute("PRAGMA query_only = ON")
    with pytest.raises(errors.JournalError):
        machine.put(document(1)).accepted.result(WAIT)
    machine.journal._db.execute("PRAGMA query_only = OFF")
    assert machine.backend.called("plug") == []
    assert machine.plug(document(1)).phase is Phase.LIVE


def test_names_that_are_taken_are_chosen_anew(machine: Machine) -> None:
    clash = errors.NameClash(facts={"kind": "number", "name": 1, "have": "foreign"}, stage="ofport")
    machine.backend.faults[("plug", port_id(1))] = clash
    with pytest.raises(errors.NameClash):
        machine.plug(document(1))
    assert machine.record(1).names is None
    del machine.backend.faults[("plug", port_id(1))]
    assert machine.plug(document(1)).phase is Phase.LIVE
    assert len(machine.backend.called("name")) == 2
