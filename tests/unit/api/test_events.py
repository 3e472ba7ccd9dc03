"""The event stream."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from support.api import serve
from support.backend import FakeDaemon
from unit.api.client import Client, uuid
from vifd import errors
from vifd.api.auth import Access, Peer, Policy
from vifd.api.server import Limits
from vifd.model.event import Event
from vifd.testing.wait import PATIENCE


class Stream:
    """A reader of server-sent events."""

    def __init__(self, path: str, url: str = "/v1/events", **headers: str) -> None:
        self.client = Client(path)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.client.request("GET", url, headers=named)
        self.response = self.client.getresponse()

    def frame(self) -> dict[str, str]:
        """The next block of lines; a comment has the name ``""``."""
        found: dict[str, str] = {}
        while line := self.response.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            found[name] = value
        return found

    def ids(self, n: int) -> list[int]:
        """The ids of the next ``n`` events."""
        found: list[int] = []
        while len(found) < n:
            if "id" in (frame := self.frame()):
                found.append(int(frame["id"]))
        return found

    def close(self) -> None:
        self.response.close()
        self.client.close()


@pytest.fixture
def stream(served):
    opened = []

    def open_(url: str = "/v1/events", **headers: str) -> Stream:
        opened.append(Stream(served.path, url, **headers))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def test_what_was_and_what_comes(backend, stream):
    backend.emit("a")
    reader = stream()
    assert reader.response.headers["Content-Type"] == "text/event-stream"
    assert reader.ids(1) == [1]
    for n in range(2, 50):
        backend.emit("b")
        assert reader.ids(1) == [n]


def test_format(backend, api, stream):
    api.plug()
    reader = stream()
    reader.frame()
    frame = reader.frame()
    assert (frame["id"], frame["event"]) == ("1", "live")
    data = json.loads(frame["data"])
    assert (data["id"], data["port"], data["phase"]) == (1, uuid(1), "LIVE")


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/v1/events?after=3", {}),
        ("/v1/events", {"Last_Event_ID": "3"}),
        ("/v1/events?after=0", {"Last_Event_ID": "3"}),
    ],
)
def test_resume(backend, stream, url, headers):
    for _ in range(5):
        backend.emit("x")
    reader = stream(url, **headers)
    assert reader.ids(2) == [4, 5]
    backend.emit("x")
    assert reader.ids(1) == [6]


def test_resume_after_a_lost_connection_misses_nothing(backend, served):
    seen: list[int] = []
    for _ in range(20):
        backend.emit("x")
        reader = Stream(served.path, Last_Event_ID=str(seen[-1] if seen else 0))
        backend.emit("x")
        seen += reader.ids(1)
        reader.close()
    assert seen == list(range(1, 21))


def test_only_new_ones(backend, stream):
    for _ in range(3):
        backend.emit("old")
    reader = stream("/v1/events?after=now")
    reader.frame()
    backend.emit("new")
    assert reader.ids(1) == [4]


def test_plain_replay_ends(backend, api):
    for _ in range(600):
        backend.emit("x")
    answer = api.call("GET", "/v1/events?follow=false&after=10&limit=500")
    ids = [int(line[4:]) for line in answer.body.splitlines() if line.startswith(b"id: ")]
    assert ids == list(range(11, 511))
    # The connection is good for the next call.
    assert api.call("GET", "/v1/status").status == 200


def test_bad_last_event_id(api):
    answer = api.call("GET", "/v1/events", Last_Event_ID="x")
    assert (answer.status, answer.field) == (400, "header.Last-Event-ID")


def test_keep_alive(backend, tmp_path: Path):
    path = str(tmp_path / "s")
    with serve(backend, path, keep_alive=0.01):
        reader = Stream(path)
        reader.frame()
        assert reader.frame() == {"": "keep-alive"}
        backend.emit("x")
        assert reader.ids(1) == [1]
        reader.close()


class Nobody(Policy):
    """After a reload that took everybody's rights away."""

    def access(self, peer: Peer) -> Access:
        return Access.NONE


def test_a_reader_whose_right_was_taken_away_is_let_go(backend, served, stream):
    reader = stream()
    assert reader.frame() == {"retry": "1000"}
    served.hub.call_soon(lambda: setattr(served.api, "policy", Nobody()))
    assert reader.frame() == {"": "no longer allowed"}
    assert reader.frame() == {}, "the stream has ended"


def test_many_readers_see_everything(backend, stream):
    readers = [stream() for _ in range(20)]
    for _ in range(100):
        backend.emit("x")
    for reader in readers:
        assert reader.ids(100) == list(range(1, 101))


def test_a_reader_that_does_not_read_is_dropped(backend, tmp_path: Path):
    """It must be the server that ends the connection, and nothing may pile up for it."""
    path = str(tmp_path / "s")
    with serve(backend, path, limits=Limits(stall=0.05)) as served:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(path)
            sock.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(16).startswith(b"HTTP/1.1 200")
            for _ in range(20_000):
                backend.emit("x" * 200)
            other = Client(path)
            while served.api.feed.followers:
                assert other.call("GET", "/v1/status").status == 200
            other.close()
        assert served.api.feed.followers == 0


def test_readers_that_left_are_forgotten(backend, served):
    reader = Stream(served.path)
    assert reader.frame() == {"retry": "1000"}
    assert served.api.feed.followers == 1
    reader.close()
    client = Client(served.path)
    while served.api.feed.followers:
        backend.emit("x")
        client.call("GET", "/v1/status")
    client.close()


class Unreadable(FakeDaemon):
    """A daemon whose journal fails from the second page on, or at once."""

    pages = 0

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        if self.pages == 0:
            raise errors.JournalError(facts={"path": "x", "problem": "disk"})
        self.pages -= 1
        return super().events(after, limit)


def test_a_journal_that_cannot_be_read(tmp_path: Path, caplog):
    path = str(tmp_path / "s")
    with Unreadable() as daemon, serve(daemon, path):
        client = Client(path)
        for follow in ("true", "false"):
            answer = client.call("GET", f"/v1/events?follow={follow}")
            assert (answer.status, answer.code) == (503, "E_REC_STORE")
        client.close()
        daemon.emit("x")
        daemon.pages = 2
        reader = Stream(path)
        assert reader.ids(1) == [1]
        assert reader.response.read() == b""
        reader.close()
    assert "an event stream ends after event 1" in caplog.text


def test_too_many_readers(backend, served, monkeypatch):
    monkeypatch.setattr("vifd.api.events.MAX_FOLLOWERS", 1)
    first = Stream(served.path)
    first.frame()
    client = Client(served.path)
    answer = client.call("GET", "/v1/events")
    assert (answer.status, answer.code) == (503, "E_API_BUSY")
    assert client.call("GET", "/v1/events?follow=false").status == 200
    client.close()
    first.close()
