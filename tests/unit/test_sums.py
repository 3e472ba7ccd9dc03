"""Sums of counters that may begin anew."""

from __future__ import annotations

import random

from vifd.engine.sums import Sums
from vifd.model.counted import Count, Counted, Reason, Way

PORT = "port"


def counted(offered: int, spoofed: int, got: int = 0) -> Counted:
    refused = {Reason.SPOOFED: Count(spoofed, 60 * spoofed)}
    return Counted(
        sent=Way(offered=Count(offered, 60 * offered), refused=refused),
        received=Way(passed=Count(got, 60 * got)),
    )


def test_what_was_not_refused_has_passed() -> None:
    sums = Sums()
    sums.add("ovs", PORT, counted(5, 2, 7), 1.0)
    found = sums.of(PORT, "ovs")
    assert found is not None
    assert found.sent.passed == Count(3, 180)
    assert found.sent.refused == {"spoofed": Count(2, 120)}
    assert found.received.passed == Count(7, 420)
    assert (found.since, found.at, found.resets) == (1.0, 1.0, 0)


def test_a_counter_that_begins_anew_takes_nothing_away_and_is_told() -> None:
    sums = Sums()
    for at, (offered, spoofed) in enumerate([(5, 2), (8, 0), (9, 1)]):
        sums.add("ovs", PORT, counted(offered, spoofed), float(at))
    found = sums.of(PORT, "ovs")
    assert found is not None
    assert found.sent.refused == {"spoofed": Count(3, 180)}
    assert (found.sent.passed, found.resets) == (Count(6, 360), 1)


def test_totals_only_grow_whatever_is_read_and_keep_what_is_gone() -> None:
    dice, sums = random.Random(7), Sums()
    before: dict[tuple[str, str, str], Count] = {}
    for turn in range(300):
        port = f"port-{dice.randrange(4)}"
        sums.add("ovs", port, counted(dice.randrange(50), dice.randrange(50)), float(turn))
        if dice.random() < 0.2:
            sums.only("ovs", {"port-0"})
        totals = dict(sums.totals())
        for key, count in before.items():
            assert totals[key].packets >= count.packets
            assert totals[key].bytes >= count.bytes
        before = totals
    assert set(before) == {("ovs", "sent", "spoofed"), ("ovs", "sent", "passed"),
                           ("ovs", "received", "passed")}  # fmt: skip


def test_a_port_of_another_plugin_is_counted_anew() -> None:
    sums = Sums()
    sums.add("ovs", PORT, counted(5, 0), 1.0)
    assert sums.of(PORT, "linuxbridge") is None
    sums.only("ovs", ())
    assert sums.of(PORT, "ovs") is None


def test_where_not_all_that_was_refused_is_told_nothing_is_said_of_what_passed() -> None:
    sums = Sums()
    refused = {Reason.NO_RULE: Count(2, 120)}
    for packets in (5, 4):
        sent = Way(offered=Count(packets, 60 * packets), refused=refused,
                   untold=frozenset((Reason.SPOOFED, Reason.CLOSED)))  # fmt: skip
        sums.add("some", PORT, Counted(sent=sent, received=Way(passed=Count(1, 60))), 1.0)
    found = sums.of(PORT, "some")
    assert found is not None
    assert (found.sent.offered, found.sent.passed) == (Count(9, 540), None)
    assert found.sent.refused == {"no_rule": Count(2, 120)}
    assert (found.received.offered, found.received.passed) == (None, Count(1, 60))
    assert found.note.startswith("sent: what was refused as closed or spoofed cannot be told")
    late = sums.of(PORT, "some", "not now")
    assert late is not None
    assert late.note == "not now"
    assert dict(sums.totals()) == {
        ("some", "sent", "offered"): Count(9, 540), ("some", "sent", "no_rule"): Count(2, 120),
        ("some", "received", "passed"): Count(1, 60),
    }  # fmt: skip
