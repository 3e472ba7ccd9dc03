"""Requests that two readers could take for two different ones: refused, the connection closed."""

from __future__ import annotations

import io
import json
import re
import socket
from http.client import parse_headers

import pytest

from unit.api.client import Client, document, send_raw, uuid
from vifd.api import head
from vifd.testing.wait import PATIENCE

URL = f"/v1/ports/{uuid(1)}".encode()
#: What an attacker would have run as a request of its own.
HIDDEN = b"DELETE " + URL + b" HTTP/1.1\r\nHost: x\r\n\r\n"

HEADS = {
    "no colon": b"garbage\r\nContent-Length: %d",
    "no colon at the end": b"Content-Length: %d\r\ngarbage",
    "space before the colon": b"Content-Length : %d",
    "tab before the colon": b"Content-Length\t: %d",
    "folded": b"X: a\r\n Content-Length: %d",
    "folded with a tab": b"X: a\r\n\tContent-Length: %d",
    "folded first": b" X: a\r\nContent-Length: %d",
    "bare line feed": b"X: a\nContent-Length: %d",
    "bare line feed at the end": b"Content-Length: %d\n",
    "carriage return in a value": b"X: a\rContent-Length: %d",
    "null": b"X: a\x00\r\nContent-Length: %d",
    "null in a name": b"Content\x00-Length: %d",
    "no name": b": a\r\nContent-Length: %d",
    "a name that is none": b"Content-Length(: %d",
    "latin name": "Ä: a\r\nContent-Length: %d".encode("latin-1"),
    "escape": b"X: \x1b[2J\r\nContent-Length: %d",
    "twice": b"Content-Length: %d\r\nContent-Length: 0",
    "twice the same": b"Content-Length: %d\r\nContent-Length: %d",
    "list": b"Content-Length: %d, %d",
    "plus": b"Content-Length: +%d",
    "hexadecimal": b"Content-Length: 0x%x",
    "underscore": b"Content_Length: %d",
    "coding by underscore": b"Transfer_Encoding: chunked\r\nX: %d",
    "both": b"Content-Length: %d\r\nTransfer-Encoding: chunked",
    "coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nX: %d",
    "coding twice, another": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nX: %d",
    "two hosts": b"Host: a\r\nHost: b\r\nContent-Length: %d",
    "empty length": b"Content-Length:\r\nX: %d",
}


