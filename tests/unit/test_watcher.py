"""Events mark ports, once they have settled and where they are news; on a clock of the test's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document
from vifd.drivers import Drivers, PortRow
from vifd.engine import Engine, Settings
from vifd.engine.metrics import Metrics
from vifd.engine.unwell import LONGEST
from vifd.engine.watcher import PATIENCE, SETTLE, STRANGERS, Watcher
from vifd.model import Evidence, Phase, PortRecord, Report, Wiring, decode
from vifd.openflow.monitor import Event, Update
from vifd.plugin import UNPROBED, Health, Probe, Uplink
from vifd.store import Journal
from vifd.testing.plugin import FakeBackend, FakePlugin
from vifd.testing.wait import until
from vifd_ovs.bridge import tables

START = 1000.0


class OnSwitch(FakePlugin):
    """A plugin that knows which flows of others are in its way."""

    def concerned_by(self, update: Update) -> bool:
        return tables.concerns(update.table, update.priority)


@dataclass
class Scene:
    """A watcher over an engine whose lanes do not run: what is marked stays to be seen."""

    journal: Journal
    engine: Engine
    now: float = START
    #: by how many seconds somebody set the clock
    set_by: float = 0.0
    interval: float = 0.0
    reassert_interval: float = 0.0
    reasserted: list[float] = field(default_factory=list)
    callbacks: dict[str, Callable[..., None]] = field(default_factory=dict)
    switch_ports: dict[str, str] = field(default_factory=dict)
    bridges: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.watcher = Watcher(
            self.engine, self.journal, lambda: self.interval,
            lambda: self.reasserted.append(self.now), lambda: self.reassert_interval,
            clock=lambda: self.now, wall=lambda: self.now + self.set_by,
        )  # fmt: skip

        def driver(name: str) -> Any:
            return SimpleNamespace(
                subscribe=lambda call: self.callbacks.update({name: call}),
                port=self._row,
                bridge=self.bridges.get,
                watch=lambda call: self.callbacks.update({"flows": call}),
                watch_ports=lambda call: self.callbacks.update({"ports": call}),
            )

        self.watcher.subscribe(
            Drivers(driver("links"), driver("ovsdb"), driver("openflow"), driver("tracer"))
        )

    def _row(self, name: str) -> PortRow | None:
        bridge = self.switch_ports.get(name)
        return PortRow(name, bridge) if bridge else None

    def port(self, number: int, at: float = START, **changes: Any) -> str:
        wiring = Wiring("fake", "fake", f"tap{number}")
        record = PortRecord(
            doc=decode(document(number)), plugin="fake", vif_type="fake", names=wiring,
            wiring=wiring, phase=Phase.LIVE, open=True, applied=True,
            report=Report([Evidence("x", 1)], at=at),
        )  # fmt: skip
        self.put(replace(record, **changes))
        return record.id

    def put(self, record: PortRecord) -> None:
        self.journal.commit({record.id: lambda _: record})

    def link(self, name: str) -> None:
        self.callbacks["links"](name, True)

    def marked(self, after: float = SETTLE + 0.01) -> set[str]:
        """Which ports are marked once so many seconds have passed."""
        self.now += after
        self.watcher.turn()
        lane = self.engine.lanes["fake"]
        found = set(lane.pending())
        lane._dirty.clear()
        return found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    journal = Journal.open(tmp_path / "journal.db")
    engine = Engine(
        {"fake": OnSwitch(FakeBackend())}, journal, Metrics(), Settings(retry_first=0.01)
    )
    yield Scene(journal, engine)
    journal.close()


def test_an_event_newer_than_the_report_marks_its_port_alone(scene: Scene) -> None:
    first, _ = scene.port(1), scene.port(2)
    scene.now += 5
    scene.link("tap1")
    assert scene.marked() == {first}
    assert scene.marked() == set(), "once"


def test_flows_of_ours_changed_by_somebody_mark_every_port(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    ports = {scene.port(1), scene.port(2)}
    scene.now += 5
    for _ in range(7):
        scene.callbacks["flows"]("br-int", [Update(Event.REMOVED, 120, 50, 0x7601_0000_0000_0001)])
    with caplog.at_level(logging.WARNING):
        assert scene.marked() == ports
    told = [r.getMessage() for r in caplog.records if "by somebody else" in r.getMessage()]
    assert told == ["bridge br-int: 7 changes of vifd's flows by somebody else"]


def test_flows_of_others_count_where_they_are_in_our_way_and_not_all_the_time(
    scene: Scene,
) -> None:
    port = scene.port(1)

    def told(table: int, priority: int) -> set[str]:
        scene.now += 1
        scene.callbacks["flows"]("br-int", [Update(Event.ADDED, table, priority, 0xBAD)])
        scene.watcher.turn()
        return scene.marked()

    assert told(0, 10) == set()
    assert told(71, 500) == set()
    assert told(0, 5000) == {port}
    assert told(0, 5000) == set()
    scene.now += STRANGERS
    assert told(160, 1) == {port}


def test_a_bridge_that_comes_back_is_told_to_the_plugins(scene: Scene) -> None:
    told: list[str] = []
    scene.engine.lanes.reconnected = told.append  # type: ignore[method-assign, assignment]
    scene.callbacks["openflow"]("br-int", True)
    assert told == []
    scene.callbacks["openflow"]("br-int", False)
    scene.callbacks["openflow"]("br-int", True)
    scene.callbacks["openflow"]("br-int", True)
    assert told == ["br-int"]


def test_what_a_port_leans_on_marks_it(scene: Scene) -> None:
    ports = {1: scene.port(1, at=START - 1), 2: scene.port(2, at=START - 1)}
    plugin: Any = scene.engine.plugins["fake"]
    plugin.leans_on = lambda made: ["br-ex"] if made.device == "tap1" else []
    scene.link("br-ex")
    assert scene.marked() == {ports[1]}
    scene.callbacks["ovsdb"]("port", "elsewhere")
    assert scene.marked() == set()


def test_the_device_of_a_port_that_went_is_nothing_to_ask_all_ports_about(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    backend = scene.engine.plugins["fake"]

    def leans_on(wiring: Wiring) -> list[str]:
        asked.append(wiring.device)
        return ["eth0"]

    monkeypatch.setattr(backend, "leans_on", leans_on)
    stays, gone = scene.port(1), scene.port(2)
    scene.now += 1
    scene.link("tap2")
    assert scene.marked() == {gone}
    scene.journal.commit({gone: lambda _: None})
    scene.link("tap2")
    assert scene.marked() == set()
    assert asked == []
    scene.link("eth0")
    assert scene.marked() == {stays}
    assert asked == ["tap1"]


def test_a_bridge_that_comes_back_is_used_at_once_by_ports_that_wait(scene: Scene) -> None:
    port = scene.port(1, at=START - 1, phase=Phase.FAILED, error={"code": "E"})
    plugin: Any = scene.engine.plugins["fake"]
    plugin.leans_on = lambda _made: ["br-ex"]
    scene.callbacks["ovsdb"]("bridge", "br-ex")
    assert scene.marked() == set(), "it is gone"
    scene.bridges["br-ex"] = "there"
    scene.callbacks["ovsdb"]("bridge", "br-ex")
    assert scene.marked() == {port}
    scene.callbacks["ovsdb"]("bridge", "br-ex")
    assert scene.marked() == set(), "it only changed"


def test_a_plugin_that_fails_to_say_what_a_port_leans_on_costs_that_alone(scene: Scene) -> None:
    port = scene.port(1, at=START - 1)
    plugin: Any = scene.engine.plugins["fake"]
    plugin.leans_on = lambda _made: 1 / 0
    scene.link("eth0")
    scene.link("tap1")
    assert scene.marked() == {port}


def test_the_echo_of_our_own_work_marks_nothing(scene: Scene) -> None:
    scene.port(1, at=START + 0.1)
    scene.link("tap1")
    assert scene.marked() == set()


def test_an_event_must_have_settled(scene: Scene) -> None:
    first = scene.port(1, at=START - 1)
    scene.link("tap1")
    assert scene.marked(SETTLE / 2) == set()
    scene.link("tap1")
    assert scene.marked(SETTLE / 2 + 0.01) == set(), "the second one has not"
    assert scene.marked(SETTLE / 2) == {first}


def test_a_device_that_never_settles_is_looked_at_all_the_same(scene: Scene) -> None:
    first = scene.port(1, at=START - 1)
    seen = set[str]()
    waited = 0.0
    while not seen:
        scene.link("tap1")
        seen = scene.marked(SETTLE / 2)
        waited += SETTLE / 2
        assert waited <= PATIENCE + SETTLE
    assert seen == {first}


def test_an_event_about_an_unknown_device_marks_nothing(scene: Scene) -> None:
    scene.port(1, at=START - 1)
    scene.link("eth0")
    assert scene.marked() == set()


def test_a_row_of_the_database_marks_its_port(scene: Scene) -> None:
    first = scene.port(1, at=START - 1)
    scene.callbacks["ovsdb"]("port", "tap1")
    assert scene.marked() == {first}


@pytest.mark.parametrize(
    "event", [("links", "", True), ("ovsdb", "connected", ""), ("ovsdb", "disconnected", ""),
              ("openflow", "br-int", False), ("openflow", "br-int", True)],
)  # fmt: skip
def test_what_concerns_all_marks_all_that_it_is_news_for(
    scene: Scene, event: tuple[str, Any, Any]
) -> None:
    old = {scene.port(1, at=START - 1), scene.port(2, at=START - 1)}
    scene.port(3, at=START + 1)
    driver, *said = event
    scene.callbacks[driver](*said)
    assert scene.marked() == old


def test_an_event_of_all_after_one_of_its_own_counts_as_well(scene: Scene) -> None:
    first = scene.port(1, at=START + 0.1)
    scene.link("tap1")
    scene.now += 0.2
    scene.callbacks["openflow"]("br-int", False)
    assert scene.marked() == {first}


@pytest.mark.parametrize(
    "event", [("ovsdb", "connected", ""), ("ovsdb", "disconnected", ""), ("ovsdb", "bridge", "b")]
)
def test_what_a_plugin_stands_on_changed_so_it_is_probed(
    scene: Scene, event: tuple[str, str, str]
) -> None:
    driver, *said = event
    scene.callbacks[driver](*said)
    assert set(scene.engine.lanes["fake"]._urgent) == {"probe"}


def test_a_plugin_that_cannot_work_is_asked_again_though_nothing_happens(scene: Scene) -> None:
    """A switch was too busy to answer when it was asked, and no port was there to feel for it."""
    scene.watcher.turn()
    scene.engine.probes["fake"] = Probe(Health.UNAVAILABLE, ["it does not answer"])
    scene.watcher.turn()
    asked = []
    for _ in range(400):
        scene.now += 0.5
        scene.watcher.turn()
        if scene.engine.lanes["fake"]._urgent.pop("probe", None):
            asked.append(scene.now - START)
    assert asked[:4] == [1.0, 3.0, 7.0, 15.0]
    assert asked[-1] - asked[-2] == LONGEST
    scene.engine.probes["fake"] = Probe(Health.READY)
    assert scene.watcher.turn() == pytest.approx(5.0, abs=0.01)
    scene.engine.probes["fake"] = Probe(Health.UNAVAILABLE, ["it does not answer"])
    assert scene.watcher.turn() == pytest.approx(1.0, abs=0.01), "and soon when it falls ill anew"


@pytest.mark.parametrize(
    "probe",
    [
        UNPROBED,
        Probe(Health.UNAVAILABLE, ["OVN's"], applies=False),
        Probe(Health.UNAVAILABLE, ["another daemon's, which may be starting anew"], taken=True),
    ],
)
def test_a_plugin_that_nobody_waits_for_is_not_asked_again(scene: Scene, probe: Probe) -> None:
    scene.engine.probes["fake"] = probe
    for _ in range(10):
        scene.now += LONGEST
        scene.watcher.turn()
    assert not scene.engine.lanes["fake"]._urgent


def test_every_event_ends_a_verifiers_pause(scene: Scene) -> None:
    changed = scene.engine.lanes["fake"].changed
    for event in (("links", "tap1", True), ("ovsdb", "port", "tap1"), ("openflow", "b", True)):
        changed.clear()
        driver, *said = event
        scene.callbacks[driver](*said)
        assert changed.is_set(), event


def test_a_failed_ports_own_attempts_do_not_shorten_its_pauses(scene: Scene) -> None:
    """Making and undoing a device makes events; the back-off decides when it is tried again."""
    failed = scene.port(1, at=START - 1, phase=Phase.FAILED, error={"code": "E_PLUG_DEVICE"})
    scene.link("tap1")
    assert scene.marked() == set()
    scene.callbacks["ovsdb"]("connected", "")
    assert scene.marked() == {failed}, "what may have been the cause is over"


def test_a_port_in_work_is_looked_at_when_its_proof_is_older_than_the_event(scene: Scene) -> None:
    port = scene.port(1, at=START - 1, phase=Phase.PLUGGING)
    scene.link("tap1")
    assert scene.marked() == set()
    scene.port(1, at=START + 0.1)
    assert scene.marked() == set(), "the proof was newer"
    scene.port(1, at=START - 1, phase=Phase.PLUGGING)
    scene.now += 1
    scene.link("tap1")
    at = scene.now
    assert scene.marked() == set()
    scene.port(1, at=at - 0.1)
    assert scene.marked() == {port}, "the event came after the proof, before its record"


def test_a_port_on_its_way_out_is_left_alone(scene: Scene) -> None:
    scene.port(1, at=START - 1, removing=True, phase=Phase.UNPLUGGING)
    scene.link("tap1")
    assert scene.marked() == set()


def test_every_port_is_checked_now_and_then(scene: Scene) -> None:
    every = {scene.port(1), scene.port(2)}
    scene.interval = 60.0
    assert scene.marked(59.0) == set()
    assert scene.marked(60.0 * 0.25 + 1.0) == every
    assert scene.marked(59.0) == set()
    scene.interval = 0.0
    assert scene.marked(10_000.0) == set(), "never, when it is off"


def test_statuses_are_asserted_again_now_and_then(scene: Scene) -> None:
    scene.reassert_interval = 300.0
    scene.marked(299.0)
    assert scene.reasserted == []
    scene.marked(1.0)
    scene.marked(1.0)
    assert scene.reasserted == [START + 300.0]


def test_how_long_it_may_sleep(scene: Scene) -> None:
    scene.port(1)
    assert scene.watcher.turn() == pytest.approx(5.0, abs=0.01)
    scene.link("tap1")
    assert scene.watcher.turn() == pytest.approx(SETTLE, abs=0.01)


def test_work_that_fails_does_not_end_it(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []

    def tick() -> float:
        turns.append(scene.now)
        if len(turns) == 1:
            raise RuntimeError("boom")
        return 0.0

    monkeypatch.setattr(scene.engine, "tick", tick)
    with caplog.at_level(logging.ERROR):
        scene.watcher.start()
        scene.engine.hooks.wake()
        until(lambda: len(turns) >= 2, "a second turn")
        scene.watcher.stop(60)
    assert "boom" in caplog.text
    assert not scene.watcher._thread.is_alive()


def test_a_retry_that_is_due_wakes_it(scene: Scene) -> None:
    """Without this a retry would wait for the end of a long pause."""
    port = scene.port(1)
    scene.watcher.start()
    scene.engine.later(port)
    lane = scene.engine.lanes["fake"]
    until(lambda: lane.pending() == (port,), "the port is marked")
    scene.watcher.stop(60)


class TestWaysOut:
    """What a network leaves the host by is probed anew when it changes; nothing else is."""

    @pytest.fixture
    def probed(self, scene: Scene) -> Callable[[], bool]:
        uplink = Uplink("br-ex", devices=("eth1",))
        tunnel = Uplink("eth2", devices=("eth2",))
        scene.engine.probes["fake"] = Probe(
            Health.READY, physical_networks={"physnet1": uplink}, tunnels={"vxlan": tunnel}
        )
        return lambda: bool(scene.engine.lanes["fake"]._urgent.pop("probe", None))

    @pytest.mark.parametrize("name", ["eth1", "br-ex", "eth2", ""])
    def test_a_link_of_it(self, scene: Scene, probed: Callable[[], bool], name: str) -> None:
        scene.link(name)
        assert probed()

    def test_another_link(self, scene: Scene, probed: Callable[[], bool]) -> None:
        scene.link("tap1")
        assert not probed()

    def test_a_port_of_its_bridge(self, scene: Scene, probed: Callable[[], bool]) -> None:
        scene.switch_ports["eth7"] = "br-ex"
        scene.switch_ports["tap1"] = "br-int"
        scene.callbacks["ovsdb"]("port", "eth7")
        assert probed()
        scene.callbacks["ovsdb"]("port", "tap1")
        assert not probed()
        scene.callbacks["ovsdb"]("port", "eth1")
        assert probed(), "it was a port of the bridge until now"


# --- a clock that is set --------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_every_port_is_looked_at_once_after_the_clock_was_set(
    scene: Scene, caplog: pytest.LogCaptureFixture, jump: float
) -> None:
    ports = {scene.port(1), scene.port(2, phase=Phase.DEGRADED)}
    scene.port(3, removing=True)
    scene.link("tap1")
    scene.set_by = jump
    assert scene.marked() == ports
    assert f"the clock jumped by {jump:+.1f} s" in caplog.text
    assert scene.marked(10.0) == set()


def test_after_the_clock_was_set_back_an_event_is_news_again(scene: Scene) -> None:
    port = scene.port(1)
    scene.set_by = -500.0
    assert scene.marked() == {port}
    scene.port(1, at=scene.now + scene.set_by)
    scene.now += 1
    scene.link("tap1")
    assert scene.marked() == {port}


def test_a_clock_that_is_slewed_is_no_jump(scene: Scene) -> None:
    scene.port(1)
    for _ in range(20):
        scene.set_by += 0.4
        assert scene.marked(5.0) == set()
