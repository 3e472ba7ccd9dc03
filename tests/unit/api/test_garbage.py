"""Garbage and adoption over the API."""

from __future__ import annotations

import pytest

from unit.api.client import document, uuid
from vifd import errors
from vifd.engine.garbage.tracker import State
from vifd.engine.garbage.view import OrphanView


def orphan(number: int, state: State = State.RIPE) -> OrphanView:
    return OrphanView(
        id=f"ovs/{uuid(number)}", plugin="ovs", port=uuid(number), state=state, why="because",
        objects=[f"device tap{number}"], seen_for=400.0, looks=3,
    )  # fmt: skip


@pytest.fixture
def orphans(backend):
    made = [orphan(1), orphan(2), orphan(3, State.SEEN)]
    backend.orphans.update({o.id: o for o in made})
    return [o.id for o in made]


def test_a_dry_run_removes_nothing(api, backend, orphans):
    answer = api.call("GET", "/v1/garbage")
    assert answer.status == 200
    assert [o["id"] for o in answer.json["orphans"]] == orphans
    assert answer.json["orphans"][0]["state"] == "ripe"
    assert backend.effects == []


def test_without_ids_all_that_are_ripe_go(api, backend, orphans):
    answer = api.call("POST", "/v1/garbage")
    assert answer.status == 200
    assert [r["id"] for r in answer.json["removed"]] == orphans[:2]
    assert [w["id"] for w in answer.json["waiting"]] == orphans[2:]


def test_only_those_that_are_named(api, backend, orphans):
    answer = api.call("POST", "/v1/garbage", {"ids": [orphans[1]]})
    assert [r["id"] for r in answer.json["removed"]] == [orphans[1]]
    assert backend.effects == [f"remove {orphans[1]}"]


def test_more_than_the_limit_needs_force(api, backend):
    backend.orphans.update({o.id: o for o in map(orphan, range(5))})
    refused = api.call("POST", "/v1/garbage", {})
    assert (refused.status, refused.json["code"]) == (409, "E_GC_LIMIT")
    assert backend.effects == []
    assert len(api.call("POST", "/v1/garbage", {"force": True}).json["removed"]) == 5


def test_undo(api, backend, orphans):
    api.call("POST", "/v1/garbage")
    answer = api.call("POST", "/v1/garbage/undo", {"ids": orphans[:1]})
    assert [r["id"] for r in answer.json["restored"]] == orphans[:1]
    assert api.call("POST", "/v1/garbage/undo").json["restored"][0]["id"] == orphans[1]
    gone = api.call("POST", "/v1/garbage/undo")
    assert (gone.status, gone.json["code"]) == (404, "E_GC_NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/garbage", {"force": 1}, "force"),
        ("/v1/garbage", {"ids": []}, "ids"),
        ("/v1/garbage", {"ids": [5]}, "ids[0]"),
        ("/v1/garbage", {"ids": [""]}, "ids[0]"),
        ("/v1/garbage", {"all": True}, "all"),
        ("/v1/garbage", [], "(body)"),
        ("/v1/garbage/undo", {"force": True}, "force"),
        ("/v1/garbage?timeout=x", {}, "query.timeout"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(api, backend, orphans, path, body, field):
    answer = api.call("POST", path, body)
    assert (answer.status, answer.json["code"]) == (400, "E_DOC_INVALID")
    assert answer.json["facts"]["field"] == field
    assert backend.effects == []


def test_adopt(api, backend):
    answer = api.call("POST", f"/v1/ports/{uuid(1)}/adopt?wait=active", document(1))
    assert answer.status == 201
    assert answer.json["phase"] == "LIVE"
    assert backend.effects[0] == f"adopt {uuid(1)}"


def test_adopt_needs_the_document_of_that_port(api, backend):
    answer = api.call("POST", f"/v1/ports/{uuid(2)}/adopt", document(1))
    assert answer.status == 400
    assert backend.effects == []


def test_release(api, backend):
    path = f"/v1/ports/{uuid(1)}/release?wait=gone"
    assert api.plug(1).status == 201
    backend.fail(uuid(1), errors.ReleaseUnfit(facts={"device": "tap1", "problem": "it is ours"}))
    refused = api.call("POST", path)
    assert (refused.status, refused.json["code"]) == (409, "E_RELEASE_UNFIT")
    assert api.call("POST", path, {"force": 1}).status == 400
    assert api.call("POST", path, {"forced": True}).status == 400
    assert api.call("POST", path, {"force": True}).status == 204
    assert backend.effects.count(f"release {uuid(1)}") == 1
    assert api.call("POST", path).status == 404


def test_release_without_waiting(api, backend):
    assert api.plug(1).status == 201
    backend.hold()
    answer = api.call("POST", f"/v1/ports/{uuid(1)}/release")
    assert (answer.status, answer.json["id"]) == (202, uuid(1))
    backend.release()
