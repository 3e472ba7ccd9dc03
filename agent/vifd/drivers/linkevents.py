"""The kernel's announcements about network devices, on a thread of their own."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
import threading
from collections.abc import Callable

from vifd.drivers import rtnl

LOG = logging.getLogger(__name__)

Callback = Callable[[str, bool], None]

#: Bytes asked for, so that a batch of a few hundred devices does not overrun the socket.
_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33


def open_socket() -> socket.socket:
    """A socket that hears of devices of the calling thread's network namespace."""
    sock = socket.socket(
        socket.AF_NETLINK,
        socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
        socket.NETLINK_ROUTE,
    )
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    sock.bind((0, rtnl.RTMGRP_LINK))
    return sock


class LinkEvents:
    """Calls back for each change. Lost announcements are told as ``("", True)``."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._callbacks: tuple[Callback, ...] = ()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="link-events", daemon=True)
        self._thread.start()

    def add(self, callback: Callback) -> None:
        """Call this one as well from now on."""
        self._callbacks = (*self._callbacks, callback)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while True:
            ready = {file for file, _ in poll.poll()}
            if self._stop in ready:
                return
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(0x1_0000)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                LOG.warning("link events: %s", error)
            self._tell("", True)
            return
        for name, exists in rtnl.changes(data):
            self._tell(name, exists)

    def _tell(self, name: str, exists: bool) -> None:
        for callback in self._callbacks:
            try:
                callback(name, exists)
            except Exception:
                LOG.exception("a subscriber to link events failed on %r", name)

    def close(self) -> None:
        """End the thread and close the socket."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self._socket.close()
        os.close(self._stop)
