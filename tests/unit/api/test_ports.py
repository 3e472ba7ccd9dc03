"""One port: plug, show, list, unplug, check, roles, waits."""

from __future__ import annotations

import threading

import pytest

from unit.api.client import Client, document, uuid
from vifd import errors
from vifd.testing.wait import PATIENCE

PORT = f"/v1/ports/{uuid(1)}"


def test_plug_and_wait(api, backend):
    answer = api.plug()
    assert answer.status == 201
    assert answer.headers["Location"] == PORT
    port = answer.json
    assert (port["status"], port["phase"], port["role"]) == ("ACTIVE", "LIVE", "ACTIVE")
    assert port["vif"]["type"] == "ethernet"
    assert port["vif"]["mtu"] == 1450
    assert port["document"] == document()
    assert port["evidence"][0]["fact"] == "device.mtu"
    assert port["findings"] == []
    assert port["checked_at"] > 0


def test_the_answer_has_every_field(api):
    fields = (
        "id plugin vif_type role phase status device wiring evidence findings error revision "
        "updated_at vif document checked_at enforcement selection unread notes parts "
        "waits trunk"
    )
    assert list(api.plug().json) == fields.split()


def test_what_is_asked_for_and_what_enforces_it(api):
    group = uuid(0x5C)
    sent = document()
    sent["port"]["security_groups"] = [group]
    port = api.call("PUT", f"{PORT}?wait=active", sent).json
    assert port == api.call("GET", PORT).json
    found = {entry["feature"]: entry for entry in port["enforcement"]}
    assert (found["port_security"]["level"], found["port_security"]["requested"]) == (
        "dataplane", True,
    )  # fmt: skip
    assert found["security_groups"] == {
        "feature": "security_groups", "requested": [group], "enforced_by": "", "level": "none",
        "note": found["security_groups"]["note"],
    }  # fmt: skip
    listed = api.call("GET", "/v1/ports?fields=enforcement").json["ports"]
    assert listed == [{"enforcement": port["enforcement"]}]


def test_same_document_again(api, backend):
    first = api.plug().json
    again = api.plug()
    assert (again.status, again.json) == (200, first)
    assert backend.effects == [f"plug {uuid(1)}"]


def test_unknown_fields_are_kept(api):
    sent = {**document(), "x-later": {"a": [1, 2.5, None]}}
    assert api.call("PUT", PORT, sent).json["document"] == sent


def test_in_place(api, backend):
    api.plug()
    answer = api.plug(mtu=1400)
    assert (answer.status, answer.json["vif"]["mtu"], answer.json["revision"]) == (200, 1400, 2)


def test_a_different_document_on_a_plugged_port(api, backend):
    api.plug()
    answer = api.plug(id=uuid(9))
    assert (answer.status, answer.code) == (409, "E_STATE_CONFLICT")
    assert answer.json["facts"]["fields"] == ["network.id"]
    assert len(backend.effects) == 1


def test_without_wait_it_is_accepted(api, backend):
    backend.hold()
    answer = api.plug(query="")
    assert (answer.status, answer.json["phase"], answer.json["status"]) == (202, "BOUND", "BUILD")
    backend.release()
    assert api.plug().json["phase"] == "LIVE"


def test_the_time_is_over_while_work_goes_on(api, backend):
    backend.hold()
    answer = api.plug(query="?wait=active&timeout=0.01")
    assert (answer.status, answer.code) == (504, "E_STATE_WAIT")
    assert answer.json["facts"] == {"wanted": "active", "seconds": 0.01, "phase": "BOUND"}
    assert answer.json["retryable"]
    backend.release()
    assert api.plug().json["phase"] == "LIVE"


def test_no_time_at_all(api, backend):
    backend.hold()
    assert api.plug(query="?wait=active&timeout=0").code == "E_STATE_WAIT"
    backend.release()
    api.plug()
    assert api.plug(query="?wait=active&timeout=0").status == 200


