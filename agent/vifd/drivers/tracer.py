"""ovs-vswitchd's control socket: ``ofproto/trace`` and any other command.

The connection persists. The socket's name carries the daemon's process id, so a restart of the
daemon is seen as a closed connection, and the new name is found through the pid file.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from vifd.drivers import idle, liveness
from vifd.drivers.silent import LOOK, Watch
from vifd.errors import BackendError, BackendUnavailable
from vifd.safety.steady import advance

_CHUNK = 65536
_BACKEND = "control socket of ovs-vswitchd"
#: So many requests are under way at once; the daemon reads no more while its answers find no taker,
#: so they must fit into the socket's buffer.
_WINDOW = 32
#: A command with its arguments.
_Request = tuple[str, ...]
_SETTLE: _Request = ("revalidator/wait",)
#: Seconds that the switch may take to go through its cached flows.
_PATIENCE = 0.05
_DECODER = json.JSONDecoder()


class _Lost(Exception):
    """No connection, or it broke; ``str()`` says why."""


class _Silent(_Lost):
    """The daemon is there and gives no answer."""


class LocalTracer:
    """:class:`vifd.drivers.Tracer` for real. Calls from several threads take turns.

    :param rundir: where ovs-vswitchd keeps its pid file and sockets
    :param timeout: seconds that one call may take
    """

    def __init__(self, rundir: str = "/var/run/openvswitch", timeout: float = 10.0) -> None:
        self._rundir = rundir
        self._timeout = timeout
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._ids = itertools.count()

    def trace(self, bridge: str, flow: str) -> str:
        """What the switch would do with a packet; :mod:`vifd.openflow.trace` reads the answer.

        :param flow: the packet in the words of ovs-ofctl, with its ``in_port``
        :raises BackendError: the switch knows no such bridge, or cannot read the packet
        :raises BackendUnavailable: the daemon cannot be reached, or does not answer in time
        """
        return self.call("ofproto/trace", bridge, flow)

    def traces(
        self, bridge: str, flows: Sequence[str], meanwhile: Callable[[], None] = idle
    ) -> list[str | BackendError]:
        """What the switch would do with each of these packets, or why it cannot tell: asked at
        once, so the switch is waited for once.

        :param meanwhile: called while it is at work
        :raises BackendUnavailable: the daemon cannot be reached, or does not answer in time
        """
        return self._run([("ofproto/trace", bridge, flow) for flow in flows], meanwhile)

    def settle(self, patience: float = _PATIENCE) -> None:
        """Wait until the datapath's cached flows follow the flow tables as they are now.

        The switch goes through them at once when a table has changed, and says when it is through;
        where it was before it was asked, it would say so half a second later. Hence the short
        patience, and a connection of its own, so that no trace waits behind.

        :raises BackendError: the switch cannot say: it has datapaths of more than one type
        :raises BackendUnavailable: the daemon cannot be reached
        """
        try:
            with self._dial() as connection:
                connection.sendall(_text(0, _SETTLE).encode())
                if not select.select([connection], [], [], patience)[0]:
                    return
                objects = _read_objects(connection, time.monotonic() + self._timeout)
                answer = self._answer(next(objects), 0, _SETTLE)
        except (OSError, _Lost) as error:
            raise self._unavailable(f"{_SETTLE[0]}: {error}") from error
        if isinstance(answer, BackendError):
            raise answer

    def forget(self) -> None:
        """Have the switch forget the flows that it has cached.

        :raises BackendError: the switch does not know how
        :raises BackendUnavailable: the daemon cannot be reached, or does not answer in time
        """
        self.call("revalidator/purge")

    def ping(self, timeout: float) -> str:
        """See :class:`vifd.drivers.Tracer`."""
        return liveness.switch(self._rundir, timeout)

    def call(self, command: str, *args: str) -> str:
        """Run a command that can be repeated: a connection that breaks is made anew once.

        :raises BackendError: the daemon answered with an error
        :raises BackendUnavailable: the daemon cannot be reached, or does not answer in time
        """
        (answer,) = self._run([(command, *args)])
        if isinstance(answer, BackendError):
            raise answer
        return answer

    def _run(
        self, requests: Sequence[_Request], meanwhile: Callable[[], None] = idle
    ) -> list[str | BackendError]:
        """The answer to each request; all are repeated where the connection breaks."""
        deadline = time.monotonic() + self._timeout
        if not self._lock.acquire(timeout=self._timeout):
            raise self._unavailable(f"busy for {self._timeout} s")
        try:
            try:
                return self._exchange(requests, deadline, meanwhile)
            except _Lost as lost:
                self._disconnect()
                if isinstance(lost, _Silent) or time.monotonic() >= deadline:
                    raise
            return self._exchange(requests, deadline, meanwhile)
        except _Lost as lost:
            self._disconnect()
            raise self._unavailable(str(lost)) from lost
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection; a later call makes it anew."""
        with self._lock:
            self._disconnect()

    def _exchange(
        self, requests: Sequence[_Request], deadline: float, meanwhile: Callable[[], None]
    ) -> list[str | BackendError]:
        answers: list[str | BackendError] = []
        for start in range(0, len(requests), _WINDOW):
            first = meanwhile if start == 0 else idle
            answers += self._trip(requests[start : start + _WINDOW], deadline, first)
        return answers

    def _trip(
        self, requests: Sequence[_Request], deadline: float, meanwhile: Callable[[], None]
    ) -> list[str | BackendError]:
        """Send requests in one piece, and read the answers, which come in the same order."""
        numbered = [(next(self._ids), request) for request in requests]
        advance()
        connection = self._socket = self._socket or self._dial()
        text = "".join(_text(number, request) for number, request in numbered)
        try:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            connection.sendall(text.encode())
            meanwhile()
            objects = _read_objects(connection, deadline)
            return [self._answer(next(objects), *request) for request in numbered]
        except OSError as error:
            words = error.strerror or "no answer in time"
            raise _Lost(f"{requests[0][0]}: {words}") from error

    def _answer(
        self, answer: dict[str, object], number: int, request: _Request
    ) -> str | BackendError:
        if answer.get("id") != number:
            raise _Lost(f"{request[0]}: answer to another request")
        if answer.get("error") is not None:
            return self._refused(request[0], request[1:], str(answer["error"]))
        return str(answer.get("result") or "")

    def _dial(self) -> socket.socket:
        pid_file = os.path.join(self._rundir, "ovs-vswitchd.pid")
        try:
            with open(pid_file, encoding="ascii") as file:
                pid = int(file.read())
        except (OSError, ValueError) as error:
            raise _Lost(f"{pid_file}: {error}") from error
        path = os.path.join(self._rundir, f"ovs-vswitchd.{pid}.ctl")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            raise _Lost(f"connect to {path}: {error.strerror}") from error
        return connection

    def _disconnect(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    @staticmethod
    def _refused(command: str, args: tuple[str, ...], words: str) -> BackendError:
        problem = f"{command}: {words.strip()}"
        return BackendError(
            facts={"backend": _BACKEND, "problem": problem, "command": command, "args": list(args)}
        )

    @staticmethod
    def _unavailable(problem: str) -> BackendUnavailable:
        return BackendUnavailable(facts={"backend": _BACKEND, "problem": problem})


def _text(number: int, request: _Request) -> str:
    command, *args = request
    return json.dumps({"id": number, "method": command, "params": args})


def _read_objects(connection: socket.socket, deadline: float) -> Iterator[dict[str, object]]:
    """JSON objects as they come; the stream has no other framing."""
    received = b""
    while True:
        _wait(connection, deadline)
        chunk = connection.recv(_CHUNK)
        if not chunk:
            raise _Lost("the daemon closed the connection")
        received += chunk
        # an answer ends with a brace; what is cut off elsewhere need not be tried
        if received.endswith((b"}", b"}\n")):
            objects, rest = _split(received)
            yield from objects
            received = rest


def _wait(connection: socket.socket, deadline: float) -> None:
    """Wait for something to read.

    :raises _Silent: nothing came before the deadline, or nothing can
    """
    watch = Watch(connection)
    while True:
        left = deadline - time.monotonic()
        if left > 0 and select.select([connection], [], [], min(left, LOOK))[0]:
            return
        if left <= LOOK:
            raise _Silent("no answer in time")
        if problem := watch.given_up():
            raise _Silent(problem)


def _split(received: bytes) -> tuple[list[dict[str, object]], bytes]:
    """The whole objects at the beginning, and the rest."""
    text = received.decode(errors="replace")
    objects: list[dict[str, object]] = []
    while text:
        try:
            answer, end = _DECODER.raw_decode(text)
        except ValueError:
            break  # a brace within a string, more is to come
        if not isinstance(answer, dict):
            raise _Lost("the answer is no JSON object")
        objects.append(answer)
        text = text[end:].lstrip()
    return objects, text.encode()
