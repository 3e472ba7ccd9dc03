"""The API over its unix socket, with the standard library alone."""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

DEFAULT_SOCKET = "/run/vifd/vifd.sock"
#: Seconds that an answer may take besides the ``timeout`` that the daemon was asked for.
MARGIN = 35.0

Params = Mapping[str, str | float | None]


class Unreachable(Exception):
    """Nobody answers on the socket; the text has a hint."""


class TimedOut(Exception):
    """The daemon did not answer in time."""


class Refused(Exception):
    """The daemon answered with an error object.

    :ivar status: the HTTP status
    :ivar error: the error object
    """

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message", f"HTTP status {status}"))
        self.status = status
        self.error = error


class Odd(Exception):
    """What came back is no answer of vifd; the text says what it is."""


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # others may have filled the queue of connections: with a timeout of Python's own, which is
        # a socket that waits for nothing, the kernel would refuse at once
        whole = max(1, int(self.timeout or 0))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", whole, 0))
        self.sock.connect(self._path)
        self.sock.settimeout(self.timeout)


def socket_path(given: str | None = None) -> str:
    """Where the daemon listens: the option, the environment, the default."""
    return given or os.environ.get("VIFD_SOCKET") or DEFAULT_SOCKET


class Client:
    """Calls of the API.

    :param path: the socket's path
    """

    def __init__(self, path: str) -> None:
        self.path = path
        #: seconds that an answer may take besides the ``timeout`` that the daemon was asked for
        self.margin = MARGIN
        #: the last thing that was asked, for who cannot read its answer
        self.asked = ""
        self._connection: _Connection | None = None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Params | None = None,
    ) -> Any:
        """One call; the parsed answer, ``None`` where there is no body.

        :raises Odd: what came back is no answer of vifd
        :raises Refused: an error object came back
        :raises Unreachable: nobody is there
        :raises TimedOut: no answer in time
        """
        return _parse(self._call(method, path, body, params or {}))

    def text(self, path: str) -> str:
        """What is answered as text, the metrics; fails as :meth:`call` does."""
        return self._call("GET", path, None, {}).decode("utf-8", "replace")

    def _call(self, method: str, path: str, body: Any, params: Params) -> bytes:
        patience = float(params.get("timeout") or 0) + self.margin
        self.asked = f"{method} {path}"
        try:
            response = self._send(method, target(path, params), body, patience)
            data = response.read()
        except TimeoutError as error:
            self.close()
            raise TimedOut(f"no answer within {patience:g} s on {self.path}") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(self._why(error)) from error
        if response.status >= 400:
            raise Refused(response.status, _error(data))
        return data

    def events(self, after: str, follow: bool) -> Iterator[tuple[str, dict[str, Any]]]:
        """The event stream as (id, event) pairs, until it ends.

        :raises Refused: an error object came back
        :raises Unreachable: the connection cannot be made or is lost
        """
        params = {"after": after, "follow": "true" if follow else "false"}
        self.asked = "GET /v1/events"
        try:
            response = self._send("GET", target("/v1/events", params), None, 60.0)
            if response.status != 200:
                raise Refused(response.status, _error(response.read()))
            yield from _frames(response)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self._why(error)) from error
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection; the next call makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, url: str, body: Any, timeout: float) -> http.client.HTTPResponse:
        """Send a request on the open connection; every call may be repeated, so one that finds a
        kept connection closed is."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else {}
        kept = self._connection is not None
        connection = self._connection = self._connection or _Connection(self.path, timeout)
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request(method, url, data, headers)
            return connection.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            if not kept:
                raise
            self.close()
            return self._send(method, url, body, timeout)

    def _why(self, error: Exception) -> str:
        """What went wrong and what to look at."""
        if isinstance(error, FileNotFoundError):
            hint = "is vifd running? (systemctl status vifd) is it the right --socket?"
        elif isinstance(error, ConnectionRefusedError):
            hint = "the socket is there, but nobody listens: is vifd running?"
        elif isinstance(error, PermissionError):
            hint = "this user may not use the socket: is it in the socket's group?"
        elif isinstance(error, OSError) and error.errno == errno.ENOTSOCK:
            hint = "that is not a socket: is it the right --socket?"
        else:
            hint = "the daemon closed the connection: see its log"
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"cannot reach vifd on {self.path}: {reason}; {hint}"


def target(path: str, params: Params) -> str:
    """Path and query string, without parameters that are ``None``."""
    given = {name: value for name, value in params.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def port_path(port_id: str, verb: str = "") -> str:
    """The path of a port, whatever the id consists of."""
    return f"/v1/ports/{quote(port_id, safe='')}" + (f"/{verb}" if verb else "")


def _parse(data: bytes) -> Any:
    """A JSON object, as all answers are; ``None`` where there is nothing.

    :raises Odd: it is something else
    """
    if not data:
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Odd(f"it is no JSON object: {data[:60].decode('utf-8', 'replace')!r}")
    return value


def _error(data: bytes) -> dict[str, Any]:
    """The error object in the body of a refusal; empty where something else is there."""
    try:
        return _parse(data) or {}
    except Odd:
        return {}


def _frames(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events: ``id:`` and ``data:`` lines, closed by an empty one."""
    last, data = "", ""
    while line := response.readline():
        name, _, value = line.decode("utf-8", "replace").rstrip("\n").partition(": ")
        if name == "id":
            last = value
        elif name == "data":
            data += value
        elif not name and data:
            yield last, _parse(data.encode())
            data = ""
