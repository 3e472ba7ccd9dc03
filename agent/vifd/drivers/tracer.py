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

from vifd.errors import BackendError, BackendUnavailable

_CHUNK = 65536
_BACKEND = "control socket of ovs-vswitchd"


class _Lost(Exception):
    """No connection, or it broke; ``str()`` says why."""


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

    def call(self, command: str, *args: str) -> str:
        """Run a command that can be repeated: a connection that breaks is made anew once.

        :raises BackendError: the daemon answered with an error
        :raises BackendUnavailable: the daemon cannot be reached, or does not answer in time
        """
        deadline = time.monotonic() + self._timeout
        if not self._lock.acquire(timeout=self._timeout):
            raise self._unavailable(f"busy for {self._timeout} s")
        try:
            try:
                return self._exchange(command, args, deadline)
            except _Lost:
                self._disconnect()
                if time.monotonic() >= deadline:
                    raise
            return self._exchange(command, args, deadline)
        except _Lost as lost:
            self._disconnect()
            raise self._unavailable(str(lost)) from lost
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection; a later call makes it anew."""
        with self._lock:
            self._disconnect()

    def _exchange(self, command: str, args: tuple[str, ...], deadline: float) -> str:
        number = next(self._ids)
        request = {"id": number, "method": command, "params": list(args)}
        connection = self._socket or self._connect()
        try:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            connection.sendall(json.dumps(request).encode())
            answer = _read_object(connection, deadline)
        except OSError as error:
            raise _Lost(f"{command}: {error.strerror or 'no answer in time'}") from error
        if answer.get("id") != number:
            raise _Lost(f"{command}: answer to another request")
        if answer.get("error") is not None:
            raise self._refused(command, args, str(answer["error"]))
        return str(answer.get("result") or "")

    def _connect(self) -> socket.socket:
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
        self._socket = connection
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


def _read_object(connection: socket.socket, deadline: float) -> dict[str, object]:
    """One JSON object; the stream has no other framing."""
    received = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([connection], [], [], left)[0]:
            raise _Lost("no answer in time")
        chunk = connection.recv(_CHUNK)
        if not chunk:
            raise _Lost("the daemon closed the connection")
        received += chunk
        if received.rstrip().endswith(b"}"):
            try:
                answer = json.loads(received)
            except ValueError:
                continue  # a brace within a string, more is to come
            if isinstance(answer, dict):
                return answer
            raise _Lost("the answer is no JSON object")