def count(answer: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1.1 (\d+)", answer)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("method", ["GET /v1/status", "PUT " + URL.decode()])
def test_a_malformed_head_ends_the_connection(served, backend, name: str, method: str) -> None:
    lines = HEADS[name]
    lines = lines % ((len(HIDDEN),) * lines.count(b"%"))
    lines = lines + b"\r\nHost: x" if name == "folded first" else b"Host: x\r\n" + lines
    answer = send_raw(
        served.path, method.encode() + b" HTTP/1.1\r\n" + lines + b"\r\n\r\n" + HIDDEN
    )
    assert count(answer) == [b"400"], answer
    error = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert error["code"] == "E_API_HTTP"
    assert b"Connection: close" in answer
    assert backend.effects == []


@pytest.mark.parametrize(
    "line",
    [
        b"GET  /v1/status HTTP/1.1\r\n",
        b"GET\t/v1/status HTTP/1.1\r\n",
        b"GET /v1/status  HTTP/1.1\r\n",
        b" GET /v1/status HTTP/1.1\r\n",
        b"GET /v1/status HTTP/1.1 \r\n",
        b"GET /v1/status\r\n",
        b"GET /v1/status HTTP/1.1\n",
        b"GET /v1/sta\x00tus HTTP/1.1\r\n",
        b"GET /v1/status\x0bx HTTP/1.1\r\n",
        b"G(T /v1/status HTTP/1.1\r\n",
        b"GET /v1/status http/1.1\r\n",
        b"GET /v1/status HTTP/11.1\r\n",
        b"\r\n",
    ],
)
def test_a_request_line_is_one_or_none(served, line: bytes) -> None:
    answer = send_raw(served.path, line + b"Host: x\r\n\r\n" + HIDDEN)
    assert count(answer) == [b"400"], answer


def put(chunks: bytes, more: bytes = b"", version: bytes = b"1.1") -> bytes:
    start = b"PUT " + URL + b" HTTP/" + version + b"\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    return start + more + b"\r\n" + chunks


BODY = json.dumps(document()).encode()
SIZE = b"%x" % len(BODY)


@pytest.mark.parametrize(
    "chunks",
    [
        b"+" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"0x" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b" " + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"_".join([SIZE[:1], SIZE[1:]]) + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"-1\r\n" + BODY + b"\r\n0\r\n\r\n",
        SIZE + b"\n" + BODY + b"\r\n0\r\n\r\n",
        SIZE + b"\r" + BODY + b"\r\n0\r\n\r\n",
        SIZE + b";a=\x00\r\n" + BODY + b"\r\n0\r\n\r\n",
        SIZE + b"\r\n" + BODY + b"XX\r\n0\r\n\r\n",
        SIZE + b"\r\n" + BODY + b"\n0\r\n\r\n",
        SIZE + b"\r\n" + BODY + b"0\r\n\r\n",
        SIZE + b"\r\n" + BODY + b"\r\n0\r\nbad trailer\r\n\r\n",
        SIZE + b"\r\n" + BODY + b"\r\n0\r\nX: a\n\r\n",
        SIZE + b"\r\n" + BODY + b"\r\n0\r\n" + b"X: a\r\n" * 5000 + b"\r\n",
        SIZE + b";" + b"x" * 5000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        SIZE + b"\r\n" + BODY + b"\r\n",
        SIZE + b"\r\n" + BODY + b"\r\n0\r\n",
        b"\r\n",
        b"",
    ],
)
def test_malformed_chunks_end_the_connection(served, backend, chunks: bytes) -> None:
    answer = send_raw(served.path, put(chunks) + HIDDEN)
    assert count(answer) == [b"400"], answer
    assert backend.effects == []


@pytest.mark.parametrize(
    "chunks",
    [
        SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        SIZE.upper() + b";note=1\r\n" + BODY + b"\r\n000\r\nX-Sum: 1\r\n\r\n",
        b"".join(b"1\r\n%c\r\n" % c for c in BODY) + b"0\r\n\r\n",
    ],
)
def test_proper_chunks_are_read_and_the_next_request_as_well(served, chunks: bytes) -> None:
    answer = send_raw(served.path, put(chunks) + b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
    assert count(answer) == [b"202", b"200"], answer


def test_chunks_are_no_part_of_the_old_protocol(served) -> None:
    good = SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n"
    assert count(send_raw(served.path, put(good, version=b"1.0"))) == [b"400"]


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_call_that_takes_no_body_hides_nothing_in_one(served, method: str) -> None:
    """What comes with it is read to its end and judged, or the connection ends."""
    call = (
        method.encode() + b" /v1/status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    (good,) = set(count(send_raw(served.path, call + b"0\r\n\r\n")))
    assert good != b"400"
    both = send_raw(served.path, call + b"2\r\n{}\r\n0\r\n\r\n" + call + b"0\r\n\r\n")
    assert count(both) == [good, good]
    for bad in (b"2\r\n{}XX0\r\n\r\n", b"Z\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\nX\r\n\r\n"):
        answer = send_raw(served.path, call + bad + HIDDEN)
        assert count(answer) == [b"400"], answer
        assert b'"E_DOC_INVALID"' in answer


def test_a_body_that_nobody_asked_for_is_refused(served) -> None:
    call = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    answer = send_raw(served.path, call % 5 + b"abcde" + call % 2 + b"{}")
    assert count(answer) == [b"400", b"200"], answer


@pytest.mark.parametrize(
    ("version", "host", "status"),
    [
        (b"1.1", None, b"400"),
        (b"1.0", None, b"200"),
        (b"1.1", b"", b"200"),
        (b"1.1", b"localhost", b"200"),
        (b"1.1", b"host.example:8080", b"200"),
        (b"1.1", b"192.0.2.1", b"200"),
        (b"1.1", b"[2001:db8::1%25eth0]:80", b"200"),
        (b"1.1", b"%2Frun%2Fvifd%2Fapi.sock", b"200"),
        (b"1.1", b"a b", b"400"),
        (b"1.1", b"user@host", b"400"),
        (b"1.1", b"host/v1", b"400"),
        (b"1.1", b"host:eighty", b"400"),
        (b"1.1", b"[2001:db8::1", b"400"),
        (b"1.1", "hö".encode("latin-1"), b"400"),
        (b"1.0", b"a b", b"400"),
    ],
)
def test_the_host_is_named_as_the_standard_wants_it(served, version, host, status) -> None:
    line = b"" if host is None else b"Host: " + host + b"\r\n"
    call = b"GET /v1/status HTTP/" + version + b"\r\n" + line + b"\r\n"
    assert count(send_raw(served.path, call)) == [status]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://localhost/v1/status", b"200"),
        (b"HTTPS://localhost:8080/v1/ports?phase=LIVE", b"200"),
        (b"http://localhost/nothing", b"404"),
        (b"http://localhost", b"404"),
        (b"http://localhost?/v1/status", b"404"),
        (b"http:///v1/status", b"404"),
        (b"ftp://localhost/v1/status", b"404"),
    ],
)
def test_a_target_may_be_written_in_full(served, target: bytes, status: bytes) -> None:
    call = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert count(send_raw(served.path, call)) == [status]


def test_a_target_in_full_is_judged_as_the_path_that_it_names(served, backend) -> None:
    call = b"DELETE http://localhost" + URL + b"?force=yes HTTP/1.1\r\nHost: x\r\n\r\n"
    plain = b"DELETE " + URL + b"?force=yes HTTP/1.1\r\nHost: x\r\n\r\n"
    assert count(send_raw(served.path, call)) == count(send_raw(served.path, plain))
    assert backend.effects == []


def test_usual_clients_are_understood(served) -> None:
    client = Client(served.path)
    client.request(
        "GET",
        "/v1/status?",
        headers={"X-Latin": "caf\xe9", "X-Empty": "", "Cookie": 'a="b,c"; d', "X_Odd": "1"},
    )
    response = client.getresponse()
    assert (response.status, bool(response.read())) == (200, True)
    client.close()


def test_the_problem_is_named() -> None:
    assert head.fields_problem([b"A: 1\r\n", b" b\r\n"]) == "header line 2 is folded"
    assert head.fields_problem([b"A: 1\n"]) == "header line 1 is not ended by CRLF"
    assert head.fields_problem([b"A\r\n"]) == "header line 1 is without a colon"
    assert not head.fields_problem([b"A:\r\n", b"a: \xff\t\r\n"])


def test_a_head_that_does_not_end_is_no_request(served, backend) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(served.path)
        sock.sendall(b"DELETE " + URL + b" HTTP/1.1\r\nHost: x\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100).startswith(b"HTTP/1.1 400")
    assert backend.effects == []


def test_fields_are_kept_as_the_standard_library_keeps_them():
    lines = [
        b"Host: x\r\n", b"X:\t  a b \r\n", b"Empty:\r\n", b"Twice: 1\r\n", b"twice: 2 : 3\r\n",
        b"Latin: \xe4\xff\r\n", b"Content-Length: 5 \r\n", b"From: y\r\n",
    ]  # fmt: skip
    assert head.fields_problem(lines) == ""
    theirs, ours = parse_headers(io.BytesIO(b"".join(lines) + b"\r\n")), head.message(lines)
    assert ours.items() == theirs.items()
    assert ours.get_all("twice") == theirs.get_all("twice")
