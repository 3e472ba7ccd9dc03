"""The whole table of frames, judged by evaluators of both back ends: no difference."""

from __future__ import annotations

import pytest

from functional.spoofing.case import ANY, BARE, FABRIC, FREE, PAIRS, PEER, PLAIN
from functional.spoofing.table import cases
from unit.policy.judges import on_linux_bridge, on_open_vswitch

STATIONS = {"peer": PEER, "uplink": FABRIC}


def test_the_table_is_large_and_says_where_its_rules_come_from():
    table = cases(PEER)
    assert len(table) > 600
    assert all(case.source for case in table)
    told = [(case.sender, case.frame) for case in table]
    assert len(set(told)) == len(told), "each frame once"
    assert {case.sender for case in table} == {PLAIN, PAIRS, ANY, BARE, FREE}


@pytest.mark.parametrize("where", STATIONS)
@pytest.mark.parametrize("back_end", [on_open_vswitch, on_linux_bridge])
def test_no_difference(back_end, where):
    judge = back_end(STATIONS[where])
    table = cases(STATIONS[where])
    assert not [str(c) for c in table if judge(c.sender.mac, c.frame) is not c.passes]
