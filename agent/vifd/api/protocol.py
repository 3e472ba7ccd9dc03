"""What our HTTP connections do differently: coded errors, peer credentials, a polite end.

Mixed into the server's protocol class; it names no server library itself.
"""

from __future__ import annotations

import contextlib
import http
import io
import socket
import time
from typing import Any

import msgspec

from vifd import errors
from vifd.api import head
from vifd.api.app import PEER

#: Bytes of the request line, of one header, and of all headers.
MAX_LINE = 8192
MAX_HEAD = 65536
#: Header lines.
MAX_FIELDS = 100
_ACTED_ON = (b"connection:", b"expect:")
#: Seconds and bytes for which a closing connection still takes what the client sends.
LINGER_SECONDS = 1.0
LINGER_LONGEST = 5.0
LINGER_BYTES = 1 << 20


def refusal_answer(error: errors.VifError) -> bytes:
    """A whole answer with an error, after which the connection ends."""
    body = msgspec.json.encode(error.to_dict())
    again = f"Retry-After: {error.retry_after:.0f}\r\n" if error.retry_after else ""
    start = (
        f"HTTP/1.1 {error.http} {http.HTTPStatus(error.http).phrase}\r\n{again}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return start.encode("ascii") + body


class CodedProtocol:
    """A mixin over an HTTP request handler of the standard library's shape."""

    environ: dict[str, Any] = {}  # noqa: RUF012 - replaced as a whole by every request
    close_connection: Any
    connection: Any
    client_address: Any
    headers: Any
    path: str
    raw_requestline: bytes
    request_version: str
    requestline: str
    rfile: Any
    server: Any
    wfile: Any

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no proper HTTP with a coded error, and close."""
        problem = explain or message or "malformed request"
        error = errors.BadHttp(facts={"problem": problem[:200]}, stage="decode")
        body = msgspec.json.encode(error.to_dict())
        start = (
            f"HTTP/1.1 {int(code)} {message or 'Bad Request'}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.close_connection = True
        self.environ = {}
        with contextlib.suppress(OSError):
            self.wfile.write(start.encode("ascii", "replace") + body)
            self.wfile.flush()

    def log_message(self, *args: object) -> None:
        """The application has its own access log."""

    def _begin(self, what: str) -> None:
        """From now on what the client sends is waited for so long and no longer."""

    def _expired(self) -> bool:
        """Whether that was waited for in vain."""
        return False

    def _read_request_line(self) -> bytes:
        if not self._comes():
            return b""
        self._begin("head")
        line: bytes = super()._read_request_line()  # type: ignore[misc]
        if self._expired():
            self.requestline = self.request_version = ""
            self._too_slow()
            return b""
        if len(line) >= self.server.url_length_limit:
            self.requestline = self.request_version = ""
            self.send_error(414, "URI Too Long", f"the request line has over {MAX_LINE} bytes")
            return b""
        return line

    def _known(self) -> bool:
        """Whether the peer may do anything at all."""
        return True

    def _comes(self) -> bool:
        """Wait for the first byte of the next request."""
        try:
            patience = self.server.keepalive if self._known() else self.server.limits.head
            self.connection.settimeout(patience)
            return bool(self.rfile.peek(1))
        except (OSError, ValueError):
            return False

    def _too_slow(self) -> None:
        self.send_error(408, "Request Timeout", "the request did not come in time")

    def parse_request(self) -> bool:
        """Read the head; everything that is wrong with it is answered here."""
        self.requestline = self.request_version = ""
        lines: list[bytes] = []
        try:
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                lines.append(line)
        except Exception as error:  # noqa: BLE001 - the library has private classes for too large
            self.send_error(431, "Request Header Fields Too Large", type(error).__name__)
            return False
        if self._expired():
            self._too_slow()
            return False
        problem = head.request_line_problem(self.raw_requestline) or head.fields_problem(lines)
        if not problem and not line:
            problem = "the head does not end"
        if problem:
            self.send_error(400, "Bad Request", problem)
            return False
        return self._parsed(lines) and self._check_framing()

    def _parsed(self, lines: list[bytes]) -> bool:
        if len(lines) > MAX_FIELDS:
            problem = f"more than {MAX_FIELDS} header lines"
            self.send_error(431, "Request Header Fields Too Large", problem)
            return False
        # the library acts on these alone, and its parser is made for mail
        acted_on = [line for line in lines if line.lower().startswith(_ACTED_ON)]
        stream, self.rfile = self.rfile, io.BytesIO(b"".join(acted_on) + b"\r\n")
        try:
            good: bool = super().parse_request()  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - the library has private classes for too large
            self.send_error(431, "Request Header Fields Too Large", type(error).__name__)
            return False
        finally:
            self.rfile = stream
        self.headers = head.message(lines)
        if good:
            self.path = head.origin_form(self.path)
        return good

    def _check_framing(self) -> bool:
        """Refuse what could be read as two different lengths of the same body."""
        lengths = self.headers.get_all("content-length", [])
        coding = self.headers.get("transfer-encoding")
        old = self.request_version != "HTTP/1.1"
        problem = ""
        if len(lengths) > 1 or any(not (n.isascii() and n.isdigit()) for n in lengths):
            problem = "Content-Length must be one number"
        elif lengths and len(lengths[0]) > 18:
            problem = "Content-Length is too large"
        elif coding is not None and lengths:
            problem = "Content-Length and Transfer-Encoding exclude each other"
        elif coding is not None and old:
            problem = "Transfer-Encoding is not part of HTTP/1.0"
        elif problem := head.host_problem(self.request_version, self.headers.get("host")):
            pass
        elif coding is not None and coding.strip().lower() != "chunked":
            self.send_error(501, "Not Implemented", "the only transfer coding is chunked")
            return False
        if problem:
            self.send_error(400, "Bad Request", problem)
        return not problem

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()  # type: ignore[misc]
        environ[PEER] = self.client_address.peer
        self._begin("body")
        if not self._known():
            # it is told that it may do nothing, and gives its place back
            self.close_connection = True
        return environ

    def finish(self) -> None:
        """Close so that the client can still read the answer.

        A unix socket that is closed with unread data resets the connection, and the answer is lost.
        So what is left of a body is read for a moment.
        """
        body = self.environ.get("wsgi.input")
        if body is None or body.chunked_input or body.position < (body.content_length or 0):
            with contextlib.suppress(OSError, ValueError):
                self._linger()
        try:
            super().finish()  # type: ignore[misc]
        finally:
            # Not reached by the library when the last flush fails, and the descriptor would stay.
            self.rfile.close()

    def _linger(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(LINGER_SECONDS)
        left, end = LINGER_BYTES, time.monotonic() + LINGER_LONGEST
        while left > 0 and time.monotonic() < end and (piece := self.connection.recv(65536)):
            left -= len(piece)
