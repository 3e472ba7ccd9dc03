"""The socket that frames come by which rules hand over, and the thread that reads it."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import socket
from collections.abc import Callable

from vifd.drivers import netlink
from vifd.drivers.netlink import ACK, ERROR, REQUEST
from vifd.drivers.nft.objects import GROUP, Overheard
from vifd.drivers.nft.overheard import CONFIG, binding, overheard
from vifd.safety.steady import Steady

Callback = Callable[[Overheard], None]

LOG = logging.getLogger(__name__)

_SO_RCVBUFFORCE = 33
#: Bytes that wait in the socket; datagrams that are taken at once.
_BUFFER, _BURST = 1 << 20, 64
#: Seconds after which the kernel's answer is given up; it answers before ``send`` returns.
_TIMEOUT = 10.0


def bound() -> socket.socket:
    """A socket that hears the group, in the network namespace of the calling thread.

    :raises OSError: that cannot be: EPERM where another program hears it
    """
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    made = socket.socket(socket.AF_NETLINK, kind, netlink.NETFILTER)
    try:
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        made.bind((0, 0))
        made.settimeout(_TIMEOUT)
        made.send(netlink.pack(1, CONFIG, REQUEST | ACK, binding()))
        _judge(made)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def _judge(made: socket.socket) -> None:
    while True:
        for kind, _, _, payload in netlink.messages(made.recv(1 << 16)):
            if kind == ERROR:
                if number := netlink.failure(payload):
                    raise OSError(number, os.strerror(number))
                return


def problem(error: OSError) -> str:
    """Why the group cannot be heard."""
    if error.errno in (errno.EPERM, errno.EBUSY):
        return f"another program listens to group {GROUP} of nfnetlink_log"
    return (
        f"the kernel hands no packets over (module nfnetlink_log): {os.strerror(error.errno or 0)}"
    )


class Ear:
    """Calls back with each frame, on a thread of its own."""

    def __init__(self, made: socket.socket, callback: Callback) -> None:
        self._socket, self.callback = made, callback
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._full = False
        self._thread = Steady(self._run, "nft-logs")
        self._thread.start()

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while self._stop not in {file for file, _ in poll.poll()}:
            self._receive()

    def _receive(self) -> None:
        for _ in range(_BURST):
            try:
                datagram = self._socket.recv(1 << 17)
            except BlockingIOError:
                self._full = False
                return
            except OSError as error:
                self._lost(error)
                return
            for found in overheard(datagram):
                self._tell(found)

    def _tell(self, found: Overheard) -> None:
        try:
            self.callback(found)
        except Exception:
            LOG.exception("a packet that a rule handed over is not logged")

    def _lost(self, error: OSError) -> None:
        if not self._full:
            LOG.warning(
                "packets that logs of security groups are about were lost, uncounted: %s. Next: a "
                "lower [packet_log] rate in agent.conf, or fewer ports in a log", error,
            )  # fmt: skip
        self._full = True

    def close(self) -> None:
        """End the thread, and hear nothing."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self._socket.close()
        os.close(self._stop)
