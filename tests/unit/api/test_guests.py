"""The calls about guests."""

from __future__ import annotations

import pytest

from unit.api.client import uuid
from vifd import errors

PREPARE = "/v1/guests:prepare"
DEVICE = "tap00000001-00"


def prepare(api, *interfaces, query=""):
    return api.call("POST", PREPARE + query, {"guest": "vm", "interfaces": list(interfaces)})


def test_ports_of_a_guest_are_named_and_strangers_too(api):
    api.plug(1)
    answer = prepare(api, {"device": DEVICE, "mac": "52:54:00:00:00:01"}, {"device": "vnet1"})
    assert answer.status == 200
    (port,) = answer.json["ports"]
    assert (port["id"], port["device"], port["ok"]) == (uuid(1), DEVICE, True)
    assert (answer.json["ok"], answer.json["unknown"]) == (True, ["vnet1"])
    assert prepare(api, {"port": uuid(1).upper()}).json["ports"][0]["id"] == uuid(1)
    assert prepare(api).json == {"guest": "vm", "ok": True, "ports": [], "unknown": []}


def test_a_port_with_an_error_is_in_the_answer(api, backend):
    backend.fail(uuid(1), errors.BackendError(facts={"problem": "down", "backend": "fake"}))
    api.plug(1)
    answer = prepare(api, {"device": DEVICE})
    assert (answer.status, answer.json["ok"]) == (200, False)
    assert answer.json["ports"][0]["error"]["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "guest"),
        ({"guest": "vm"}, "interfaces"),
        ({"guest": 1, "interfaces": []}, "guest"),
        ({"guest": "vm", "interfaces": [{"device": 1}]}, "interfaces[0].device"),
        ({"guest": "vm", "interfaces": [{"devise": "x"}]}, "interfaces[0].devise"),
        ({"guest": "vm", "interfaces": [], "more": 1}, "more"),
        ({"guest": "vm", "interfaces": [{"device": "x" * 5000}]}, "interfaces[0].device"),
        ([], "(body)"),
    ],
)
def test_a_bad_body_is_refused_by_field(api, body, field):
    answer = api.call("POST", PREPARE, body)
    assert (answer.status, answer.code, answer.field) == (400, "E_DOC_INVALID", field)


def test_a_repair(api, backend):
    api.plug(1)
    answer = api.call("POST", f"/v1/ports/{uuid(1)}/repair?timeout=5")
    assert answer.status == 200
    assert (answer.json["done"], answer.json["port"]["id"]) == (True, uuid(1))
    assert "put back" in answer.json["text"]
    assert f"repair {uuid(1)}" in backend.effects


def test_a_repair_that_fails_is_an_error_object(api, backend):
    api.plug(1)
    facts = {"device": DEVICE, "guest": "vm", "problem": "it keeps it", "interface": "<i/>"}
    backend.fail(uuid(1), errors.GuestRepairFailed(facts=facts))
    answer = api.call("POST", f"/v1/ports/{uuid(1)}/repair")
    assert (answer.status, answer.code) == (502, "E_GUEST_REPAIR")
    assert api.call("POST", f"/v1/ports/{uuid(9)}/repair").status == 404
    assert api.call("POST", f"/v1/ports/{uuid(1)}/repair?timeout=x").field == "query.timeout"
    assert api.call("POST", "/v1/ports/x/repair").field == "path.id"
    assert api.call("POST", f"/v1/ports/{uuid(1)}/repair", {"a": 1}).status == 400


def test_a_caller_who_will_not_wait_is_told_so(api, backend, monkeypatch):
    monkeypatch.setattr("vifd.api.guests._MARGIN", 0.0)
    api.plug(1)
    backend.hold()
    answer = api.call("POST", PREPARE + "?timeout=0", {"guest": "g", "interfaces": []})
    assert (answer.status, answer.code) == (504, "E_STATE_WAIT")
    backend.release()
