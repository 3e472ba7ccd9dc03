"""Many ports in one call."""

from __future__ import annotations

import pytest

from unit.api.client import document, uuid
from vifd import errors
from vifd.api.batch import MAX_PORTS


def plug(api, docs, query="?wait=active"):
    return api.call("POST", f"/v1/ports:plug{query}", {"ports": docs})


def test_all_good(api, backend):
    answer = plug(api, [document(n) for n in range(1, 101)])
    assert answer.status == 200
    items = answer.json["ports"]
    assert [item["id"] for item in items] == [uuid(n) for n in range(1, 101)]
    assert {item["status"] for item in items} == {201}
    assert {item["port"]["phase"] for item in items} == {"LIVE"}
    assert len(backend.effects) == 100


def test_without_wait(api, backend):
    backend.hold()
    # The first is in hand and held, the rest wait behind it.
    answer = plug(api, [document(1)], "")
    assert answer.status == 202
    assert answer.json["ports"][0]["status"] == 202
    backend.release()


def test_one_failure_costs_the_others_nothing(api, backend):
    backend.fail(uuid(2), errors.DeviceError(facts={"device": "tap", "problem": "busy"}))
    answer = plug(api, [document(n) for n in (1, 2, 3)])
    assert answer.status == 207
    assert [item["status"] for item in answer.json["ports"]] == [201, 500, 201]
    assert answer.json["ports"][1]["error"]["code"] == "E_PLUG_DEVICE"
    assert "port" not in answer.json["ports"][1]


def test_the_deadline_is_shared(api, backend):
    backend.hold()
    answer = plug(api, [document(1)], "?wait=active&timeout=0.01")
    assert answer.status == 207
    assert [item["error"]["code"] for item in answer.json["ports"]] == ["E_STATE_WAIT"]
    backend.release()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ports": [document(1), document(2, mtu=0)]}, "ports[1].network.mtu"),
        ({"ports": [document(1), document(1)]}, "ports[1].port.id"),
        ({"ports": [document(1), 5]}, "ports[1]"),
        ({"ports": [document(1), {**document(2), "version": "9"}]}, "ports[1].version"),
        (
            {"ports": [document(1), {**document(2), "required": {"teleport": 1}}]},
            "ports[1].required.teleport",
        ),
        ({"ports": {}}, "ports"),
        ({"ports": []}, "ports"),
        ({"ports": [1] * (MAX_PORTS + 1)}, "ports"),
        ({"port": []}, "port"),
        ({"ports": [document(1)], "wait": True}, "wait"),
        ({}, "ports"),
        ([document(1)], "(body)"),
        (None, "(body)"),
    ],
)
def test_one_bad_document_refuses_the_whole_call(api, backend, body, field):
    answer = api.call("POST", "/v1/ports:plug", b"null" if body is None else body)
    assert answer.status in (400, 406)
    assert answer.field == field
    assert backend.effects == []


def test_unplug(api, backend):
    plug(api, [document(n) for n in (1, 2)])
    answer = api.call("POST", "/v1/ports:unplug?wait=gone", {"ids": [uuid(2), uuid(7), uuid(1)]})
    assert answer.status == 200
    assert answer.json["ports"] == [{"id": uuid(n), "status": 204} for n in (2, 7, 1)]
    assert api.call("GET", "/v1/ports").json == {"ports": []}


def test_unplug_without_wait(api, backend):
    plug(api, [document(1)])
    backend.hold()
    answer = api.call("POST", "/v1/ports:unplug", {"ids": [uuid(1)]})
    assert (answer.status, answer.json["ports"]) == (202, [{"id": uuid(1), "status": 202}])
    backend.release()


@pytest.mark.parametrize(
    ("ids", "field"),
    [(["x"], "ids[0]"), ([uuid(1), 5], "ids[1]"), ([uuid(1)] * 2, "ids[1]"), ("x", "ids")],
)
def test_bad_ids(api, backend, ids, field):
    plug(api, [document(1)])
    assert api.call("POST", "/v1/ports:unplug", {"ids": ids}).field == field
    assert backend.effects == [f"plug {uuid(1)}"]
