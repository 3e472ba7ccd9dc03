"""The connection to one bridge, through its losses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from vifd.drivers.openflow_bundle import CommitLost
from vifd.drivers.openflow_connection import (
    PROBE,
    Connection,
    ConnectionLost,
    Silent,
    VersionRefused,
)
from vifd.drivers.openflow_watch import Watcher, backoff, now
from vifd.openflow import monitor, packetin, portdesc
from vifd.openflow.message import Message, Type

LOG = logging.getLogger(__name__)

T = TypeVar("T")
#: A piece of work on a connection, with the deadline.
Work = Callable[[Connection, float], T]

#: Seconds that the watcher grants a handshake; it serves all bridges and may not wait long. So long
#: a caller waits for a switch that has just given no answer, and no longer: it may wait for many.
_PATIENCE = 1.0


class Link:
    """One bridge's connection: made when needed, made anew when lost.

    :param path: the bridge's management socket
    """

    def __init__(self, bridge: str, path: str, watcher: Watcher) -> None:
        self.bridge = bridge
        self.generation = 0
        self._path = path
        self._watcher = watcher
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._closed = False
        self._failures = 0
        #: whether the last that was heard of the switch is that it gives no answer
        self._silent = False
        self._retry_at = now() + backoff(0)

    def run(self, work: Work[T], timeout: float) -> T:
        """Do the work on the connection; once more, on a new one, if the old one turns out dead.

        :param timeout: seconds in all, waiting for other callers included
        :raises ConnectionLost: no connection, or lost
        :raises VersionRefused: no common version
        """
        if self._silent:
            timeout = min(timeout, _PATIENCE)
        deadline = now() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise ConnectionLost(f"busy for {timeout} s")
        try:
            old = self._connection
            if old is not None:
                self._watcher.disarm(old.fileno())
                try:
                    return self._work(old, work, deadline)
                except CommitLost:
                    raise
                except ConnectionLost as lost:
                    # a new connection to a process that hangs is waited for as long
                    if isinstance(lost, Silent) or now() >= deadline:
                        raise
            return self._work(self._connect(deadline), work, deadline)
        finally:
            self._lock.release()

    def _work(self, connection: Connection, work: Work[T], deadline: float) -> T:
        try:
            return work(connection, deadline)
        except ConnectionLost as lost:
            self._drop(lost)
            raise
        finally:
            if self._connection is connection:
                self._watcher.arm(connection.fileno())

    def _connect(self, deadline: float) -> Connection:
        if self._closed:
            raise ConnectionLost("closed")
        try:
            watcher = self._watcher
            note = self._noted if watcher.watched else None
            connection = Connection(self._path, deadline, note, packets=watcher.listened)
        except (ConnectionLost, VersionRefused) as error:
            self._retry_at = now() + backoff(self._failures)
            self._failures += 1
            self._silent = isinstance(error, Silent)
            raise
        self._failures, self._silent = 0, False
        self._connection = connection
        self._watcher.add(connection.fileno(), self)
        self._watcher.tell(self.bridge, connected=True)
        LOG.info("bridge %s: flow connection made", self.bridge)
        return connection

    def _noted(self, message: Message) -> None:
        """The switch tells of changes; those that others made are passed on."""
        try:
            if (port := portdesc.told(message)) is not None:
                self._watcher.tell_port(self.bridge, port)
                return
            if message.type == Type.PACKET_IN:
                self._watcher.tell_frame(self.bridge, packetin.handed(message))
                return
            found = list(monitor.updates(message))
        except ValueError as error:
            LOG.warning("bridge %s: %s", self.bridge, error)
            return
        if found:
            self._watcher.tell_changes(self.bridge, found)

    def _drop(self, reason: ConnectionLost) -> None:
        """Close the connection. From here on no flow may be taken for granted."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._silent = isinstance(reason, Silent)
        self.generation += 1
        self._retry_at = now() + backoff(0)
        self._watcher.remove(connection.fileno())
        connection.close()
        self._watcher.tell(self.bridge, connected=False)
        LOG.warning("bridge %s: flow connection lost: %s", self.bridge, reason)

    def close(self) -> None:
        """Close for good."""
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is not None:
                self._watcher.remove(connection.fileno())
                connection.close()

    # --- for the watcher --------------------------------------------------------------------------

    def attend(self) -> None:
        """Something came in on the idle connection. One that is in use is its caller's affair."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._connection is not None:
                self._connection.idle()
                self._watcher.arm(self._connection.fileno())
        except ConnectionLost as lost:
            self._drop(lost)
        finally:
            self._lock.release()

    def revive(self) -> float | None:
        """Connect again if that is due, and ask an idle switch for a word; seconds until the next
        time, ``None`` if there is none."""
        if self._closed:
            return None
        if self._connection is not None:
            return self._probe()
        wait = self._retry_at - now()
        if wait > 0:
            return wait
        if not self._lock.acquire(blocking=False):
            return backoff(0)
        try:
            if self._connection is None:
                self._watcher.arm(self._connect(now() + _PATIENCE).fileno())
        except (ConnectionLost, VersionRefused):
            return max(0.0, self._retry_at - now())
        finally:
            self._lock.release()
        return PROBE

    def _probe(self) -> float:
        """A switch that hangs keeps its connections."""
        if not self._lock.acquire(blocking=False):
            return PROBE  # somebody waits for an answer himself
        try:
            if self._connection is None:
                return backoff(0)
            left = self._connection.probe(now())
            # what came in was taken, so the next message has to wake somebody again
            self._watcher.arm(self._connection.fileno())
        except ConnectionLost as lost:
            self._drop(lost)
            return backoff(0)
        else:
            return left
        finally:
            self._lock.release()
