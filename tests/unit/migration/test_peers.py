"""Two agents tell each other that a guest left, by TLS with certificates of both."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

import support
from unit.docs import document, port_id
from vifd.hypervisor import GuestInterface
from vifd.migration.peers.caller import Caller
from vifd.migration.peers.peers import Here, Peers, Settings
from vifd.migration.peers.refusals import AGAIN, MOST, Refusals
from vifd.migration.peers.server import Server
from vifd.migration.peers.tls import Files, Lines, Place, names, peer_of
from vifd.migration.peers.wire import Answer, Guard, Hello, Refused, Word, decoded, line
from vifd.model import Phase, PortRecord, Role, Vif, Wiring, decode
from vifd.testing.wait import until

ID = port_id(1)
CERTIFICATES = Path(str(support.__file__)).parent / "certificates"


def files(name: str) -> Files:
    return Files(
        str(CERTIFICATES / f"{name}.pem"), str(CERTIFICATES / f"{name}.key"),
        str(CERTIFICATES / "authority.pem"),
    )  # fmt: skip


@dataclass
class Listening:
    """The agent ``one``, which knows ``two``, and what it was told."""

    heard: list[tuple[str, Word]] = field(default_factory=list)
    refusal: str = ""

    def __post_init__(self) -> None:
        known = [Place("127.0.0.2", 1)]
        self.server = Server(Place("127.0.0.1", 0), files("one"), known, self._take)
        self.server.start()
        until(lambda: self.server.port, "it listens")

    def _take(self, peer: str, word: Word) -> None:
        if self.refusal:
            raise Refused(self.refusal)
        self.heard.append((peer, word))

    @contextlib.contextmanager
    def connected(self, name: str) -> Iterator[tuple[ssl.SSLSocket, Lines]]:
        """Call it by hand, with a certificate of this name."""
        context = files(name).context(server=False)
        with (
            socket.create_connection(("127.0.0.1", self.server.port), 60) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
        ):
            yield sock, Lines(sock, 4096)


@pytest.fixture
def one() -> Iterator[Listening]:
    made = Listening()
    yield made
    made.server.stop(60)


def ask(sock: ssl.SSLSocket, lines: Lines, raw: bytes) -> Answer:
    sock.sendall(raw)
    answer = lines.next()
    assert answer is not None
    found: Answer = decoded(answer, Answer)
    return found


def test_a_word_is_taken_with_the_name_of_who_said_it(one: Listening) -> None:
    said: list[tuple[str, str]] = []
    caller = Caller(
        Place("127.0.0.1", one.server.port), files("two"),
        lambda _peer, word, why: said.append((word.port, why)),
    )  # fmt: skip
    caller.start()
    until(lambda: not caller.problem, "it is connected")
    caller.say(Word("suspended", ID, 1, "", 7, 0.25))
    until(lambda: said, "it is answered")
    one.refusal = "unknown port"
    caller.say(Word("resumed", ID, 1, "", 8))
    until(lambda: len(said) == 2, "it is answered")
    caller.stop(60)
    ((peer, word),) = one.heard
    assert (peer, word.kind, word.port, word.revision, word.quiet) == (
        "127.0.0.2", "suspended", ID, 7, 0.25,
    )  # fmt: skip
    assert said == [(ID, ""), (ID, "unknown port")]


@pytest.mark.parametrize("name", ["nobody", "forged"])
def test_a_certificate_that_is_not_a_peers_is_refused(
    one: Listening, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with contextlib.suppress(OSError), one.connected(name) as (_, lines):
        assert lines.next() is None
    wanted = "none of [migration] peers" if name == "nobody" else "certificate verify failed"
    until(lambda: wanted in caplog.text.lower().replace("_", " "), "it is logged")
    assert one.heard == []


def test_a_stranger_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    for _ in range(1000):
        refusals.tell("192.0.2.1", "it ended: no TLS")
    refusals.tell("192.0.2.2", "it ended: no TLS")
    now[0] = AGAIN
    refusals.tell("192.0.2.1", "it ended: no TLS")
    for number in range(2 * MOST):
        refusals.tell(f"192.0.2.{number}", "too many")
    assert len(refusals._told) <= MOST
    first, second, again, *_ = [record.getMessage() for record in caplog.records]
    assert ("192.0.2.1" in first, "192.0.2.2" in second) == (True, True)
    assert (
        again == "a connection from 192.0.2.1: it ended: no TLS (999 more since it was told last)"
    )


def test_a_server_that_is_not_the_peer_is_told_nothing() -> None:
    liar = Server(
        Place("127.0.0.1", 0), files("nobody"), [Place("127.0.0.2", 1)], lambda *_: None
    )  # fmt: skip
    liar.start()
    until(lambda: liar.port, "it listens")
    caller = Caller(Place("127.0.0.1", liar.port), files("two"))
    caller.start()
    until(lambda: "certificate verify failed" in caller.problem.lower(), "it is refused")
    caller.stop(60)
    liar.stop(60)


def test_who_is_hung_up_on_calls_ever_less_often(one: Listening) -> None:
    caller = Caller(Place("127.0.0.1", one.server.port), files("nobody"))
    caller.start()
    until(lambda: caller._pause > 1.0, "it waits longer")
    assert caller.problem
    caller.stop(60)


def test_what_was_recorded_cannot_be_said_again(one: Listening) -> None:
    with one.connected("two") as (sock, lines):
        hello: Hello = decoded(lines.next() or b"", Hello)
        recorded = line(Word("suspended", ID, 1, hello.challenge, 5))
        assert ask(sock, lines, recorded).taken
        again = ask(sock, lines, recorded)
        assert (again.taken, again.reason) == (False, "replayed: the number was used")
        overtaken = ask(sock, lines, line(Word("suspended", ID, 2, hello.challenge, 4)))
        assert "overtaken" in overtaken.reason
    with one.connected("two") as (sock, lines):
        lines.next()
        other = ask(sock, lines, recorded)
        assert (other.taken, "another connection" in other.reason) == (False, True)
    assert len(one.heard) == 1


@pytest.mark.parametrize("raw", [
    b"\n", b"{}\n", b"[1]\n", b"\xff\n", b'{"kind":"open everything"}\n',
    line(Word("suspended", "../../etc", 1, "x")),
    line(Word("suspended", ID, 1, "x", version=2)),
])  # fmt: skip
def test_what_is_no_word_is_refused_and_the_connection_lives(one: Listening, raw: bytes) -> None:
    with one.connected("two") as (sock, lines):
        hello: Hello = decoded(lines.next() or b"", Hello)
        assert not ask(sock, lines, raw).taken
        assert ask(sock, lines, line(Word("suspended", ID, 1, hello.challenge))).taken


def test_a_line_without_end_ends_the_connection(one: Listening) -> None:
    with one.connected("two") as (sock, lines):
        lines.next()
        with contextlib.suppress(OSError):
            sock.sendall(b"x" * 5000)
        with contextlib.suppress(OSError):
            assert lines.next() is None
    assert one.heard == []


def test_a_connection_that_was_cut_is_made_again(one: Listening) -> None:
    caller = Caller(Place("127.0.0.1", one.server.port), files("two"))
    caller.start()
    until(lambda: not caller.problem, "it is connected")
    for sock in list(one.server._open):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    caller.say(Word("suspended", ID, 1, "", 1))

    def told() -> bool:
        """A word that was under way is lost; what comes later is told."""
        caller.say(Word("suspended", ID, 1, "", 2))
        return bool(one.heard)

    until(told, "it is told again")
    caller.stop(60)


# --- what is done on a peer's word ---


class Ports:
    """One port of this host, and what was asked for it."""

    def __init__(self, record: PortRecord | None, device: str = "tap1") -> None:
        self.record = record
        self.asked: list[tuple[str, str]] = []
        self.quiet: list[float] = []
        guest = GuestInterface(device, "g", running=False)
        self.peers = Peers(Settings(), Here(
            lambda _id: self.record, lambda: [guest] if device else None,
            lambda port, request: self.asked.append(("open", request)),
            lambda port, request: self.asked.append(("close", request)),
            lambda port, last: self.quiet.append(last.within),
        ))  # fmt: skip


def record(role: Role = Role.INACTIVE, phase: Phase = Phase.READY, **more: object) -> PortRecord:
    doc = decode(document(1, role=role.value))
    return PortRecord(
        doc=doc, plugin="fake", vif_type="tap", phase=phase, wiring=Wiring("fake", "tap", "tap1"),
        vif=Vif(type="ethernet", device="tap1"), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_port_of_a_guest_that_is_awaited_is_opened() -> None:
    ports = Ports(record())
    ports.peers.take("host2", Word("suspended", ID, 1, "", 1, 0.3, 0.01))
    assert (ports.asked, ports.quiet) == ([("open", "peer-host2")], [0.01])
    unheard = Ports(record(), device="")
    unheard.peers.take("host2", Word("suspended", ID, 1, ""))
    assert unheard.asked


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (None, "unknown port"),
        (record(removing=True), "unknown port"),
        (record(Role.ACTIVE), "active here already"),
        (record(phase=Phase.FAILED), "FAILED, and not READY"),
        (record(phase=Phase.BOUND), "BOUND, and not READY"),
    ],
)
def test_what_fits_no_migration_is_refused(known: PortRecord | None, why: str) -> None:
    ports = Ports(known)
    with pytest.raises(Refused, match=why):
        ports.peers.take("host2", Word("suspended", ID, 1, ""))
    assert ports.asked == []


def test_a_port_for_which_no_guest_comes_stays_closed() -> None:
    ports = Ports(record(), device="tap9")
    with pytest.raises(Refused, match="no guest comes"):
        ports.peers.take("host2", Word("suspended", ID, 1, ""))


def test_what_was_opened_on_a_peers_word_is_closed_on_its_word_alone() -> None:
    for request, closed in (("peer-host2", True), ("peer-host3", False), ("req-api", False)):
        ports = Ports(record(Role.ACTIVE, Phase.LIVE, request_id=request))
        ports.peers.take("host2", Word("resumed", ID, 1, ""))
        assert bool(ports.asked) is closed


# --- what is configured ---


def options(**more: object) -> SimpleNamespace:
    empty = {"peers": [], "peer_listen": "", "peer_certificate": "", "peer_key": "",
             "peer_authority": ""}  # fmt: skip
    return SimpleNamespace(**{**empty, **more})


def test_by_default_nobody_is_told_and_nothing_is_listened_for() -> None:
    settings = Settings.of(options())
    assert (settings.peers, settings.listen) == ((), None)
    peers = Peers(settings, Ports(None).peers._here)
    peers.start()
    peers.say(record(Role.ACTIVE), "suspended")
    assert peers.problems() == {}
    peers.stop(60)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"peers": ["host2"]}, "is not host:port"),
        ({"peers": ["host2:0"]}, "no such port"),
        ({"peers": ["fd00::1:7000"]}, "in brackets"),
        ({"peers": ["host2:7000"]}, "needs peer_certificate"),
        ({"peer_listen": "0.0.0.0:7000"}, "nobody may call"),
    ],
)
def test_what_cannot_be_used_is_said(given: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Settings.of(options(**given))


def test_places_and_names() -> None:
    assert Place.of("[fd00::1]:7000") == Place("fd00::1", 7000)
    assert str(Place("fd00::1", 7000)) == "[fd00::1]:7000"
    certificate = {"subjectAltName": (("DNS", "Host2."), ("IP Address", "FD00:0:0::1"))}
    assert names(certificate) == {"host2", "fd00::1"}
    assert peer_of(certificate, [Place("host3", 1), Place("HOST2", 1)]) == "HOST2"
    assert peer_of(certificate, [Place("fd00::0001", 1)]) == "fd00::0001"
    assert peer_of(None, [Place("host2", 1)]) is None


def test_a_guard_forgets_nothing_of_its_connection() -> None:
    guard = Guard()
    guard.check(Word("suspended", ID, 3, guard.challenge, 2))
    for word in (Word("suspended", ID, 3, guard.challenge, 2),
                 Word("suspended", ID, 2, guard.challenge, 2),
                 Word("suspended", ID, 4, Guard().challenge, 2)):  # fmt: skip
        with pytest.raises(Refused, match="replayed"):
            guard.check(word)
