"""What follows from what was seen of a migration."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

from support.moving.caller import Reader
from support.moving.figures import Evidence, figures
from support.moving.wire import Seen, inner, kind_of
from vifd.testing import frames

BENCH = Path(__file__).parents[3] / "bench"
MAC, OTHER = "fa:16:3e:00:00:01", "02:00:00:00:00:09"
STEPS = [
    {"step": "begun", "name": "waiting", "begin": 10.30, "milliseconds": 1.0},
    {"step": "opened", "name": "opening", "begin": 10.301, "milliseconds": 4.0},
    {"step": "announced", "name": "announcing", "begin": 10.305, "milliseconds": 1.0},
    {"step": "recorded", "name": "proving", "begin": 10.306, "milliseconds": 9.0},
]
MOVED = {"timeline": STEPS, "triggers": [{"what": "libvirt", "at": 10.3}], "added_ms": 5.0}
SEEN = Evidence(
    how="destination", kind="vlan", postcopy=False, began=9.0, ended=14.0, source=1,
    downtime=250.0, suspended=10.05, resumed=10.29, migration=MOVED, closed=11.0,
    pings={n: 9.0 + n / 100 for n in range(450)},
    answers=[(n, 9.001 + n / 100) for n in range(450) if not 104 < n < 135] + [(140, 10.5)],
    taken=[9.0 + n / 10 for n in range(50)], ends=[],
    here=[Seen(10.04, "tap1", False, MAC, OTHER, "reply:104")],
    there=[Seen(10.31, "eth0", True, MAC, OTHER, "rarp")], dead=False,
)  # fmt: skip


def test_the_gap_is_the_one_in_which_the_guest_moved_and_no_longer_one() -> None:
    busy = [(n, at) for n, at in SEEN.answers if not 9.2 < at < 9.9]
    assert round(figures(replace(SEEN, answers=busy)).gap) == 310
    assert round(figures(replace(SEEN, answers=busy, resumed=None)).gap) > 600


def test_the_figures_of_a_migration() -> None:
    found = figures(SEEN)
    assert round(found.gap) == 310
    assert round(found.added or 0) == 60
    assert (found.lost, found.doubled, found.leaked) == (30, 1, 0)
    assert round(found.frames or 0) == 270
    assert round(found.pause or 0) == 240
    assert round(found.tcp or 0) == 100
    assert not found.dead
    assert [name for name, _ in found.timeline][:2] == ["last answer", "source suspended"]


def test_what_passes_a_closed_port_is_counted() -> None:
    early = Seen(10.25, "eth0", True, MAC, OTHER, "rarp")
    to_it = Seen(10.26, "tap1", True, OTHER, MAC, "request:7")
    into_the_port = Seen(10.27, "tap1", False, MAC, OTHER, "rarp")
    late = Seen(11.5, "eth0", True, MAC, OTHER, "reply:9")
    others = Seen(10.25, "eth0", False, OTHER, MAC, "request:7")
    seen = replace(SEEN, there=[*SEEN.there, early, to_it, into_the_port, others],
                   here=[*SEEN.here, late])  # fmt: skip
    assert figures(seen).leaked == 3


def test_a_connection_that_ended_is_told_and_a_silent_guest_is_dead() -> None:
    assert figures(replace(SEEN, ends=[(11.0, "reset")])).tcp is None
    assert figures(replace(SEEN, taken=SEEN.taken[:5])).tcp is None
    assert figures(replace(SEEN, answers=SEEN.answers[:50])).dead
    assert figures(replace(SEEN, dead=True)).dead


def test_what_nobody_said_is_not_known() -> None:
    found = figures(replace(SEEN, migration=None, downtime=None, suspended=None, resumed=None))
    assert (found.added, found.pause, found.opened) == (None, None, None)
    assert found.leaked == 0


def test_the_page_and_the_picture_have_every_migration(monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCH)])
    pages, picture = map(importlib.import_module, ("migration_page", "migration_picture"))
    never_closed = figures(replace(SEEN, how="open", downtime=300.0))
    every = [figures(SEEN), figures(replace(SEEN, dead=True)), never_closed]
    text = pages.page(every, "3")
    assert (
        "| vlan | destination | 1 | 1 | 250 | 310 | 60 (60..60) | 50 | MISSED 55 | 270 | 30 |"
        in text
    )
    assert "destination (died)" in text
    assert picture.drawn(every).count("vlan, destination") == 1


def test_frames_are_told_by_what_they_carry() -> None:
    request = frames.arp_request(MAC, "10.0.0.1", "10.0.0.2")
    assert kind_of(request) == "arp"
    assert inner(request[:12] + bytes.fromhex("81000065") + request[12:]) == request
    assert kind_of(frames.udp(MAC, OTHER, "10.0.0.1", "10.0.0.2")) == "ipv4"


def test_calls_are_read_back(tmp_path) -> None:
    path = tmp_path / "heard"
    calls = Reader(path)
    assert calls.read().sent == {}
    path.write_text("ping 1 5.0\npong 1 5.1\npong 1 5.2\ntaken 5.3\nend 5.4 broken pipe\npon")
    heard = calls.read()
    assert heard.sent == {1: 5.0}
    assert heard.answers == [(1, 5.1), (1, 5.2)]
    assert (heard.tcp, heard.ends) == ([5.3], [(5.4, "broken pipe")])
    with path.open("a") as file:
        file.write("g 2 5.5\n")
    assert calls.read().answers == [(1, 5.1), (1, 5.2), (2, 5.5)], "a line that was begun"
