"""vifctl gc, gc undo and adopt as people run them."""

from __future__ import annotations

import json

import pytest

from unit.api.client import document, uuid
from unit.api.test_garbage import orphan
from vifd.engine.garbage.tracker import State


@pytest.fixture
def orphans(backend):
    made = [orphan(1), orphan(2), orphan(3, State.SEEN)]
    backend.orphans.update({o.id: o for o in made})
    return [o.id for o in made]


def test_dry_run_lists_what_why_and_nothing_more(vifctl, backend, orphans):
    done = vifctl("gc", "--dry-run", "-f", "json")
    assert done.code == 0, done.err
    assert [o["id"] for o in done.json] == orphans
    assert done.json[0]["why"] == "because"
    assert done.json[0]["objects"] == ["device tap1"]
    assert backend.effects == []


def test_gc_removes_what_is_ripe(vifctl, backend, orphans):
    done = vifctl("gc", "-f", "json")
    assert done.code == 0, done.err
    assert [o["result"] for o in done.json] == ["removed", "removed", "left alone"]
    assert backend.effects == [f"remove {i}" for i in orphans[:2]]


def test_too_many_are_refused_without_a_yes(vifctl, backend):
    backend.orphans.update({o.id: o for o in map(orphan, range(100))})
    done = vifctl("gc")
    assert done.code == 1
    assert "E_GC_LIMIT" in done.err
    assert "vifctl gc --yes" in done.err
    assert backend.effects == []
    done = vifctl("gc", "--yes", "-f", "json")
    assert {o["result"] for o in done.json} == {"removed"}
    assert len(backend.effects) == 100


def test_an_unknown_orphan(vifctl, orphans):
    done = vifctl("gc", "ovs/none")
    assert done.code == 2
    assert "ovs/none" in done.err


def test_undo(vifctl, backend, orphans):
    vifctl("gc")
    listed = vifctl("gc", "undo", "--list", "-f", "json").json
    assert {r["id"] for r in listed} == set(orphans[:2])
    done = vifctl("gc", "undo", orphans[0], "-f", "json")
    assert [r["id"] for r in done.json] == [orphans[0]]
    assert vifctl("gc", "undo", orphans[0]).code == 1


def test_adopt(vifctl, backend, tmp_path):
    docs = tmp_path / "ports.json"
    docs.write_text(json.dumps([document(1), document(2)]))
    assert vifctl("adopt", "-f", str(docs)).code == 2
    done = vifctl("adopt", uuid(2), "-f", str(docs), "--format", "json")
    assert done.code == 0, done.err
    assert [p["id"] for p in done.json] == [uuid(2)]
    done = vifctl("adopt", "--all", "-f", str(docs))
    assert done.code == 0
    assert backend.effects.count(f"adopt {uuid(1)}") == 1
    assert vifctl("adopt", uuid(9), "-f", str(docs)).code == 2
