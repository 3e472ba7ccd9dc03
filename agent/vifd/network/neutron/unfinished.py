"""Ports whose binding to this host has no type or segment yet.

The service chooses them in the same breath in which it makes a port, and tells of the port before
and after that. Who asks in between has it do the same work twice, while the port waits. Where it
stands so, as after a binding that was given up for another host and taken back, it chooses once
somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vifd.network.neutron import translate

#: Seconds that the service is given to do it by itself.
OWN_TIME = 2.0


class Unfinished:
    """Not shared between threads.

    :param clock: in seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: by port, since when it is so
        self._since: dict[str, float] = {}

    def see(self, ports: Iterable[Mapping[str, Any]], host: str) -> None:
        """These are as the service says now."""
        now = self._clock()
        for port in ports:
            if translate.unfinished(port, host):
                self._since.setdefault(port["id"], now)
            else:
                self._since.pop(port["id"], None)

    def due(self, ports: Mapping[str, Mapping[str, Any]], host: str) -> list[str]:
        """Those that are to be asked for now, each once.

        :param ports: all that are here, by id
        """
        now = self._clock()
        stood = [i for i, since in self._since.items() if now - since >= OWN_TIME]
        for port_id in stood:
            del self._since[port_id]
        return [i for i in stood if i in ports and translate.unfinished(ports[i], host)]
