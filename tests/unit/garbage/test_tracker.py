"""How long an orphan has been one, on a clock that the test turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vifd.engine.garbage.limits import Limits
from vifd.engine.garbage.reconcile import Orphan
from vifd.engine.garbage.tracker import OrphanTracker, State
from vifd.plugin.marked import Marked
from vifd_ovs.bridge.kinds import Kind

GRACE = 60.0


def orphan(number: int = 1, *, identity: str = "1", holder: str = "", plugin: str = "ovs"):
    port = f"port{number}"
    tap = Marked(kind=Kind.DEVICE, name=f"tap{number}", owner=port, identity=identity)
    return Orphan(f"{plugin}/{port}", plugin, port, (tap,), holder)


def states(tracker: OrphanTracker) -> list[State]:
    return [s.state for s in tracker.all()]


def look(tracker: OrphanTracker, now: float, *orphans: Orphan, answered=("ovs",), kept=()) -> None:
    tracker.look(now, orphans, answered=answered, kept=lambda i: i in kept)


def test_one_look_is_never_enough():
    tracker = OrphanTracker(0.0)
    look(tracker, 0, orphan())
    assert states(tracker) == [State.SEEN]
    look(tracker, 0, orphan())
    assert states(tracker) == [State.RIPE]


def test_ripe_after_the_grace_period():
    tracker = OrphanTracker(GRACE)
    for now in (0, 30, 59.9):
        look(tracker, now, orphan())
        assert states(tracker) == [State.SEEN]
    assert tracker.due() == GRACE
    look(tracker, 60, orphan())
    (ripe,) = tracker.ripe()
    assert (ripe.first, ripe.last, ripe.count) == (0, 60, 4)
    assert tracker.due() is None


def test_what_was_gone_between_begins_anew():
    tracker = OrphanTracker(GRACE)
    look(tracker, 0, orphan())
    look(tracker, 30)
    look(tracker, 61, orphan())
    assert states(tracker) == [State.SEEN]


def test_another_object_of_the_same_name_begins_anew():
    tracker = OrphanTracker(GRACE)
    look(tracker, 0, orphan(identity="1"))
    look(tracker, 61, orphan(identity="2"))
    assert states(tracker) == [State.SEEN]


def test_one_that_is_held_is_left_alone_and_begins_anew_afterwards():
    tracker = OrphanTracker(GRACE)
    look(tracker, 0, orphan())
    look(tracker, 61, orphan(holder="open"))
    assert states(tracker) == [State.HELD]
    look(tracker, 62, orphan())
    assert states(tracker) == [State.SEEN]
    look(tracker, 121, orphan())
    assert states(tracker) == [State.SEEN]
    look(tracker, 122, orphan())
    assert states(tracker) == [State.RIPE]


def test_a_plugin_that_cannot_tell_changes_nothing():
    tracker = OrphanTracker(GRACE)
    look(tracker, 0, orphan())
    look(tracker, 61, answered=())
    assert [(s.state, s.last) for s in tracker.all()] == [(State.SEEN, 0)]
    look(tracker, 62, orphan())
    assert states(tracker) == [State.RIPE]


def test_what_was_put_back_is_kept():
    tracker = OrphanTracker(0.0)
    look(tracker, 0, orphan())
    look(tracker, 1, orphan(), kept=("ovs/port1",))
    assert states(tracker) == [State.KEPT]
    assert not tracker.ripe()


class Host(RuleBasedStateMachine):
    """Orphans that come, go, change and are held, and a clock: nothing ripens by accident."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = OrphanTracker(GRACE)
        self.now = 0.0
        self.there: dict[int, Orphan] = {}
        #: since when an orphan was the same one, unheld, at every look
        self.since: dict[int, tuple[float, int]] = {}

    @rule(number=st.integers(0, 3), identity=st.sampled_from("12"), held=st.booleans())
    def place(self, number: int, identity: str, held: bool) -> None:
        self.there[number] = orphan(number, identity=identity, holder="open" if held else "")

    @rule(number=st.integers(0, 3))
    def remove(self, number: int) -> None:
        self.there.pop(number, None)

    @rule(seconds=st.sampled_from([0.0, 1.0, 29.0, 31.0, 61.0]), answered=st.booleans())
    def look(self, seconds: float, answered: bool) -> None:
        self.now += seconds
        known = {s.orphan.id: s.orphan for s in self.tracker.all()}
        look(self.tracker, self.now, *(self.there.values() if answered else ()),
             answered=("ovs",) if answered else ())  # fmt: skip
        for number in range(4) if answered else ():
            now = self.there.get(number)
            before = known.get(f"ovs/port{number}")
            if now is None or now.holder:
                self.since.pop(number, None)
            elif number in self.since and before and before.fingerprint == now.fingerprint:
                self.since[number] = (self.since[number][0], self.since[number][1] + 1)
            else:
                self.since[number] = (self.now, 1)

    @invariant()
    def ripe_means_twice_and_long_enough(self) -> None:
        for ripe in self.tracker.ripe():
            number = int(ripe.orphan.port.removeprefix("port"))
            first, looks = self.since[number]
            assert looks >= 2
            assert ripe.last - first >= GRACE
            assert not ripe.orphan.holder


TestHost = Host.TestCase


def test_limits():
    limits = Limits(count=16, percent=20.0)
    assert limits.exceeded(16, 100) == ""
    assert "at most 16" in limits.exceeded(17, 1000)
    assert "20 %" in limits.exceeded(10, 20)
    assert limits.exceeded(3, 0) == ""
    assert "at most 0" in Limits(count=0).exceeded(1, 100)


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 100), st.floats(0, 100))
def test_never_more_than_the_count(orphans, ports, count, percent):
    if not Limits(count, percent).exceeded(orphans, ports):
        assert orphans <= count
        assert orphans <= 3 or 100 * orphans <= percent * (orphans + ports) + 1e-6
