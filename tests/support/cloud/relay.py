"""A loopback port of another network namespace that leads to the same port of this one: a host of a
test reaches the bus, whatever its network is."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

_CLONE_NEWNET = 0x4000_0000


class Relay:
    """Takes connections there, and makes one here for each, as a context manager.

    :param pid: a process in the other namespace
    """

    def __init__(self, pid: int, port: int) -> None:
        self._port = port
        with ThreadPoolExecutor(1) as thread:
            # A socket stays in the namespace in which it was made.
            self._server = thread.submit(_listening, pid, port).result()
        self._open: list[socket.socket] = [self._server]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                there, _ = self._server.accept()
                self._open.append(there)
                try:
                    here = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    there.close()
                    continue
                self._open.append(here)
                for pair in ((there, here), (here, there)):
                    threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _listening(pid: int, port: int) -> socket.socket:
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)
    return socket.create_server(("127.0.0.1", port))


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)
