"""One side's part of a port through the API: plug, wait, unplug, repeat."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from unit.api.client import Client, document, uuid
from vifd.testing.wait import PATIENCE, until

PORT = f"/v1/ports/{uuid(1)}"
INSTANCE, NETWORK = f"{PORT}/instance", f"{PORT}/network"


def network(**changes: Any) -> dict[str, Any]:
    return {k: v for k, v in {**document(), **changes}.items() if k != "instance"}


def compute(**more: Any) -> dict[str, Any]:
    return {"version": "1.0", "instance": document()["instance"], **more}


def test_a_port_waits_for_the_other_part_and_says_so(api: Client) -> None:
    answer = api.call("PUT", f"{INSTANCE}?owner=nova&revision=3", compute())
    assert answer.status == 202
    port = answer.json
    assert (port["phase"], port["status"], port["device"]) == ("WAITING", "DOWN", "")
    assert port["waits"] == ["waits for the network service: port not bound to this host yet"]
    assert port["parts"]["compute"]["owner"] == "nova"
    assert port["parts"]["compute"]["revision"] == 3
    assert port == api.call("GET", PORT).json
    assert api.call("GET", f"/v1/ports?phase=WAITING&instance={uuid(0xC00)}").json["ports"] == [
        port
    ]
    assert api.call("GET", "/v1/ports?phase=LIVE").json["ports"] == []


def test_the_other_part_ends_the_wait(api: Client, served: Any) -> None:
    answers = []

    def plug() -> None:
        client = Client(served.path)
        answers.append(client.call("PUT", f"{INSTANCE}?wait=active", compute()))
        client.close()

    thread = threading.Thread(target=plug)
    thread.start()
    while api.call("GET", PORT).status == 404:
        pass
    assert api.call("PUT", f"{NETWORK}?wait=active", network()).json["phase"] == "LIVE"
    thread.join(PATIENCE)
    (answer,) = answers
    assert answer.status in (200, 201)
    assert answer.json["phase"] == "LIVE"
    assert answer.json["document"] == document()
    assert (answer.json["waits"], set(answer.json["parts"])) == ([], {"network", "compute"})


def test_what_lacks_is_named_to_the_caller_whose_time_is_over(api: Client) -> None:
    answer = api.call("PUT", f"{INSTANCE}?wait=active&timeout=0.05", compute())
    assert (answer.status, answer.code) == (504, "E_STATE_WAITS")
    assert "port not bound to this host yet" in answer.json["message"]
    assert answer.json["retryable"]
    answer = api.call("GET", f"{PORT}?wait=active&timeout=0.05")
    assert (answer.status, answer.code) == (504, "E_STATE_WAITS")


def test_get_can_wait(api: Client, backend: Any) -> None:
    backend.hold()
    api.call("PUT", PORT, document())
    assert api.call("GET", f"{PORT}?wait=active&timeout=0.05").code == "E_STATE_WAIT"
    backend.release()
    assert api.call("GET", f"{PORT}?wait=active").json["phase"] == "LIVE"
    assert api.call("GET", f"/v1/ports/{uuid(9)}?wait=active").status == 404


def test_unplug_keeps_the_networks_part_and_may_be_repeated(api: Client) -> None:
    api.call("PUT", PORT, document())
    for _ in range(2):
        assert api.call("DELETE", f"{INSTANCE}?wait=gone").status == 204
    port = api.call("GET", PORT).json
    assert port["waits"] == ["waits for compute: no instance uses the port on this host yet"]
    assert set(port["parts"]) == {"network"}
    part = api.call("GET", NETWORK).json
    assert part["body"] == network()
    assert api.call("GET", INSTANCE).status == 404
    assert api.call("DELETE", NETWORK).status == 204
    assert api.call("GET", PORT).status == 404
    assert api.call("DELETE", INSTANCE).status == 204


def test_the_device_that_compute_expects(api: Client) -> None:
    api.call("PUT", NETWORK, network())
    answer = api.call("PUT", f"{INSTANCE}?wait=active", compute(device="tapother"))
    assert (answer.status, answer.code) == (409, "E_STATE_PARTS_DIFFER")
    assert answer.json["facts"]["wanted"] == "tapother"
    device = f"tap{uuid(1)[:11]}"
    answer = api.call("PUT", f"{INSTANCE}?wait=active&take_over=true", compute(device=device))
    assert answer.status == 200


def test_the_networks_part_may_not_speak_for_compute(api: Client) -> None:
    answer = api.call("PUT", NETWORK, document())
    assert (answer.status, answer.field) == (400, "instance")


def test_an_older_part_is_refused(api: Client) -> None:
    api.call("PUT", f"{NETWORK}?revision=5", network())
    answer = api.call("PUT", f"{NETWORK}?revision=4", network(fixed_ips=[]))
    assert (answer.status, answer.code) == (409, "E_STATE_STALE")
    assert api.call("DELETE", f"{NETWORK}?revision=4").code == "E_STATE_STALE"
    assert api.call("GET", NETWORK).json["body"] == network()


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (f"{INSTANCE}?prewire=true", "query.prewire"),
        (f"{NETWORK}?prewire=ahead", "query.prewire"),
        (f"{NETWORK}?take_over=true", "query.take_over"),
        (f"{INSTANCE}?take_over=1", "query.take_over"),
        (f"{INSTANCE}?revision=-1", "query.revision"),
        (f"{INSTANCE}?owner=", "query.owner"),
        (f"{INSTANCE}?owner={'x' * 65}", "query.owner"),
        (f"{INSTANCE}?wait=gone", "query.wait"),
        ("/v1/ports/nonsense/instance", "path.id"),
    ],
)
def test_bad_calls(api: Client, call: str, field: str) -> None:
    body = compute() if "instance" in call else network()
    answer = api.call("PUT", call, body)
    assert (answer.status, answer.field) == (400, field)


def test_a_side_lists_what_should_be_here(api: Client, backend: Any) -> None:
    """What nova gave up on while nobody could be told is found, and goes when that is asked for."""
    for n in (1, 2, 3):
        api.call("PUT", f"/v1/ports/{uuid(n)}", document(n))
    api.call("PUT", f"/v1/ports/{uuid(4)}/instance?owner=nova", compute())
    asked = {"ids": [uuid(1), uuid(9)]}
    found = api.call("POST", "/v1/compute:compare", asked).json
    assert found == {"stale": [uuid(2), uuid(3)], "missing": [uuid(9)], "removed": False}
    young = api.call("POST", "/v1/compute:compare", {**asked, "owner": "nova"}).json
    assert young["stale"] == [], "what has just come is younger than the list"
    found = api.call("POST", "/v1/compute:compare", {**asked, "remove": True}).json
    assert found["removed"]
    until(lambda: [p.id for p in backend.ports()] == [uuid(1)], "what is stale goes")
    assert set(api.call("GET", f"/v1/ports/{uuid(2)}").json["parts"]) == {"network"}
    gone = api.call("POST", "/v1/network:compare", {"ids": [], "remove": True}).json
    assert gone["stale"] == [uuid(1), uuid(2), uuid(3)]


def test_many_at_once_are_asked_about(api: Client, backend: Any) -> None:
    for n in range(1, 6):
        api.call("PUT", f"/v1/ports/{uuid(n)}", document(n))
    answer = api.call("POST", "/v1/compute:compare", {"ids": [], "remove": True})
    assert (answer.status, answer.code) == (409, "E_GC_LIMIT")
    assert len(backend.ports()) == 5
    asked = {"ids": [], "remove": True, "force": True}
    assert api.call("POST", "/v1/compute:compare", asked).json["removed"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": ["x"]}, "ids[0]"),
        ({"ids": [], "remove": 1}, "remove"),
        ({"ids": [], "owner": 1}, "owner"),
        ({"ids": [], "more": 1}, "more"),
        ([], "(body)"),
    ],
)
def test_bad_lists(api: Client, body: Any, field: str) -> None:
    answer = api.call("POST", "/v1/compute:compare", body)
    assert (answer.status, answer.field) == (400, field)


@pytest.mark.parametrize(
    ("more", "field", "problem"),
    [
        ({"mac_adress": "fa:16:3e:00:00:01"}, "mac_adress", "did you mean mac_address?"),
        ({"port": {"id": uuid(2)}}, "port", "belongs to the network's part"),
        ({"network": {"mtu": 1}}, "network", "belongs to the network's part"),
        ({"role": "INACTIVE"}, "role", "belongs to the network's part"),
        ({"x": 1}, "x", "is no field of compute's part"),
    ],
)
def test_compute_says_nothing_that_nobody_reads(
    api: Client, more: dict[str, Any], field: str, problem: str
) -> None:
    answer = api.call("PUT", INSTANCE, compute(**more))
    assert (answer.status, answer.json["facts"]["field"]) == (400, field)
    assert problem in answer.json["message"]
    assert api.call("GET", PORT).status == 404
