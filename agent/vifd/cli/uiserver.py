"""The page's server: files of the page, and the daemon's API behind them, for one browser.

It listens on loopback alone. Whoever calls must have come in by the token, which works once and
becomes a cookie of that browser; the name by which it is called must be loopback's, so that no page
of another name can reach it. What changes something is refused unless the operator asked for it,
and then needs a header that other pages cannot send.
"""

from __future__ import annotations

import hmac
import http.client
import json
import secrets
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vifd.cli import counters
from vifd.cli.client import Client, Refused, TimedOut, Unreachable

COOKIE = "vifd-ui"
#: What a call that changes something must bear; a form of another page cannot.
MARK = "X-Vifd-Ui"
#: Bytes of a request's body.
_BODY = 1 << 20
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: The verbs of a port that the page may ask for, where it may change something.
CHANGES = ("check", "activate", "deactivate", "repair")


class Gate:
    """Who may come in."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self._session = secrets.token_urlsafe(32)
        self._used = False
        self._lock = threading.Lock()

    def enter(self, token: str) -> str | None:
        """The session's cookie for who brings the token first; later ones get nothing."""
        with self._lock:
            if self._used or not hmac.compare_digest(token, self.token):
                return None
            self._used = True
            return self._session

    def known(self, cookies: str) -> bool:
        """Whether one of the cookies is the session's."""
        for each in cookies.split(";"):
            name, _, value = each.strip().partition("=")
            if name == COOKIE and hmac.compare_digest(value, self._session):
                return True
        return False


class Ui(ThreadingHTTPServer):
    """The server.

    :param path: the daemon's socket
    :param write: whether the page may change something
    :param database: of the switch, for counters of vhost-user ports
    """

    daemon_threads = True
    #: a page and its stream of events; more are a mistake
    request_queue_size = 16

    def __init__(self, port: int, path: str, *, write: bool, database: str) -> None:
        super().__init__(("127.0.0.1", port), Page)
        self.path, self.write, self.database = path, write, database
        self.gate = Gate()

    @property
    def address(self) -> str:
        """What a browser calls; works once."""
        return f"http://127.0.0.1:{self.server_port}/?token={self.gate.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle is nobody's mistake."""


class Page(BaseHTTPRequestHandler):
    """One request."""

    server: Ui
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "vifctl", ""
    timeout = 30

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if not self._called_by_name():
            return
        if url.path == "/" and "token" in parse_qs(url.query):
            self._enter(parse_qs(url.query)["token"][0])
        elif not self._known():
            self._answer(
                403, _text("Call vifctl ui again: its address works once, in one browser.")
            )
        elif url.path.startswith("/v1/") or url.path == "/metrics":
            self._pass_on("GET", self.path, None)
        elif url.path == "/ui/counters":
            self._counters()
        elif url.path == "/ui/session":
            said = {"write": self.server.write, "changes": CHANGES}
            self._answer(200, (json.dumps(said).encode(), "application/json"))
        else:
            self._file(url.path.strip("/") or "index.html")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        size = int(length) if length.isdigit() else _BODY + 1
        if size > _BODY:
            self.close_connection = True
            self._answer(413, _text("too large"))
            return
        body = self.rfile.read(size)
        if not self._called_by_name():
            return
        if not self._known() or self.headers.get(MARK) != "1":
            self._answer(403, _text("not from this page"))
        elif urlsplit(self.path).path == "/v1/offers" or self._may_change():
            # an offer changes nothing
            self._pass_on("POST", self.path, body or None)
        else:
            self._answer(403, _error("E_UI_READ_ONLY", "this page only reads: vifctl ui --write"))

    def _may_change(self) -> bool:
        parts = urlsplit(self.path).path.strip("/").split("/")
        known = len(parts) == 4 and parts[:2] == ["v1", "ports"] and parts[3] in CHANGES
        return self.server.write and known

    # --- who calls ---

    def _called_by_name(self) -> bool:
        """A page of another name that resolves to loopback calls by its own name."""
        allowed = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}
        origin = self.headers.get("Origin")
        host = self.headers.get("Host", "")
        if host in allowed and (origin is None or origin.removeprefix("http://") == host):
            return True
        self.close_connection = True
        self._answer(403, _text("this server is called 127.0.0.1"))
        return False

    def _known(self) -> bool:
        return self.server.gate.known(self.headers.get("Cookie", ""))

    def _enter(self, token: str) -> None:
        session = self.server.gate.enter(token)
        if session is None and not self._known():
            self._answer(403, _text("This address worked once already: call vifctl ui again."))
            return
        cookie = f"{COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/"
        more = {"Location": "/", **({"Set-Cookie": cookie} if session else {})}
        self._answer(303, (b"", "text/plain"), more)

    # --- answers ---

    def _file(self, name: str) -> None:
        kind = _KINDS.get(name[name.rfind(".") :])
        file = resources.files("vifd.cli").joinpath("page", name)
        if kind is None or "/" in name or not file.is_file():
            self._answer(404, _text("there is no such page"))
            return
        self._answer(200, (file.read_bytes(), f"{kind}; charset=utf-8"))

    def _counters(self) -> None:
        """By port, its counters; read here, where the devices are."""
        client = Client(self.server.path)
        try:
            ports = client.call("GET", "/v1/ports", params={"fields": "id,device,vif"})["ports"]
            found = counters.read(ports, self.server.database)
        except (Refused, TimedOut, Unreachable, OSError) as error:
            self._answer(502, _error("E_UI_COUNTERS", str(error)))
            return
        finally:
            client.close()
        body = {port: count._asdict() for port, count in found.items()}
        self._answer(200, (json.dumps(body).encode(), "application/json"))

    def _pass_on(self, method: str, target: str, body: bytes | None) -> None:
        """The daemon's own answer, as it comes; a stream goes on for as long as both want it."""
        connection = _Daemon(self.server.path)
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            kind = answer.headers.get("Content-Type", "application/json")
            if kind.startswith("text/event-stream"):
                self._stream(answer, kind)
            else:
                self._answer(answer.status, (answer.read(), kind))
        except (OSError, http.client.HTTPException) as error:
            self._answer(502, _error("E_UI_UNREACHABLE", f"vifd does not answer: {error}"))
        finally:
            connection.close()

    def _stream(self, answer: http.client.HTTPResponse, kind: str) -> None:
        self.close_connection = True
        self._head(answer.status, {"Content-Type": kind, "Connection": "close"})
        while data := answer.read1(65536):
            self.wfile.write(data)
            self.wfile.flush()

    def _answer(
        self, status: int, content: tuple[bytes, str], more: Mapping[str, str] | None = None
    ) -> None:
        body, kind = content
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(body)), **(more or {})})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """The terminal is the operator's."""


class _Daemon(http.client.HTTPConnection):
    """HTTP over the daemon's socket; a stream may be silent for as long as its keep-alive."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _text(text: str) -> tuple[bytes, str]:
    return f"{text}\n".encode(), "text/plain; charset=utf-8"


def _error(code: str, message: str) -> tuple[bytes, str]:
    return json.dumps({"code": code, "message": message}).encode(), "application/json"
