"""The socket, the connection, and the way down."""

from __future__ import annotations

import gc
import grp
import json
import os
import re
import socket
import stat
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest

from support.api import serve
from unit.api.client import Client, document, send_raw, uuid
from vifd.api.body import MAX_BODY
from vifd.api.server import Limits, SocketError, listen
from vifd.testing.wait import PATIENCE, until

# --- the socket -----------------------------------------------------------------------------------


def test_mode_and_group(tmp_path):
    gid = grp.getgrall()[-1].gr_gid if os.getuid() == 0 else os.getgid()
    path = tmp_path / "s"
    with listen(str(path), 0o640, gid):
        found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert found.st_gid == gid


def test_group_by_name(tmp_path):
    group = grp.getgrgid(os.getgid())
    with listen(str(tmp_path / "s"), group=group.gr_name):
        assert (tmp_path / "s").stat().st_gid == group.gr_gid


def test_a_socket_that_nobody_serves_is_replaced(tmp_path):
    path = str(tmp_path / "s")
    listen(path).close()
    assert Path(path).exists()
    with listen(path), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)


def test_another_daemon_is_left_alone(served):
    inode = os.stat(served.path).st_ino
    with pytest.raises(SocketError, match="another daemon answers"):
        listen(served.path)
    assert os.stat(served.path).st_ino == inode


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(tmp_path, kind):
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SocketError, match="not a socket"):
        listen(str(path))
    assert path.is_symlink() or path.exists()


@pytest.mark.parametrize(
    ("path", "group", "match"),
    [
        ("none/s", None, "cannot"),
        ("s" * 200, None, "cannot listen"),
        ("s", "no-such-group", "does not exist"),
    ],
)
def test_a_socket_that_cannot_be_made(tmp_path, path, group, match):
    with pytest.raises(SocketError, match=match):
        listen(str(tmp_path / path), group=group)


# --- the connection -------------------------------------------------------------------------------


def test_many_calls_on_one_connection(api):
    api.plug()
    sock = api.sock
    for _ in range(50):
        assert api.call("GET", "/v1/status").status == 200
    assert api.sock is sock


def test_pipelined_calls_are_answered_in_order(served):
    call = b"GET /v1/%s HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = send_raw(served.path, call % b"status" + call % b"host" + call % b"nothing")
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"200", b"404"]


def test_request_id(api, caplog):
    caplog.set_level("DEBUG", logger="vifd.api.app")
    assert (
        api.call("GET", "/v1/status", X_Request_ID="req-1.a:b_").headers["X-Request-ID"]
        == "req-1.a:b_"
    )
    made = api.call("GET", "/v1/status").headers["X-Request-ID"]
    assert made.startswith("req-")
    assert made in caplog.text
    for bad in ("x" * 65, "a b", "ä", ""):
        assert api.call("GET", "/v1/status", X_Request_ID=bad).headers["X-Request-ID"] != bad


