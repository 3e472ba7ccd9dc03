"""What stands in the way of a move, how long a guest got nothing, and what becomes of a record."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document
from vifd import errors
from vifd.engine import outcome
from vifd.migration import movable
from vifd.migration.frames import Counts
from vifd.migration.lulls import PATIENCE, LullWatch, longest
from vifd.migration.origins import swept
from vifd.migration.timeline import Time
from vifd.model import Origin, Phase, PortRecord, Wiring, decode
from vifd.plugin import Advert
from vifd.store import Change

SOURCE = Advert(("bridge",), features=frozenset({"port_security"}), hands_over=True)
TARGET = Advert(("ovs",), features=frozenset({"port_security"}), takes_over=True)
MADE = Wiring("linuxbridge", "bridge", "tap0")
NAMES = Wiring("ovs", "ovs", "tap0", {"ofport": 1})


def record(**changes: Any) -> PortRecord:
    doc = decode(document(**{k: v for k, v in changes.items() if "__" in k or k in document()}))
    more = {k: v for k, v in changes.items() if "__" not in k and k not in document()}
    base = PortRecord(
        doc=doc, plugin="linuxbridge", vif_type="bridge", phase=Phase.LIVE, names=MADE, wiring=MADE,
        open=True, applied=True,
    )  # fmt: skip
    return replace(base, **more)


def test_a_proven_port_with_a_tap_can_move():
    assert movable.problem(record(), SOURCE, TARGET) == ""


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"phase": Phase.FAILED}, "only a port that is proven"),
        ({"wiring": None}, "only a port that is proven"),
        ({"applied": False}, "only a port that is proven"),
        ({"removing": True}, "being removed"),
        ({"origin": Origin("ovs", NAMES)}, "something of it is still there"),
        ({"role": "INACTIVE", "open": False, "phase": Phase.READY}, "its binding is INACTIVE"),
        ({"port__device_owner": "trunk:subport"}, "sub-port"),
    ],
)
def test_what_stands_in_the_way(changes, why):
    assert why in movable.problem(record(**changes), SOURCE, TARGET)


def test_what_plugins_say_of_themselves():
    vhost = Advert(("vhostuser",))
    assert "no tap" in movable.problem(record(), vhost, TARGET)
    assert "takes over no taps" in movable.problem(record(), SOURCE, vhost)


def test_a_document_that_asks_by_name():
    for field, wish in (("plugin", "linuxbridge"), ("vif_type", "bridge")):
        doc = decode({**document(), field: wish})
        assert "by name" in movable.problem(replace(record(), doc=doc), SOURCE, TARGET)


def test_what_holds_it_now_must_hold_it_there():
    bare = Advert(("ovs",), takes_over=True)
    assert movable.weaker(record(), SOURCE, TARGET, "ovs") == []
    (error,) = movable.weaker(record(), SOURCE, bare, "ovs")
    assert (error.code, error.facts["feature"]) == ("E_FEATURE_UNENFORCED", "port_security")


def moving() -> PortRecord:
    return replace(
        record(), plugin="ovs", vif_type="ovs", names=NAMES, wiring=None, applied=False,
        origin=Origin("linuxbridge", MADE),
    )  # fmt: skip


def test_what_fails_on_the_other_one_is_the_first_ones_again():
    failing: Change = outcome.failed(errors.DeviceError(facts={"device": "tap0", "problem": "x"}))
    back = failing(moving())
    assert back is not None
    assert (back.plugin, back.vif_type, back.wiring, back.names) == (
        "linuxbridge", "bridge", MADE, MADE,
    )  # fmt: skip
    assert back.origin == Origin("ovs", NAMES, back=True)
    assert (back.applied, back.open, back.error is not None) == (False, True, True)
    # once there, another failure is one of the usual kind
    again = failing(back)
    assert again is not None
    assert (again.plugin, again.phase) == ("linuxbridge", Phase.FAILED)


def test_nothing_is_swept_before_the_proof():
    assert not swept(moving())
    proven = replace(moving(), wiring=NAMES, applied=True)
    assert swept(proven)
    assert not swept(replace(proven, error={"code": "E"}))
    assert not swept(replace(proven, phase=Phase.FAILED))


# --- the gap --------------------------------------------------------------------------------------


def times(*at: float) -> list[Time]:
    return [Time(t, 0.005) for t in at]


@pytest.mark.parametrize(
    ("frames", "gap"),
    [
        (times(0.99, 1.0, 1.1, 2.05, 2.06), 0.95),
        (times(0.5, 2.5), 2.0),
        # the first look came late: what is known is the time since the begin
        (times(1.2, 2.1), 0.9),
        (times(0.9, 1.5), None),
        ([], None),
    ],
)
def test_the_longest_pause_of_a_move(frames, gap):
    found = longest(frames, 1.0, 2.0)
    assert (found and round(found.at, 3)) == gap


def test_frames_are_waited_for_and_not_for_ever():
    now, received = [10.0], [0]
    watch = LullWatch(lambda _: Counts(0, received[0]), lambda: now[0], _running=True)
    told: list[Time | None] = []
    for come in (True, False):
        one = watch.follow("tap0")
        watch.begun(one)
        for seconds, more in ((0.0, 0), (0.01, 1), (0.2, 0)):
            now[0] += seconds
            received[0] += more
            assert watch.turn()
        watch.ended(one, told.append)
        now[0] += 0.1 if come else PATIENCE + 0.1
        received[0] += come
        assert not watch.turn()
    assert told[0] is not None
    assert round(told[0].at, 3) == 0.3
    assert told[1] is None
