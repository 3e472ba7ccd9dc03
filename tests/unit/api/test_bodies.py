"""Large and hostile bodies: bounded, decoded in a time that grows with their length, and never at
the cost of other callers."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from unit.api.client import Client, document, uuid
from vifd import errors
from vifd.api import bodies, body
from vifd.api.auth import Access
from vifd.api.bodies import PLACES, Bodies
from vifd.api.body import MAX_KEY, MAX_KEYS, MAX_VALUES, SMALL, parse
from vifd.model import decode, restore
from vifd.model.unread import MAX_DOCUMENT, unread
from vifd.testing.wait import PATIENCE, until

PUT = f"/v1/ports/{uuid(1)}"


def distinct(count: int) -> str:
    return ",".join(f'"{n}":1' for n in range(count))


@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        # the last of many is the one that appears twice
        (f'{{{distinct(9000)},"8999":2}}', "8999", "appears twice"),
        (f'[{{{distinct(9000)}}},{{{distinct(9000)},"0":2}}]', "0", "appears twice"),
        (f"{{{distinct(MAX_KEYS + 1)}}}", "0", f"over {MAX_KEYS} keys"),
        (json.dumps({"x" * (MAX_KEY + 1): 1}), "x" * 64, f"over {MAX_KEY} characters"),
        ("[" + "[]," * MAX_VALUES + "[]]", body.BODY, f"more than {MAX_VALUES} values"),
        ("[" + "{}," * MAX_VALUES + "{}]", body.BODY, f"more than {MAX_VALUES} values"),
        ("[" + "1," * MAX_VALUES + "1]", body.BODY, f"more than {MAX_VALUES} values"),
        ("[" * 100_000, body.BODY, "deeper than"),
        ('{"a":' * 100_000, body.BODY, "deeper than"),
    ],
    ids=["twice", "twice below", "keys", "key", "lists", "objects", "numbers", "deep", "deep key"],
)
def test_what_is_too_much_is_refused(text: str, field: str, problem: str) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        parse(text.encode())
    assert caught.value.facts["field"] == field
    assert problem in caught.value.facts["problem"]


def test_what_just_fits_is_read() -> None:
    assert len(parse(f"{{{distinct(MAX_KEYS)}}}".encode())) == MAX_KEYS
    assert len(parse(("[" + "1," * (MAX_VALUES - 1) + "1]").encode())) == MAX_VALUES


def large(n: int = 1) -> dict[str, Any]:
    pairs = [{"ip_address": f"10.1.{i >> 8}.{i & 255}"} for i in range(900)]
    doc = document(n)
    doc["port"]["allowed_address_pairs"] = pairs
    assert len(json.dumps(doc)) > SMALL
    return doc


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch):
    """Large bodies are not done before this is set; small ones are not concerned."""
    gate, inside = threading.Event(), threading.Event()

    def slow(data: bytes) -> Any:
        if len(data) > SMALL:
            inside.set()
            assert gate.wait(PATIENCE)
        return parse(data)

    monkeypatch.setattr(body, "parse", slow)
    yield gate, inside
    gate.set()


CALLS = {
    f"PUT {PUT}": large,
    "POST /v1/ports:plug": lambda: {"ports": [large()]},
    "POST /v1/offers": lambda: {"attachment": large()},
    "POST /v1/ports:unplug": lambda: {"ids": [uuid(n) for n in range(999)]},
}


@pytest.mark.parametrize("call", CALLS)
def test_others_are_answered_meanwhile(served, held, call: str) -> None:
    gate, inside = held
    method, _, url = call.partition(" ")
    answers = []

    def send() -> None:
        client = Client(served.path)
        answers.append(client.call(method, url, CALLS[call]()))
        client.close()

    thread = threading.Thread(target=send)
    thread.start()
    assert inside.wait(PATIENCE)
    other = Client(served.path)
    assert other.call("GET", "/v1/status").status == 200
    assert other.plug(7).status == 201
    other.close()
    gate.set()
    thread.join(PATIENCE)
    assert answers[0].status < 300, answers[0].body


def test_places_are_counted_by_access(served) -> None:
    made = Bodies(served.hub)
    taken = []
    for _ in range(PLACES[Access.READ]):
        place = made.place(Access.READ)
        place.__enter__()
        taken.append(place)
    with pytest.raises(errors.Busy, match="large bodies"), made.place(Access.READ):
        pass
    with made.place(Access.WRITE):
        pass
    taken.pop().__exit__(None, None, None)
    with made.place(Access.READ):
        pass


def test_one_too_many_is_asked_to_come_again(served, held, monkeypatch) -> None:
    gate, inside = held
    monkeypatch.setitem(bodies.PLACES, Access.WRITE, 1)
    first: list[int] = []

    def send() -> None:
        client = Client(served.path)
        first.append(client.call("PUT", PUT, large()).status)
        client.close()

    thread = threading.Thread(target=send)
    thread.start()
    assert inside.wait(PATIENCE)
    other = Client(served.path)
    answer = other.call("PUT", f"/v1/ports/{uuid(2)}", large(2))
    assert (answer.status, answer.code) == (503, "E_API_BUSY")
    assert answer.headers["Retry-After"] == "1"
    gate.set()
    thread.join(PATIENCE)
    assert first[0] < 300
    until(lambda: other.call("PUT", f"/v1/ports/{uuid(2)}", large(2)).status < 300, "served")
    other.close()


# --- fields that nobody reads ---------------------------------------------------------------------


def test_unread_fields_have_paths() -> None:
    doc = document(1)
    doc["extra"] = {"a": 1}
    doc["port"]["port_security_enable"] = False
    doc["port"]["allowed_address_pairs"][0]["note"] = "x"
    doc["network"]["segment"]["more"] = []
    doc["port"]["binding_profile"] = {"anything": {"goes": 1}}
    doc["port"]["security_groups"] = [{"id": uuid(5), "stateful": True}]
    doc["port"]["qos_policy"] = {"rules": [{"type": "dscp_marking", "dscp_mark": 8, "new": 1}]}
    doc["instance"]["flavour"] = "big"
    assert sorted(path for path, _ in unread(doc)) == [
        "extra",
        "instance.flavour",
        "network.segment.more",
        "port.allowed_address_pairs[0].note",
        "port.port_security_enable",
        "port.qos_policy.rules[0].new",
        "port.security_groups[0].stateful",
    ]


@pytest.mark.parametrize("where", ["", "port", "network", "instance"])
def test_too_much_of_them_is_refused_and_named(api, backend, where: str) -> None:
    doc = document(1)
    part = doc[where] if where else doc
    part["little"] = 1
    part["much"] = "x" * MAX_DOCUMENT
    answer = api.call("PUT", PUT, doc)
    assert (answer.status, answer.code) == (400, "E_DOC_UNREAD")
    assert answer.field == (f"{where}.much" if where else "much")
    assert backend.effects == []


def test_one_that_was_accepted_once_is_still_read() -> None:
    doc = {**document(1), "much": "x" * (MAX_DOCUMENT + 1)}
    with pytest.raises(errors.UnreadTooLarge):
        decode(doc)
    assert restore(doc).unread > MAX_DOCUMENT