def test_the_request_id_reaches_the_daemon(api, backend):
    api.call("PUT", f"/v1/ports/{uuid(1)}", document(), X_Request_ID="mine")
    assert backend.port(uuid(1)).request_id == "mine"


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET /nothing HTTP/1.1", 404, "E_API_NO_ROUTE"),
        (b"GET /v1/ports/ HTTP/1.1", 400, "E_DOC_INVALID"),
        (b"DELETE /v1/status HTTP/1.1", 405, "E_API_METHOD"),
        (b"BREW /v1/status HTTP/1.1", 400, "E_API_HTTP"),
        (b"PATCH /v1/ports HTTP/1.1", 405, "E_API_METHOD"),
        (b"\xff\x00\x01", 400, "E_API_HTTP"),
        (b"GET", 400, "E_API_HTTP"),
        (b"GET / HTTP/9.9", 505, "E_API_HTTP"),
        (b"GET / HTTP/1.1 HTTP/1.1", 400, "E_API_HTTP"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1", 414, "E_API_HTTP"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000, 431, "E_API_HTTP"),
        (b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 60 + b"\r\n" + b"Y: 1\r\n" * 12000, 431, None),
        (b"PUT / HTTP/1.1\r\nContent-Length: -1", 400, "E_API_HTTP"),
        (b"PUT / HTTP/1.1\r\nContent-Length: +1", 400, "E_API_HTTP"),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2", 400, "E_API_HTTP"),
        (b"PUT / HTTP/1.1\r\nContent-Length: 9" + b"9" * 30, 400, "E_API_HTTP"),
        (
            b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
            400,
            "E_API_HTTP",
        ),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip", 501, "E_API_HTTP"),
    ],
)
def test_what_is_wrong_with_the_head_is_coded(served, backend, head, status, code):
    answer = send_raw(served.path, head + b"\r\nHost: x\r\n\r\n")
    first, _, rest = answer.partition(b"\r\n")
    assert first.startswith(b"HTTP/1.1 %d" % status)
    error = json.loads(rest.partition(b"\r\n\r\n")[2])
    assert error["code"] == (code or "E_API_HTTP")
    assert backend.effects == []


def test_a_method_that_is_not_there_names_the_others(api):
    answer = api.call("DELETE", "/v1/status")
    assert "GET" in answer.headers["Allow"]
    assert answer.json["message"] == "DELETE /v1/status is not part of this API"


# --- bodies ---------------------------------------------------------------------------------------

URL = f"/v1/ports/{uuid(1)}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\ud800"}',
        b'{"a": "\xed\xa0\x80"}',
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 01}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"{}{}",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b"\x00",
        json.dumps(document()).encode()[:-1],
        json.dumps(document()).encode("utf-16"),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_bodies_that_are_no_document(api, backend, body):
    answer = api.call("PUT", URL, body)
    assert (answer.status, answer.code) == (400, "E_DOC_INVALID")
    assert answer.field in ("(body)", "(document)", "a")
    assert backend.effects == []


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"a": 1, "a": 1}', "a"),
        ('{"x": {"b" : 1, "c": [{"d":1,"d":2}]}}', "d"),
        ('{"a": "\\u003a\\u003a", "b": 1, "b": 2}', "b"),
        ('{"\\u0061": 1, "a": 2}', "a"),
    ],
)
def test_a_key_that_appears_twice(api, text, field):
    assert api.call("PUT", URL, text.encode()).field == field


def test_colons_in_strings_are_no_keys(api, backend):
    sent = {**document(), "x": ["a:b", {":": "::"}, "\u003a"]}
    assert api.call("PUT", f"{URL}?wait=active", sent).json["document"] == sent


def test_nesting_that_goes_too_deep_is_named(api, backend):
    sent = document()
    deep: list = []
    for _ in range(40):
        deep = [deep]
    sent["port"]["binding_profile"] = {"deep": deep}
    answer = api.call("PUT", URL, sent)
    assert (answer.code, answer.field) == ("E_DOC_INVALID", "port")
    assert backend.effects == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "x", "*/*"])
def test_content_type(api, backend, kind):
    answer = api.call("PUT", URL, document(), Content_Type=kind)
    assert (answer.status, answer.code) == (415, "E_API_MEDIA_TYPE")
    assert backend.effects == []


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_by_its_names(api, kind):
    assert api.call("PUT", URL, document(), Content_Type=kind).status == 202


def test_a_body_that_is_too_large(api, backend):
    big = json.dumps({**document(), "x": "y" * MAX_BODY}).encode()
    answer = api.call("PUT", URL, big)
    assert (answer.status, answer.code) == (413, "E_API_BODY_SIZE")
    assert backend.effects == []
    # All of it was taken: the connection is good for the next call.
    assert api.call("GET", "/v1/status").status == 200


