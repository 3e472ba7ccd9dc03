"""A lane: what waits becomes one batch, removals go last, urgent tasks go first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from vifd.engine.lane import (
    PLUG_SLICE,
    REMOVALS_WAIT,
    SMALLEST,
    UNPLUG_SLICE,
    Lane,
    slice_after,
)
from vifd.testing.wait import PATIENCE, until

WAIT = 60.0


class LaneWorker:
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
def worker() -> LaneWorker:
    return LaneWorker()


@pytest.fixture
def lane(worker: LaneWorker) -> Iterator[Lane]:
    lane = Lane("fake", worker)
    yield lane
    worker.gate.set()
    assert lane.stop(WAIT)


def hold(lane: Lane, worker: LaneWorker) -> None:
    """Keep the lane busy with one port."""
    worker.gate.clear()
    lane.start()
    lane.mark(["first"])
    assert worker.started.wait(WAIT)


def served(worker: LaneWorker, count: int) -> list[tuple[str, ...]]:
    worker.gate.set()
    until(lambda: len(worker.batches) >= count, f"{count} batches")
    return worker.batches


def test_what_waits_becomes_one_batch_and_each_port_once(lane: Lane, worker: LaneWorker) -> None:
    hold(lane, worker)
    for ports in (["a", "b"], ["b"], ["c", "a"]):
        lane.mark(ports)
    assert lane.waiting == 3
    assert lane.pending() == ("a", "b", "c")
    assert served(worker, 2) == [("first",), ("a", "b", "c")]


def test_a_port_marked_while_it_is_served_is_served_again(lane: Lane, worker: LaneWorker) -> None:
    hold(lane, worker)
    lane.mark(["first"])
    assert served(worker, 2) == [("first",), ("first",)]


def test_removals_go_last_and_in_small_slices(lane: Lane, worker: LaneWorker) -> None:
    hold(lane, worker)
    gone = [f"gone{n}" for n in range(UNPLUG_SLICE + 3)]
    worker.gone.update(gone)
    lane.mark(gone)
    lane.mark(["plug1", "plug2"])
    assert served(worker, 4) == [
        ("first",), ("plug1", "plug2"), tuple(gone[:UNPLUG_SLICE]), tuple(gone[UNPLUG_SLICE:]),
    ]  # fmt: skip


def test_a_plug_that_comes_between_removals_goes_first(lane: Lane, worker: LaneWorker) -> None:
    hold(lane, worker)
    gone = [f"gone{n}" for n in range(UNPLUG_SLICE * 2)]
    worker.gone.update(gone)
    lane.mark(gone)
    turn = threading.Event()
    serve = worker.serve

    def spy(port_ids: Sequence[str]) -> None:
        serve(port_ids)
        if not turn.is_set() and port_ids[0] in worker.gone:
            turn.set()
            lane.mark(["plug"])

    worker.serve = spy  # type: ignore[method-assign]
    assert [b[0] for b in served(worker, 4)] == ["first", "gone0", "plug", f"gone{UNPLUG_SLICE}"]


def test_removals_have_their_turn_where_plugs_never_cease() -> None:
    """A port whose attempt takes longer than the pause before the next one always waits."""
    now = [0.0]

    class Failing(LaneWorker):
        marked: Callable[[Iterable[str]], None]

        def serve(self, port_ids: Sequence[str]) -> None:
            now[0] += REMOVALS_WAIT / 2
            super().serve(port_ids)
            if "failing" in port_ids and len(self.batches) < 20:
                self.marked(["failing"])

    worker = Failing()
    worker.gone = {"going"}
    lane = Lane("fake", worker, clock=lambda: now[0])
    worker.marked = lane.mark
    try:
        lane.mark(["failing", "going"])
        lane.start()
        until(lambda: ("going",) in worker.batches, "the removal had its turn")
        assert worker.batches.index(("going",)) == 2
    finally:
        assert lane.stop(WAIT)


def test_a_batch_has_a_largest_size(lane: Lane, worker: LaneWorker) -> None:
    hold(lane, worker)
    lane.mark(str(n) for n in range(PLUG_SLICE + 1))
    assert [len(b) for b in served(worker, 3)] == [1, PLUG_SLICE, 1]


def test_an_urgent_task_goes_before_the_batch_and_the_same_one_waits_once(
    lane: Lane, worker: LaneWorker
) -> None:
    hold(lane, worker)
    order: list[object] = []
    lane.mark(["a"])
    for _ in range(3):
        lane.urgent("probe", lambda: order.append(("probe", len(worker.batches))))
    served(worker, 2)
    assert order == [("probe", 1)]


def test_what_an_urgent_task_marks_is_in_the_next_batch(lane: Lane, worker: LaneWorker) -> None:
    lane.mark(["a"])
    lane.urgent("recover", lambda: lane.mark(["b"]))
    lane.start()
    assert served(worker, 1) == [("a", "b")]


def test_a_slow_switch_is_given_less_at_a_time() -> None:
    size, seen = PLUG_SLICE, []
    for _ in range(6):
        # a second for each port
        size = slice_after(size, size, float(size))
        seen.append(size)
    assert seen == [128, 64, 32, 16, 16, 16]
    for _ in range(6):
        size = slice_after(size, size, 0.1)
    assert size == PLUG_SLICE
    # a few ports that are quick say nothing about many
    assert slice_after(32, 3, 0.1) == 32
    assert slice_after(256, 3, 60.0) == SMALLEST


def test_it_says_what_it_does_and_since_when(worker: LaneWorker) -> None:
    lane = Lane("fake", worker, clock=lambda: 42.0)
    hold(lane, worker)
    busy = lane.busy
    assert busy is not None
    assert (busy.what, busy.since, busy.ports) == ("serve", 42.0, ("first",))
    served(worker, 1)
    until(lambda: lane.busy is None, "the lane is idle")
    assert lane.stop(WAIT)


def test_a_worker_that_raises_does_not_end_the_lane(
    lane: Lane, worker: LaneWorker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.fail = True
    with caplog.at_level(logging.ERROR):
        hold(lane, worker)
        lane.mark(["b"])
        assert served(worker, 2) == [("first",), ("b",)]
        lane.urgent("bad", lambda: 1 / 0)  # type: ignore[arg-type]
        lane.mark(["c"])
        served(worker, 3)
    assert "lane fake" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_quarantine_ends_with_the_answer(lane: Lane, worker: LaneWorker) -> None:
    hold(lane, worker)
    lane.quarantined = True
    worker.gate.set()
    until(lambda: not lane.quarantined, "the lane is in use again")


def test_a_stop_finishes_the_batch_and_leaves_the_rest(lane: Lane, worker: LaneWorker) -> None:
    hold(lane, worker)
    lane.mark(["b"])
    assert not lane.stop(0.01), "it is still busy"
    worker.gate.set()
    assert lane.stop(WAIT)
    assert worker.batches == [("first",)]
    assert lane.waiting == 1


def test_an_idle_task_waits_until_no_port_does():
    done: list[str] = []
    release, entered = threading.Event(), threading.Event()

    class LaneWorker:
        def removing(self, port_id: str) -> bool:
            return False

        def serve(self, port_ids) -> None:
            entered.set()
            release.wait(PATIENCE)
            done.extend(port_ids)

    lane = Lane("test", LaneWorker())
    lane.start()
    lane.mark(["a"])
    assert entered.wait(PATIENCE)
    finished = threading.Event()
    lane.idle("late", lambda: done.append("idle task"))
    lane.idle("last", finished.set)
    lane.mark(["b"])
    release.set()
    assert finished.wait(PATIENCE)
    assert lane.stop(60)
    assert done == ["a", "b", "idle task"]


def test_a_port_is_seen_to_wait_or_to_be_served_at_every_moment(worker: LaneWorker) -> None:
    """Between the two nobody would know that something becomes of it."""
    seen: list[bool] = []

    def clock() -> float:
        seen.append(bool(made.waiting) or made.busy is not None)
        return 0.0

    made = Lane("fake", worker, clock=clock)
    made.mark(["first"])
    hold(made, worker)
    until_served = list(seen)
    worker.gate.set()
    assert made.stop(WAIT)
    assert until_served
    assert all(until_served)