def test_a_failure_is_the_answer_and_stays_with_the_port(api, backend):
    error = errors.WireTimeout(facts={"seconds": 5, "finding": "device.mtu"}, stage="verify")
    backend.fail(uuid(1), error)
    answer = api.plug()
    assert (answer.status, answer.code) == (504, "E_WIRE_TIMEOUT")
    assert answer.json["stage"] == "verify"
    shown = api.call("GET", PORT).json
    assert (shown["status"], shown["phase"]) == ("ERROR", "FAILED")
    assert shown["error"]["code"] == "E_WIRE_TIMEOUT"


def test_retry_after_is_a_header_too(api, backend):
    backend.fail(uuid(1), errors.PluginUnhealthy(retry_after=2.4))
    assert api.plug().headers["Retry-After"] == "2"


def test_a_defect_is_logged_once_and_not_told(api, backend, caplog):
    backend.fail(uuid(1), ZeroDivisionError("secret"))
    answer = api.plug()
    assert (answer.status, answer.code) == (500, "E_INTERNAL")
    assert b"Traceback" not in answer.body
    assert [r.exc_info is not None for r in caplog.records if r.levelname == "ERROR"] == [True]
    assert api.call("GET", "/v1/status").status == 200


def test_waiting_does_not_block_others(api, served, backend):
    backend.hold()
    one, other = Client(served.path), Client(served.path)
    waiting = threading.Thread(target=lambda: one.plug(2))
    waiting.start()
    while not backend.effects:
        other.call("GET", "/v1/ports")
    assert other.call("GET", "/v1/status").status == 200
    backend.release()
    waiting.join(timeout=PATIENCE)
    assert not waiting.is_alive()
    one.close()
    other.close()


# --- unplug ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PORT, f"{PORT}/instance", f"{PORT}/network"])
@pytest.mark.parametrize("wait", ["gone", "detached"])
def test_what_may_be_waited_for_of_a_port_that_goes(api, backend, path, wait):
    api.plug()
    assert api.call("DELETE", f"{path}?wait={wait}").status == 204
    assert not backend.ports()
    refused = api.call("DELETE", f"{path}?wait=active")
    assert (refused.status, refused.json["facts"]["field"]) == (400, "query.wait")


def test_detached_is_answered_before_the_port_is_gone(api, backend):
    api.plug()
    backend.hold()
    late = api.call("DELETE", f"{PORT}?wait=detached&timeout=0.01")
    assert (late.status, late.json["code"]) == (504, "E_STATE_WAIT")
    assert "not detached after" in late.json["message"]
    backend.hold_clearing()
    assert api.call("DELETE", f"{PORT}?wait=detached").status == 204
    assert backend.port(uuid(1)).removing
    assert api.call("DELETE", f"{PORT}?wait=gone&timeout=0.01").status == 504
    backend.release()
    assert api.call("DELETE", f"{PORT}?wait=gone").status == 204


def test_unplug_and_wait(api, backend):
    api.plug()
    answer = api.call("DELETE", f"{PORT}?wait=gone")
    assert (answer.status, answer.body) == (204, b"")
    assert api.call("GET", PORT).code == "E_STATE_NOT_FOUND"


def test_unplug_of_what_is_not_there(api, backend):
    for query in ("", "?wait=gone"):
        assert api.call("DELETE", PORT + query).status == 204
    assert backend.effects == []


def test_unplug_without_wait(api, backend):
    api.plug()
    backend.hold()
    answer = api.call("DELETE", PORT)
    assert (answer.status, answer.json["phase"]) == (202, "UNPLUGGING")
    assert api.call("DELETE", f"{PORT}?wait=gone&timeout=0").code == "E_STATE_WAIT"
    backend.release()
    assert api.call("DELETE", f"{PORT}?wait=gone").status == 204


# --- show, list, check, roles ---------------------------------------------------------------------


def test_list_and_filters(api):
    api.plug(1)
    api.plug(2, id=uuid(0xA01))
    api.call("POST", f"/v1/ports/{uuid(2)}/deactivate?wait=inactive")

    def ids(query: str) -> list[str]:
        return [p["id"] for p in api.call("GET", f"/v1/ports{query}").json["ports"]]

    assert ids("") == [uuid(1), uuid(2)]
    assert ids("?phase=LIVE") == [uuid(1)]
    assert ids("?status=DOWN") == [uuid(2)]
    assert ids(f"?network={uuid(0xA01)}") == [uuid(2)]
    assert ids(f"?instance={uuid(0xC00)}&phase=READY") == [uuid(2)]
    assert ids("?plugin=fake") == [uuid(1), uuid(2)]
    assert ids("?plugin=ovs") == []


