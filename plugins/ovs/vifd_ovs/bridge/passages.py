"""Whether frames of a network pass its physical bridge, whose flows are others': by the switch's
own trace, once a network and state of that bridge as long as they pass. Traces for each port are
for who asks why."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from vifd.drivers import Tracer
from vifd.model import Evidence
from vifd_ovs.bridge import beyond
from vifd_ovs.bridge.bridges import Bridges

#: After so many seconds it is asked anew whatever was told: a switch need not tell.
AGE = 30.0
_Key = tuple[str, str, int | None]


class Passages:
    """Remembers what passes. What does not is asked for by every check: it may be for more than the
    flows of that bridge, such as settings of a port, and may be over when these are.

    :param state: of the flows of others on a bridge
    """

    def __init__(
        self, state: Callable[[str], Hashable], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._state = state
        self._clock = clock
        self._known: dict[_Key, tuple[Hashable, float, list[Evidence]]] = {}

    def evidence(self, tracer: Tracer, bridges: Bridges, way: beyond.Way) -> list[Evidence]:
        """What becomes of broadcasts of the network, from its guests and from outside."""
        if not way.uplinks or not way.port.is_open:
            return []
        key, now = (way.bridge, way.physical, way.vlan), self._clock()
        # who reads the flows of a bridge once is told of their changes from then on
        state = (self._state(way.physical), repr(bridges.ovsdb.bridge(way.physical)))
        known = self._known.get(key)
        if known is not None and known[0] == state and now - known[1] < AGE:
            return known[2]
        found = beyond.broadcasts(tracer, way)
        # what is lost before that bridge is the port's own, and its checks say so
        if not found or any(not f.ok and not f.fact.startswith("uplink.") for f in found):
            return []
        if all(f.ok for f in found):
            self._known[key] = (state, now, found)
        return found
