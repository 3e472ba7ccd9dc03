"""Connections: who gets one while there are many, and how long one is kept without use."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from support.api import serve
from unit.api.client import Client, document, uuid
from vifd.api import server
from vifd.api.admission import Admission, Shares
from vifd.api.auth import Access, Peer, Policy
from vifd.api.server import Limits
from vifd.testing.wait import PATIENCE, until

ROOT, OWN, ADMIN, READER, STRANGER = 0, 200, 300, 400, 500
ACCESS = {
    ROOT: Access.WRITE,
    OWN: Access.WRITE,
    ADMIN: Access.WRITE,
    READER: Access.READ,
    STRANGER: Access.NONE,
}


def full(uids: list[int], total: int = 64) -> Admission:
    """Every one of them takes all that it can get."""
    made = Admission(Shares.of(total), OWN)
    for uid in uids:
        access = ACCESS.get(uid, Access.NONE if STRANGER <= uid < 600 else Access.READ)
        while not made.admit(Peer(uid, uid), access):
            pass
    return made


@pytest.mark.parametrize(
    "hogs",
    [
        [READER],
        [STRANGER],
        [STRANGER, READER],
        [*range(1000, 1100)],
        [*range(1000, 1100), READER, STRANGER],
    ],
)
def test_who_may_write_still_gets_a_place(hogs: list[int]) -> None:
    made = full(hogs)
    for uid in (ADMIN, OWN, ROOT):
        assert not made.admit(Peer(uid, uid), Access.WRITE)


def test_root_gets_a_place_whatever_the_admins_do() -> None:
    made = full([READER])
    for uid in range(300, 340):
        while not made.admit(Peer(uid, uid), Access.WRITE):
            pass
    assert made.admit(Peer(ADMIN, 1), Access.WRITE) in ("connections", "connections of uid 300")
    assert not made.admit(Peer(ROOT, 0), Access.WRITE)


def test_one_reader_leaves_room_for_another() -> None:
    made = full([READER])
    assert made.admit(Peer(READER, 1), Access.READ) == f"connections of uid {READER}"
    assert not made.admit(Peer(READER + 1, 1), Access.READ)


def test_strangers_have_a_few_together() -> None:
    made = full([STRANGER + n for n in range(50)], total=1024)
    assert made.strangers == made.taken == 1024 // 32
    assert not made.admit(Peer(READER, 1), Access.READ)


def test_a_place_comes_back() -> None:
    made = full([READER])
    before = made.taken
    for _ in range(before):
        made.leave(Peer(READER, READER), Access.READ)
    assert (made.taken, made.strangers, dict(made.by_uid)) == (0, 0, {})


# --- real connections -----------------------------------------------------------------------------


@contextlib.contextmanager
def many(path: str, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(PATIENCE)
            sock.connect(path)
            made.append(sock)
        yield made


@pytest.fixture
def as_uid(monkeypatch: pytest.MonkeyPatch):
    """Let connections be those of another user."""
    uid = [os.getuid()]
    monkeypatch.setattr(server, "peer_of", lambda _sock: Peer(uid[0], uid[0]))
    return uid


POLICY = Policy(own_uid=OWN, admin_uids=frozenset({ADMIN}), reader_uids=frozenset({READER}))


@pytest.mark.parametrize("hog", [READER, STRANGER])
def test_idle_connections_of_others_do_not_keep_root_out(backend, tmp_path, as_uid, hog) -> None:
    path = str(tmp_path / "s")
    with serve(backend, path, POLICY, Limits(connections=32)) as served:
        as_uid[0] = hog
        with many(path, 40) as socks:
            until(lambda: served.server._admission.taken >= 1, "some are served")
            last = socks[-1].recv(1000)
            assert last.startswith(b"HTTP/1.1 503 Service Unavailable"), last
            assert b"E_API_BUSY" in last
            as_uid[0] = ROOT
            for _ in range(3):
                client = Client(path)
                assert client.call("GET", "/v1/status").status == 200
                client.close()
        until(lambda: served.server._admission.taken == 0, "places come back")
        assert not served.server._admission.by_uid


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ",
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{",
        b"GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n",
        f"PUT /v1/ports/{uuid(1)} HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n".encode(),
    ],
)
def test_one_byte_at_a_time_does_not_keep_a_connection(backend, tmp_path, sent) -> None:
    """A client that always sends something soon enough is let go all the same."""
    path = str(tmp_path / "s")
    limits = Limits(head=0.3, body=0.3, stall=20, idle=20)
    with serve(backend, path, limits=limits) as served, many(path, 1) as (sock,):
        ended = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                sock.sendall(sent)
                while not ended.wait(0.02):
                    sock.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with contextlib.suppress(ConnectionError):
                while sock.recv(1000):
                    pass
            until(lambda: served.server._admission.taken == 0, "its place is free")
        finally:
            ended.set()
            thread.join(PATIENCE)
        assert backend.effects == []


#: Seconds for a head and a body. A client on a busy machine may lose some hundred milliseconds
#: between two of its lines.
_SOON = 2.0


def test_deadlines_end_with_what_they_are_for(backend, tmp_path) -> None:
    """A call may take longer than its body, and a connection be kept longer than its head."""
    path = str(tmp_path / "s")
    with serve(backend, path, limits=Limits(head=_SOON, body=_SOON)):
        backend.hold()
        client = Client(path)
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(client.plug().status))
        thread.start()
        over = time.monotonic() + 1.5 * _SOON
        other = Client(path)
        while time.monotonic() < over:
            assert other.call("GET", "/v1/status").status == 200
        backend.release()
        thread.join(PATIENCE)
        assert answers == [201]
        sock = client.sock
        assert client.call("GET", "/v1/status").status == 200
        assert client.sock is sock
        client.close()
        other.close()


def test_who_may_do_nothing_is_told_so_and_let_go(backend, tmp_path, as_uid) -> None:
    path = str(tmp_path / "s")
    with serve(backend, path, POLICY) as served:
        as_uid[0] = STRANGER
        client = Client(path)
        answer = client.call("GET", "/v1/status")
        assert (answer.status, answer.headers["Connection"]) == (403, "close")
        until(lambda: served.server._admission.taken == 0, "its place is free")
        client.close()


# --- access that was taken away -------------------------------------------------------------------


@pytest.mark.parametrize("after", ["", "?after=now"])
def test_a_stream_ends_with_the_right_to_read_it(backend, tmp_path, as_uid, after) -> None:
    path = str(tmp_path / "s")
    with serve(backend, path, POLICY) as served:
        as_uid[0] = READER
        reader = Client(path)
        reader.request("GET", f"/v1/events{after}")
        response = reader.getresponse()
        assert response.readline() == b"retry: 1000\n"
        served.hub.call_soon(lambda: setattr(served.api, "policy", Policy(own_uid=OWN)))
        rest = response.read()
        assert b"no longer allowed" in rest
        as_uid[0] = ROOT
        admin = Client(path)
        assert admin.call("PUT", f"/v1/ports/{uuid(1)}?wait=active", document()).status == 201
        assert admin.call("GET", "/v1/events?follow=false").status == 200
        admin.close()
        as_uid[0] = READER
        again = Client(path)
        assert again.call("GET", "/v1/events").status == 403
        again.close()
        reader.close()