def test_list_of_some_fields(api):
    api.plug(1)
    ports = api.call("GET", "/v1/ports?fields=id,phase").json["ports"]
    assert ports == [{"id": uuid(1), "phase": "LIVE"}]


def test_check_reads_again(api):
    before = api.plug().json["checked_at"]
    answer = api.call("POST", f"{PORT}/check")
    assert answer.status == 200
    assert answer.json["checked_at"] > before


def test_roles(api, backend):
    api.plug()
    answer = api.call("POST", f"{PORT}/deactivate?wait=inactive")
    assert (answer.status, answer.json["status"], answer.json["role"]) == (200, "DOWN", "INACTIVE")
    assert answer.json["document"]["role"] == "INACTIVE"
    answer = api.call("POST", f"{PORT}/activate?wait=active")
    assert (answer.status, answer.json["status"]) == (200, "ACTIVE")
    backend.hold()
    assert api.call("POST", f"{PORT}/deactivate").status == 202
    backend.release()


@pytest.mark.parametrize("verb", ["GET ", "POST /check", "POST /activate", "POST /deactivate"])
def test_unknown_port(api, backend, verb):
    method, _, tail = verb.partition(" ")
    answer = api.call(method, PORT + tail)
    assert (answer.status, answer.code) == (404, "E_STATE_NOT_FOUND")
    assert answer.json["port"] == uuid(1)
    assert backend.effects == []


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("GET /v1/ports/x", "path.id"),
        ("DELETE /v1/ports/..%2f..", None),
        ("DELETE /v1/ports/%00", "path.id"),
        (f"DELETE /v1/ports/{uuid(0xA).upper()}", "path.id"),
        (f"GET {PORT}%0A", "path.id"),
        (f"GET {PORT}?x=1", "query.x"),
        ("GET /v1/ports?phase=live", "query.phase"),
        ("GET /v1/ports?status=GOOD", "query.status"),
        ("GET /v1/ports?network=1", "query.network"),
        ("GET /v1/ports?phase=LIVE&phase=READY", "query.phase"),
        ("GET /v1/ports?fields=id,uid", "query.fields"),
        ("GET /v1/ports?fields=", "query.fields"),
        (f"DELETE {PORT}?wait=active", "query.wait"),
        (f"DELETE {PORT}?wait=gone&timeout=601", "query.timeout"),
        (f"DELETE {PORT}?wait=gone&timeout=-1", "query.timeout"),
        (f"DELETE {PORT}?wait=gone&timeout=nan", "query.timeout"),
        (f"DELETE {PORT}?wait=gone&timeout=", "query.timeout"),
        (f"POST {PORT}/check?wait=active", "query.wait"),
        (f"POST {PORT}/check?timeout=x", "query.timeout"),
        (f"POST {PORT}/activate?wait=inactive", "query.wait"),
        ("GET /v1/events?after=x", "query.after"),
        ("GET /v1/events?after=-1", "query.after"),
        ("GET /v1/events?after=99999999999999999999", "query.after"),
        ("GET /v1/events?follow=yes", "query.follow"),
        ("GET /v1/events?limit=0", "query.limit"),
        ("GET /v1/status?x=1", "query.x"),
        ("GET /metrics?x=1", "query.x"),
    ],
)
def test_bad_parameters_are_named(api, backend, call, field):
    method, _, url = call.partition(" ")
    answer = api.call(method, url)
    if field is None:
        assert (answer.status, answer.code) == (404, "E_API_NO_ROUTE")
    else:
        assert (answer.status, answer.code, answer.field) == (400, "E_DOC_INVALID", field)
    assert backend.effects == []


def test_a_body_where_none_belongs(api, backend):
    api.plug()
    assert api.call("POST", f"{PORT}/check", {}).status == 200
    assert api.call("POST", f"{PORT}/check", {"a": 1}).field == "(body)"
    assert api.call("DELETE", PORT, [1]).field == "(body)"
    assert backend.effects == [f"plug {uuid(1)}"]
