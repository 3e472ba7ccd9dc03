"""Proving: read until clean or the deadline, and name what stood in the way."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from unit.docs import document, port_id
from vifd.engine import verify
from vifd.errors import BackendError
from vifd.model import Evidence, Report, Wiring, decode
from vifd.plugin import Item
from vifd.testing.plugin import FakeBackend, FakePlugin, Made


class Clock:
    """Time that passes only in pauses."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Changed(threading.Event):
    """Instead of waiting, lets the clock go on."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.pauses.append(timeout)
        self.clock.now += timeout
        return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def changed(clock: Clock) -> Changed:
    return Changed(clock)


@pytest.fixture
def plugin() -> FakePlugin:
    return FakePlugin(FakeBackend())


def items(plugin: FakePlugin, *numbers: int) -> list[Item]:
    made = []
    for n in numbers:
        attachment = decode(document(n)).attachment
        plugin.backend.ports[attachment.id] = Made(attachment, n)
        made.append(Item(attachment, Wiring("fake", "fake", f"tap{n}", {"number": n})))
    return made


def prove(
    plugin: FakePlugin, batch: Sequence[Item], clock: Clock, changed: Changed, seconds: float = 10.0
) -> dict[str, Report]:
    return verify.until_clean(plugin, batch, clock.now + seconds, changed, clock=clock)


def test_what_is_clean_is_read_once(plugin: FakePlugin, clock: Clock, changed: Changed) -> None:
    reports = prove(plugin, items(plugin, 1, 2), clock, changed)
    assert all(r.clean for r in reports.values())
    assert plugin.backend.called("check") == [(port_id(1), port_id(2))]
    assert changed.pauses == []


def test_only_what_is_not_clean_is_read_again(
    plugin: FakePlugin, clock: Clock, changed: Changed
) -> None:
    batch = items(plugin, 1, 2)
    plugin.backend.dirty[port_id(2)] = 2
    reports = prove(plugin, batch, clock, changed)
    assert all(r.clean for r in reports.values())
    assert plugin.backend.called("check")[1:] == [(port_id(2),), (port_id(2),)]


def test_pauses_grow_and_end_with_the_deadline(
    plugin: FakePlugin, clock: Clock, changed: Changed
) -> None:
    batch = items(plugin, 1)
    plugin.backend.dirty[port_id(1)] = 10**6
    reports = prove(plugin, batch, clock, changed, seconds=5.0)
    assert [f.fact for f in reports[port_id(1)].findings] == ["settling"]
    assert changed.pauses == sorted(changed.pauses[:-1]) + changed.pauses[-1:]
    assert max(changed.pauses) == 0.25
    assert clock.now == pytest.approx(5.0)


def test_after_the_deadline_there_is_still_one_look(
    plugin: FakePlugin, clock: Clock, changed: Changed
) -> None:
    reports = prove(plugin, items(plugin, 1), clock, changed, seconds=-1.0)
    assert reports[port_id(1)].clean
    assert len(plugin.backend.called("check")) == 1


def test_a_change_on_the_host_ends_a_pause(plugin: FakePlugin) -> None:
    batch = items(plugin, 1)
    plugin.backend.dirty[port_id(1)] = 1
    changed = threading.Event()
    plugin.backend.spy = lambda _verb: changed.set()
    clock = Clock()
    # The clock stands still: the real wait returns only because the event is set.
    reports = verify.until_clean(plugin, batch, 3600.0, changed, clock=clock)
    assert reports[port_id(1)].clean


def test_a_port_without_a_report_waits_until_the_deadline(clock: Clock, changed: Changed) -> None:
    class Silent(FakePlugin):
        def check(self, batch: Sequence[Item]) -> dict[str, Report]:
            return {}

    plugin = Silent(FakeBackend())
    assert prove(plugin, items(plugin, 1), clock, changed, seconds=1.0) == {}
    assert clock.now == pytest.approx(1.0)


def test_what_the_plugin_raises_is_the_callers(
    plugin: FakePlugin, clock: Clock, changed: Changed
) -> None:
    plugin.backend.faults["check", "*"] = BackendError("gone")
    with pytest.raises(BackendError, match="gone"):
        prove(plugin, items(plugin, 1), clock, changed)


def test_the_error_names_the_first_finding_and_all_facts() -> None:
    report = Report([
        Evidence("device.exists", True, wanted=True),
        Evidence("ofport", -1, wanted=7, ok=False),
        Evidence("flows", "none", wanted="12", ok=False),
    ])  # fmt: skip
    error = verify.unproven(report, 10.0004, "p1")
    assert error.code == "E_WIRE_TIMEOUT"
    assert error.facts == {
        "seconds": 10.0, "finding": "ofport is -1, wanted 7", "findings": ["ofport", "flows"],
    }  # fmt: skip
    assert "ofport is -1, wanted 7" in error.message
    assert (error.stage, error.port) == ("verify", "p1")


def test_no_report_is_said_as_such() -> None:
    assert "the plugin gave no report" in verify.unproven(None, 1.0, "p1").message
