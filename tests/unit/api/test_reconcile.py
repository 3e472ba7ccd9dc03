"""The pending difference of an upgrade over the API, and its approval."""

from __future__ import annotations

import pytest

from unit.api.client import uuid
from vifd.engine.upgrade.view import Affected, Changed, UpgradeView


@pytest.fixture
def held(backend):
    port = Affected(uuid(1), "ovs", "tap1", uuid(9), [Changed("flows.port", {"a": 1}, {"b": 2})])
    backend.upgraded = UpgradeView("held", ["vifd 1 became 2"], 3, 1, [port])
    return backend


def test_nothing_waits_by_default(api):
    answer = api.call("GET", "/v1/reconcile")
    assert (answer.status, answer.json["state"], answer.json["affected"]) == (200, "none", [])


def test_the_difference_is_shown_and_nothing_happens(api, held):
    shown = api.call("GET", "/v1/reconcile").json
    assert (shown["state"], shown["total"], shown["allowed"]) == ("held", 3, 1)
    assert shown["affected"][0]["changes"] == [
        {"fact": "flows.port", "have": {"a": 1}, "wanted": {"b": 2}}
    ]
    assert held.effects == []


def test_approval_begins_it_and_may_be_repeated(api, held):
    for _ in range(2):
        answer = api.call("POST", "/v1/reconcile", {"approve": True})
        assert answer.status == 202
    assert held.effects == ["approve"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "approve"), ({"approve": False}, "approve"), ({"approve": 1}, "approve"),
        ({"approve": True, "all": True}, "all"), ([], "(body)"),
    ],
)  # fmt: skip
def test_anything_else_is_no_approval(api, held, body, field):
    answer = api.call("POST", "/v1/reconcile", body)
    assert (answer.status, answer.field) == (400, field)
    assert held.effects == []
