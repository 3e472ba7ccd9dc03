"""Hostile requests: never a 500, never an effect, and every error names the field."""

from __future__ import annotations

import copy
import json
from typing import Any

import hypothesis.strategies as st
import pytest
import requests
import schemathesis
import urllib3
from hypothesis import HealthCheck, Phase, given, settings
from requests.adapters import HTTPAdapter

from support.api import serve
from support.backend import FakeDaemon
from unit.api.client import Client, document, uuid
from vifd.api import routes

URL = f"/v1/ports/{uuid(1)}"


def examples(n: int) -> settings:
    """So many, however long one takes."""
    return settings(
        max_examples=n,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


@pytest.fixture(scope="module")
def daemon():
    with FakeDaemon() as made:
        yield made


@pytest.fixture(scope="module")
def socket_path(daemon, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("hostile") / "s")
    with serve(daemon, path):
        yield path


@pytest.fixture(scope="module")
def client(socket_path):
    made = Client(socket_path)
    yield made
    made.close()


# --- one field gone wrong -------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=2**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40),
    lambda below: (
        st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4)
    ),
    max_leaves=8,
)
nasty: st.SearchStrategy[Any] = st.sampled_from(
    [
        "", " ", "\n", "\x00", "a\x00b", "../../etc/passwd", "'; drop table ports; --", "%s%n",
        "\u202e", "\ufffe", "x" * 300, "x" * 100_000, "\u00df" * 255, -1, 0, 1, 68, 67, 65521,
        65522, 2**31, 2**53, 2**64, -(2**63), 0.1, -0.0, 1e308, True, None, [], {}, [[]], {"": ""},
        "fa:16:3e:00:00:05\n", "FA-16-3E-00-00-05", "01:00:5e:00:00:01", "00:00:00:00:00:00",
        "10.0.0.0/33", "10.0.0.256", "fe80::1%eth0", "::ffff:10.0.0.1", "0.0.0.0/0", "1.0", "2.0",
        "ACTIVE", "active", "vlan", "vxlan", uuid(1), uuid(2), uuid(1) + "\n", uuid(0xABC).upper(),
    ]
)  # fmt: skip


def paths(value: Any, prefix: tuple = ()) -> list[tuple]:
    """The path of everything in a document."""
    found = [prefix] if prefix else []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items if isinstance(value, dict | list) else ():
        found += paths(item, (*prefix, key)) if isinstance(item, dict | list) else [(*prefix, key)]
    return found


PATHS = [
    *paths(document()),
    ("plugin",),
    ("vif_type",),
    ("required",),
    ("network", "segment", "id"),
]


def changed(path: tuple, value: Any) -> dict[str, Any]:
    """The good document with something else at one place, or nothing there for ``...``."""
    doc = copy.deepcopy(document())
    where: Any = doc
    for key in path[:-1]:
        where = where[key]
    if value is not ...:
        where[path[-1]] = value
    elif isinstance(where, list):
        del where[path[-1]]
    else:
        where.pop(path[-1], None)
    return doc


def dotted(path: tuple) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.lstrip(".")


@examples(600)
@given(path=st.sampled_from(PATHS), value=st.just(...) | nasty | json_values)
def test_one_field_gone_wrong(client, daemon, path, value):
    before = daemon.done()
    answer = client.call("PUT", f"{URL}?wait=active", changed(path, value))
    assert answer.status < 500, answer.body
    if answer.status < 300:
        client.call("DELETE", f"{URL}?wait=gone")
        return
    assert daemon.done() == before
    assert answer.status in (400, 406)
    field, wanted = answer.field, dotted(path)
    # The field itself, something in it, or one beside it that it makes necessary.
    parent = wanted.rpartition(".")[0]
    assert field.startswith(wanted) or field.rpartition(".")[0] == parent, (field, wanted)


# --- no document at all ---------------------------------------------------------------------------


@examples(300)
@given(body=st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()))
@pytest.mark.parametrize("call", [f"PUT {URL}", "POST /v1/ports:plug", "POST /v1/ports:unplug"])
def test_any_body(client, daemon, call, body):
    method, _, url = call.partition(" ")
    answer = client.call(method, url, body)
    assert answer.status in (400, 406), answer.body
    assert answer.field
    assert daemon.ports() == []


@examples(200)
@given(data=st.data())
def test_a_document_with_a_byte_gone_wrong(client, daemon, data):
    body = bytearray(json.dumps(document()).encode())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    before = daemon.done()
    answer = client.call("PUT", f"{URL}?wait=active", bytes(body))
    assert answer.status < 500, answer.body
    if answer.status < 300:
        client.call("DELETE", f"{URL}?wait=gone")
    else:
        assert daemon.done() == before
        assert answer.field


@examples(200)
@given(tail=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_path(client, daemon, tail):
    from urllib.parse import quote

    answer = client.call("PUT", f"/v1/ports/{quote(tail)}", document(3))
    assert answer.status in (400, 404, 405), answer.body
    assert answer.code in ("E_DOC_INVALID", "E_API_NO_ROUTE", "E_API_METHOD")


# --- everything that the OpenAPI document describes -----------------------------------------------


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        plain = Client(self.path)
        plain.connect()
        self.sock = plain.sock


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def _new_conn(self) -> _Connection:
        return _Connection(self.path)


class _Adapter(HTTPAdapter):
    def __init__(self, path: str) -> None:
        self.pool = _Pool(path)
        super().__init__()

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> _Pool:
        return self.pool

    def close(self) -> None:
        self.pool.close()
        super().close()


@pytest.fixture(scope="module")
def session(socket_path):
    with requests.Session() as made:
        made.mount("http://", _Adapter(socket_path))
        yield made


_document = copy.deepcopy(routes.document())
# Streams do not end by themselves; they have their own tests.
_document = {
    **_document,
    "paths": {p: v for p, v in _document["paths"].items() if "events" not in p},
}
# Nobody says the other part of a port here: whoever waits for it has their own tests.
for _path, _calls in _document["paths"].items():
    if _path.endswith(("/instance", "/network", "{port_id}")):
        for _verb in ("get", "put"):
            _calls[_verb]["parameters"] = [
                p for p in _calls[_verb]["parameters"] if p.get("name") not in ("wait", "timeout")
            ]
schema = schemathesis.openapi.from_dict(_document)
schema.config.update(base_url="http://localhost")


@schema.parametrize()
@examples(40)
def test_what_the_openapi_document_describes(case, session, daemon):
    """Generated from the schema, good and bad: every answer is one that the document describes."""
    before = daemon.done()
    response = case.call(session=session)
    late = response.status_code == 504 and response.json()["code"].startswith("E_STATE_WAIT")
    assert response.status_code < 500 or late, response.text
    case.validate_response(
        response,
        excluded_checks=[
            # The decoder is stricter than a schema can say (addresses, VLAN ids, ids twice)…
            schemathesis.checks.CHECKS.get_one("positive_data_acceptance"),
            # …and every peer may be refused: that is decided by uid, not by a header.
            schemathesis.checks.CHECKS.get_one("ignored_auth"),
            # A caller's time may be over: looked at above.
            schemathesis.checks.CHECKS.get_one("not_a_server_error"),
        ],
    )
    if response.status_code >= 400 and not late:
        assert daemon.done() == before
        if response.status_code in (400, 406) and response.json()["code"].startswith("E_DOC"):
            assert response.json()["facts"]["field"]
