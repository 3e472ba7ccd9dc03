"""The OpenFlow driver against a peer that misbehaves on purpose."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vifd.drivers.openflow import LocalOpenFlow
from vifd.errors import BackendError, BackendUnavailable
from vifd.openflow import message as msg
from vifd.openflow.flow import flow
from vifd.openflow.message import Message, Type
from vifd.testing.wait import PATIENCE, until

HELLO_13 = bytes([4, 0, 0, 8, 0, 0, 0, 1])


def echo_request(xid: int, payload: bytes = b"") -> bytes:
    return bytes([5, 2]) + (8 + len(payload)).to_bytes(2) + xid.to_bytes(4) + payload


def reply(kind: Type, xid: int, body: bytes = b"") -> bytes:
    return bytes([5, kind]) + (8 + len(body)).to_bytes(2) + xid.to_bytes(4) + body


class Peer:
    """A scripted switch: each connection runs the next script on its own thread."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._listener.settimeout(PATIENCE)
        self._threads: list[threading.Thread] = []
        self.failures: list[BaseException] = []

    def serve(self, *scripts: Callable[["Talk"], None]) -> None:
        thread = threading.Thread(target=self._serve, args=(scripts,))
        thread.start()
        self._threads.append(thread)

    def _serve(self, scripts: tuple[Callable[["Talk"], None], ...]) -> None:
        try:
            for script in scripts:
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(PATIENCE)
                    script(Talk(connection))
        except BaseException as error:
            self.failures.append(error)

    def close(self) -> None:
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()
        if self.failures:
            raise self.failures[0]


