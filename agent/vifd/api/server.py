"""The HTTP server on a unix socket, with the credentials of every peer."""

from __future__ import annotations

import contextlib
import errno
import grp
import logging
import os
import socket
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vifd import errors
from vifd.api.admission import Admission, Shares
from vifd.api.app import Api
from vifd.api.auth import Access, Peer
from vifd.api.chunks import StrictChunks
from vifd.api.hub import Hub
from vifd.api.protocol import MAX_LINE, CodedProtocol, refusal_answer
from vifd.safety import limits

# isort: split
# After vifd.api.hub, which silences the deprecation warning.
from eventlet import GreenPool, greenio, hubs, wsgi

LOG = logging.getLogger(__name__)

_UCRED = struct.Struct("=iII")
#: Linux 4.13 and later; the number is the same on all architectures that run hypervisors.
_SO_PEERGROUPS = 59
#: The interpreter's bound for socket options: 256 groups. Of a peer in more of them none counts.
_GROUPS_SIZE = 1024
#: Connections that wait to be judged, as many as Linux allows by default (net.core.somaxconn).
_QUEUE = 4096
#: Seconds between two log lines that say that there is no place.
QUIET = 10.0


class SocketError(Exception):
    """The socket cannot be had; the text says why and what to do."""


class Address(NamedTuple):
    """What the server library takes for the client's address."""

    host: str
    port: int
    peer: Peer


@dataclass(frozen=True)
class Limits:
    """Bounds of the server.

    :param connections: clients at a time; see :mod:`vifd.api.admission` for whom
    :param idle: seconds for which a connection is kept without a request
    :param stall: seconds after which a client that neither sends nor takes data is dropped
    :param head: seconds in which the head of a request has to come once it has begun
    :param body: seconds in which its body has to come
    """

    connections: int = 1024
    idle: float = 75.0
    stall: float = 20.0
    head: float = 10.0
    body: float = 30.0


class Body(StrictChunks, wsgi.Input):  # type: ignore[misc]
    """The body of a request."""

    @property
    def complete(self) -> bool:
        """Whether all of it was read."""
        if self.chunked_input:
            return bool(self.chunk_length == 0)
        return bool(self.position >= (self.content_length or 0))


class Protocol(CodedProtocol, wsgi.HttpProtocol):  # type: ignore[misc]
    """One HTTP connection."""

    def setup(self) -> None:
        self._timer: Any = None
        self._late = False
        super().setup()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        finally:
            self._cancel()

    def finish(self) -> None:
        self._cancel()
        super().finish()

    def _begin(self, what: str) -> None:
        self._cancel()
        seconds = getattr(self.server.limits, what)
        self._timer = hubs.get_hub().schedule_call_global(seconds, self._expire, what)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _expire(self, what: str) -> None:
        """Let whoever reads from the client come to the end."""
        if what == "body" and self.environ["wsgi.input"].complete:
            return
        self._late = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)

    def _expired(self) -> bool:
        return self._late

    def _known(self) -> bool:
        access: Access = self.server.access(self.client_address.peer)
        return access is not Access.NONE

    def get_environ(self) -> dict[str, Any]:
        environ = super().get_environ()
        old = environ["wsgi.input"]
        environ["wsgi.input"] = environ["eventlet.input"] = Body(
            old.rfile, old.content_length, self.connection, wfile=old.wfile,
            wfile_line=old.wfile_line, chunked_input=old.chunked_input,
        )  # fmt: skip
        return environ


def listen(path: str, mode: int = 0o660, group: str | int | None = None) -> socket.socket:
    """A listening socket at ``path``.

    Until it listens nobody can connect, so owner and mode are in place before the first client.

    :param group: name or number of the group that owns it; ``None`` leaves the daemon's own
    :raises SocketError: another daemon answers there, or the path or group cannot be used
    """
    gid = _gid(group)
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        if gid is not None:
            os.chown(path, -1, gid)
        os.chmod(path, mode)
        sock.listen(_QUEUE)
    except OSError as error:
        sock.close()
        raise SocketError(f"cannot listen on {path}: {_why(path, error)}") from error
    return sock


def _why(path: str, error: OSError) -> str:
    """What is wrong, and what helps: most meet it at their first start."""
    place, uid = os.path.dirname(path) or ".", os.geteuid()
    said = error.strerror or str(error)
    if error.errno == errno.ENOENT:
        return (
            f"the directory {place} does not exist. Next: start vifd by its unit (systemctl start "
            f"vifd), which makes it, or make it: install -d -m 0755 {place}"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{said} for uid {uid} in {place}. Next: start vifd by its unit (systemctl start vifd) "
            "or as root, or set [api] socket to a place where this user may write"
        )
    return said


def _gid(group: str | int | None) -> int | None:
    if group is None or isinstance(group, int):
        return group
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise SocketError(
            f"group {group!r} of the API socket does not exist. Next: make it (groupadd --system "
            f"{group}), or correct [api] socket_group"
        ) from None


