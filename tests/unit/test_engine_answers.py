"""Nobody waits for ever, nobody is told the wrong thing: the corners of the engine, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Engine, Settings, recording
from vifd.engine.metrics import Metrics
from vifd.engine.ticket import Ticket
from vifd.model import Phase, Report, Role, Status, decode, unread
from vifd.model.status import status_of
from vifd.plugin import Health, Item, Outcomes
from vifd.store import Journal
from vifd.testing.plugin import FakeBackend, FakePlugin

TIMES = Settings(verify=0.05, retry_first=0.01, retry_longest=0.05)
BROKEN = errors.BackendError(facts={"backend": "ovs", "problem": "busy"})
OTHER_MAC = "fa:16:3e:ff:ff:ff"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, FakeBackend(), TIMES)
    machine.boot()
    yield machine
    machine.halt()


def failure(ticket: Ticket) -> BaseException | None:
    return ticket.done.exception(WAIT)


def held(machine: Machine, verb: str) -> None:
    """Wait until the lane stands in a verb at the closed gate."""
    until(lambda: machine.backend.calls and machine.backend.calls[-1][0] == verb)


def stop_at(machine: Machine, wanted: str) -> None:
    """Close the gate when the lane comes to a verb."""

    def spy(verb: str) -> None:
        if verb == wanted:
            machine.backend.spy = lambda _: None
            machine.backend.gate.clear()

    machine.backend.spy = spy


# --- a journal that cannot be written -------------------------------------------------------------


def test_who_wants_nothing_written_is_served_although_the_disk_is_full(machine: Machine) -> None:
    """A check decided in the same group as a plug that cannot be written."""
    machine.plug(document(1))
    machine.backend.gate.clear()
    machine.journal._db.execute("PRAGMA query_only = ON")
    new, same = machine.agent.plug([decode(document(2)), decode(document(1))], "r")
    assert isinstance(new.accepted.exception(WAIT), errors.JournalError)
    assert isinstance(failure(new), errors.JournalError)
    assert same.done.result(WAIT).phase is Phase.LIVE
    machine.journal._db.execute("PRAGMA query_only = OFF")
    machine.backend.gate.set()


def test_a_full_disk_does_not_fill_the_log(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        machine.plug(document(number))
        machine.backend.ports[port_id(number)].damage = "by another program"
    machine.journal._db.execute("PRAGMA query_only = ON")
    for _ in range(5):
        attempts = len(machine.backend.calls)
        machine.engine.again([port_id(n) for n in (1, 2, 3)])
        until(lambda attempts=attempts: len(machine.backend.calls) > attempts)  # type: ignore[misc]
    told = [r for r in caplog.records if "E_REC_STORE" in r.getMessage()]
    assert len(told) == 1
    machine.journal._db.execute("PRAGMA query_only = OFF")
    machine.quiet()
    assert {machine.record(n).phase for n in (1, 2, 3)} == {Phase.LIVE}


def test_a_failure_of_the_journal_is_told_again_in_time() -> None:
    now = [1000.0]
    failing = recording.Failing(lambda: now[0])
    assert failing.is_new("full")
    assert not failing.is_new("full")
    assert failing.is_new("read-only")
    for _ in range(5):
        now[0] += recording.OVER - 1
        assert not failing.is_new("read-only")
    now[0] += recording.OVER - 1
    assert failing.is_new("read-only"), "it has gone on for long"
    now[0] += recording.OVER + 1
    assert failing.is_new("read-only"), "it is another one"


def test_a_result_that_cannot_be_written_is_tried_again(machine: Machine) -> None:
    def spy(verb: str) -> None:
        if verb == "plug":
            machine.journal._db.execute("PRAGMA query_only = ON")

    machine.backend.spy = spy
    assert isinstance(failure(machine.put(document(1))), errors.JournalError)
    machine.backend.spy = lambda _: None
    machine.journal._db.execute("PRAGMA query_only = OFF")
    machine.quiet()
    assert machine.record(1).phase is Phase.LIVE
    assert machine.backend.ports[port_id(1)].open


# --- a plugin that is not there any more ----------------------------------------------------------


@pytest.fixture
def orphaned(machine: Machine) -> Machine:
    """A daemon that came back without the plugin of ports 1 and 2; port 2 was never made."""
    machine.plug(document(1))
    machine.backend.faults["name", port_id(2)] = BROKEN
    failure(machine.put(document(2)))
    machine.halt()
    machine.journal = Journal.open(machine.path / "journal.db")
    machine.engine = Engine({}, machine.journal, Metrics(), TIMES)
    machine.agent._engine, machine.agent._journal = machine.engine, machine.journal
    machine.engine.start()
    return machine


def test_every_request_about_it_is_refused(orphaned: Machine) -> None:
    agent = orphaned.agent
    assert orphaned.engine.ready
    for ticket in (
        orphaned.put(document(1)),
        orphaned.put(document(1, network__mtu=1400)),
        agent.set_role(port_id(1), Role.INACTIVE, "r"),
    ):
        assert isinstance(ticket.accepted.exception(WAIT), errors.PluginMissing)
        assert isinstance(failure(ticket), errors.PluginMissing)
    assert isinstance(agent.check(port_id(1), "r").exception(WAIT), errors.PluginMissing)
    assert orphaned.record(1).wiring is not None


def test_its_removal_is_kept_for_when_it_is_back(orphaned: Machine) -> None:
    for _ in range(2):
        ticket = orphaned.drop(1)
        assert ticket.accepted.result(WAIT).removing
        assert isinstance(failure(ticket), errors.PluginMissing)
    assert isinstance(failure(orphaned.put(document(1))), errors.PluginMissing)
    assert orphaned.record(1).phase is Phase.UNPLUGGING
    orphaned.halt()
    orphaned.boot()
    until(lambda: port_id(1) not in orphaned.journal.records())
    assert port_id(1) not in orphaned.backend.ports


def test_what_was_never_made_can_go_without_it(orphaned: Machine) -> None:
    assert orphaned.drop(2).done.result(WAIT).id == port_id(2)
    assert set(orphaned.journal.records()) == {port_id(1)}


# --- the end of the daemon ------------------------------------------------------------------------


def test_a_stop_answers_everybody(tmp_path: Path) -> None:
    machine = Machine(tmp_path, FakeBackend(), TIMES)
    machine.boot()
    machine.plug(document(1))
    machine.backend.gate.clear()
    running = machine.put(document(2))
    running.accepted.result(WAIT)
    held(machine, "name")
    going = machine.drop(1)
    going.accepted.result(WAIT)
    parked = machine.put(document(1))
    until(lambda: machine.waits(parked))
    machine.engine.stop(0.05)
    for ticket in (running, going, parked):
        assert isinstance(failure(ticket), errors.Stopping)
    late = machine.put(document(3))
    assert isinstance(late.accepted.exception(WAIT), errors.Stopping)
    machine.backend.gate.set()
    machine.halt()


# --- a plugin that hangs --------------------------------------------------------------------------


def test_nobody_waits_for_a_lane_in_quarantine(tmp_path: Path) -> None:
    machine = Machine(
        tmp_path,
        FakeBackend(),
        Settings(verify=0.05, hang=0.02, retry_first=0.01, retry_longest=0.05),
    )
    machine.boot()
    machine.plug(document(1))
    machine.plug(document(2))
    machine.backend.gate.clear()
    machine.backend.calls.clear()
    stuck = machine.agent.check(port_id(1), "r")
    held(machine, "check")
    waiting = [machine.agent.set_role(port_id(2), Role.INACTIVE, "r"), machine.drop(1)]
    for ticket in waiting:
        ticket.accepted.result(WAIT)

    def answered() -> bool:
        machine.engine.tick()
        return stuck.done() and all(t.done.done() for t in waiting)

    until(answered)
    for ticket in waiting:
        assert isinstance(failure(ticket), errors.PluginTimeout)
    later = machine.agent.check(port_id(2), "r")
    until(lambda: machine.engine.tick() is not None and later.done())
    assert isinstance(later.exception(WAIT), errors.PluginTimeout)
    machine.backend.gate.set()
    machine.quiet()
    assert machine.record(2).phase is Phase.QUIESCED
    assert port_id(1) not in machine.journal.records()
    # a probe that had no turn within hang seconds is one more that hangs, and heals too
    until(
        lambda: machine.engine.tick() >= 0 and machine.engine.probes["fake"].health is Health.READY
    )
    machine.halt()


# --- a plugin that breaks the contract ------------------------------------------------------------


def replaced(machine: Machine, verb: str, call: Callable[..., Any]) -> None:
    setattr(machine.plugin, verb, call)


def test_no_outcome_is_a_failure_of_that_port(machine: Machine) -> None:
    def plug(batch: Sequence[Item]) -> Outcomes:
        return {}

    replaced(machine, "plug", plug)
    error = failure(machine.put(document(1)))
    assert isinstance(error, errors.InternalError)
    assert "no outcome of plug" in error.message


def test_no_report_ends_a_check(machine: Machine) -> None:
    machine.plug(document(1))
    replaced(machine, "check", lambda _batch: {})
    future = machine.agent.check(port_id(1), "r")
    error = future.exception(WAIT)
    assert isinstance(error, errors.InternalError)
    assert "gave no report" in error.message


@pytest.mark.parametrize("nonsense", [None, 3, {port_id(1): "yes"}])
def test_an_answer_that_makes_no_sense_is_an_error(machine: Machine, nonsense: object) -> None:
    replaced(machine, "plug", lambda _batch: nonsense)
    assert isinstance(failure(machine.put(document(1))), errors.InternalError)
    replaced(machine, "plug", lambda batch: FakePlugin.plug(machine.plugin, batch))
    assert machine.put(document(1)).done.result(WAIT).phase is Phase.LIVE


@pytest.mark.parametrize("whom", ["*", ""])
def test_what_one_port_suffered_is_not_told_of_another(machine: Machine, whom: str) -> None:
    """The plugin has one error object for the whole batch."""
    for port in (whom,) if whom else (port_id(1), port_id(2)):
        machine.backend.faults["plug", port] = BROKEN
    tickets = machine.agent.plug([decode(document(n)) for n in (1, 2)], "r")
    found = [failure(t) for t in tickets]
    assert [e.port for e in found if isinstance(e, errors.BackendError)] == [port_id(1), port_id(2)]
    assert BROKEN.port == ""
    for number in (1, 2):
        error = machine.record(number).error
        assert error is not None
        assert error["port"] == port_id(number)


# --- removals and what runs beside them -----------------------------------------------------------


def test_a_plug_that_fails_is_no_answer_to_the_removal(machine: Machine) -> None:
    machine.backend.faults["plug.late", port_id(1)] = BROKEN
    machine.backend.gate.clear()
    wanted = machine.put(document(1))
    wanted.accepted.result(WAIT)
    held(machine, "name")
    gone = machine.drop(1)
    gone.accepted.result(WAIT)
    assert isinstance(failure(wanted), errors.Superseded)
    machine.backend.gate.set()
    assert gone.done.result(WAIT).id == port_id(1)


def test_after_down_nothing_else_is_said(machine: Machine) -> None:
    """The removal is accepted while the plug runs, which then succeeds."""
    stop_at(machine, "activate")
    machine.put(document(1)).accepted.result(WAIT)
    held(machine, "activate")
    gone = machine.drop(1)
    gone.accepted.result(WAIT)
    machine.backend.gate.set()
    gone.done.result(WAIT)
    events = [(e.event, e.status) for e in machine.agent.events(0) if e.port]
    down = [status for _, status in events].index(Status.DOWN)
    assert {status for _, status in events[down:]} == {"DOWN"}
    assert [o.status for o in machine.journal.outbox()] == ["DOWN"]


def test_the_last_of_several_requests_has_the_last_word(machine: Machine) -> None:
    machine.plug(document(1))
    machine.backend.gate.clear()
    gone = machine.drop(1)
    gone.accepted.result(WAIT)
    tickets = [machine.put(document(1, network__mtu=mtu)) for mtu in (1300, 1350, 1400)]
    machine.backend.gate.set()
    assert tickets[-1].done.result(WAIT).doc.attachment.network.mtu == 1400
    assert machine.record(1).doc.attachment.network.mtu == 1400


def test_a_removal_ends_those_who_wait_for_the_port_after_it(machine: Machine) -> None:
    machine.plug(document(1))
    machine.backend.gate.clear()
    first = machine.drop(1)
    first.accepted.result(WAIT)
    parked = machine.put(document(1))
    until(lambda: machine.waits(parked))
    second = machine.drop(1)
    second.accepted.result(WAIT)
    assert isinstance(failure(parked), errors.Superseded)
    assert isinstance(machine.agent.check(port_id(1), "r").exception(WAIT), errors.Superseded)
    machine.backend.gate.set()
    assert first.done.result(WAIT) == second.done.result(WAIT)


# --- another document while nothing, something or everything is made ------------------------------


def test_a_port_of_which_nothing_is_made_takes_any_document(machine: Machine) -> None:
    machine.backend.faults["plug.late", port_id(1)] = BROKEN
    failure(machine.put(document(1)))
    assert machine.record(1).names is not None
    machine.backend.faults.clear()
    record = machine.plug(document(1, port__mac_address=OTHER_MAC))
    assert record.doc.attachment.mac == OTHER_MAC
    assert machine.backend.ports[port_id(1)].attachment.mac == OTHER_MAC


def test_what_was_undone_leaves_no_wiring(machine: Machine) -> None:
    """Made, but not proven in time."""
    machine.backend.dirty[port_id(1)] = 1_000_000
    assert isinstance(failure(machine.put(document(1))), errors.WireTimeout)
    assert machine.record(1).wiring is None
    machine.backend.dirty.clear()
    record = machine.plug(document(1, port__mac_address=OTHER_MAC))
    assert record.doc.attachment.mac == OTHER_MAC


def test_a_port_in_the_making_does_not(machine: Machine) -> None:
    stop_at(machine, "plug")
    first = machine.put(document(1))
    first.accepted.result(WAIT)
    held(machine, "plug")
    other = machine.put(document(1, port__mac_address=OTHER_MAC))
    try:
        assert isinstance(failure(other), errors.StateConflict)
    finally:
        machine.backend.gate.set()
    assert first.done.result(WAIT).doc.attachment.mac != OTHER_MAC


def test_names_that_were_chosen_for_another_document_are_not_used(machine: Machine) -> None:
    machine.backend.gate.clear()
    first = machine.put(document(1))
    first.accepted.result(WAIT)
    held(machine, "name")
    other = machine.put(document(1, port__mac_address=OTHER_MAC))
    other.accepted.result(WAIT)
    machine.backend.gate.set()
    assert other.done.result(WAIT).doc.attachment.mac == OTHER_MAC
    assert first.done.result(WAIT).doc.attachment.mac == OTHER_MAC
    assert len(machine.backend.called("name")) == 2
    assert machine.backend.ports[port_id(1)].attachment.mac == OTHER_MAC


def test_what_could_not_be_undone_keeps_its_names(machine: Machine) -> None:
    def stuck(batch: Sequence[Item]) -> Outcomes:
        batch[0].undo.push("device", lambda: 1 / 0)
        return {batch[0].id: BROKEN.copy()}

    replaced(machine, "plug", stuck)
    error = failure(machine.put(document(1)))
    assert isinstance(error, errors.BackendError)
    assert error.facts["not_undone"] == ["device: division by zero"]
    other = machine.put(document(1, port__mac_address=OTHER_MAC))
    assert isinstance(other.accepted.exception(WAIT), errors.StateConflict)
    machine.drop(1).done.result(WAIT)
    assert machine.backend.called("unplug") == [(port_id(1),)], "the plugin was asked to look"


def test_a_port_that_cannot_be_closed_again_stays_marked_as_open(machine: Machine) -> None:
    checks: list[int] = []

    def check(batch: Sequence[Item]) -> dict[str, Report]:
        checks.append(1)
        if len(checks) > 1:
            raise BROKEN
        return FakePlugin.check(machine.plugin, batch)

    replaced(machine, "check", check)
    machine.backend.faults["deactivate", port_id(1)] = errors.DeviceError("stuck")
    error = failure(machine.put(document(1)))
    assert isinstance(error, errors.BackendError)
    assert error.facts["not_undone"] == ["open: stuck"]
    assert machine.record(1).open
    assert status_of(machine.record(1)) is Status.ERROR


# --- what the network service hears ---------------------------------------------------------------


def test_another_error_of_a_failed_port_is_told(machine: Machine) -> None:
    mails: list[int] = []
    machine.engine.hooks.outbox_changed = lambda: mails.append(1)
    machine.backend.faults["plug", port_id(1)] = BROKEN
    failure(machine.put(document(1)))
    machine.backend.faults["plug", port_id(1)] = errors.DeviceError("gone")
    before = len(mails)

    def told() -> bool:
        machine.engine.tick()
        codes = [(o.error or {}).get("code") for o in machine.journal.outbox()]
        return codes == ["E_PLUG_DEVICE"]

    until(told)
    assert len(mails) > before
    assert machine.names()[-1] == "failed"


# --- a journal that was lost ----------------------------------------------------------------------


def test_ports_are_taken_back_from_their_marks(machine: Machine) -> None:
    machine.plug(document(1))
    machine.plug(document(2))
    machine.halt()
    (machine.path / "journal.db").write_bytes(b"rubbish" * 1000)
    machine.boot()
    machine.quiet()
    assert {i: r.phase for i, r in machine.journal.records().items()} == {
        port_id(1): Phase.LIVE, port_id(2): Phase.LIVE,
    }  # fmt: skip
    assert all(made.open for made in machine.backend.ports.values())


def test_a_host_that_cannot_be_read_yet_is_read_later(machine: Machine) -> None:
    machine.plug(document(1))
    machine.halt()
    (machine.path / "journal.db").write_bytes(b"rubbish" * 1000)
    machine.backend.faults["observe", "*"] = BROKEN
    machine.boot()
    assert machine.journal.records() == {}
    machine.backend.faults.clear()

    def back() -> bool:
        machine.engine.lanes.probe_all()
        return port_id(1) in machine.journal.records()

    until(back)
    machine.quiet()
    assert machine.record(1).phase is Phase.LIVE


# --- settings -------------------------------------------------------------------------------------


def test_other_times_hold_from_the_next_batch_on(machine: Machine) -> None:
    machine.engine.configure(Settings(verify=3600, retry_first=0.01, retry_longest=0.01))
    machine.backend.dirty[port_id(1)] = 1_000_000
    machine.engine.configure(Settings(verify=0.001, retry_first=3600.0))
    error = failure(machine.put(document(1)))
    assert isinstance(error, errors.WireTimeout)
    assert error.facts["seconds"] < 3600


def test_unknown_fields_of_all_ports_are_bounded(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "MAX_JOURNAL", 1500)
    machine.plug(document(1, more="x" * 700))
    machine.plug(document(2, more="x" * 700))
    error = failure(machine.put(document(3, more="x" * 700)))
    assert isinstance(error, errors.UnreadTooLarge)
    assert error.facts["field"] == "more"
    # without, in place of the same port's, and after another is gone there is room
    machine.plug(document(3))
    machine.plug(document(2, more="y" * 700))
    machine.drop(1).done.result(WAIT)
    machine.plug(document(4, more="x" * 700))


# --- a document that another one has replaced -----------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "live"),
    [("name", False), ("plug", False), ("check", False), ("activate", False), ("plug", True),
     ("check", True)],
)  # fmt: skip
def test_how_an_attempt_for_an_older_document_ended_is_no_answer(
    machine: Machine, verb: str, live: bool
) -> None:
    """Who asks for another one meanwhile is answered by the attempt for that."""
    if live:
        machine.plug(document(1))
    machine.backend.calls.clear()
    machine.backend.faults |= {(verb, what): RuntimeError("away") for what in ("*", port_id(1))}
    stop_at(machine, verb)
    first = machine.put(document(1, network__mtu=1400))
    held(machine, verb)
    second = machine.put(document(1, network__mtu=1300))
    second.accepted.result(WAIT)

    def cleared(_: str) -> None:
        machine.backend.faults.clear()

    machine.backend.spy = cleared
    machine.backend.gate.set()
    assert second.done.result(WAIT).doc.attachment.network.mtu == 1300
    assert first.done.result(WAIT).phase is Phase.LIVE
    machine.quiet()
    assert machine.record(1).error is None
