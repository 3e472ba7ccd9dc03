"""The kernel's announcements about network devices, on a thread of their own."""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
from collections.abc import Callable, Iterable, Iterator

from pyroute2.netlink.rtnl import RTMGRP_LINK

from vifd.drivers import neighevents, netlink, rtnl
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

Callback = Callable[[str, bool], None]

#: Bytes asked for, so that a batch of a few hundred devices does not overrun the socket.
_BUFFER = 4 << 20
#: Milliseconds in which announcements collect. The kernel makes eight while a tap is made, and
#: waking for each would hold up the thread that makes it.
_LINGER = 2
#: So many announcements are taken at once: more than the buffer holds.
_BURST = 1 << 14
_DATAGRAM = 0x1_0000
#: Milliseconds after which it is asked for what is not announced.
_PERIOD = 400


def open_sockets() -> tuple[socket.socket, socket.socket]:
    """Sockets that hear of devices, and of what belongs to them, in the calling thread's network
    namespace."""
    links = netlink.open_socket(netlink.ROUTE, groups=RTMGRP_LINK, buffer=_BUFFER)
    links.setblocking(False)
    try:
        return links, neighevents.open_socket()
    except BaseException:
        links.close()
        raise


def news(told: Iterable[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """What is told of each device, without saying the same of it twice in a row."""
    latest: dict[str, bool] = {}
    for name, exists in told:
        if latest.get(name) is not exists:
            latest[name] = exists
            yield name, exists


class LinkEvents:
    """Calls back for each change. Lost announcements are told as ``("", True)``.

    Announcements that are there together and say the same of a device are told once, after all of
    them were taken: whoever then reads the device sees what the last one announced. A static
    forwarding entry, or an address, is a change of its device.

    :param socks: of :func:`open_sockets`
    :param name_of: the name of a device by its index, empty for one that is gone
    :param unannounced: asked several times a second, whether something changed without a word
    """

    def __init__(
        self, socks: tuple[socket.socket, socket.socket],
        name_of: Callable[[int], str],
        unannounced: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._socket, self._belongings = socks
        self._name_of = name_of
        self._unannounced = unannounced
        self._callbacks: tuple[Callback, ...] = ()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = Steady(self._run, "link-events")
        self._thread.start()

    def add(self, callback: Callback) -> None:
        """Call this one as well from now on."""
        self._callbacks = (*self._callbacks, callback)

    def _run(self) -> None:
        stopped, either = select.poll(), select.poll()
        stopped.register(self._stop, select.POLLIN)
        either.register(self._stop, select.POLLIN)
        either.register(self._socket, select.POLLIN)
        either.register(self._belongings, select.POLLIN)
        while True:
            either.poll(_PERIOD)
            if stopped.poll(_LINGER):
                return
            if self._unannounced():
                self._tell("", True)
            for name, exists in (*self._burst(), *self._of_devices()):
                self._tell(name, exists)

    def _burst(self) -> list[tuple[str, bool]]:
        """What the announcements that are there tell, without repetition.

        After a loss the kernel drops everything until the socket is empty, and says so only once:
        so it is emptied first, and the loss is told last.
        """
        told: list[tuple[str, bool]] = []
        lost = []
        for _ in range(_BURST):
            try:
                told += rtnl.changes(self._socket.recv(_DATAGRAM))
            except BlockingIOError:
                break
            except OSError as error:
                lost = [("", True)]
                if error.errno == errno.ENOBUFS:
                    continue
                LOG.warning("link events: %s", error)
                break
        return [*news(told), *lost]

    def _of_devices(self) -> list[tuple[str, bool]]:
        """The devices with an entry or an address that changed."""
        indices: set[int] = set()
        for _ in range(_BURST):
            try:
                indices |= neighevents.devices(self._belongings.recv(_DATAGRAM))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    LOG.warning("events of forwarding tables and addresses: %s", error)
                return [("", True)]
        return [(name, True) for name in map(self._name_of, sorted(indices)) if name]

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
        self._belongings.close()
        os.close(self._stop)
