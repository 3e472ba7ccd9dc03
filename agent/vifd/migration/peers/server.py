"""Takes the words of peers: one thread that accepts, and one for each connection."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from vifd.migration.peers import tls
from vifd.migration.peers.refusals import Refusals
from vifd.migration.peers.tls import Files, Lines, Place
from vifd.migration.peers.wire import LONGEST, Answer, Guard, Hello, Refused, Word, decoded, line
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

#: Seconds in which a caller must have shown who it is.
GREETING = 5.0
#: Connections at once, for each peer: one that is dead may not have been noticed yet.
EACH = 4

#: What is done about a word of a peer; raises :class:`Refused` where nothing is.
Take = Callable[[str, Word], None]


class Server:
    """Listens for peers.

    :param at: where
    :param known: who may call
    """

    def __init__(self, at: Place, files: Files, known: Sequence[Place], take: Take) -> None:
        self._at, self._files, self._known, self._take = at, files, known, take
        self._listener: socket.socket | None = None
        self._free = threading.Semaphore(EACH * max(1, len(known)))
        self._open: set[socket.socket] = set()
        self._refusals = Refusals()
        self._stopping = threading.Event()
        self._thread = Steady(self._run, "peer-server")

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping.set()
        for sock in (self._listener, *self._open):
            if sock is not None:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def port(self) -> int:
        """Where it listens, once it does; 0 before."""
        with suppress(OSError, AttributeError):
            return int(self._listener.getsockname()[1])  # type: ignore[union-attr]
        return 0

    def _run(self) -> None:
        said = ""
        while not self._stopping.is_set():
            try:
                family = socket.AF_INET6 if ":" in self._at.host else socket.AF_INET
                self._files.context(server=True)
                self._listener = socket.create_server(
                    (self._at.host, self._at.port), family=family
                )  # fmt: skip
            except (OSError, ValueError) as error:
                if said != str(error):
                    LOG.error("peers cannot be listened for on %s: %s. Next: see [migration] "
                              "peer_listen and peer_certificate; it is tried again", self._at,
                              error)  # fmt: skip
                said = str(error)
                self._stopping.wait(5.0)
                continue
            LOG.info("listening for %d peers on %s", len(self._known), self._at)
            with self._listener:
                self._accept(self._listener)

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                sock, where = listener.accept()
            except OSError as error:
                if not self._stopping.is_set():
                    LOG.warning("peers cannot be accepted: %s; it is tried again", error)
                    self._stopping.wait(0.5)
                return
            if not self._free.acquire(blocking=False):
                self._refusals.tell(str(where[0]), "too many are open: refused")
                sock.close()
                continue
            threading.Thread(
                target=self._serve, args=(sock, str(where[0])), name="peer", daemon=True
            ).start()

    def _serve(self, sock: socket.socket, where: str) -> None:
        try:
            self._open.add(sock)
            sock.settimeout(GREETING)
            tls.keep(sock)
            with self._files.context(server=True).wrap_socket(sock, server_side=True) as secured:
                self._open.add(secured)
                self._greet(secured, where)
                self._open.discard(secured)
        except (OSError, ValueError) as error:
            # what the caller did wrong is its own log's; who it was is told here
            if not self._stopping.is_set():
                self._refusals.tell(where, f"it ended: {error}")
        finally:
            self._open.discard(sock)
            sock.close()
            self._free.release()

    def _greet(self, sock: ssl.SSLSocket, where: str) -> None:
        peer = tls.peer_of(sock.getpeercert(), self._known)
        if peer is None:
            names = ", ".join(sorted(tls.names(sock.getpeercert()))) or "nobody"
            why = f"its certificate is for {names}, and none of [migration] peers is called so"
            self._refusals.tell(where, f"{why}: refused")
            return
        guard = Guard()
        sock.sendall(line(Hello(guard.challenge)))
        sock.settimeout(None)
        lines = Lines(sock, LONGEST)
        while (raw := lines.next()) is not None:
            sock.sendall(line(self._answer(peer, guard, raw)))

    def _answer(self, peer: str, guard: Guard, raw: bytes) -> Answer:
        sequence = 0
        try:
            word = decoded(raw, Word)
            sequence = word.sequence
            guard.check(word)
            self._take(peer, word)
        except Refused as refused:
            LOG.warning("a word of peer %s is refused: %s", peer, refused)
            return Answer(sequence, False, str(refused)[:200])
        return Answer(sequence, True)
