"""What our HTTP connections do differently: coded errors, peer credentials, a polite end.

Mixed into the server's protocol class; it names no server library itself.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import msgspec

from vifd import errors
from vifd.api.app import PEER

#: Bytes of the request line, of one header, and of all headers.
MAX_LINE = 8192
MAX_HEAD = 65536
#: Seconds and bytes for which a closing connection still takes what the client sends.
LINGER_SECONDS = 1.0
LINGER_BYTES = 1 << 20


class CodedProtocol:
    """A mixin over an HTTP request handler of the standard library's shape."""

    environ: dict[str, Any] = {}  # noqa: RUF012 - replaced as a whole by every request
    close_connection: Any
    connection: Any
    client_address: Any
    headers: Any
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
        head = (
            f"HTTP/1.1 {int(code)} {message or 'Bad Request'}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.close_connection = True
        self.environ = {}
        with contextlib.suppress(OSError):
            self.wfile.write(head.encode("ascii", "replace") + body)
            self.wfile.flush()

    def log_message(self, *args: object) -> None:
        """The application has its own access log."""

    def _read_request_line(self) -> bytes:
        line: bytes = super()._read_request_line()  # type: ignore[misc]
        if len(line) >= self.server.url_length_limit:
            self.requestline = self.request_version = ""
            self.send_error(414, "URI Too Long", f"the request line has over {MAX_LINE} bytes")
            return b""
        return line

    def parse_request(self) -> bool:
        """Read the head; everything that is wrong with it is answered here."""
        try:
            good: bool = super().parse_request()  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - the library has private classes for too large
            self.send_error(431, "Request Header Fields Too Large", type(error).__name__)
            return False
        return good and self._check_framing()

    def _check_framing(self) -> bool:
        """Refuse what could be read as two different lengths of the same body."""
        lengths = self.headers.get_all("content-length", [])
        coding = self.headers.get("transfer-encoding")
        problem = ""
        if len(lengths) > 1 or any(not (n.isascii() and n.isdigit()) for n in lengths):
            problem = "Content-Length must be one number"
        elif lengths and len(lengths[0]) > 18:
            problem = "Content-Length is too large"
        elif coding is not None and lengths:
            problem = "Content-Length and Transfer-Encoding exclude each other"
        elif coding is not None and coding.strip().lower() != "chunked":
            self.send_error(501, "Not Implemented", "the only transfer coding is chunked")
            return False
        if problem:
            self.send_error(400, "Bad Request", problem)
        return not problem

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()  # type: ignore[misc]
        environ[PEER] = self.client_address.peer
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
        left = LINGER_BYTES
        while left > 0 and (piece := self.connection.recv(65536)):
            left -= len(piece)
