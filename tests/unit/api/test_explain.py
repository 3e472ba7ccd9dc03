"""``GET /v1/ports/{id}/explain``"""

from __future__ import annotations

import pytest

from unit.api.client import uuid
from vifd.model import Evidence

PORT = f"/v1/ports/{uuid(1)}"
TAG = Evidence("ovsdb.tag", 77, 1, ok=False, source="ovsdb")


def test_a_port_that_is_well(api):
    api.plug()
    answer = api.call("GET", f"{PORT}/explain")
    assert answer.status == 200
    found = answer.json
    assert (found["healthy"], found["broken"], found["asked"]) == (True, None, True)
    assert found["port"] == uuid(1)
    names = [step["name"] for step in found["steps"]]
    assert names == ["intent", "choice", "names", "device", "port", "flows", "guest", "status",
                     "report"]  # fmt: skip
    assert found["age"] < 10


def test_a_port_that_is_not(api, backend):
    api.plug()
    backend.found = [TAG]
    found = api.call("GET", f"{PORT}/explain").json
    assert (found["healthy"], found["broken"]) == (False, "port")
    (step,) = [s for s in found["steps"] if s["state"] == "broken"]
    assert step["facts"][-1]["fact"] == "ovsdb.tag"
    # nothing of that is kept
    assert api.call("GET", PORT).json["findings"] == []


def test_after_the_deadline_the_last_report_has_to_do(api, backend):
    api.plug()
    backend.hold()
    answer = api.call("GET", f"{PORT}/explain?timeout=0.01")
    backend.release()
    assert answer.status == 200
    found = answer.json
    assert (found["asked"], found["healthy"]) == (False, True)
    assert "busy with something else for 0.01 s" in found["unasked"]


def test_a_port_that_is_not_there(api):
    answer = api.call("GET", f"{PORT}/explain")
    assert (answer.status, answer.code) == (404, "E_STATE_NOT_FOUND")


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("/v1/ports/x/explain", "path.id"),
        (f"{PORT}/explain?timeout=x", "query.timeout"),
        (f"{PORT}/explain?wait=active", "query.wait"),
    ],
)
def test_bad_calls(api, call, field):
    answer = api.call("GET", call)
    assert (answer.status, answer.field) == (400, field)


def test_it_is_a_call_for_readers(api):
    """Who may read may ask why."""
    assert api.call("POST", f"{PORT}/explain").status == 405
