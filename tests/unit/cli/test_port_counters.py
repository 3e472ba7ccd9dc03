"""``vifctl port counters`` and what ``port show`` says of them."""

from __future__ import annotations

from unit.api.client import document, uuid
from unit.cli.documents import plug
from vifd.model.counted import Count, Counted, Reason, Way

PORT = uuid(7)


def test_each_way_has_what_passed_and_what_was_refused(vifctl, backend):
    plug(vifctl, document(7))
    refused = {Reason.SPOOFED: Count(2, 120), Reason.NO_WAY: Count(0, 0)}
    backend.counting.counted[PORT] = Counted(
        sent=Way(offered=Count(5, 300), refused=refused),
        received=Way(passed=Count(9, 900), refused={Reason.NO_RULE: Count(1, 60)}),
    )
    done = vifctl("port", "counters", PORT, "-f", "json")
    assert [tuple(row.values()) for row in done.json] == [
        ("sent", "passed", 3, 180), ("sent", "spoofed", 2, 120), ("sent", "no_way", 0, 0),
        ("received", "passed", 9, 900), ("received", "no_rule", 1, 60),
    ]  # fmt: skip
    shown = vifctl("port", "show", PORT).out
    assert "sent: 3 packets, 180 bytes passed" in shown
    assert "sent: 2 packets, 120 bytes refused: spoofed" in shown
    assert "received: 1 packets, 60 bytes refused: no rule lets it pass" in shown
    assert "nobody has its destination" not in shown


def test_what_came_is_shown_where_what_passed_cannot_be_told(vifctl, backend):
    plug(vifctl, document(7))
    backend.counting.counted[PORT] = Counted(
        sent=Way(offered=Count(5, 300), refused={Reason.NO_RULE: Count(1, 60)},
                 untold=frozenset((Reason.SPOOFED,))),
        received=Way(passed=Count(9, 900)),
    )  # fmt: skip
    done = vifctl("port", "counters", PORT, "-f", "json")
    assert [tuple(row.values()) for row in done.json] == [
        ("sent", "offered", 5, 300), ("sent", "no_rule", 1, 60), ("received", "passed", 9, 900),
    ]  # fmt: skip
    assert "what was refused as spoofed cannot be told" in done.err
    assert "sent: 5 packets, 300 bytes in all" in vifctl("port", "show", PORT).out


def test_why_there_is_nothing_is_said(vifctl):
    plug(vifctl, document(7))
    done = vifctl("port", "counters", PORT)
    assert done.code == 0
    assert "counts nothing" in done.err


def test_a_port_that_is_not_there_is_an_error(vifctl):
    assert vifctl("port", "counters", uuid(9)).code != 0
