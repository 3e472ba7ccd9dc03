"""Calls of vifd's API over its unix socket, with patience while the daemon is started anew.

Nothing but the standard library, and nothing that blocks outside of ``socket`` and ``time``: nova
may have put green ones in their place.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: Pauses between two attempts, seconds; the last one stays.
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
#: Seconds that an answer may take beyond what vifd was asked to take.
SLACK = 5.0
#: The most that one call may ask vifd to wait.
LONGEST = 600.0
#: Refusals that are gone when the same call is repeated.
PASSING = frozenset(("E_AGENT_STOPPING", "E_API_BUSY", "E_STATE_SUPERSEDED"))


class Away(Exception):
    """vifd does not answer; the text says where, how long it was tried, and what to do."""


class Refused(Exception):
    """vifd answered with an error.

    :ivar error: its error object
    """

    def __init__(self, error: dict[str, Any]) -> None:
        self.error = error
        super().__init__(f"{self.code}: {error.get('message', '')}")

    @property
    def code(self) -> str:
        """The stable code."""
        return str(self.error.get("code", "E_INTERNAL"))


class Connection(http.client.HTTPConnection):
    """One HTTP connection over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("vifd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except BaseException:
            self.sock.close()
            raise


@dataclass
class Client:
    """Calls that end in time.

    :param path: of the socket
    :param clock: monotonic, seconds
    :param sleep: waits so many seconds
    """

    path: str
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)

    def call(
        self, method: str, path: str, body: object = None, *, timeout: float, away: float,
        wait: str = "", request: str = "",
    ) -> Any:  # fmt: skip
        """The answer's JSON; ``None`` where it has none.

        The call must be one that may be repeated: a daemon that ends in the middle is asked again.

        :param timeout: seconds for all of it
        :param away: seconds that the daemon may be away at a stretch
        :param wait: what vifd shall wait for before it answers
        :param request: the id that vifd's log, records and events shall bear
        :raises Away: it does not answer
        :raises Refused: it answered with an error
        """
        end = self.clock() + timeout
        gone: float | None = None
        attempt = 0
        while True:
            left = max(0.0, end - self.clock())
            try:
                return self._once(method, path, body, left, wait, request)
            except PermissionError as error:
                raise Away(self._forbidden()) from error
            except (OSError, http.client.HTTPException) as error:
                gone = self.clock() if gone is None else gone
                if self.clock() >= min(end, gone + away):
                    raise Away(self._absent(error, self.clock() - gone)) from error
            except Refused as error:
                gone = None
                if error.code not in PASSING or self.clock() >= end:
                    raise
            self.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            attempt += 1

    def _once(
        self, method: str, path: str, body: object, left: float, wait: str, request: str
    ) -> Any:
        seconds = min(left, LONGEST)
        connection = Connection(self.path, seconds + SLACK)
        query = f"{'&' if '?' in path else '?'}wait={wait}&timeout={seconds:.3f}" if wait else ""
        sent = None if body is None else json.dumps(body).encode()
        headers = {} if sent is None else {"Content-Type": "application/json"}
        if request:
            headers["X-Request-ID"] = request
        try:
            connection.request(method, path + query, sent, headers)
            answer = connection.getresponse()
            return _read(answer.status, answer.read())
        finally:
            connection.close()

    def _forbidden(self) -> str:
        return (
            f"this user may not open {self.path}. Next: put it into the socket's group, or see "
            "socket_group and compute_uids in vifd's [api]"
        )

    def _absent(self, error: Exception, seconds: float) -> str:
        return (
            f"vifd does not answer on {self.path} for {seconds:.1f} s ({str(error) or 'cut off'}). "
            "Next: see `systemctl status vifd` on this host"
        )


def _read(status: int, body: bytes) -> Any:
    if status == 204 or (not body and status < 400):
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise http.client.HTTPException(f"an answer that is no JSON ({status})") from error
    if status >= 400:
        raise Refused(value if isinstance(value, dict) else {"message": str(value)[:200]})
    if not isinstance(value, dict):
        raise http.client.HTTPException("an answer that is no JSON object")
    return value
