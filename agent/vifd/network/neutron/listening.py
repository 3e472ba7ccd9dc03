"""Which topics are listened to: those of the versions that are spoken, and what is told besides."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from vifd.network.neutron.bus import ECHO, Bus, Handler
from vifd.network.neutron.echo import Echo
from vifd.network.neutron.server import Server


class Listening:
    """Goes over from one set of versions to another without missing a change: the new topics are
    listened to, then the servers are told, then the old ones are left.

    :param others: topics that have nothing to do with versions
    :ivar unsaid: the servers have yet to be told which versions are spoken
    :ivar echo: whether all of it is heard
    """

    def __init__(
        self, bus: Bus, server: Server, others: Sequence[str], handler: Handler
    ) -> None:  # fmt: skip
        self._bus = bus
        self._server = server
        self._handler = handler
        self._others = tuple(others)
        self._lock = threading.Lock()
        self._heard = {*server.versions.topics}
        self.unsaid = True
        self.echo = Echo(bus.echo)
        bus.listen([*server.versions.topics, *others], self._hand_over)

    def call(self, timeout: float) -> bool:
        """Whether what is told under every topic reaches this host, found out within some seconds.

        :raises Exception: the bus is away
        """
        with self._lock:
            topics = [*self._heard, *self._others]
        self.echo.call(topics)
        return self.echo.complete(timeout)

    def agree(self, known: Mapping[str, str], *, anew: bool) -> bool:
        """Agree on the versions; whether the servers have to be told of others.

        :param known: by type, the id of an object that is there
        :param anew: once more, because the servers may be others by now
        :raises Exception: the server could not be asked
        """
        if not anew and not self._server.versions.unsure(known):
            return False
        if not self._server.agree(known):
            return False
        self._turn()
        return True

    def forget(self) -> None:
        """A server is there that does not have what was agreed on: speak the oldest versions."""
        self._server.versions.forget()
        self._turn()

    def _turn(self) -> None:
        with self._lock:
            new = [t for t in self._server.versions.topics if t not in self._heard]
            self._bus.listen(new, self._hand_over)
            self._heard |= {*new}
            self.unsaid = True

    def said(self, versions: Mapping[str, str]) -> None:
        """The servers were told of these versions."""
        with self._lock:
            if versions != self._server.versions.chosen:
                return
            old = self._heard - {*self._server.versions.topics}
            self._bus.leave(sorted(old))
            self._heard -= old
            self.echo.forget(old)
            self.unsaid = False

    def _hand_over(self, method: str, arguments: Mapping[str, Any]) -> None:
        if method == ECHO:
            self.echo.heard(str(arguments.get("topic")), str(arguments.get("word")))
        else:
            self._handler(method, arguments)
