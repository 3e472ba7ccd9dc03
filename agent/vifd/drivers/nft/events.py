"""The kernel's announcements that somebody changed the rules, on a thread of their own."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
from collections.abc import Callable

from vifd.drivers.netlink import HEADER
from vifd.drivers.nft import nl
from vifd.safety.steady import Steady

Callback = Callable[[str], None]

LOG = logging.getLogger(__name__)

_NETFILTER, _GROUP_NFTABLES = 12, 7
_SO_RCVBUFFORCE = 33
#: Bytes asked for: every object of a change is announced.
_BUFFER = 4 << 20
#: Milliseconds in which announcements collect, and so many datagrams are taken at once: our own
#: changes are announced as well, object by object, in the middle of a plug.
_LINGER, _BURST = 3, 256


def open_socket() -> socket.socket:
    """A socket that hears of the rules of the calling thread's network namespace."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    sock = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    sock.bind((0, 1 << (_GROUP_NFTABLES - 1)))
    return sock


def foreign(data: bytes, own: int) -> set[str]:
    """The tables that a datagram tells of a change of, made by another socket.

    :param own: the netlink address of our socket
    """
    tables = set()
    offset = 0
    while offset + HEADER.size <= len(data):
        size, kind, _, _, sender = HEADER.unpack_from(data, offset)
        if size < HEADER.size:
            break
        if sender != own and nl.NEWTABLE <= kind <= nl.DELELEM:
            tables.add(nl.table_of(data[offset + HEADER.size : offset + size]))
        offset += (size + 3) & ~3
    return tables


class NftEvents:
    """Calls back with each table that another socket changed; lost announcements are told as an
    empty name.

    :param own: the netlink address of the socket whose changes are not told
    """

    def __init__(self, sock: socket.socket, own: int) -> None:
        self._socket = sock
        self._own = own
        self._callbacks: tuple[Callback, ...] = ()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = Steady(self._run, "nft-events")
        self._thread.start()

    def add(self, callback: Callback) -> None:
        """Call this one as well from now on."""
        self._callbacks = (*self._callbacks, callback)

    def _run(self) -> None:
        poll, stopped = select.poll(), select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        stopped.register(self._stop, select.POLLIN)
        while True:
            if self._stop in {file for file, _ in poll.poll()} or stopped.poll(_LINGER):
                return
            for table in self._receive():
                self._tell(table)

    def _receive(self) -> set[str]:
        """The tables that what is there tells of."""
        tables: set[str] = set()
        for _ in range(_BURST):
            try:
                tables |= foreign(self._socket.recv(1 << 16), self._own)
            except BlockingIOError:
                break
            except OSError as error:
                LOG.debug("nftables events: %s", error)
                return {*tables, ""}
        return tables

    def _tell(self, table: str) -> None:
        for callback in self._callbacks:
            try:
                callback(table)
            except Exception:
                LOG.exception("a subscriber to nftables events failed")

    def close(self) -> None:
        """End the thread and close the socket."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self._socket.close()
        os.close(self._stop)