def test_a_body_that_is_too_large_in_chunks(served, backend):
    head = b"PUT " + URL.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b" " * (1 << 20))
    answer = send_raw(served.path, head + chunk * 5 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert backend.effects == []


def test_a_body_in_chunks(served, backend):
    body = json.dumps(document()).encode()
    head = b"PUT " + URL.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert send_raw(served.path, head + chunks).startswith(b"HTTP/1.1 202")


@pytest.mark.parametrize("tail", [b"zz\r\n", b"5\r\nab", b"", b"ffffffffffffffff\r\n{}"])
def test_broken_chunks(served, backend, tail):
    head = b"PUT " + URL.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = send_raw(served.path, head + tail)
    assert answer.startswith(b"HTTP/1.1 400")
    assert backend.effects == []


def test_a_body_cut_short_has_no_effect(served, backend):
    """Even where what came is a whole document."""
    body = json.dumps(document()).encode()
    head = b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (
        URL.encode(),
        len(body) + 5,
    )
    answer = send_raw(served.path, head + body)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"of %d bytes" % (len(body) + 5) in answer
    assert backend.effects == []


def test_the_answer_survives_a_body_that_nobody_read(served):
    """Closing a unix socket with unread data would take the answer away from the client."""
    head = (
        b"PUT /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
    )
    assert send_raw(served.path, head + b" " * 100_000).startswith(b"HTTP/1.1 404")


def test_expect_100_continue(served):
    body = json.dumps(document()).encode()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(served.path)
        head = b"PUT %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        sock.sendall(head % (URL.encode(), len(body)))
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(body)
        assert sock.recv(100).startswith(b"HTTP/1.1 202")


def test_a_client_that_stalls_is_dropped(backend, tmp_path):
    path = str(tmp_path / "s")
    with serve(backend, path, limits=Limits(stall=0.05, idle=0.05)):
        for sent in (b"", b"GET", b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(PATIENCE)
                sock.connect(path)
                sock.sendall(sent)
                while sock.recv(1000):
                    pass


# --- the way down ---------------------------------------------------------------------------------


def test_the_socket_is_gone_afterwards(backend, tmp_path):
    path = tmp_path / "s"
    with serve(backend, str(path)):
        assert path.exists()
    assert not path.exists()


def test_the_socket_of_a_successor_stays(backend, tmp_path):
    path = tmp_path / "s"
    with serve(backend, str(path)):
        path.unlink()
        successor = listen(str(path))
    assert path.exists()
    successor.close()


def test_those_who_wait_are_told(backend, tmp_path):
    path = str(tmp_path / "s")
    answers: Future = Future()
    with serve(backend, path) as served:
        backend.hold()
        client = Client(path)
        waiting = threading.Thread(target=lambda: answers.set_result(client.plug()))
        waiting.start()
        other = Client(path)
        while not served.api.waits._open or not backend.effects:
            other.call("GET", "/v1/status")
        other.close()
    answer = answers.result(timeout=PATIENCE)
    assert (answer.status, answer.code) == (503, "E_AGENT_STOPPING")
    assert backend.port(uuid(1)).phase == "BOUND"
    waiting.join(timeout=PATIENCE)
    client.close()


def test_streams_and_idle_connections_end(backend, tmp_path):
    path = str(tmp_path / "s")
    with serve(backend, path):
        idle, reader = Client(path), Client(path)
        idle.call("GET", "/v1/status")
        reader.request("GET", "/v1/events")
        response = reader.getresponse()
        assert response.readline() == b"retry: 1000\n"
    assert response.read() == b"\n"
    assert idle.sock.recv(1) == b""
    reader.close()
    idle.close()


def test_descriptors_come_back(backend, tmp_path):
    def count() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def once(path: str) -> None:
        with serve(backend, path):
            for _ in range(5):
                client = Client(path)
                client.call("GET", "/v1/status")
                client.close()

    once(str(tmp_path / "a"))
    before = count()
    for _ in range(3):
        once(str(tmp_path / "b"))
    # a connection ends on a thread of its own, and so does one of another test
    until(lambda: count() <= before, "every descriptor is back")
