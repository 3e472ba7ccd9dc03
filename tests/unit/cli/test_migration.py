"""``vifctl migration`` as people run it."""

from __future__ import annotations

import pytest

from vifd.cli.migration import timeline
from vifd.migration.timeline import STEPS, Migration, Moment, Time

PORT = "00000001-0000-4000-8000-000000000000"


@pytest.fixture
def known(backend):
    times = (100.0, 100.01, 100.02, 100.03, 100.1)
    steps = tuple(Moment(step, at) for step, at in zip(STEPS, times, strict=True))
    guest = (Moment("resumed: migrated", 99.9),)
    done = Migration(
        1, PORT, "vm", "libvirt", (Moment("libvirt", 100.0),), steps, guest, "r",
        last=Time(99.8, 0.01), first=Time(100.05, 0.005),
    )  # fmt: skip
    begun = Migration(2, PORT, "vm", "api", (Moment("api", 200.0),), (Moment("asked", 200.0),))
    backend.migrations.known = [done, begun]
    return backend


def test_nothing_has_happened(vifctl):
    assert vifctl("migration", "list", "-f", "json").json == []


def test_the_list_has_what_counts(vifctl, known):
    done = vifctl("migration", "list")
    assert done.code == 0
    for text in (PORT, "libvirt", "30.0 ms", "120.0 ms", "250.0 ms", "not known", "under way"):
        assert text in done.out
    first = vifctl("migration", "list", "-f", "json").json[0]
    assert (first["opening_ms"], first["added_ms"]) == (30.0, 120.0)


def test_one_is_shown_with_its_timeline(vifctl, known):
    out = vifctl("migration", "show", "1").out
    assert "resumed: migrated" in out
    assert "250.0 ms (to within 15.0 ms)" in out
    assert "waiting for the plugin's lane" in out
    assert "#" in out
    assert vifctl("migration", "show", "1", "-f", "json").json["state"] == "done"
    assert vifctl("migration", "show", "2").code == 0


def test_one_that_never_was_is_refused(vifctl, known):
    done = vifctl("migration", "show", "9", "-f", "json")
    assert done.code != 0
    assert "E_MIG_UNKNOWN" in done.out + done.err


def test_bars_are_to_scale_and_each_is_seen():
    steps = [
        {"begin": 10.0, "milliseconds": 0.001, "name": "short"},
        {"begin": 10.0, "milliseconds": 1000.0, "name": "long"},
        {"begin": 11.0, "milliseconds": 1000.0, "name": "long"},
    ]
    bars = [line.split()[0] for line in timeline({"timeline": steps}, width=10)]
    assert bars == ["#.........", "#####.....", ".....#####"]
    assert timeline({"timeline": []}) == []