class Talk:
    """One connection as the peer sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._inbox = b""
        self._messages: list[Message] = []

    def hello(self) -> None:
        self.send(msg.hello(77))
        assert self.read().type == Type.HELLO

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def read(self) -> Message:
        while not self._messages:
            chunk = self.connection.recv(65536)
            assert chunk, "the driver closed the connection"
            self._messages, rest = msg.split(self._inbox + chunk)
            self._inbox = (self._inbox + chunk)[rest:]
        return self._messages.pop(0)

    def until(self, kind: Type) -> Message:
        while True:
            message = self.read()
            if message.type == kind:
                return message

    def answer_dump(self) -> None:
        request = self.until(Type.MULTIPART_REQUEST)
        self.send(reply(Type.MULTIPART_REPLY, request.xid, b"\0\1\0\0\0\0\0\0"))

    def answer_bundle(self) -> None:
        self.send(reply(Type.BARRIER_REPLY, self.until(Type.BARRIER_REQUEST).xid))
        commit = self.until(Type.BUNDLE_CONTROL)
        self.send(reply(Type.BUNDLE_CONTROL, commit.xid, bytes(8)))

    def until_closed(self) -> None:
        while self.connection.recv(65536):
            pass


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    peer = Peer(tmp_path / "br.mgmt")
    yield peer
    peer.close()


@pytest.fixture
def openflow(tmp_path: Path, peer: Peer) -> Iterator[LocalOpenFlow]:
    driver = LocalOpenFlow(str(tmp_path), timeout=PATIENCE)
    yield driver
    driver.close()


def test_an_idle_connection_answers_echo_requests(peer: Peer, openflow: LocalOpenFlow) -> None:
    answered = threading.Event()

    def script(talk: Talk) -> None:
        talk.hello()
        talk.answer_dump()
        talk.send(echo_request(5, b"alive?"))
        answer = talk.read()
        assert (answer.type, answer.xid, answer.body) == (Type.ECHO_REPLY, 5, b"alive?")
        answered.set()
        talk.until_closed()

    peer.serve(script)
    assert openflow.dump("br", 1) == []
    assert answered.wait(PATIENCE)


def test_echo_requests_within_an_exchange(peer: Peer, openflow: LocalOpenFlow) -> None:
    def script(talk: Talk) -> None:
        talk.send(echo_request(4))
        talk.hello()
        assert talk.read().type == Type.ECHO_REPLY
        request = talk.until(Type.MULTIPART_REQUEST)
        raw = reply(Type.MULTIPART_REPLY, request.xid, b"\0\1\0\0\0\0\0\0")
        for piece in (echo_request(9)[:3], echo_request(9)[3:] + raw[:5], raw[5:]):
            talk.send(piece)
        assert talk.read().type == Type.ECHO_REPLY
        talk.until_closed()

    peer.serve(script)
    assert openflow.dump("br", 1) == []


def test_a_peer_that_writes_before_it_reads(peer: Peer, openflow: LocalOpenFlow) -> None:
    """Both directions full at once: the driver must read while it writes."""
    refusal = reply(Type.ERROR, 0xFFFF_FFF0, b"\0\4\0\11" + bytes(56))

    def script(talk: Talk) -> None:
        talk.hello()
        assert talk.until(Type.BUNDLE_CONTROL)
        talk.send(refusal * 60000)  # far more than the socket's buffers hold
        talk.send(reply(Type.BARRIER_REPLY, talk.until(Type.BARRIER_REQUEST).xid))
        talk.send(reply(Type.BUNDLE_CONTROL, talk.until(Type.BUNDLE_CONTROL).xid, bytes(8)))
        talk.until_closed()

    peer.serve(script)
    with pytest.raises(BackendError, match="OFPBMC_BAD_PREREQ"):
        openflow.apply("br", add=[flow(0, n, 1, in_port=n) for n in range(1, 20000)])


def test_a_dead_connection_is_made_anew_once(peer: Peer, openflow: LocalOpenFlow) -> None:
    """The peer dies in the middle of a bundle; nothing was committed, so it is done again."""

    def dies(talk: Talk) -> None:
        talk.hello()
        talk.answer_dump()
        talk.until(Type.BARRIER_REQUEST)

    def lives(talk: Talk) -> None:
        talk.hello()
        talk.answer_bundle()
        talk.until_closed()

    peer.serve(dies, lives)
    openflow.dump("br", 1)
    openflow.apply("br", add=[flow(0, 1, 1)])
    assert openflow.generation("br") == 1


def test_a_commit_that_is_lost_is_not_repeated(peer: Peer, openflow: LocalOpenFlow) -> None:
    commits: list[Message] = []

    def dies(talk: Talk) -> None:
        talk.hello()
        talk.send(reply(Type.BARRIER_REPLY, talk.until(Type.BARRIER_REQUEST).xid))
        commits.append(talk.until(Type.BUNDLE_CONTROL))

    def counts(talk: Talk) -> None:
        talk.hello()
        talk.answer_dump()
        talk.until_closed()

    peer.serve(dies, counts)
    with pytest.raises(BackendUnavailable) as caught:
        openflow.apply("br", add=[flow(0, 1, 1)])
    assert caught.value.facts["outcome"] == "unknown"
    assert openflow.generation("br") == 1
    openflow.dump("br", 1)
    assert len(commits) == 1


def test_a_commit_that_is_refused(peer: Peer, openflow: LocalOpenFlow) -> None:
    wanted = [flow(0, 1, 1), flow(0, 2, 1)]

    def script(talk: Talk) -> None:
        talk.hello()
        first, second = talk.until(Type.BUNDLE_ADD), talk.until(Type.BUNDLE_ADD)
        assert first.xid + 1 == second.xid
        talk.send(reply(Type.BARRIER_REPLY, talk.until(Type.BARRIER_REQUEST).xid))
        commit = talk.until(Type.BUNDLE_CONTROL)
        talk.send(reply(Type.ERROR, second.xid, b"\0\5\0\1"))
        talk.send(reply(Type.ERROR, commit.xid, b"\0\x11\0\x0d"))
        talk.until_closed()

    peer.serve(script)
    with pytest.raises(BackendError) as caught:
        openflow.apply("br", add=wanted)
    assert caught.value.facts["error"] == "OFPFMFC_TABLE_FULL"
    assert caught.value.facts["flow"] == str(wanted[1])


def test_nothing_is_committed_before_the_barrier(peer: Peer, openflow: LocalOpenFlow) -> None:
    kinds: list[int] = []

    def script(talk: Talk) -> None:
        talk.hello()
        while True:
            message = talk.read()
            kinds.append(message.type)
            if message.type == Type.BARRIER_REQUEST:
                break
        talk.send(reply(Type.ERROR, message.xid - 1, b"\0\4\0\11"))
        talk.send(reply(Type.BARRIER_REPLY, message.xid))
        control = talk.until(Type.BUNDLE_CONTROL)
        assert int.from_bytes(control.body[4:6]) == msg.Control.DISCARD
        talk.send(reply(Type.BUNDLE_CONTROL, control.xid, bytes(8)))
        talk.until_closed()

    peer.serve(script)
    with pytest.raises(BackendError, match="OFPBMC_BAD_PREREQ"):
        openflow.apply("br", add=[flow(0, 1, 1)])
    assert kinds == [Type.BUNDLE_CONTROL, Type.BUNDLE_ADD, Type.BARRIER_REQUEST]


def test_a_dump_in_parts(peer: Peer, openflow: LocalOpenFlow) -> None:
    def script(talk: Talk) -> None:
        talk.hello()
        xid = talk.until(Type.MULTIPART_REQUEST).xid
        part = b"\0\1\0\1\0\0\0\0" + bytes.fromhex("0038") + bytes(46) + b"\0\1\0\4" + bytes(4)
        for _ in range(3):
            talk.send(reply(Type.MULTIPART_REPLY, xid, part))
        talk.send(reply(Type.MULTIPART_REPLY, xid, b"\0\1\0\0\0\0\0\0"))
        talk.until_closed()

    peer.serve(script)
    assert len(openflow.dump("br", 0, 0)) == 3


@pytest.mark.parametrize(
    ("greeting", "complaint"),
    [
        (HELLO_13, "versions on offer: 0x1, 0x2, 0x3, 0x4"),
        (reply(Type.ERROR, 1, b"\0\0\0\0only 1.3"), "OFPHFC_INCOMPATIBLE: only 1.3"),
    ],
)
def test_a_peer_of_another_version(
    peer: Peer, openflow: LocalOpenFlow, greeting: bytes, complaint: str
) -> None:
    peer.serve(lambda talk: talk.send(greeting))
    with pytest.raises(BackendError, match=complaint):
        openflow.dump("br", 1)


@pytest.mark.parametrize(
    "nonsense", [b"\5\0\0\3\0\0\0\0", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 999]
)
def test_a_peer_that_speaks_something_else(
    peer: Peer, openflow: LocalOpenFlow, nonsense: bytes
) -> None:
    peer.serve(lambda talk: talk.send(nonsense))
    with pytest.raises(BackendUnavailable):
        openflow.dump("br", 1)


def test_nobody_there(tmp_path: Path) -> None:
    driver = LocalOpenFlow(str(tmp_path))
    try:
        with pytest.raises(BackendUnavailable, match=r"no socket .*nosuch\.mgmt"):
            driver.dump("nosuch", 1)
        assert driver.generation("nosuch") == 0
    finally:
        driver.close()


_LISTENER = """
import signal, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(sys.argv[1])
listener.listen(8)
print("there", flush=True)
signal.pause()
"""


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[Path]:
    """A directory with the socket of a process that was stopped."""
    argv = [sys.executable, "-c", _LISTENER, str(tmp_path / "br-int.mgmt")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        yield tmp_path
        process.kill()


def test_a_switch_that_is_stopped_is_not_waited_for(stopped: Path) -> None:
    """Its answer cannot come: it is given up long before the deadline."""
    driver = LocalOpenFlow(str(stopped), timeout=600)
    try:
        with pytest.raises(BackendUnavailable, match="within 2 s: its process is stopped"):
            driver.dump("br-int", 1)
    finally:
        driver.close()


def test_how_many_meters_there_may_be_is_asked_once_a_connection(
    peer: Peer, openflow: LocalOpenFlow
) -> None:
    """A switch that hangs meanwhile is not waited for."""
    known = threading.Event()

    def has(most: int) -> Callable[[Talk], None]:
        def script(talk: Talk) -> None:
            talk.hello()
            request = talk.until(Type.MULTIPART_REQUEST)
            features = b"\0\x0b" + bytes(6) + most.to_bytes(4) + bytes(12)
            talk.send(reply(Type.MULTIPART_REPLY, request.xid, features))
            assert known.wait(PATIENCE)

        return script

    peer.serve(has(7), has(9))
    assert [openflow.max_meters("br") for _ in range(3)] == [7, 7, 7], "and no more was answered"
    known.set()
    until(lambda: openflow.max_meters("br") == 9, "it is another switch, perhaps")
