"""The snapshot: when it is made anew, and what a probe that hangs or fails costs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from vifd.capabilities import host as host_module
from vifd.capabilities.findings import Findings
from vifd.capabilities.host import HostCapabilities, _tell
from vifd.capabilities.inventory import Capability, Inventory
from vifd.capabilities.view import view
from vifd.testing.wait import PATIENCE, until


class Clock:
    """The system's, which a test can put forward: no probe hangs because the machine is busy."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._ahead

    def skip(self, host: HostCapabilities) -> None:
        """What runs now has had its time."""
        self._ahead += PATIENCE
        host.suspect()


@dataclass
class Thing:
    """A source that counts how often it is read, and can be made to wait or to fail."""

    name: str = "thing"
    interval: float = 3600.0
    reads: int = 0
    before: Callable[[], None] = lambda: None
    gate: threading.Event = field(default_factory=threading.Event)
    reading: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def probe(self, found: Findings) -> None:
        self.reads += 1
        number = self.reads
        self.reading.set()
        self.gate.wait(PATIENCE)
        self.before()
        found.has(f"CUSTOM_{self.name.upper()}", "read", number)
        found.whole(f"CUSTOM_{self.name.upper()}_", "the whole list", "another one")

    def hang(self) -> None:
        self.gate.clear()
        self.reading.clear()


@pytest.fixture
def thing() -> Thing:
    return Thing()


@pytest.fixture
def other() -> Thing:
    return Thing("other")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def host(thing: Thing, other: Thing, clock: Clock) -> Iterator[HostCapabilities]:
    host = HostCapabilities([thing, other], patience=PATIENCE, clock=clock)
    yield host
    thing.gate.set()
    host.stop(PATIENCE)


@pytest.fixture
def up(host: HostCapabilities) -> HostCapabilities:
    host.start()
    until(lambda: len(host.inventory().capabilities) == 2, "both were read")
    return host


def value(inventory: Inventory, name: str = "CUSTOM_THING") -> int:
    return inventory.get(name).value


def given_up(host: HostCapabilities, thing: Thing, clock: Clock) -> Inventory:
    """What a question is answered with whose probe of the thing hangs."""
    answer = host.refresh()
    assert thing.reading.wait(PATIENCE)
    clock.skip(host)
    return answer.result(PATIENCE)


def test_nothing_is_known_before_it_was_read(host):
    assert host.inventory().get("CUSTOM_THING").present is None
    assert list(host.inventory()) == []


def test_it_is_whole_once_every_source_has_told(host, thing, other, clock):
    """And stays so: what hangs later has told before."""
    other.hang()
    assert not host.inventory().whole
    host.start()
    until(lambda: host.inventory().get("CUSTOM_THING").present, "one was read")
    assert not host.inventory().whole
    other.gate.set()
    until(lambda: host.inventory().get("CUSTOM_OTHER").present, "both were read")
    assert host.inventory().whole
    thing.hang()
    given_up(host, thing, clock)
    assert host.inventory().whole


def test_a_refresh_reads_now_and_answers_with_what_it_read(up, thing, other):
    assert value(up.refresh().result(PATIENCE)) == 2
    assert (thing.reads, other.reads) == (2, 2)


def test_one_source_alone(up, thing, other):
    up.refresh(["thing"]).result(PATIENCE)
    assert (thing.reads, other.reads) == (2, 1)


def test_a_snapshot_never_changes(up):
    before = up.inventory()
    up.refresh().result(PATIENCE)
    assert value(before) == 1
    assert up.inventory() is not before


def test_a_probe_that_began_before_the_question_does_not_answer_it(up, thing):
    thing.hang()
    first = up.refresh()
    assert thing.reading.wait(PATIENCE)
    second = up.refresh(["thing"])
    thing.gate.set()
    assert value(second.result(PATIENCE)) == 3
    assert value(first.result(PATIENCE)) >= 2


