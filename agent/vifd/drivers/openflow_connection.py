"""One OpenFlow 1.4 connection to a bridge's management socket.

Not locked: whoever uses a connection holds its lock (:mod:`vifd.drivers.openflow`). The caller's
own thread writes the request and reads the replies, which saves a hand-over between threads.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

from vifd.drivers import denied
from vifd.drivers.silent import LOOK, Watch
from vifd.openflow import fragments, monitor, packetin, portdesc
from vifd.openflow import message as msg
from vifd.openflow.message import Message, Type

#: Seconds that a peer may be silent before it is asked for an answer, and then until it is given
#: up.
PROBE = 3.0
_CHUNK = 65536
#: What a switch says besides what its flow monitor tells, and nobody asked for just now.
_NEWS = (Type.PORT_STATUS, Type.PACKET_IN)
_NOT_FATAL = (BlockingIOError, InterruptedError)


class ConnectionLost(Exception):
    """The connection is gone, or of no more use; ``str()`` says why."""


class Silent(ConnectionLost):
    """The peer is there and gives no answer."""


class VersionRefused(Exception):
    """The bridge does not speak OpenFlow 1.4; ``str()`` says what it answered."""


class Connection:
    """A connection that has shaken hands.

    :param path: the unix socket
    :param deadline: :func:`time.monotonic` time by which the handshake must be done
    :param note: has the switch tell of changes to ports, and of those to flows that others make;
        called with each message of that kind, whatever else is going on
    :param packets: ask for the frames as well that flows hand over; ``note`` is called with them
    :raises ConnectionLost: nobody listens there, or the peer went away
    :raises VersionRefused: no common version
    """

    def __init__(
        self, path: str, deadline: float, note: Callable[[Message], None] | None = None,
        *, packets: bool = False,
    ) -> None:  # fmt: skip
        self._inbox = b""
        self._note = note
        #: requests that a switch may refuse; nobody waits for an answer
        self._asked: frozenset[int] = frozenset()
        self._xid = 1
        self._heard = time.monotonic()
        self._probed: float | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.setblocking(False)
            self._dial(path)
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
            self._shake_hands(deadline)
            if note is not None:
                self._subscribe(deadline, packets)
        except BaseException:
            self._socket.close()
            raise

    def _subscribe(self, deadline: float, packets: bool) -> None:
        mode = self._fragments(deadline)
        first = self.xids(3)
        self._asked = frozenset(range(first, first + 3))
        wanted = packetin.BY_ACTION if packets else 0
        asked = monitor.request(first) + portdesc.announce(first + 1, mode, wanted)
        self._send(asked + (packetin.identify(first + 2) if packets else b""), deadline)

    def _dial(self, path: str) -> None:
        try:
            self._socket.connect(path)
        except FileNotFoundError:
            raise ConnectionLost(f"no socket {path}") from None
        except PermissionError:
            raise ConnectionLost(denied.denied(path)) from None
        except OSError as error:
            raise ConnectionLost(f"connect to {path}: {error.strerror}") from error

    def _shake_hands(self, deadline: float) -> None:
        # a peer that refuses us may be gone already: what it said is still worth reading
        with contextlib.suppress(ConnectionLost):
            self._send(msg.hello(self.xids(1)), deadline)
        first = self._receive(deadline)[0]
        if first.type == Type.ERROR:
            raise VersionRefused(str(msg.error(first)))
        if first.type != Type.HELLO:
            raise ConnectionLost(f"message of type {first.type} instead of HELLO")
        offered = msg.versions(first)
        if msg.VERSION not in offered:
            raise VersionRefused(f"versions on offer: {', '.join(map(hex, sorted(offered)))}")

    def _fragments(self, deadline: float) -> str:
        """How the bridge shows fragments: the message that asks for news of ports sets it too."""
        xid = self.xids(1)
        return fragments.config(self.exchange(fragments.request(xid), xid, deadline)).mode

    def fileno(self) -> int:
        """The socket's number, for a poller."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; a bundle that is open on it dies with it."""
        self._socket.close()

    def xids(self, count: int) -> int:
        """The first of ``count`` consecutive transaction ids."""
        if self._xid + count > 0xFFFF_FFFF:
            self._xid = 1
        first = self._xid
        self._xid += count
        return first

    def exchange(self, request: bytes, last: int, deadline: float) -> list[Message]:
        """Send a request and gather what is answered, up to the final reply to ``last``.

        :param last: the transaction id whose reply, or error, ends the exchange
        :returns: everything that came, but for echo requests, which are answered here
        :raises ConnectionLost: also when the deadline passes, as replies could then be mixed up
        """
        self._send(request, deadline)
        replies: list[Message] = []
        while True:
            for message in self._receive(deadline):
                replies.append(message)
                if message.xid == last and not msg.more(message):
                    return replies

    def idle(self) -> None:
        """Take in what came while nobody asked: answer echo requests, see the end.

        :raises ConnectionLost: the peer has closed
        """
        deadline = time.monotonic() + 1.0
        while self._fill():
            self._take(deadline)

    def probe(self, now: float) -> float:
        """Ask an idle peer for a word where it has said none for :data:`PROBE` seconds.

        :returns: seconds until this is to be called again
        :raises ConnectionLost: it has not answered for as long again (:class:`Silent`), or is gone
        """
        self.idle()
        silent = now - self._heard
        if silent < PROBE:
            self._probed = None
            return PROBE - silent
        if self._probed is None:
            self._probed = now
            self._send(msg.echo_request(self.xids(1)), now + PROBE)
        left = self._probed + PROBE - now
        if left <= 0:
            raise Silent(f"no answer to an echo request within {PROBE:g} s")
        return left

    # --- bytes ------------------------------------------------------------------------------------

    def _send(self, data: bytes, deadline: float) -> None:
        """Write everything; keep reading meanwhile, as the switch stops reading when its replies
        find no taker."""
        sent = self._write(data)
        view = memoryview(data)
        while sent < len(data):
            self._poll.modify(self._socket, select.POLLIN | select.POLLOUT)
            try:
                if self._wait(deadline) & ~select.POLLOUT:
                    self._fill()
            finally:
                self._poll.modify(self._socket, select.POLLIN)
            sent += self._write(view[sent:])

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data, socket.MSG_NOSIGNAL)
        except _NOT_FATAL:
            return 0
        except OSError as error:
            raise ConnectionLost(f"write: {error.strerror}") from error

    def _fill(self) -> bool:
        """Read what is there; whether there was anything.

        :raises ConnectionLost: the peer has closed
        """
        try:
            chunk = self._socket.recv(_CHUNK)
        except _NOT_FATAL:
            return False
        except OSError as error:
            raise ConnectionLost(f"read: {error.strerror}") from error
        if not chunk:
            raise ConnectionLost("the switch closed the connection")
        self._heard = time.monotonic()
        self._inbox = self._inbox + chunk if self._inbox else chunk
        return True

    def _wait(self, deadline: float) -> int:
        """The poll events of the socket.

        :raises Silent: nothing happened before the deadline, or nothing can
        """
        watch = Watch(self._socket)
        while True:
            left = max(0.0, deadline - time.monotonic())
            if events := self._poll.poll(min(left, LOOK) * 1000):
                return events[0][1]
            if left <= LOOK:
                raise Silent("no answer in time")
            if problem := watch.given_up():
                raise Silent(problem)

    def _receive(self, deadline: float) -> list[Message]:
        """At least one message."""
        while True:
            messages = self._take(deadline)
            if messages:
                return messages
            self._wait(deadline)
            self._fill()

    def _take(self, deadline: float) -> list[Message]:
        """The messages in the inbox, echo requests answered and left out."""
        if len(self._inbox) < msg.HEADER_SIZE:
            return []
        try:
            messages, rest = msg.split(self._inbox)
        except ValueError as error:
            raise ConnectionLost(str(error)) from error
        self._inbox = self._inbox[rest:]
        if any(message.type == Type.ECHO_REPLY for message in messages):
            messages = self._without_echoes(messages)
        if any(message.type == Type.ECHO_REQUEST for message in messages):
            messages = self._answer_echoes(messages, deadline)
        if self._note is not None:
            messages = self._without_monitor(messages, self._note)
        return messages

    def _without_monitor(
        self, messages: list[Message], note: Callable[[Message], None]
    ) -> list[Message]:
        rest = []
        for message in messages:
            if monitor.tells(message) or message.type in _NEWS:
                note(message)
            elif message.type != Type.ERROR or message.xid not in self._asked:
                # a switch that cannot monitor its flows says so with an error, and is not asked
                rest.append(message)
        return rest

    def _answer_echoes(self, messages: list[Message], deadline: float) -> list[Message]:
        for message in messages:
            if message.type == Type.ECHO_REQUEST:
                self._send(msg.echo_reply(message.xid, message.body), deadline)
        return [message for message in messages if message.type != Type.ECHO_REQUEST]

    @staticmethod
    def _without_echoes(messages: list[Message]) -> list[Message]:
        """Answers to :meth:`probe` have been heard, that is enough."""
        return [message for message in messages if message.type != Type.ECHO_REPLY]
