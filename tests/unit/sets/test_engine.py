"""Shared sets and ports that are held to them: requests, changes, what waits, what goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.holding import HeldMachine, group, held_machine, in_groups, ingress
from unit.docs import port_id
from unit.machine import WAIT, until
from vifd import errors
from vifd.model import Phase, Status
from vifd.model.setpatch import read_patch
from vifd.model.setreading import read_set
from vifd.model.sets import SetKind
from vifd.model.status import status_of
from vifd.plugin import Health, Probe

WEB, DB, THIRD = group(1), group(2), group(3)
ADDRESSES = group(7, SetKind.ADDRESS_GROUP)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[HeldMachine]:
    machine = held_machine(tmp_path)
    yield machine
    machine.halt()


def held(machine: HeldMachine, number: int = 1) -> set[tuple[str, str]]:
    return set(machine.backend.held[port_id(number)])


def right(machine: HeldMachine, *numbers: int) -> None:
    """What stands on the host is what the journal calls for, and was read back."""
    machine.quiet()
    for number in numbers:
        assert machine.backend.held[port_id(number)] == machine.wanted(number)
        assert machine.record(number).phase is Phase.LIVE


def test_a_change_of_a_set_reaches_its_ports_without_a_plug(machine: HeldMachine) -> None:
    machine.put_set(WEB, rules=[ingress("10.0.0.0/8")])
    machine.plug(in_groups(1, WEB))
    assert held(machine) == {("ingress", "10.0.0.0/8")}
    plugs = len(machine.backend.called("plug"))
    machine.patch_set(WEB, add={"rules": [ingress("192.0.2.0/24")]})
    assert held(machine) == {("ingress", "10.0.0.0/8"), ("ingress", "192.0.2.0/24")}
    right(machine, 1)
    assert len(machine.backend.called("plug")) == plugs
    change = machine.backend.refreshes[-1][0]
    assert [r.remote_ip_prefix for r in change.added] == ["192.0.2.0/24"]  # type: ignore[union-attr]
    assert change.removed == ()
    report = machine.record(1).report
    assert report is not None
    assert ("rules", True) in {(e.fact, e.ok) for e in report.evidence}


def test_ports_that_depend_on_nothing_of_it_are_left_alone(machine: HeldMachine) -> None:
    machine.put_set(WEB, rules=[ingress(DB)])
    machine.put_set(DB)
    machine.plug(in_groups(1, WEB))
    machine.quiet()
    told = len(machine.backend.refreshes)
    machine.put_set(THIRD, rules=[ingress()])
    assert len(machine.backend.refreshes) == told
    machine.patch_set(DB, add={"members": [{"ip_address": "10.9.9.9"}]})
    assert held(machine) == {("ingress", "10.9.9.9")}
    right(machine, 1)


def test_changes_that_come_while_the_lane_is_busy_are_one(machine: HeldMachine) -> None:
    machine.put_set(ADDRESSES, addresses=["10.0.0.1"])
    machine.put_set(WEB, rules=[ingress(ADDRESSES)])
    machine.plug(in_groups(1, WEB))
    machine.quiet()
    told = len(machine.backend.refreshes)
    machine.backend.gate.clear()
    machine.agent.check(port_id(1), "r")
    until(lambda: machine.engine.lanes["fake"].busy)
    desk = machine.agent.sets
    tickets = [
        desk.patch(ADDRESSES, read_patch(body, ADDRESSES), "api")
        for body in (
            {"add": {"addresses": ["10.0.0.2", "10.0.0.3"]}},
            {"remove": {"addresses": ["10.0.0.2"]}},
            {"add": {"addresses": ["10.0.0.4"]}}, {"remove": {"addresses": ["10.0.0.1"]}},
        )
    ]  # fmt: skip
    for ticket in tickets:
        ticket.accepted.result(WAIT)
    assert machine.engine.refreshes.waiting(ADDRESSES) == ["fake"]
    assert not tickets[0].done.done()
    machine.backend.gate.set()
    for ticket in tickets:
        ticket.done.result(WAIT)
    (changes,) = machine.backend.refreshes[told:]
    (change,) = changes
    assert set(change.added) == {"10.0.0.3", "10.0.0.4"}
    assert set(change.removed) == {"10.0.0.1"}
    right(machine, 1)


def test_a_port_whose_group_is_not_there_waits_closed_and_opens_by_itself(
    machine: HeldMachine,
) -> None:
    ticket = machine.put(in_groups(1, WEB, DB))
    with pytest.raises(errors.SetMissing) as caught:
        ticket.done.result(WAIT)
    assert "waits for security group" in caught.value.message
    assert WEB.id in caught.value.message
    assert DB.id in caught.value.message
    record = machine.record(1)
    assert record.error is not None
    assert record.error["code"] == "E_SET_MISSING"
    assert port_id(1) in machine.backend.ports
    assert held(machine) == set()
    assert status_of(record) is Status.DOWN
    machine.put_set(WEB, rules=[ingress()])
    until(lambda: WEB.id not in str((machine.record(1).error or {}).get("message")))
    assert held(machine) == set()
    assert status_of(machine.record(1)) is Status.DOWN
    machine.put_set(DB)
    until(lambda: status_of(machine.record(1)) is Status.ACTIVE)
    assert held(machine) == {("ingress", "any")}
    right(machine, 1)
    assert machine.record(1).error is None


def test_a_rule_that_names_an_unknown_group_closes_its_direction(machine: HeldMachine) -> None:
    machine.put_set(WEB, rules=[ingress(DB), ingress("192.0.2.1")])
    with pytest.raises(errors.SetMissing) as caught:
        machine.plug(in_groups(1, WEB))
    assert DB.id in caught.value.message
    assert held(machine) == set()
    report = machine.record(1).report
    assert report is not None
    assert [e.fact for e in report.findings] == ["security_groups.ingress"]
    assert report.severed == ""
    machine.put_set(DB, members=[{"ip_address": "192.0.2.2"}])
    until(lambda: machine.record(1).phase is Phase.LIVE)
    assert held(machine) == {("ingress", "192.0.2.1"), ("ingress", "192.0.2.2")}


def test_ports_that_join_and_leave_a_group_are_let_in_and_out(machine: HeldMachine) -> None:
    machine.put_set(WEB, rules=[ingress(WEB)])
    machine.plug(in_groups(1, WEB))
    machine.plug(in_groups(2, WEB))
    right(machine, 1, 2)
    both = {("ingress", ip) for n in (1, 2) for ip in addresses(machine, n)}
    assert held(machine) == both
    raw = in_groups(2)
    machine.plug(raw)
    right(machine, 1, 2)
    assert held(machine) == {("ingress", ip) for ip in addresses(machine, 1)}
    machine.plug(in_groups(2, WEB))
    machine.drop(2).done.result(WAIT)
    machine.quiet()
    until(lambda: held(machine) == {("ingress", ip) for ip in addresses(machine, 1)})


def addresses(machine: HeldMachine, number: int) -> list[str]:
    return [ip.ip_address for ip in machine.record(number).doc.attachment.fixed_ips]


def test_a_refresh_that_fails_is_told_and_done_again(
    machine: HeldMachine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.put_set(WEB)
    machine.plug(in_groups(1, WEB))
    machine.quiet()
    problem = errors.BackendError(facts={"backend": "switch", "problem": "it is away"})
    machine.backend.faults["refresh", "*"] = problem
    ticket = machine.agent.sets.patch(
        WEB, read_patch({"add": {"rules": [ingress()]}}, WEB), "api"
    )  # fmt: skip
    with caplog.at_level(logging.WARNING), pytest.raises(errors.BackendError):
        ticket.done.result(WAIT)
    assert ticket.accepted.result(0) is not None
    assert WEB.id in caplog.text
    # the check of the port mends it meanwhile: one path
    right(machine, 1)
    assert machine.engine.refreshes.waiting(WEB) == ["fake"]
    machine.backend.faults.clear()
    machine.engine.refreshes.go_on()
    until(lambda: not machine.engine.refreshes.waiting(WEB))
    assert len(machine.backend.refreshes[-1][0].added) == 1
    right(machine, 1)


def test_a_plugin_that_comes_back_is_told(machine: HeldMachine) -> None:
    machine.put_set(WEB)
    machine.plug(in_groups(1, WEB))
    machine.backend.faults["refresh", "*"] = RuntimeError("nonsense")
    machine.backend.health = Probe(Health.UNAVAILABLE, ["away"])
    machine.engine.lanes.probe("fake")
    until(lambda: machine.engine.probes["fake"].health is Health.UNAVAILABLE)
    with pytest.raises(errors.InternalError):
        machine.put_set(WEB, rules=[ingress()])
    machine.backend.faults.clear()
    machine.backend.health = Probe(Health.READY)
    machine.engine.lanes.probe("fake")
    until(lambda: not machine.engine.refreshes.waiting(WEB))
    right(machine, 1)


def test_a_restart_with_nothing_changed_tells_and_writes_nothing(machine: HeldMachine) -> None:
    machine.put_set(WEB, rules=[ingress(WEB)])
    for number in (1, 2, 3):
        machine.plug(in_groups(number, WEB))
    machine.quiet()
    machine.halt()
    written, told = machine.backend.written, len(machine.backend.refreshes)
    machine.boot()
    right(machine, 1, 2, 3)
    assert (machine.backend.written, len(machine.backend.refreshes)) == (written, told)


def test_what_changed_right_before_a_kill_is_on_the_host_after_the_next_start(
    machine: HeldMachine,
) -> None:
    machine.put_set(WEB)
    machine.plug(in_groups(1, WEB))
    machine.quiet()
    machine.backend.faults["refresh", "*"] = RuntimeError("killed in the middle")
    with pytest.raises(errors.InternalError):
        machine.put_set(WEB, rules=[ingress()])
    machine.halt()
    machine.backend.faults.clear()
    machine.backend.held[port_id(1)] = frozenset()
    machine.boot()
    right(machine, 1)
    assert held(machine) == {("ingress", "any")}


def test_deleting_a_set_that_is_in_use_is_refused_or_done_later(machine: HeldMachine) -> None:
    machine.put_set(WEB, rules=[ingress(DB)])
    machine.put_set(DB)
    machine.plug(in_groups(1, WEB))
    for key, by in ((WEB, "ports"), (DB, "rules")):
        with pytest.raises(errors.SetInUse) as caught:
            machine.delete_set(key, later=False)
        assert by in caught.value.message
    for key in (WEB, DB):
        going = machine.delete_set(key)
        assert going is not None
        assert going.going
    machine.drop(1).done.result(WAIT)
    until(lambda: not machine.journal.sets.all())
    told = [e for e in machine.agent.events(0) if e.event == "set-gone"]
    assert {e.detail for e in told} == {f"security-group/{k.id}" for k in (WEB, DB)}


def test_a_set_that_is_going_and_is_said_again_stays(machine: HeldMachine) -> None:
    machine.put_set(WEB)
    machine.plug(in_groups(1, WEB))
    machine.delete_set(WEB)
    machine.put_set(WEB, rules=[ingress()])
    machine.drop(1).done.result(WAIT)
    machine.quiet()
    assert machine.journal.sets.get(WEB) is not None
    assert machine.delete_set(WEB, later=False) is None


def test_owners_revisions_and_matches(machine: HeldMachine) -> None:
    desk = machine.agent.sets
    first = machine.asked(desk.put(read_set({"name": "a"}, WEB), "neutron", revision=5))
    assert first is not None
    with pytest.raises(errors.SetStale):
        machine.asked(desk.put(read_set({"name": "b"}, WEB), "neutron", revision=4))
    with pytest.raises(errors.SetStale):
        machine.asked(desk.delete(WEB, "neutron", revision=4))
    same = machine.asked(desk.put(read_set({"name": "a"}, WEB), "neutron", revision=5))
    assert same == first
    match = frozenset({first.revision})
    second = machine.asked(desk.put(read_set({"name": "b"}, WEB), "neutron", match=match))
    assert second is not None
    with pytest.raises(errors.SetChanged):
        machine.asked(desk.put(read_set({"name": "c"}, WEB), "neutron", match=match))
    with pytest.raises(errors.SetChanged):
        machine.asked(desk.put(read_set({}, DB), "neutron", match=frozenset()))
    with pytest.raises(errors.SetNotFound):
        machine.asked(desk.patch(DB, read_patch({}, DB), "neutron"))
    with pytest.raises(errors.SetNotFound):
        machine.asked(desk.delete(DB, "neutron"))
    network = group(9, SetKind.FORWARDING)
    body = {"add": {"endpoints": [{"address": "192.0.2.1"}]}}
    made = machine.asked(desk.patch(network, read_patch(body, network), "neutron"))
    assert made is not None
    assert made.owner == "neutron"


def test_a_host_keeps_so_many_sets(machine: HeldMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vifd.engine.setdecision.MAX_SETS", 1)
    monkeypatch.setattr("vifd.engine.setdecision.MAX_PIECES", 2)
    machine.put_set(WEB, members=[{"ip_address": "10.0.0.1"}, {"ip_address": "10.0.0.2"}])
    with pytest.raises(errors.SetLimit):
        machine.put_set(DB)
    with pytest.raises(errors.SetLimit):
        machine.patch_set(WEB, add={"members": [{"ip_address": "10.0.0.3"}]})
    machine.patch_set(WEB, add={"members": [{"ip_address": "10.0.0.3"}]},
                      remove={"members": [{"ip_address": "10.0.0.1"}]})  # fmt: skip


def test_an_owners_list_is_held_against_what_it_said(
    machine: HeldMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = machine.agent.sets
    kind = SetKind.SECURITY_GROUP
    for key in (WEB, DB):
        machine.put_set(key, owner="neutron")
    machine.put_set(THIRD, owner="api")
    machine.plug(in_groups(1, DB))
    listed = [WEB.id, group(8).id]
    young = desk.compare(kind, "neutron", listed, remove=True)
    assert (young.stale, young.missing, young.removed) == ([], [group(8).id], False)
    monkeypatch.setattr("vifd.engine.setdesk.YOUNG", 0.0)
    found = desk.compare(kind, "neutron", listed)
    assert found.stale == [DB.id]
    assert desk.compare(kind, "neutron", listed, remove=True).removed
    until(lambda: machine.journal.sets.going() == [DB])
    machine.drop(1).done.result(WAIT)
    until(lambda: set(machine.journal.sets.all()) == {WEB, THIRD})


def test_many_sets_in_one_request_are_one_commit(machine: HeldMachine) -> None:
    bodies = [read_set({"name": str(n)}, group(n)) for n in range(1, 40)]
    seen: list[str] = []
    machine.journal._db.set_trace_callback(lambda sql: seen.append(sql))
    for ticket in machine.agent.sets.put_all(bodies, "neutron"):
        ticket.done.result(WAIT)
    machine.journal._db.set_trace_callback(None)
    assert len(machine.journal.sets) == 39
    assert seen.count("COMMIT") <= 3


def test_requests_are_refused_while_the_daemon_stops(machine: HeldMachine) -> None:
    machine.engine.stopping = True
    with pytest.raises(errors.Stopping):
        machine.put_set(WEB)


def test_a_full_disk_changes_nothing(machine: HeldMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.put_set(WEB)
    machine.plug(in_groups(1, WEB))
    machine.quiet()
    told = len(machine.backend.refreshes)
    machine.journal._db.execute("PRAGMA max_page_count = 1")
    members = [{"ip_address": f"10.{n // 250}.{n % 250}.1"} for n in range(5000)]
    with pytest.raises(errors.JournalError):
        machine.put_set(WEB, members=members)
    machine.journal._db.execute("PRAGMA max_page_count = 1073741823")
    kept = machine.journal.sets.get(WEB)
    assert kept is not None
    assert kept.pieces == {}
    assert len(machine.backend.refreshes) == told
    machine.put_set(WEB, members=members)


def test_a_port_that_waits_is_explained(machine: HeldMachine) -> None:
    ticket = machine.put(in_groups(1, WEB))
    with pytest.raises(errors.SetMissing):
        ticket.done.result(WAIT)
    found = machine.agent.explainer.explain(port_id(1)).result(WAIT)
    assert found.broken == "filter"
    assert WEB.id in found.sentence


def test_who_waits_need_not_wait_for_a_pause(machine: HeldMachine) -> None:
    """Also where what is asked for concerns no port any more."""
    machine.put_set(WEB)
    machine.plug(in_groups(1, WEB))
    machine.backend.faults["refresh", "*"] = RuntimeError("away")
    with pytest.raises(errors.InternalError):
        machine.put_set(WEB, rules=[ingress()])
    machine.plug(in_groups(1))
    machine.backend.faults.clear()
    assert machine.engine.refreshes.waiting(WEB) == ["fake"]
    machine.put_set(WEB, rules=[ingress()])
    assert machine.engine.refreshes.waiting(WEB) == []
