"""The reader of ``ofproto/trace``, on answers recorded from Open vSwitch 3.1."""

import json
from pathlib import Path

import pytest

from vifd.openflow.trace import Trace, parse

RECORDED: dict[str, str] = json.loads(Path(__file__).with_name("traces.json").read_text())
OURS, MARK = 0x76 << 56, 0xFF << 56


def path(trace: Trace) -> list[tuple[str, int, int | None, int]]:
    return [(hop.bridge, hop.table, hop.priority, hop.cookie & 0xFFFF) for hop in trace.hops]


@pytest.mark.parametrize(
    ("name", "dropped", "hops"),
    [
        ("arp_drop", True, [("br-int", 0, 100, 1), ("br-int", 60, 100, 2), ("br-int", 71, 0, 7)]),
        ("miss", True, [("br-int", 0, 100, 1), ("br-int", 60, None, 0)]),
        ("table0", True, [("br-int", 0, None, 0)]),
        ("patch", False, [("br-int", 0, 100, 1), ("br-int", 60, 90, 3), ("br-int", 61, 90, 4),
                          ("br-ex", 0, 5, 0x77), ("br-ex", 3, 0, 0x78)]),
        ("resubmit", False, [("br-int", 0, 100, 1), ("br-int", 60, 80, 5), ("br-int", 62, 80, 6)]),
        ("normal", True, [("br-int", 0, 50, 9)]),
        ("ct", False, [("br-int", 0, 50, 10), ("br-int", 5, 50, 11)]),
    ],
)  # fmt: skip
def test_recorded_traces(
    name: str, dropped: bool, hops: list[tuple[str, int, int | None, int]]
) -> None:
    trace = parse(RECORDED[name])
    assert path(trace) == hops
    assert trace.dropped is dropped


def test_actions_belong_to_their_table() -> None:
    trace = parse(RECORDED["patch"])
    assert trace.hops[2].actions == (
        "push_vlan:0x8100", "set_field:4197->vlan_vid", "output:9", "pop_vlan", "output:3",
    )  # fmt: skip
    assert trace.hops[3].actions == ("pop_vlan", "goto_table:3")
    assert trace.datapath == ("2,3",)
    resubmit = parse(RECORDED["resubmit"])
    assert resubmit.hops[1].actions == ("resubmit(,62)", "output:3")
    assert resubmit.hops[2].actions == ("LOCAL",)


def test_passes_after_recirculation_count_together() -> None:
    assert parse(RECORDED["ct"]).datapath == ("ct(zone=3),recirc(0x1)", "3")


def test_who_took_the_packet() -> None:
    trace = parse(RECORDED["patch"])
    assert trace.through(OURS | 3)
    assert trace.through(OURS | 3, table=60)
    assert not trace.through(OURS | 3, table=61)
    assert trace.through(OURS, mask=MARK)
    thief = trace.foreign(OURS, MARK)
    assert thief is not None
    assert str(thief) == "br-ex table 0: in_port=2,dl_vlan=101, priority 5, cookie 0x77"
    assert trace.foreign(OURS, MARK, "br-int") is None


def test_where_it_ended() -> None:
    last = parse(RECORDED["miss"]).last
    assert last is not None
    assert last.missed
    assert str(last) == "br-int table 60: no match"


@pytest.mark.parametrize(
    ("actions", "dropped"),
    [
        ("drop", True), ("2", False), ("ct(commit),recirc(0x1)", True),
        ("push_vlan(vid=101,pcp=0),2", False), ("set(eth(dst=00:00:00:00:00:01)),3,4", False),
        ("userspace(pid=1,controller(reason=1,id=0))", False), ("ct_clear", True),
        ("tnl_push(tnl_port(4),header(size=50,type=4,eth(a,b))),out_port(1))", False),
    ],
)  # fmt: skip
def test_datapath_actions_that_send(actions: str, dropped: bool) -> None:
    assert parse(f"Flow: x\nDatapath actions: {actions}\n").dropped is dropped


def test_a_failed_translation_is_a_drop() -> None:
    trace = parse(
        "Flow: x\n\nFinal flow: unchanged\nDatapath actions: 2\n"
        "Translation failed (Recursion too deep), packet is dropped.\n"
    )
    assert trace.dropped
    assert trace.failure == "Recursion too deep"


def test_other_text_is_refused() -> None:
    with pytest.raises(ValueError, match="not the answer"):
        parse("unknown command\n")
