"""One question in JSON-RPC, as the daemons of Open vSwitch and OVN speak it.

ovn-controller's control socket and OVN's databases take the same form. A question opens a
connection and closes it: they are asked seldom, and never waited for longer than the caller allows.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK = 65536
#: An answer longer than this is given up, bytes.
_LONGEST = 4 << 20


class Unanswered(Exception):
    """No answer; ``str()`` says why."""


@dataclass(frozen=True)
class Tls:
    """The files by which a server and this host know each other; empty where none is named."""

    private_key: str = ""
    certificate: str = ""
    ca: str = ""

    def wrap(self, connection: socket.socket) -> ssl.SSLSocket:
        """Shake hands. Like Open vSwitch, the authority is trusted and no name is compared.

        :raises OSError: a file cannot be read, or the peer is refused
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.ca)
        context.load_cert_chain(self.certificate, self.private_key)
        return context.wrap_socket(connection)


NO_TLS = Tls()


def ask(address: str, method: str, params: Sequence[Any], timeout: float, tls: Tls = NO_TLS) -> Any:
    """The result of a call.

    :param address: ``unix:PATH``, ``tcp:ADDRESS:PORT`` or ``ssl:ADDRESS:PORT``
    :param timeout: seconds, for everything together
    :raises Unanswered: it cannot be reached, does not answer in time, or answers with an error
    """
    deadline = time.monotonic() + timeout
    request = json.dumps({"id": 0, "method": method, "params": list(params)})
    try:
        with _dial(address, timeout, tls) as connection:
            connection.sendall(request.encode())
            answer = _read(connection, deadline)
    except (OSError, ValueError) as error:
        raise Unanswered(f"{address}: {error}") from error
    if answer.get("error") is not None:
        raise Unanswered(f"{address}: {method}: {answer['error']}")
    return answer.get("result")


def control_socket(rundir: str, daemon: str) -> str:
    """The address of a daemon's control socket, found by its pid file.

    :raises Unanswered: the daemon does not run here
    """
    pidfile = Path(rundir) / f"{daemon}.pid"
    try:
        pid = int(pidfile.read_text())
    except (OSError, ValueError) as error:
        raise Unanswered(f"{pidfile}: {error}") from error
    return f"unix:{Path(rundir) / f'{daemon}.{pid}.ctl'}"


def _dial(address: str, timeout: float, tls: Tls) -> socket.socket:
    kind, _, rest = address.partition(":")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(rest)
        except OSError:
            connection.close()
            raise
        return connection
    if kind not in ("tcp", "ssl"):
        raise Unanswered(f"{address}: only unix, tcp and ssl are spoken")
    if kind == "ssl" and not all((tls.private_key, tls.certificate, tls.ca)):
        options = "southbound_private_key, southbound_certificate and southbound_ca_cert"
        raise Unanswered(f"{address}: not read: {options} of [ovn] name no files")
    host, _, port = rest.rpartition(":")
    connection = socket.create_connection((host.strip("[]"), int(port)), timeout)
    if kind == "tcp":
        return connection
    try:
        return tls.wrap(connection)
    except BaseException:
        connection.close()
        raise


def _read(connection: socket.socket, deadline: float) -> dict[str, Any]:
    """The answer to our question; what the server asks or tells meanwhile is passed over."""
    decoder, text = json.JSONDecoder(), ""
    received = b""
    while len(received) < _LONGEST:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        connection.settimeout(left)
        chunk = connection.recv(_CHUNK)
        if not chunk:
            raise ConnectionError("the connection was closed")
        received += chunk
        text = received.decode(errors="replace")
        for answer in _objects(decoder, text):
            if answer.get("id") == 0 and "method" not in answer:
                return answer
    raise ValueError(f"an answer of more than {_LONGEST} bytes")


def _objects(decoder: json.JSONDecoder, text: str) -> list[dict[str, Any]]:
    """The complete objects at the beginning of a text."""
    found, at = [], 0
    while at < len(text):
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            break
        if isinstance(value, dict):
            found.append(value)
        at = end + len(text[end:]) - len(text[end:].lstrip())
    return found
