"""Offers over the API: a question that changes nothing, and what a token of it is good for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.backend import FakeDaemon
from unit.api.client import Client, document, uuid
from vifd.api.auth import Access, permits
from vifd.plugin import Health, Probe

OFFERS = "/v1/offers"
PORT = f"/v1/ports/{uuid(1)}"


def ask(api: Client, **body: Any) -> Any:
    return api.call("POST", OFFERS, {"attachment": document(1), **body})


def test_candidates_refusals_choice_and_token(api: Client, backend: FakeDaemon) -> None:
    answer = ask(api)
    assert answer.status == 200
    offer = answer.json
    assert (offer["port"], offer["contract_version"]) == (uuid(1), "1.0")
    (one,) = offer["candidates"]
    assert (one["plugin"], one["vif_type"], one["health"]) == ("fake", "tap", "ready")
    assert one["vif_class"] == {"name": "VIFGeneric", "min": "1.0", "max": "1.0"}
    assert one["port_profiles"] == [{"name": "VIFPortProfileBase", "min": "1.0", "max": "1.1"}]
    assert one["connectivity"] == "l2"
    assert one["preference"] == {"network": 0, "host": 0}
    (refused,) = offer["refused"]
    assert (refused["plugin"], refused["error"]["code"]) == ("sick", "E_PLUGIN_UNHEALTHY")
    assert offer["choice"] == {
        "plugin": "fake", "plugin_version": "0", "vif_type": "tap", "vif_class": "VIFGeneric",
        "version": "1.0", "port_profile": "VIFPortProfileBase", "port_profile_version": "1.1",
    }  # fmt: skip
    assert offer["token"] == one["token"]
    assert offer["ttl"] == 300.0
    assert backend.effects == []
    assert api.call("GET", "/v1/ports").json["ports"] == []


def test_what_the_network_side_takes(api: Client) -> None:
    ranges = [{"vif_class": "VIFGeneric", "max_version": "1.0"}]
    assert ask(api, acceptable=ranges).status == 200
    answer = ask(api, acceptable=[{"vif_class": "VIFBridge"}])
    assert (answer.status, answer.code) == (409, "E_NEG_NO_COMMON_VIF")
    codes = {c["facts"]["plugin"]: c["code"] for c in answer.json["candidates"]}
    assert codes == dict.fromkeys(("fake", "sick"), "E_NEG_NO_COMMON_VIF")
    answer = ask(api, acceptable=[{"vif_class": "VIFGeneric", "min_version": "1.1"}])
    assert answer.json["facts"]["reason_code"] == "E_NEG_NO_COMMON_VERSION"


def test_a_contract_that_is_not_spoken_is_told_the_highest_that_is(api: Client) -> None:
    answer = ask(api, contract_version="2.0", news=1)
    assert (answer.status, answer.code) == (406, "E_NEG_CONTRACT_VERSION")
    assert ask(api, contract_version=answer.json["facts"]["have"]).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"contract_version": 1}, "contract_version"),
        ({"contract_version": "new"}, "contract_version"),
        ({"acceptable": []}, "acceptable"),
        ({"acceptable": {}}, "acceptable"),
        ({"acceptable": [{}]}, "acceptable[0]"),
        ({"acceptable": [{"vif_class": "VIFBridge", "max_version": "1"}]},
         "acceptable[0].max_version"),
        ({"acceptable": [{"vif_type": "ovs", "port_profiles": [{}]}]},
         "acceptable[0].port_profiles[0]"),
        ({"acceptable": [{"vif_type": "ovs", "min_version": "1.0\n"}]},
         "acceptable[0].min_version"),
        ({"acceptable": [{"vif_type": "ovs", "min_version": "1.1", "max_version": "1.0"}]},
         "acceptable[0].max_version"),
        ({"acceptable": [{"vif_type": "ovs", "port_profiles": [
            {"name": "X", "min_version": "1.10", "max_version": "1.9"}]}]},
         "acceptable[0].port_profiles[0].max_version"),
        ({"acceptable": [{"vif_type": "ovs", "news": 1}]}, "acceptable[0]"),
        ({"attachment": {"version": "1.0"}}, "attachment.port"),
        ({"attachment": 3}, "attachment"),
        ({"news": 1}, "news"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(api: Client, body: dict[str, Any], field: str) -> None:
    answer = ask(api, **body)
    assert answer.status == 400
    assert answer.field == field


def test_a_body_is_needed(api: Client) -> None:
    assert api.call("POST", OFFERS, {}).field == "attachment"
    assert api.call("POST", OFFERS, [1]).field == "(body)"
    assert api.call("POST", f"{OFFERS}?news=1", {}).field == "query.news"


def test_one_that_takes_too_long_is_given_up(api: Client, backend: FakeDaemon) -> None:
    backend.hold()
    answer = api.call("POST", f"{OFFERS}?timeout=0.05", {"attachment": document(1)})
    assert (answer.status, answer.code) == (504, "E_STATE_WAIT")


def test_readers_may_ask() -> None:
    assert permits(Access.READ, "POST", OFFERS)
    assert not permits(Access.READ, "POST", "/v1/ports:plug")
    assert not permits(Access.READ, "POST", "/v1/offers/")
    assert not permits(Access.NONE, "POST", OFFERS)


# --- tokens ---------------------------------------------------------------------------------------


def put(api: Client, token: str) -> Any:
    return api.call("PUT", f"{PORT}?wait=active&token={token}", document(1))


def test_a_put_with_the_token(api: Client) -> None:
    answer = put(api, ask(api).json["token"])
    assert answer.status == 201
    assert answer.json["selection"]["asked"] is True
    assert answer.json["selection"]["refused"][0]["plugin"] == "sick"


def test_a_host_that_has_changed_makes_it_stale(api: Client, backend: FakeDaemon) -> None:
    token = ask(api).json["token"]
    backend.offers.health = Probe(Health.DEGRADED, ["old"], facts={"bridge": "br-new"})
    answer = put(api, token)
    assert (answer.status, answer.code) == (409, "E_NEG_TOKEN_STALE")
    assert answer.json["facts"]["changed"] == [
        {"fact": "plugin.bridge", "was": "br-int", "is": "br-new"},
        {"fact": "plugin.health", "was": "ready", "is": "degraded"},
    ]
    assert backend.effects == []
    assert put(api, ask(api).json["token"]).status == 201


def test_what_is_no_token_is_a_bad_parameter(api: Client, backend: FakeDaemon) -> None:
    answer = put(api, "v1.nonsense")
    assert (answer.status, answer.field) == (400, "query.token")
    assert backend.effects == []


def test_a_token_of_another_port_is_no_token(api: Client, backend: FakeDaemon) -> None:
    """Neither for a new port nor for one that is plugged, where a spent one is not looked at."""
    other = ask(api, attachment=document(2)).json["token"]
    for _ in range(2):
        answer = put(api, other)
        assert (answer.status, answer.field) == (400, "query.token")
        assert uuid(2) in answer.json["message"]
        effects = list(backend.effects)
        body = {"ports": [document(1)], "tokens": {uuid(1): other}}
        answer = api.call("POST", "/v1/ports:plug", body)
        assert (answer.status, answer.field) == (400, f"tokens.{uuid(1)}")
        assert backend.effects == effects
        api.plug()


def test_tokens_of_a_batch(api: Client, backend: FakeDaemon) -> None:
    token = ask(api).json["token"]
    body: dict[str, Any] = {"ports": [document(1), document(2)], "tokens": {uuid(1): token}}
    backend.offers.health = Probe(Health.READY, facts={"bridge": "br-new"})
    answer = api.call("POST", "/v1/ports:plug?wait=active", body)
    assert answer.status == 207
    one, two = answer.json["ports"]
    assert (one["error"]["code"], two["status"]) == ("E_NEG_TOKEN_STALE", 201)
    for tokens, field in (
        ({uuid(9): token}, f"tokens.{uuid(9)}"),
        ({uuid(1): 3}, f"tokens.{uuid(1)}"),
        ([], "tokens"),
    ):
        assert api.call("POST", "/v1/ports:plug", {**body, "tokens": tokens}).field == field


# --- os-vif ---------------------------------------------------------------------------------------


def test_the_host_as_os_vif_reads_it(api: Client) -> None:
    info = api.call("GET", "/v1/host?format=os-vif").json
    assert info["versioned_object.name"] == "HostInfo"
    (plugin,) = info["versioned_object.data"]["plugin_info"]
    assert plugin["versioned_object.data"]["plugin_name"] == "fake"
    assert api.call("GET", "/v1/host?format=xml").field == "query.format"


def test_a_port_s_vif(api: Client) -> None:
    api.plug()
    vif = api.call("GET", f"{PORT}/vif").json
    assert vif["device"] == f"tap{uuid(1)[:11]}"
    theirs = api.call("GET", f"{PORT}/vif?format=os-vif").json
    assert theirs["versioned_object.name"] == "VIFGeneric"
    data = theirs["versioned_object.data"]
    assert (data["vif_name"], data["plugin"], data["active"]) == (vif["device"], "fake", True)


def test_os_vif_is_told_whether_frames_are_filtered(api: Client, backend: FakeDaemon) -> None:
    """Only where the port asks for it and the plugin does it."""

    def told(number: int) -> Any:
        answer = api.call("GET", f"/v1/ports/{uuid(number)}/vif?format=os-vif")
        return answer.json["versioned_object.data"]["has_traffic_filtering"]

    api.plug()
    open_one = document(2)
    open_one["port"]["port_security_enabled"] = False
    assert api.call("PUT", f"/v1/ports/{uuid(2)}?wait=active", open_one).status == 201
    advert = backend.offers.able
    for features, first in (((), False), (("port_security",), True)):
        backend.offers.able = replace(advert, features=frozenset(features))
        assert (told(1), told(2)) == (first, False)


def test_a_vif_in_the_version_that_was_asked_for(api: Client) -> None:
    api.plug()

    def profile(query: str) -> Any:
        answer = api.call("GET", f"{PORT}/vif?format=os-vif&{query}")
        return answer.json["versioned_object.data"]["port_profile"]["versioned_object.version"]

    assert profile("max_profile_version=1.0") == "1.0"
    assert profile("max_profile_version=1.9") == "1.1"
    assert profile("max_version=1.0") == "1.1"
    answer = api.call("GET", f"{PORT}/vif?format=os-vif&max_version=0.9")
    assert (answer.status, answer.code) == (409, "E_NEG_NO_COMMON_VERSION")
    assert answer.json["facts"]["have"] == "1.0"


@pytest.mark.parametrize(
    ("query", "field"),
    [("max_version=1.0", "query.max_version"), ("format=os-vif&max_version=x", "query.max_version"),
     ("format=ovo", "query.format"), ("news=1", "query.news")],
)  # fmt: skip
def test_bad_questions_about_a_vif(api: Client, query: str, field: str) -> None:
    api.plug()
    assert api.call("GET", f"{PORT}/vif?{query}").field == field


def test_a_port_without_a_vif(api: Client, backend: FakeDaemon) -> None:
    assert api.call("GET", f"{PORT}/vif").code == "E_STATE_NOT_FOUND"
    backend.hold()
    api.call("PUT", PORT, document(1))
    answer = api.call("GET", f"{PORT}/vif?format=os-vif")
    assert (answer.status, answer.code) == (409, "E_STATE_NOT_PLUGGED")
    assert answer.json["retryable"]
