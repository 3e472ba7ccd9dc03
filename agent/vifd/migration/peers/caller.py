"""Tells one peer: a connection that is kept, so that a word costs one way over the network."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from msgspec.structs import replace

from vifd.migration.peers import tls
from vifd.migration.peers.tls import Files, Lines, Place
from vifd.migration.peers.wire import LONGEST, Answer, Hello, Refused, Word, decoded, line
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

#: Seconds for connecting, for the greeting and for an answer.
PATIENCE = 3.0
#: Seconds between two attempts: the first pause and the longest.
RETRY = (0.2, 10.0)
#: A word is of no use any more after so many seconds: the guest runs by then.
STALE = 5.0
#: Seconds between two looks whether the other side is still there.
LOOK = 1.0

#: Told of what a peer answered: the word without its number, and why it was refused, if so.
Told = Callable[[str, Word, str], None]


class Caller:
    """The connection to one peer.

    :param told: called with the peer's name, the word and the reason of a refusal, if any
    """

    def __init__(self, place: Place, files: Files, told: Told = lambda *_: None) -> None:
        self.place, self._files, self._told = place, files, told
        self._queue: SimpleQueue[tuple[float, Word] | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._pause = RETRY[0]
        self._thread = Steady(self._run, f"peer {place}")
        #: why there is no connection; empty while there is one
        self.problem = "not connected yet"

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping.set()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def say(self, word: Word) -> None:
        """From any thread; never blocks. Number and nonce are the connection's."""
        self._queue.put((time.monotonic(), word))

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._connect() as sock:
                    self._talk(sock)
            except (OSError, ValueError, Refused) as error:
                self._lost(str(error) or type(error).__name__)
            self._stopping.wait(self._pause)
            self._pause = min(2 * self._pause, RETRY[1])

    def _lost(self, problem: str) -> None:
        if problem != self.problem and not self._stopping.is_set():
            LOG.warning("peer %s cannot be told: %s. Next: see [migration] peers and the "
                        "certificates on both hosts; it is tried again", self.place,
                        problem)  # fmt: skip
        self.problem = problem

    def _connect(self) -> ssl.SSLSocket:
        context = self._files.context(server=False)
        plain = socket.create_connection((self.place.host, self.place.port), PATIENCE)
        try:
            tls.keep(plain)
            return context.wrap_socket(plain, server_hostname=self.place.host)
        except BaseException:
            plain.close()
            raise

    def _talk(self, sock: ssl.SSLSocket) -> None:
        lines = Lines(sock, LONGEST)
        hello: Hello = decoded(self._line(lines), Hello)
        LOG.info("peer %s is told of migrations", self.place)
        # not before: whom the other side does not know it lets connect, and then hangs up
        self.problem, self._pause, sequence = "", RETRY[0], 0
        while not self._stopping.is_set():
            try:
                waiting = self._queue.get(timeout=LOOK)
            except Empty:
                if self._gone(sock):
                    raise ConnectionError("it closed the connection") from None
                continue
            if waiting is None:
                return
            since, word = waiting
            if time.monotonic() - since > STALE:
                self._told(self.place.host, word, "it could not be told in time")
                continue
            sequence += 1
            self._say(sock, lines, word, (hello.challenge, sequence))

    def _say(self, sock: ssl.SSLSocket, lines: Lines, word: Word, proof: tuple[str, int]) -> None:
        nonce, sequence = proof
        sock.sendall(line(replace(word, sequence=sequence, nonce=nonce)))
        try:
            answer: Answer = decoded(self._line(lines), Answer)
        except (OSError, Refused) as error:
            self._told(self.place.host, word, f"no answer: {error}")
            raise
        self._told(self.place.host, word, "" if answer.taken else answer.reason)

    @staticmethod
    def _line(lines: Lines) -> bytes:
        raw = lines.next()
        if raw is None:
            raise ConnectionError("it closed the connection: is the certificate of this host one "
                                  "that it knows?")  # fmt: skip
        return raw

    @staticmethod
    def _gone(sock: ssl.SSLSocket) -> bool:
        """Whether the other side ended the connection; it says nothing unasked."""
        sock.settimeout(0.0)
        try:
            return not sock.recv(1)
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        finally:
            with suppress(OSError):
                sock.settimeout(PATIENCE)
