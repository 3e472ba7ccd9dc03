"""A lane: what waits becomes one batch, removals go last, errands go first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

import pytest

from vifd.engine.lane import PLUG_SLICE, UNPLUG_SLICE, Lane
from vifd.testing.wait import until

WAIT = 10.0


class Crew:
    """Notes its batches; waits at the gate."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, ...]] = []
        self.gone: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()
        self.fail = False

    def removing(self, port_id: str) -> bool:
        return port_id in self.gone

    def serve(self, port_ids: Sequence[str]) -> None:
        self.started.set()
        assert self.gate.wait(WAIT)
        self.batches.append(tuple(port_ids))
        if self.fail:
            raise RuntimeError("boom")


@pytest.fixture
def crew() -> Crew:
    return Crew()


@pytest.fixture
def lane(crew: Crew) -> Iterator[Lane]:
    lane = Lane("fake", crew)
    yield lane
    crew.gate.set()
    assert lane.stop(WAIT)


def hold(lane: Lane, crew: Crew) -> None:
    """Keep the lane busy with one port."""
    crew.gate.clear()
    lane.start()
    lane.mark(["first"])
    assert crew.started.wait(WAIT)


def served(crew: Crew, count: int) -> list[tuple[str, ...]]:
    crew.gate.set()
    until(lambda: len(crew.batches) >= count, f"{count} batches")
    return crew.batches


def test_what_waits_becomes_one_batch_and_each_port_once(lane: Lane, crew: Crew) -> None:
    hold(lane, crew)
    for ports in (["a", "b"], ["b"], ["c", "a"]):
        lane.mark(ports)
    assert lane.waiting == 3
    assert lane.pending() == ("a", "b", "c")
    assert served(crew, 2) == [("first",), ("a", "b", "c")]


def test_a_port_marked_while_it_is_served_is_served_again(lane: Lane, crew: Crew) -> None:
    hold(lane, crew)
    lane.mark(["first"])
    assert served(crew, 2) == [("first",), ("first",)]


def test_removals_go_last_and_in_small_slices(lane: Lane, crew: Crew) -> None:
    hold(lane, crew)
    gone = [f"gone{n}" for n in range(UNPLUG_SLICE + 3)]
    crew.gone.update(gone)
    lane.mark(gone)
    lane.mark(["plug1", "plug2"])
    assert served(crew, 4) == [
        ("first",), ("plug1", "plug2"), tuple(gone[:UNPLUG_SLICE]), tuple(gone[UNPLUG_SLICE:]),
    ]  # fmt: skip


def test_a_plug_that_comes_between_removals_goes_first(lane: Lane, crew: Crew) -> None:
    hold(lane, crew)
    gone = [f"gone{n}" for n in range(UNPLUG_SLICE * 2)]
    crew.gone.update(gone)
    lane.mark(gone)
    turn = threading.Event()
    serve = crew.serve

    def spy(port_ids: Sequence[str]) -> None:
        serve(port_ids)
        if not turn.is_set() and port_ids[0] in crew.gone:
            turn.set()
            lane.mark(["plug"])

    crew.serve = spy  # type: ignore[method-assign]
    assert [b[0] for b in served(crew, 4)] == ["first", "gone0", "plug", f"gone{UNPLUG_SLICE}"]


def test_a_batch_has_a_largest_size(lane: Lane, crew: Crew) -> None:
    hold(lane, crew)
    lane.mark(str(n) for n in range(PLUG_SLICE + 1))
    assert [len(b) for b in served(crew, 3)] == [1, PLUG_SLICE, 1]


def test_an_errand_goes_before_the_batch_and_the_same_one_waits_once(
    lane: Lane, crew: Crew
) -> None:
    hold(lane, crew)
    order: list[object] = []
    lane.mark(["a"])
    for _ in range(3):
        lane.errand("probe", lambda: order.append(("probe", len(crew.batches))))
    served(crew, 2)
    assert order == [("probe", 1)]


def test_what_an_errand_marks_is_in_the_next_batch(lane: Lane, crew: Crew) -> None:
    lane.mark(["a"])
    lane.errand("recover", lambda: lane.mark(["b"]))
    lane.start()
    assert served(crew, 1) == [("a", "b")]


def test_it_says_what_it_does_and_since_when(crew: Crew) -> None:
    lane = Lane("fake", crew, clock=lambda: 42.0)
    hold(lane, crew)
    busy = lane.busy
    assert busy is not None
    assert (busy.what, busy.since, busy.ports) == ("serve", 42.0, ("first",))
    served(crew, 1)
    until(lambda: lane.busy is None, "the lane is idle")
    assert lane.stop(WAIT)


def test_a_crew_that_raises_does_not_end_the_lane(
    lane: Lane, crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    crew.fail = True
    with caplog.at_level(logging.ERROR):
        hold(lane, crew)
        lane.mark(["b"])
        assert served(crew, 2) == [("first",), ("b",)]
        lane.errand("bad", lambda: 1 / 0)  # type: ignore[arg-type]
        lane.mark(["c"])
        served(crew, 3)
    assert "lane fake" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_quarantine_ends_with_the_answer(lane: Lane, crew: Crew) -> None:
    hold(lane, crew)
    lane.quarantined = True
    crew.gate.set()
    until(lambda: not lane.quarantined, "the lane is in use again")


def test_a_stop_finishes_the_batch_and_leaves_the_rest(lane: Lane, crew: Crew) -> None:
    hold(lane, crew)
    lane.mark(["b"])
    assert not lane.stop(0.01), "it is still busy"
    crew.gate.set()
    assert lane.stop(WAIT)
    assert crew.batches == [("first",)]
    assert lane.waiting == 1


def test_a_chore_waits_until_no_port_does():
    done: list[str] = []
    release, entered = threading.Event(), threading.Event()

    class Crew:
        def removing(self, port_id: str) -> bool:
            return False

        def serve(self, port_ids) -> None:
            entered.set()
            release.wait(10)
            done.extend(port_ids)

    lane = Lane("test", Crew())
    lane.start()
    lane.mark(["a"])
    assert entered.wait(10)
    finished = threading.Event()
    lane.chore("late", lambda: done.append("chore"))
    lane.chore("last", finished.set)
    lane.mark(["b"])
    release.set()
    assert finished.wait(10)
    assert lane.stop(10)
    assert done == ["a", "b", "chore"]
