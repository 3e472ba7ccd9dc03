"""Flows that are not ours, on any bridge: read once, and anew when the switch tells of a change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from vifd.drivers import OpenFlow
from vifd.openflow.flow import Flow, by_key
from vifd.openflow.monitor import Update
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.overlap import reached
from vifd_ovs.bridge.passages import Passages

#: After so many seconds it is read anew whatever was told: a switch need not tell.
AGE = 30.0


class Strangers:
    """Remembers them, so that a check of a port costs no reading of all flows.

    Only what does not bear our mark is asked for: bit by bit of the mark, those that have another
    one there. A bridge with ten thousand flows of ours answers nothing then.
    """

    def __init__(self, openflow: OpenFlow, clock: Callable[[], float] = time.monotonic) -> None:
        self._openflow = openflow
        self._clock = clock
        self._lock = threading.Lock()
        #: how often something changed, by bridge
        self._changes: dict[str, int] = {}
        #: what was read, and of which state and when
        self._known: dict[str, tuple[tuple[int, int], float, list[Flow]]] = {}
        #: whether frames pass the bridges of others
        self.passages = Passages(self._state, clock)
        openflow.watch(self._changed)

    def _changed(self, bridge: str, updates: Sequence[Update]) -> None:
        if any(not cookies.ours(update.cookie) for update in updates):
            with self._lock:
                self._changes[bridge] = self._changes.get(bridge, 0) + 1

    def of(self, bridge: str, *, anew: bool = False) -> list[Flow]:
        """The flows of others on a bridge that our flows lead to, or that stand above them.

        :param anew: whatever is remembered
        :raises VifError: they cannot be read
        """
        state, now = self._state(bridge), self._clock()
        known = self._known.get(bridge)
        if not anew and known is not None and known[0] == state and now - known[1] < AGE:
            return known[2]
        # a change meanwhile is one of another state
        found = self._read(bridge)
        self._known[bridge] = (state, now, found)
        return found

    def _state(self, bridge: str) -> tuple[int, int]:
        with self._lock:
            changes = self._changes.get(bridge, 0)
        return changes, self._openflow.generation(bridge)

    def _read(self, bridge: str) -> list[Flow]:
        found: dict[tuple[int, int, bytes], Flow] = {}
        for cookie, mask in cookies.OTHERS:
            found |= by_key(self._openflow.dump(bridge, cookie, mask))
        # most flows of an agent that shares the bridge stand below ours, and are looked at once
        return [flow for flow in found.values() if reached(flow)]
