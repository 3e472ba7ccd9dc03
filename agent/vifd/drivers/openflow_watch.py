"""The thread that minds idle OpenFlow connections.

A connection belongs to its caller while a request is under way, and to this thread otherwise: it
answers echo requests, sees a connection drop at once, makes it anew, and tells the subscribers.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

from vifd.openflow.monitor import Update
from vifd.openflow.packetin import PacketIn
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

_IDLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT

Callback = Callable[[str, bool], None]
#: Told of changes to the flows of a bridge that others made.
Changed = Callable[[str, Sequence[Update]], None]
#: Told of a port of a bridge whose settings or state changed.
PortChanged = Callable[[str, str], None]
#: Told of a frame that a flow of a bridge handed over.
Handed = Callable[[str, PacketIn], None]
_News = bool | str | PacketIn | Sequence[Update]


class Minded(Protocol):
    """What the watcher asks of a bridge's link."""

    def attend(self) -> None:
        """Something came in on the idle connection."""

    def revive(self) -> float | None:
        """Connect again if that is due; seconds until the next attempt, or ``None``."""


class Watcher:
    """One native thread for all connections of a driver; it starts with the first of them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._alarm, select.EPOLLIN)
        self._links: dict[int, Minded] = {}
        self._minded: tuple[Minded, ...] = ()
        self._news: SimpleQueue[tuple[str, _News]] = SimpleQueue()
        self._callbacks: tuple[Callback, ...] = ()
        self._observers: tuple[Changed, ...] = ()
        self._of_ports: tuple[PortChanged, ...] = ()
        self._of_frames: tuple[Handed, ...] = ()
        self._lock = threading.Lock()
        self._thread: Steady | None = None
        self._closing = False

    # --- for the links ----------------------------------------------------------------------------

    def mind(self, link: Minded) -> None:
        """Have the link revived whenever it is down."""
        with self._lock:
            self._minded = (*self._minded, link)
            if self._thread is None:
                self._thread = Steady(self._run, "openflow")
                self._thread.start()
        self.wake()

    def unmind(self, link: Minded) -> None:
        """Leave the link alone from now on."""
        with self._lock:
            self._minded = tuple(other for other in self._minded if other is not link)

    def add(self, fd: int, link: Minded) -> None:
        """Know a new connection, at first in the hands of its caller."""
        self._links[fd] = link
        self._epoll.register(fd, 0)

    def remove(self, fd: int) -> None:
        """Forget a connection that is about to be closed."""
        self._links.pop(fd, None)
        self._epoll.unregister(fd)

    def arm(self, fd: int) -> None:
        """The connection is idle from now on; what has come in meanwhile counts as well."""
        self._epoll.modify(fd, _IDLE)

    def disarm(self, fd: int) -> None:
        """The connection is in a caller's hands."""
        self._epoll.modify(fd, select.EPOLLONESHOT)

    def tell(self, bridge: str, connected: bool) -> None:
        """Let the subscribers know; they are called on the watcher's thread."""
        self._news.put((bridge, connected))
        self.wake()

    @property
    def watched(self) -> bool:
        """Whether anybody wants to know of changes of flows or ports, or of frames."""
        return bool(self._observers or self._of_ports or self._of_frames)

    @property
    def listened(self) -> bool:
        """Whether anybody wants frames."""
        return bool(self._of_frames)

    def tell_changes(self, bridge: str, updates: Sequence[Update]) -> None:
        """Let those know who watch the flows; they are called on the watcher's thread."""
        self._news.put((bridge, updates))
        self.wake()

    def tell_port(self, bridge: str, port: str) -> None:
        """Let those know who watch the ports; they are called on the watcher's thread."""
        self._news.put((bridge, port))
        self.wake()

    def tell_frame(self, bridge: str, handed: PacketIn) -> None:
        """Let those know who listen for frames; they are called on the watcher's thread."""
        self._news.put((bridge, handed))
        self.wake()

    def wake(self) -> None:
        """Have the thread look at everything anew."""
        os.eventfd_write(self._alarm, 1)

    def subscribe(self, callback: Callback) -> None:
        """Add a subscriber."""
        with self._lock:
            self._callbacks = (*self._callbacks, callback)

    def watch(self, callback: Changed) -> None:
        """Add somebody who watches the flows."""
        with self._lock:
            self._observers = (*self._observers, callback)

    def watch_ports(self, callback: PortChanged) -> None:
        """Add somebody who watches the ports."""
        with self._lock:
            self._of_ports = (*self._of_ports, callback)

    def listen(self, callback: Handed) -> None:
        """Add somebody who listens for frames."""
        with self._lock:
            self._of_frames = (*self._of_frames, callback)

    def close(self) -> None:
        """End the thread. The links are closed by their owner before."""
        self._closing = True
        self.wake()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._epoll.close()
        os.close(self._alarm)

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            patience = self._revive()
            self._announce()
            for fd, _ in self._epoll.poll(patience):
                self._turn(fd)

    def _turn(self, fd: int) -> None:
        if fd == self._alarm:
            os.eventfd_read(fd)
            return
        link = self._links.get(fd)
        if link is not None:
            link.attend()

    def _revive(self) -> float | None:
        waits = [wait for link in self._minded if (wait := link.revive()) is not None]
        return min(waits, default=None)

    def _announce(self) -> None:
        while True:
            try:
                bridge, news = self._news.get_nowait()
            except Empty:
                return
            calls: list[Callable[[], None]]
            if isinstance(news, bool):
                calls = [partial(call, bridge, news) for call in self._callbacks]
            elif isinstance(news, str):
                calls = [partial(call, bridge, news) for call in self._of_ports]
            elif isinstance(news, PacketIn):
                calls = [partial(call, bridge, news) for call in self._of_frames]
            else:
                calls = [partial(call, bridge, news) for call in self._observers]
            for call in calls:
                try:
                    call()
                except Exception:
                    LOG.exception("subscriber of OpenFlow connections failed for %s", bridge)


def backoff(failures: int) -> float:
    """Seconds to wait after so many failed attempts: 0.05 doubling to 0.2.

    An attempt in vain costs microseconds, and every port waits for the one that succeeds.
    """
    return min(0.2, 0.05 * 2.0 ** min(failures, 8))


def now() -> float:
    """The clock of all deadlines."""
    return time.monotonic()