class TestHanging:
    def test_it_costs_its_own_facts_only(self, up, thing, other, clock):
        thing.hang()
        answer = up.refresh()
        until(lambda: value(up.inventory(), "CUSTOM_OTHER") == 2, "the other one has answered")
        assert not answer.done(), "it waits for the one that hangs"
        clock.skip(up)
        found = answer.result(PATIENCE)
        assert found.get("CUSTOM_THING").stale == "its probe hangs"
        assert found.get("CUSTOM_THING").present is True, "old, and not gone"
        assert found.get("CUSTOM_THING_X").stale == "its probe hangs"
        assert found.get("CUSTOM_OTHER").stale == ""
        assert value(up.refresh(["other"]).result(PATIENCE), "CUSTOM_OTHER") == 3

    def test_nobody_who_did_not_ask_has_to_ask_to_see_it(self, up, thing, clock):
        thing.hang()
        up.suspect("thing")
        assert thing.reading.wait(PATIENCE)
        clock.skip(up)
        until(lambda: up.inventory().get("CUSTOM_THING").stale, "it is marked as stale")
        described = {source["name"]: source for source in up.sources()}
        assert described["thing"]["problem"] == "its probe hangs"
        assert described["thing"]["running_for"] >= PATIENCE

    def test_its_return_makes_it_fresh(self, up, thing, clock):
        thing.hang()
        given_up(up, thing, clock)
        thing.gate.set()
        until(lambda: value(up.inventory()) >= 2, "it was read again")
        assert not up.inventory().get("CUSTOM_THING").stale

    def test_no_second_probe_is_begun_meanwhile(self, up, thing, clock):
        thing.hang()
        given_up(up, thing, clock)
        for _ in range(2):
            up.refresh().result(PATIENCE)
        assert thing.reads == 2

    def test_it_does_not_hold_up_the_end(self, up, thing):
        thing.hang()
        waiting = up.refresh()
        assert thing.reading.wait(PATIENCE)
        up.stop(0.05)
        assert value(waiting.result(PATIENCE)) == 1
        assert up.refresh().done(), "nobody is left to answer"


class TestFailing:
    def test_what_it_told_before_stays_and_is_stale(self, up, thing):
        def fail() -> None:
            raise RuntimeError("a defect")

        thing.before = fail
        found = up.refresh().result(PATIENCE)
        assert value(found) == 1
        assert found.get("CUSTOM_THING").stale == "its probe failed: a defect"
        thing.before = lambda: None
        assert up.refresh().result(PATIENCE).get("CUSTOM_THING").stale == ""

    def test_it_is_read_again_soon_without_being_asked(self, up, thing, monkeypatch):
        """Not only when its hour comes."""
        monkeypatch.setattr(host_module, "_AGAIN", 0.01)

        def fail() -> None:
            thing.before = lambda: None
            raise RuntimeError("once")

        thing.before = fail
        up.suspect("thing")
        until(lambda: thing.reads >= 3, "it was read, failed, and was read again")
        until(lambda: not up.inventory().get("CUSTOM_THING").stale, "its answer is fresh")

    def test_one_that_never_answered_is_unknown(self, thing, other):
        def fail() -> None:
            raise RuntimeError("a defect")

        thing.before = fail
        host = HostCapabilities([thing, other], patience=PATIENCE)
        host.start()
        found = host.refresh().result(PATIENCE)
        host.stop(PATIENCE)
        assert found.get("CUSTOM_THING").present is None
        assert found.has("CUSTOM_OTHER")

    def test_a_system_without_threads_to_give_costs_nothing_else(self, up, thing, monkeypatch):
        def refused(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            found = up.refresh().result(PATIENCE)
        assert found.get("CUSTOM_THING").stale == "it cannot be read: can't start new thread"
        assert value(found) == 1
        assert up.refresh().result(PATIENCE).get("CUSTOM_THING").stale == ""


class TestWhen:
    def test_events_are_gathered(self, up, thing, other):
        for _ in range(20):
            up.suspect("thing", "nobody")
        until(lambda: thing.reads > 1, "it was read again")
        assert (thing.reads, other.reads) == (2, 1)

    def test_each_at_its_own_pace(self, thing, other):
        thing.interval = 0.01
        host = HostCapabilities([thing, other], patience=PATIENCE)
        host.start()
        until(lambda: thing.reads > 3, "it is read again and again")
        host.stop(PATIENCE)
        assert other.reads == 1

    def test_what_runs_is_waited_for_at_the_end(self, up, thing):
        up.refresh()
        up.stop(PATIENCE)
        assert not [t for t in threading.enumerate() if t.name.startswith("probe-")]

    def test_nothing_is_read_after_the_end(self, up, thing):
        up.stop(PATIENCE)
        up.suspect("thing")
        assert thing.reads == 1


def test_what_comes_and_goes_is_in_the_log(caplog):
    caplog.set_level("INFO")
    old, new = (
        Inventory({"X": Capability("X", present, evidence="why")}) for present in (True, False)
    )
    _tell(Inventory(), old)
    _tell(old, old)
    assert not caplog.messages, "the first reading is no news"
    _tell(old, new)
    _tell(new, old)
    assert caplog.messages == ["the host has no longer X: why", "the host has X: why"]


def test_the_view_tells_ages_and_hides_hints_of_what_is_there(up):
    at = up.inventory().at
    shown = view(up.inventory(), up.sources(), at + 5)
    assert (shown.age, shown.traits) == (5, ["CUSTOM_OTHER", "CUSTOM_THING"])
    assert {c.missing for c in shown.capabilities} == {""}
    assert all(s.age is not None and 0 <= s.age <= 6 for s in shown.sources)
    assert view(up.inventory(), [], at - 100).age == 0, "the clock was set back"
