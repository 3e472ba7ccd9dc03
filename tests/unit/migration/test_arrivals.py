"""Ports are opened on the hypervisor's word, and what was said is kept with its time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from support.hypervisor import FakeHypervisor
from unit import sides
from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.migration.abandoned import NOTE, UNHEARD, Abandoned, Expected
from vifd.migration.arrivals import ENDED, FRAME, REQUEST, Arrivals, Departures, Happening
from vifd.migration.timeline import Migration
from vifd.model import Phase, PortRecord, Role, Side, Wiring, decode
from vifd.testing.plugin import FakeBackend

ID = port_id(1)
GUEST = document(1)["instance"]["id"]


@dataclass
class Host(Machine):
    """A daemon and its hypervisor."""

    hypervisor: FakeHypervisor = field(default_factory=FakeHypervisor)
    said: list[tuple[str, str]] = field(default_factory=list)
    after: float = 0.0
    held: set[str] = field(default_factory=set)

    def again(self) -> None:
        """The daemon is started anew; it hears libvirt once it has connected."""
        self.halt()
        self.hypervisor._callbacks.clear()
        self.hypervisor._lives.clear()
        self.boot()
        self.arrivals.changed("")

    def found(self) -> None:
        """The guest runs here since a migration that nobody was told of."""
        made = self.hypervisor.define(GUEST, ["tap1"], running=True)
        self.hypervisor._guests[GUEST] = replace(made, arrived=True)
        self.arrivals.changed("")

    def boot(self) -> None:
        super().boot()
        self.arrivals = Arrivals(
            self.agent.migrations, self.journal.records,
            lambda: self.hypervisor.interfaces().values(),
            lambda: self.hypervisor.guests().values(),
            lambda port, request: self.agent.set_role(port, Role.ACTIVE, request),
            departures=Departures(
                lambda record, kind, _quiet: self.said.append((record.id, kind)),
                self.engine.lanes.announce,
                lambda port, request: self.agent.set_role(port, Role.INACTIVE, request),
            ),
            abandoned=Abandoned(
                lambda: self.after, lambda port, request: self.agent.unplug([port], request),
                self.journal, lambda device: device in self.held,
            ),
            hears=self.hypervisor.connected,
        )  # fmt: skip
        self.hypervisor.on_life(self.arrivals.happened)
        self.hypervisor.subscribe(self.arrivals.changed)
        self.arrivals.start()

    def halt(self) -> None:
        self.arrivals.stop(WAIT)
        super().halt()

    def phase(self, phase: Phase) -> None:
        until(lambda: self.record(1).phase is phase)

    def done(self) -> Migration:
        until(lambda: self.agent.migrations.all() and self.agent.migrations.all()[-1].ended)
        return self.agent.migrations.all()[-1]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    settings = Settings(
        verify=0.5, retry_first=0.01, retry_longest=0.05, intents=tmp_path / "opening"
    )
    host = Host(tmp_path, FakeBackend(), settings)
    host.boot()
    yield host
    host.halt()


@pytest.mark.parametrize("what", ["resumed: migrated", "resumed: postcopy"])
def test_a_guest_that_runs_here_has_its_port(host: Host, what: str) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, "started: migrated", 1.0)
    host.hypervisor.happen(GUEST, what, 2.0)
    host.phase(Phase.LIVE)
    one = host.done()
    assert (one.trigger, one.request_id) == ("libvirt", REQUEST)
    assert [m.what for m in one.guest] == ["started: migrated", what]
    assert one.added is not None
    assert one.added > 0


def test_by_the_device_where_the_document_names_no_instance(host: Host) -> None:
    raw = document(1, role="INACTIVE")
    del raw["instance"]
    record = host.plug(raw)
    assert record.wiring is not None
    host.hypervisor.define("another", [record.wiring.device])
    host.hypervisor.happen("another", "resumed: migrated")
    host.phase(Phase.LIVE)


@pytest.mark.parametrize(
    "what",
    ["started: migrated", "suspended: migrated", "stopped: failed", "stopped: migrated"],
)
def test_no_other_word_opens_it(host: Host, what: str) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, what)
    host.hypervisor.happen("nobody", "resumed: migrated")
    host.arrivals.stop(WAIT)
    assert host.record(1).role is Role.INACTIVE
    assert not host.backend.ports[ID].open


def test_a_migration_that_failed_is_told_where_it_was_to_end(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, "stopped: failed")
    until(lambda: "the migration to this host failed" in caplog.text)
    assert host.record(1).phase is Phase.READY


def test_a_migration_that_failed_gives_the_source_its_port_back(host: Host) -> None:
    host.plug(document(1))
    host.agent.set_role(ID, Role.INACTIVE, "r").done.result(WAIT)
    host.phase(Phase.QUIESCED)
    host.hypervisor.happen(GUEST, "resumed: migrated")
    host.phase(Phase.LIVE)


def test_a_word_that_comes_twice_or_late_opens_it_once(host: Host) -> None:
    host.plug(document(1, role="INACTIVE"))
    for _ in range(2):
        host.hypervisor.happen(GUEST, "resumed: migrated")
    host.phase(Phase.LIVE)
    host.done()
    host.agent.set_role(ID, Role.ACTIVE, "late").done.result(WAIT)
    (one,) = host.agent.migrations.all()
    assert one.triggers[0].what == "libvirt"
    assert one.triggers[-1].what == "api"
    assert len(host.backend.called("activate")) == 1


def test_what_was_missed_while_the_daemon_was_dead_is_found(host: Host) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.halt()
    host.boot()
    host.found()
    host.phase(Phase.LIVE)


def test_a_port_that_was_closed_on_purpose_is_not_opened_by_a_look(host: Host) -> None:
    host.plug(document(1))
    host.agent.set_role(ID, Role.INACTIVE, "r").done.result(WAIT)
    host.found()
    host.arrivals.stop(WAIT)
    assert host.record(1).role is Role.INACTIVE


def test_a_device_that_vanished_is_an_error_and_no_success(host: Host) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.backend.faults["activate", ID] = errors.DeviceError(
        facts={"device": "tap1", "problem": "is gone"}
    )
    host.hypervisor.happen(GUEST, "resumed: migrated")
    one = host.done()
    assert "is gone" in one.error
    assert host.record(1).phase is Phase.FAILED


def test_an_overrun_names_its_step(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    host.agent.migrations._budget = lambda: 1e-9
    host.plug(document(1, role="INACTIVE"))
    host.agent.set_role(ID, Role.ACTIVE, "r").done.result(WAIT)
    host.done()
    until(lambda: "more than budget_ms allows" in caplog.text)
    assert "vifctl migration show 1" in caplog.text


def test_it_is_an_event_and_a_figure(host: Host) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, "resumed: migrated")
    host.done()
    until(lambda: "migrated" in host.names())
    text = host.agent.metrics().decode()
    assert 'vifd_migrations_total{result="ok",trigger="libvirt"} 1.0' in text
    assert 'vifd_migration_added_seconds_count{trigger="libvirt"} 1.0' in text


def test_compute_alone_is_no_binding_that_could_be_activated(host: Host) -> None:
    sides.put(host, Side.COMPUTE, 1, sides.compute(1)).kept.result(WAIT)
    ticket = host.agent.set_role(ID, Role.ACTIVE, "r")
    with pytest.raises(errors.BindingUnbound) as caught:
        ticket.done.result(WAIT)
    assert caught.value.retryable


# --- a guest that leaves, and one that does not come ---


@pytest.mark.parametrize("what", ["suspended: migrated", "suspended: postcopy"])
def test_peers_are_told_when_a_guest_leaves(host: Host, what: str) -> None:
    host.plug(document(1))
    host.hypervisor.happen(GUEST, what, 1.0)
    until(lambda: host.said == [(ID, "suspended")])
    assert host.record(1).phase is Phase.LIVE


def test_a_guest_that_runs_on_after_all_is_announced_and_peers_are_told(host: Host) -> None:
    host.plug(document(1))
    before = len(host.backend.announced)
    host.hypervisor.happen(GUEST, "resumed: migrated", 0.5)
    host.hypervisor.happen(GUEST, "suspended: migrated", 1.0)
    host.hypervisor.happen(GUEST, "resumed: migrated", 2.0)
    until(lambda: [kind for _, kind in host.said] == ["suspended", "resumed"])
    until(lambda: len(host.backend.announced) == before + 1)
    assert host.record(1).phase is Phase.LIVE


def test_what_a_peer_had_opened_is_closed_when_its_guest_does_not_come(host: Host) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.agent.set_role(ID, Role.ACTIVE, "peer-host2")
    host.phase(Phase.LIVE)
    host.hypervisor.happen(GUEST, "stopped: failed", 1.0)
    host.phase(Phase.QUIESCED)


@pytest.mark.parametrize("what", sorted(ENDED))
@pytest.mark.parametrize("opened", [False, True])
def test_a_guest_that_ends_before_it_has_come(host: Host, what: str, *, opened: bool) -> None:
    """As when the host that it leaves loses its power: libvirt calls that destroyed."""
    host.after = 0.01
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, "started: migrated", 1.0)
    until(lambda: host.arrivals.abandoned.expects(ID))
    if opened:
        host.agent.set_role(ID, Role.ACTIVE, "peer-host2")
        host.phase(Phase.LIVE)
    host.hypervisor.happen(GUEST, what, 2.0)
    until(lambda: host.journal.get(ID) is None)
    assert host.backend.ports == {}


def test_a_guest_that_came_and_is_switched_off_keeps_its_port(host: Host) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, "started: migrated", 1.0)
    host.agent.set_role(ID, Role.ACTIVE, "peer-host2")
    host.hypervisor.happen(GUEST, "resumed: migrated", 2.0)
    host.phase(Phase.LIVE)
    host.hypervisor.happen(GUEST, "stopped: destroyed", 3.0)
    host.hypervisor.happen(GUEST, "suspended: migrated", 4.0)
    until(lambda: host.said)
    assert host.record(1).phase is Phase.LIVE


def test_what_others_had_opened_stays_open(host: Host) -> None:
    host.plug(document(1))
    host.hypervisor.happen(GUEST, "stopped: failed", 1.0)
    host.hypervisor.happen(GUEST, "suspended: migrated", 2.0)
    until(lambda: host.said)
    assert host.record(1).phase is Phase.LIVE


def test_the_port_of_a_guest_that_did_not_come_goes_by_itself(host: Host) -> None:
    host.after = 0.01
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, "stopped: failed", 1.0)
    until(lambda: host.journal.get(ID) is None)
    assert host.backend.ports == {}


def test_a_restart_does_not_forget_which_migration_failed(host: Host) -> None:
    host.after = 3600.0
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, "stopped: failed", 1.0)
    until(lambda: (host.journal.note(NOTE, dict[str, Expected]) or {}).get(ID) is not None)
    host.again()
    host.arrivals.abandoned.sweep(host.journal.records(), set())
    assert host.record(1).phase is Phase.READY
    host.after = 0.01
    host.again()
    until(lambda: host.journal.get(ID) is None)
    assert host.backend.ports == {}


def test_a_migration_that_failed_while_the_daemon_was_down(host: Host) -> None:
    host.after = 0.01
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.happen(GUEST, "started: migrated", 1.0)
    until(lambda: (host.journal.note(NOTE, dict[str, Expected]) or {}).get(ID) is not None)
    host.again()
    until(lambda: host.journal.get(ID) is None)


@pytest.mark.parametrize("comes", [False, True])
def test_what_a_peer_had_opened_before_the_daemon_went_down(host: Host, *, comes: bool) -> None:
    """Nobody heard that the guest did not come: its port is closed again, and not if it is here."""
    record = host.plug(document(1, role="INACTIVE"))
    assert record.wiring is not None
    host.hypervisor.happen(GUEST, "started: migrated", 1.0)
    until(lambda: (host.journal.note(NOTE, dict[str, Expected]) or {}).get(ID) is not None)
    host.agent.set_role(ID, Role.ACTIVE, "peer-host2")
    host.phase(Phase.LIVE)
    if comes:
        host.hypervisor.define(GUEST, [record.wiring.device])
    host.again()
    if comes:
        host.arrivals.announced(port_id(9))
        until(lambda: host.arrivals._queue.empty())
        assert host.record(1).role is Role.ACTIVE
    else:
        host.phase(Phase.QUIESCED)


@pytest.mark.parametrize("how", ["it is here still", "its tap is held", "it has come"])
def test_a_guest_that_comes_while_the_daemon_is_down_keeps_its_port(host: Host, how: str) -> None:
    host.after = 0.01
    record = host.plug(document(1, role="INACTIVE"))
    assert record.wiring is not None
    host.hypervisor.happen(GUEST, "started: migrated", 1.0)
    until(lambda: (host.journal.note(NOTE, dict[str, Expected]) or {}).get(ID) is not None)
    if how == "its tap is held":
        host.held.add(record.wiring.device)
    else:
        made = host.hypervisor.define(GUEST, [record.wiring.device], running=True)
        host.hypervisor._guests[GUEST] = replace(made, arrived=how == "it has come")
    host.again()
    if how == "it has come":
        host.phase(Phase.LIVE)
        until(lambda: host.journal.note(NOTE, dict[str, Expected]) == {})
    host.hypervisor.happen("another", "stopped: failed", 2.0)
    until(lambda: host.arrivals._queue.empty())
    assert host.arrivals.abandoned._due == {}
    assert not host.record(1).removing


def test_a_guest_that_announces_itself_has_its_port(host: Host) -> None:
    host.plug(document(1, role="INACTIVE"))
    host.hypervisor.up = False
    host.arrivals.announced(ID)
    host.phase(Phase.LIVE)
    one = host.done()
    assert (one.trigger, one.request_id) == ("guest's frame", FRAME)


@pytest.mark.parametrize("how", ["on its way", "has come"])
def test_where_libvirt_can_be_heard_it_must_have_come_by_a_migration(host: Host, how: str) -> None:
    record = host.plug(document(1, role="INACTIVE"))
    assert record.wiring is not None
    if how == "on its way":
        host.hypervisor.happen(GUEST, "started: migrated", 1.0)
    else:
        made = host.hypervisor.define(GUEST, [record.wiring.device], running=True)
        host.hypervisor._guests[GUEST] = replace(made, arrived=True)
    host.arrivals.announced(ID)
    host.phase(Phase.LIVE)


@pytest.mark.parametrize("how", ["no guest", "started here", "closed again", "no port"])
def test_who_announces_itself_and_is_no_guest_that_comes(
    host: Host, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    record = host.plug(document(1, role="INACTIVE"))
    assert record.wiring is not None
    if how == "started here":
        host.hypervisor.define(GUEST, [record.wiring.device], running=True)
    elif how == "closed again":
        host.hypervisor.up = False
        for role in (Role.ACTIVE, Role.INACTIVE):
            host.agent.set_role(ID, role, "req-9").done.result(WAIT)
        host.phase(Phase.QUIESCED)
    one = Happening("", "announced", 1.0, port_id(2 if how == "no port" else 1))
    with caplog.at_level(logging.WARNING):
        host.arrivals.take(one)
    assert host.record(1).role is Role.INACTIVE
    told = "stays closed" in caplog.text
    assert told == (how in ("no guest", "started here"))


# --- the decision, without threads ---


def abandoned(record: PortRecord) -> tuple[Abandoned, list[str]]:
    gone: list[str] = []
    made = Abandoned(
        lambda: 10.0, lambda port, _: gone.append(port), held=lambda _: False,
        clock=lambda: made.now,  # type: ignore[attr-defined]
    )  # fmt: skip
    made.now = 0.0  # type: ignore[attr-defined]
    assert made.note(record) == 10.0
    return made, gone


def waiting(**changes: Any) -> PortRecord:
    doc = decode(document(1, role=changes.pop("role", "INACTIVE"), **changes.pop("doc", {})))
    return PortRecord(doc=doc, plugin="fake", vif_type="tap", phase=Phase.READY,
                      wiring=Wiring("fake", "tap", "tap1"), **changes)  # fmt: skip


def test_only_what_stands_as_it_was_goes_and_only_when_it_is_due() -> None:
    before = waiting()
    kept: list[tuple[dict[str, PortRecord], set[str]]] = [
        ({}, set()),
        ({ID: before}, {"tap1"}),
        ({ID: waiting(role="ACTIVE")}, set()),
        ({ID: waiting(removing=True)}, set()),
        ({ID: waiting(doc={"network__mtu": 1400})}, set()),
    ]
    for records, used in kept:
        one, gone = abandoned(before)
        one.now = 10.0  # type: ignore[attr-defined]
        one.sweep(records, used)
        assert gone == [], (records, used)
        one.sweep(records, used)
        assert one.pause() is None
    one, gone = abandoned(before)
    one.now = 9.0  # type: ignore[attr-defined]
    one.sweep({ID: before}, set())
    assert (gone, one.pause()) == ([], 1.0)
    one.now = 10.0  # type: ignore[attr-defined]
    one.sweep({ID: before}, set())
    assert gone == [ID]


def test_nothing_goes_while_nobody_can_say_who_uses_it() -> None:
    before = waiting()
    one, gone = abandoned(before)
    one.now = 10.0  # type: ignore[attr-defined]
    one.sweep({ID: before}, None)
    assert (gone, one.pause()) == ([], UNHEARD)
    one.now = 10.0 + UNHEARD  # type: ignore[attr-defined]
    one.held = lambda device: device == "tap1"
    one.sweep({ID: before}, set())
    assert gone == []


def test_another_attempt_calls_the_removal_off() -> None:
    before = waiting()
    one, gone = abandoned(before)
    one.expect(before)
    assert one.pause() is None
    one.now = 20.0  # type: ignore[attr-defined]
    one.sweep({ID: before}, set())
    assert gone == []
