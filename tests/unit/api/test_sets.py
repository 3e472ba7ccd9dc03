"""Shared sets through the API: whole, in pieces, many at once, with revisions, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from unit.api.client import Client, uuid
from vifd.api.auth import Access, permits
from vifd.testing.wait import until

GROUP, OTHER, NET = uuid(1), uuid(2), uuid(3)
SG, AG, FWD = (
    f"/v1/security-groups/{GROUP}", f"/v1/address-groups/{OTHER}", f"/v1/networks/{NET}/forwarding",
)  # fmt: skip
RULE = {"direction": "ingress", "protocol": "tcp", "port_range_min": 443, "port_range_max": 443}


def test_a_security_group_is_put_shown_and_listed(api: Client) -> None:
    answer = api.call("PUT", f"{SG}?wait=applied&owner=neutron&revision=3", {
        "name": "web", "rules": [RULE], "members": [{"ip_address": "10.0.0.1"}],
    })  # fmt: skip
    assert answer.status == 201
    shown = answer.json
    assert (shown["id"], shown["owner"], shown["owner_revision"]) == (GROUP, "neutron", 3)
    assert shown["stateful"] is True
    assert shown["rules"][0]["port_range_min"] == 443
    assert shown["counts"] == {"rules": 1, "members": 1}
    assert (shown["pending"], shown["ports"], shown["used_by"]) == ([], [], [])
    assert answer.headers["ETag"] == f'"{shown["revision"]}"'
    got = api.call("GET", SG)
    assert (got.status, got.json, got.headers["ETag"]) == (200, shown, answer.headers["ETag"])
    (listed,) = api.call("GET", "/v1/security-groups?owner=neutron").json["security_groups"]
    assert "rules" not in listed
    assert listed["counts"] == shown["counts"]
    assert api.call("GET", "/v1/security-groups?owner=api").json == {"security_groups": []}


def test_the_same_again_changes_nothing(api: Client) -> None:
    first = api.call("PUT", f"{SG}?wait=applied", {"rules": [RULE]})
    again = api.call("PUT", f"{SG}?wait=applied", {"rules": [RULE]})
    assert (first.status, again.status) == (201, 200)
    assert again.json == first.json
    assert api.call("PATCH", f"{SG}?wait=applied", {"add": {"rules": [RULE]}}).json == first.json


def test_members_and_rules_come_and_go(api: Client) -> None:
    api.call("PUT", SG, {"rules": [RULE]})
    rule = api.call("GET", SG).json["rules"][0]["id"]
    member = {"ip_address": "10.0.0.7", "mac_address": "FA:16:3E:00:00:01"}
    answer = api.call("PATCH", f"{SG}?wait=applied", {
        "add": {"members": [member]}, "remove": {"rules": [rule]}, "name": "n", "stateful": False,
    })  # fmt: skip
    assert answer.status == 200
    shown = answer.json
    assert (shown["rules"], shown["name"], shown["stateful"]) == ([], "n", False)
    assert shown["members"] == [{"ip_address": "10.0.0.7", "mac_address": "fa:16:3e:00:00:01"}]
    answer = api.call("PATCH", f"{SG}?wait=applied", {"remove": {"members": [member]}})
    assert answer.json["members"] == []


def test_forwarding_is_made_by_its_first_entry(api: Client) -> None:
    port = {"mac_address": "fa:16:3e:00:00:01", "ip_addresses": ["10.0.0.1"]}
    body = {"add": {"endpoints": [{"address": "192.0.2.1", "ports": [port]}]}}
    answer = api.call("PATCH", f"{FWD}?wait=applied", body)
    assert answer.status == 201
    assert answer.json["endpoints"] == [{"address": "192.0.2.1", "ports": [port]}]
    assert answer.json["counts"] == {"endpoints": 1, "ports_behind": 1}
    assert "name" not in answer.json
    (listed,) = api.call("GET", "/v1/networks").json["networks"]
    assert listed["id"] == NET
    answer = api.call("PATCH", FWD, {"remove": {"endpoints": ["192.0.2.1"]}})
    assert answer.json["endpoints"] == []


def test_address_groups(api: Client) -> None:
    assert api.call("PATCH", AG, {"add": {"addresses": ["10.0.0.0/8"]}}).code == "E_SET_NOT_FOUND"
    api.call("PUT", AG, {"name": "a", "addresses": ["10.0.0.9/8"]})
    answer = api.call("PATCH", f"{AG}?wait=applied", {"add": {"addresses": ["::1"]}})
    assert answer.json["addresses"] == ["10.0.0.0/8", "::1"]


def test_a_change_is_for_the_revision_that_was_read(api: Client) -> None:
    tag = api.call("PUT", SG, {}).headers["ETag"]
    assert api.call("PUT", SG, {"name": "a"}, If_Match=tag).status == 202
    answer = api.call("PUT", SG, {"name": "b"}, If_Match=tag)
    assert (answer.status, answer.code) == (412, "E_SET_CHANGED")
    assert api.call("PATCH", SG, {"name": "b"}, If_Match=f'{tag}, "{10**9}"').status == 412
    assert api.call("PATCH", SG, {"name": "b"}, If_Match="*").status == 202
    assert api.call("PUT", AG, {}, If_Match="*").status == 412
    for bad in ("17", 'W/"17"', '""', "x", '"17",'):
        answer = api.call("PUT", SG, {}, If_Match=bad)
        assert (answer.status, answer.field) == (400, "header.If-Match")


def test_deleting(api: Client) -> None:
    assert api.call("DELETE", SG).status == 204
    api.call("PUT", SG, {})
    api.call("PUT", f"/v1/security-groups/{OTHER}",
             {"rules": [{"direction": "ingress", "remote_group_id": GROUP}]})  # fmt: skip
    assert api.call("GET", SG).json["used_by"] == [f"security group {OTHER}"]
    answer = api.call("DELETE", SG)
    assert (answer.status, answer.code) == (409, "E_SET_IN_USE")
    answer = api.call("DELETE", f"{SG}?later=true&wait=applied")
    assert (answer.status, answer.json["going"]) == (200, True)
    assert api.call("DELETE", f"/v1/security-groups/{OTHER}?wait=applied").status == 204
    assert api.call("GET", f"/v1/security-groups/{OTHER}").code == "E_SET_NOT_FOUND"


def test_who_has_yet_to_take_it_up_is_said(api: Client, backend: Any) -> None:
    backend.hold()
    answer = api.call("PUT", f"{SG}?wait=applied&timeout=0.05", {})
    assert (answer.status, answer.code) == (504, "E_STATE_WAIT")
    assert "plugin fake" in answer.json["message"]
    assert api.call("GET", SG).json["pending"] == ["fake"]
    backend.release()
    until(lambda: api.call("GET", SG).json["pending"] == [], "taken up")


def test_many_at_once(api: Client) -> None:
    body = {
        "security_groups": [{"id": GROUP, "security_group_rules": [RULE]}, {"id": OTHER}],
        "address_groups": [{"id": OTHER, "addresses": ["10.0.0.0/8"]}],
        "networks": [{"network_id": NET, "endpoints": [{"address": "192.0.2.1"}]}],
    }
    answer = api.call("POST", "/v1/sets:put?owner=neutron&wait=applied", body)
    assert answer.status == 200
    assert [(i["kind"], i["id"], i["status"]) for i in answer.json["sets"]] == [
        ("security-group", GROUP, 201), ("security-group", OTHER, 201),
        ("address-group", OTHER, 201), ("forwarding", NET, 201),
    ]  # fmt: skip
    answer = api.call("POST", "/v1/sets:put?owner=neutron&revision=2", body)
    assert answer.status == 202
    answer = api.call("POST", "/v1/sets:put?owner=neutron&revision=1", body)
    assert answer.status == 207
    assert {i["error"]["code"] for i in answer.json["sets"]} == {"E_SET_STALE"}


def test_a_complete_list_takes_away_what_it_does_not_name(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vifd.engine.setdesk.YOUNG", 0.0)
    both = {"security_groups": [{"id": GROUP}, {"id": OTHER}]}
    api.call("POST", "/v1/sets:put?owner=neutron", both)
    api.call("PUT", f"/v1/security-groups/{NET}?owner=api", {})
    answer = api.call("POST", "/v1/sets:put?owner=neutron&complete=true",
                      {"security_groups": [{"id": GROUP}]})  # fmt: skip
    assert answer.json["going"] == [f"security-group/{OTHER}"]
    listed = api.call("GET", "/v1/security-groups").json["security_groups"]
    assert {s["id"] for s in listed} == {GROUP, NET}
    body = {"kind": "security-group", "owner": "neutron", "ids": [OTHER]}
    found = api.call("POST", "/v1/sets:compare", body).json
    assert found == {"stale": [GROUP], "missing": [OTHER], "removed": False}
    assert api.call("POST", "/v1/sets:compare", {**body, "remove": True}).json["removed"]
    assert api.call("GET", SG).status == 404


@pytest.mark.parametrize(
    ("method", "url", "body", "field"),
    [
        ("PUT", SG, {"rules": [{"direction": "in"}]}, "rules[0].direction"),
        ("PUT", SG, {"ruels": []}, "(document)"),
        ("PUT", "/v1/security-groups/X", {}, "path.id"),
        ("PUT", f"{SG}?owner=", {}, "query.owner"),
        ("PUT", f"{SG}?revision=-1", {}, "query.revision"),
        ("PUT", f"{SG}?wait=active", {}, "query.wait"),
        ("PATCH", SG, {"add": {"members": [{}]}}, "add.members[0].ip_address"),
        ("PATCH", FWD, {"name": "x"}, "name"),
        ("DELETE", f"{SG}?later=yes", None, "query.later"),
        ("POST", "/v1/sets:put", {}, "(body)"),
        ("POST", "/v1/sets:put", {"security_groups": [{}]}, "security_groups[0].id"),
        ("POST", "/v1/sets:put", {"security_groups": [{"id": GROUP}] * 2},
         "security_groups[1].id"),
        ("POST", "/v1/sets:put", {"security_groups": [{"id": GROUP, "rules": [{}]}]},
         "security_groups[0].rules[0].direction"),
        ("POST", "/v1/sets:put", {"groups": []}, "groups"),
        ("POST", "/v1/sets:compare", {"kind": "x", "owner": "a", "ids": []}, "kind"),
        ("POST", "/v1/sets:compare", {"kind": "forwarding", "owner": "a", "ids": ["x"]}, "ids[0]"),
        (
            "POST",
            "/v1/sets:compare",
            {"kind": "forwarding", "owner": "a", "ids": [GROUP] * 20_001},
            "ids",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(api: Client, method: str, url: str, body: Any, field: str) -> None:
    answer = api.call(method, url, body)
    assert (answer.status, answer.field) == (400, field)


@pytest.mark.parametrize(
    ("access", "may"),
    [(Access.READ, False), (Access.COMPUTE, False), (Access.NETWORK, True), (Access.WRITE, True)],
)
def test_who_may_change_sets(access: Access, may: bool) -> None:
    for method, path in (
        ("PUT", SG), ("PATCH", SG), ("DELETE", AG), ("PATCH", FWD), ("POST", "/v1/sets:put"),
        ("POST", "/v1/sets:compare"),
    ):  # fmt: skip
        assert permits(access, method, path) is may
    assert permits(access, "GET", SG)


def test_a_network_service_says_its_part_and_nothing_else() -> None:
    port = f"/v1/ports/{GROUP}"
    for method, path, may in (
        ("PUT", f"{port}/network", True), ("DELETE", f"{port}/network", True),
        ("POST", f"{port}/activate", True), ("POST", f"{port}/check", True),
        ("POST", "/v1/network:compare", True), ("GET", port, True),
        ("PUT", f"{port}/instance", False), ("PUT", port, False), ("DELETE", port, False),
        ("POST", "/v1/compute:compare", False), ("POST", "/v1/garbage", False),
        ("POST", f"{port}/release", False), ("PUT", "/v1/networksx/a", False),
    ):  # fmt: skip
        assert permits(Access.NETWORK, method, path) is may


def test_a_large_set_is_taken_and_one_too_large_refused(api: Client) -> None:
    members = [{"ip_address": f"10.{n >> 8}.{n & 255}.1"} for n in range(20_000)]
    answer = api.call("PUT", SG, {"members": members})
    assert answer.status == 202
    assert answer.json["counts"] == {"members": 20_000}
    rules = [{"direction": "ingress"}] * 10_001
    assert api.call("PUT", SG, {"rules": rules}).status == 400
    add = [{"ip_address": f"11.{n >> 8}.{n & 255}.1"} for n in range(40_000)]
    answer = api.call("PATCH", SG, {"add": {"members": add}})
    assert (answer.status, answer.field) == (400, "add.members")
