"""The OpenAPI document says what the API does, no more and no less."""

from __future__ import annotations

import re
from typing import Any

import falcon
import jsonschema_rs
import pytest

from unit.api.client import Answer, Client, document, uuid
from vifd import errors
from vifd.api import routes

METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD")
DOCUMENT = routes.document()
PORT = f"/v1/ports/{uuid(1)}"


def test_every_route_is_described_and_every_description_is_a_route():
    found = set()
    for path, resource in routes.ROUTES.items():
        for method in METHODS:
            if hasattr(resource, f"on_{method.lower()}"):
                found.add((method, path))
    described = {
        (method.upper(), path)
        for path, verbs in DOCUMENT["paths"].items()
        for method in verbs
        if method != "parameters"
    }
    assert found == described
    assert len(found) > 12


def test_the_application_serves_these_routes_only(served):
    """Held against falcon's own router, not against our table."""

    def walk(nodes: Any, prefix: str) -> set[str]:
        found = set()
        for node in nodes:
            path = f"{prefix}/{node.raw_segment}"
            if node.resource is not None:
                found.add(path)
            found |= walk(node.children, path)
        return found

    assert walk(served.api.wsgi._router._roots, "") == set(DOCUMENT["paths"])


def test_every_code_of_the_project_is_described():
    text = str(DOCUMENT)
    for code in errors.all_codes():
        if code.startswith("E_") and errors.all_codes()[code].__module__.startswith("vifd.errors"):
            assert code in text, code


def test_the_schema_of_a_document_agrees_with_the_decoder():
    schema = component("Attachment")
    assert schema.is_valid(document())
    assert not schema.is_valid({**document(), "role": "MASTER"})
    assert schema.is_valid({**document(), "x-unknown": 1})


def test_it_is_served(api):
    answer = api.call("GET", "/v1/openapi.json")
    assert answer.json == DOCUMENT
    assert answer.json["openapi"].startswith("3.1")


def test_all_references_lead_somewhere():
    found = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(DOCUMENT)))
    assert found <= set(DOCUMENT["components"]["schemas"])
    assert {"Attachment", "PortView", "Error"} <= found


# --- answers against their schemas ----------------------------------------------------------------


def component(name: str) -> Any:
    schemas = DOCUMENT["components"]["schemas"]
    whole = {**schemas[name], "components": {"schemas": schemas}}
    return jsonschema_rs.validator_for(whole)


def check(method: str, path: str, answer: Answer) -> Answer:
    """The answer is one that the document describes for this call."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    described = responses.get(str(answer.status), responses["default"])
    assert str(answer.status) in responses, f"{method} {path}: {answer.status} is not described"
    content = described.get("content")
    if content is None:
        assert answer.body == b""
        return answer
    ((kind, media),) = content.items()
    assert answer.headers["Content-Type"].split(";")[0] == kind
    if kind == "application/json":
        whole = {**media["schema"], "components": DOCUMENT["components"]}
        jsonschema_rs.validate(whole, answer.json)
    return answer


def test_answers_are_as_described(api: Client, backend):
    one, many = "/v1/ports/{port_id}", "/v1/ports:plug"
    put = f"{PORT}?wait=active"
    calls: list[tuple[str, str, str, Any, int]] = [
        ("GET", "/v1/status", "/v1/status", None, 200),
        ("GET", "/v1/plugins", "/v1/plugins", None, 200),
        ("POST", "/v1/plugins/fake/verify", "/v1/plugins/{name}/verify", None, 200),
        ("POST", "/v1/plugins/none/verify", "/v1/plugins/{name}/verify", None, 424),
        ("POST", "/v1/plugins/broken/verify", "/v1/plugins/{name}/verify", None, 503),
        ("POST", "/v1/plugins/fake/verify?timeout=x", "/v1/plugins/{name}/verify", None, 400),
        ("GET", "/v1/host", "/v1/host", None, 200),
        ("GET", "/v1/openapi.json", "/v1/openapi.json", None, 200),
        ("GET", "/metrics", "/metrics", None, 200),
        ("GET", "/v1/events?follow=false", "/v1/events", None, 200),
        ("GET", "/v1/events?after=x", "/v1/events", None, 400),
        ("GET", PORT, one, None, 404),
        ("PUT", PORT, one, {}, 400),
        ("PUT", PORT, one, {"version": "7.3"}, 406),
        ("PUT", put, one, document(), 201),
        ("PUT", put, one, document(), 200),
        ("PUT", PORT, one, document(), 202),
        ("PUT", put, one, document(id=uuid(5)), 409),
        ("GET", PORT, one, None, 200),
        ("GET", "/v1/ports", "/v1/ports", None, 200),
        ("GET", "/v1/ports?fields=id", "/v1/ports", None, 200),
        ("GET", "/v1/ports?phase=x", "/v1/ports", None, 400),
        ("POST", f"{PORT}/check", f"{one}/check", None, 200),
        ("POST", f"{PORT}/deactivate?wait=inactive", f"{one}/deactivate", None, 200),
        ("POST", f"{PORT}/activate", f"{one}/activate", None, 202),
        ("POST", many, many, {"ports": [document(2)]}, 202),
        ("POST", f"{many}?wait=active", many, {"ports": [document(2)]}, 200),
        ("POST", f"{many}?wait=active", many, {"ports": [document(2, id=uuid(5))]}, 207),
        ("POST", many, many, {"ports": []}, 400),
        ("POST", "/v1/ports:unplug?wait=gone", "/v1/ports:unplug", {"ids": [uuid(2)]}, 200),
        ("DELETE", f"{PORT}?wait=gone", one, None, 204),
    ]
    for method, url, path, body, status in calls:
        answer = check(method, path, api.call(method, url, body))
        assert answer.status == status, f"{method} {url}: {answer.body!r}"


@pytest.mark.parametrize("code", sorted(errors.all_codes()))
def test_every_error_is_an_error_object(code):
    kind = errors.all_codes()[code]
    below = kind(facts={"field": "x"}, stage="tap")
    error = kind("a sentence", port=uuid(1), candidates=[below], retry_after=1.5).to_dict()
    component("Error").validate(error)


def test_defects_are_described_too(api, backend):
    backend.fail(uuid(1), ZeroDivisionError())
    answer = api.call("PUT", f"{PORT}?wait=active", document())
    assert check("PUT", "/v1/ports/{port_id}", answer).status == 500
    check("GET", "/v1/ports/{port_id}", api.call("GET", PORT))


def test_falcon_knows_no_other_way_in(served):
    assert isinstance(served.api.wsgi, falcon.App)
    assert served.api.wsgi._sinks == []