def _clear(path: str) -> None:
    """Remove a socket that nobody listens on any more; refuse everything else."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketError(f"cannot look at {path}: {_why(path, error)}") from error
    if not stat.S_ISSOCK(kind):
        raise SocketError(f"{path} exists and is not a socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
            return
        except OSError as error:
            raise SocketError(f"{path} is in use ({error}); stop its owner first") from error
    raise SocketError(f"another daemon answers on {path}; stop it first")


def peer_of(sock: Any) -> Peer:
    """The credentials that the kernel noted when the client connected."""
    pid, uid, gid = _UCRED.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    )
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_SIZE)
    except OSError:
        raw = b""
    groups = frozenset(struct.unpack(f"={len(raw) // 4}I", raw))
    return Peer(uid, gid, pid, groups)


class Server:
    """Serves the API on a listening socket until it is stopped."""

    def __init__(
        self,
        hub: Hub,
        api: Api,
        listener: socket.socket,
        limits: Limits = Limits(),
    ) -> None:
        self._hub = hub
        self._api = api
        self._path = listener.getsockname()
        self._inode = os.lstat(self._path).st_ino
        self._listener = greenio.GreenSocket(listener)
        self._pool = GreenPool(limits.connections)
        self._admission = Admission(Shares.of(limits.connections), os.geteuid())
        self._told_full = 0.0
        # [address, socket, state], as the library keeps it
        self._connections: dict[int, list[Any]] = {}
        self._accepted = 0
        self._stopping = False
        self._wsgi = wsgi.Server(
            self._listener,
            self._path,
            api.wsgi,
            protocol=Protocol,
            max_http_version="HTTP/1.1",
            keepalive=limits.idle,
            socket_timeout=limits.stall,
            url_length_limit=MAX_LINE,
            # Every piece of a stream goes out at once instead of being collected into 4 KiB.
            minimum_chunk_size=1,
            log_output=False,
            debug=False,
        )
        self._wsgi.limits = limits
        self._wsgi.access = lambda peer: api.policy.access(peer)

    def start(self) -> None:
        """Begin to accept."""
        self._hub.spawn(self._accept)
        LOG.debug("API on %s", self._path)

    def stop(self, grace: float = 5.0) -> None:
        """Accept no more, end streams and waits, let answers go out, drop what remains.

        From a green thread.

        :param grace: seconds for running requests
        """
        if self._stopping:
            return
        self._stopping = True
        self._unlink()
        greenio.shutdown_safe(self._listener)
        self._api.stop()
        end = time.monotonic() + grace
        while self._connections and time.monotonic() < end:
            self._close(idle_only=True)
            self._hub.sleep(0.005)
        self._close(idle_only=False)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                client, _ = self._listener.accept()
            except OSError as error:
                if self._closed():
                    return
                # Out of descriptors, say: the backlog waits until connections have ended.
                if error.errno not in (errno.ECONNABORTED, errno.EPROTO):
                    self._complain(limits.word(error) or f"{error}")
                    self._hub.sleep(0.1)
                continue
            try:
                self._admit(client)
            except Exception:
                LOG.exception("a connection cannot be served")
                client.close()

    def _closed(self) -> bool:
        return self._stopping

    def _complain(self, problem: str) -> None:
        """Once in a while: it is tried ten times a second."""
        now = time.monotonic()
        if now - self._told_full > QUIET:
            self._told_full = now
            LOG.warning("cannot accept on %s: %s", self._path, problem)

    def _admit(self, client: Any) -> None:
        """Judge the peer, and serve it where there is a place for it."""
        peer = peer_of(client)
        access = self._api.policy.access(peer)
        refusal = self._admission.admit(peer, access)
        if refusal:
            self._turn_away(client, peer, refusal)
            return
        self._accepted += 1
        self._pool.spawn_n(self._serve, self._accepted, client, peer, access)

    def _turn_away(self, client: Any, peer: Peer, refusal: str) -> None:
        """An answer for one who has no place, at once and without waiting for a request."""
        now = time.monotonic()
        if now - self._told_full > QUIET:
            self._told_full = now
            LOG.warning(
                "refused: too many %s: uid %d pid %d. Next: find who holds them (ss -xp)",
                refusal, peer.uid, peer.pid,
            )  # fmt: skip
        limit = self._admission.shares.total
        error = errors.Busy(facts={"limit": limit, "what": refusal}, retry_after=1)
        client.setblocking(False)
        with contextlib.suppress(OSError):
            client.send(refusal_answer(error))
            client.shutdown(socket.SHUT_WR)
        client.close()

    def _serve(self, number: int, client: Any, peer: Peer, access: Access) -> None:
        """One connection from beginning to end."""
        try:
            client.settimeout(self._wsgi.socket_timeout)
            state = [Address("unix", number, peer), client, wsgi.STATE_IDLE]
            self._connections[number] = state
            self._wsgi.process_request(state)
        except OSError as error:
            LOG.debug("connection %d ended: %s", number, error)
        except BaseException:
            # none may end the event loop
            LOG.exception("connection %d failed", number)
        finally:
            self._connections.pop(number, None)
            client.close()
            self._admission.leave(peer, access)

    def _close(self, *, idle_only: bool) -> None:
        for connection in list(self._connections.values()):
            if connection[2] == wsgi.STATE_IDLE or not idle_only:
                greenio.shutdown_safe(connection[1])
            connection[2] = wsgi.STATE_CLOSE

    def _unlink(self) -> None:
        """Remove the socket's name, unless another daemon has taken it."""
        try:
            if os.lstat(self._path).st_ino == self._inode:
                Path(self._path).unlink()
        except OSError as error:
            LOG.debug("socket %s: %s", self._path, error)
