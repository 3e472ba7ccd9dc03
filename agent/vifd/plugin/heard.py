"""The frames by which guests announced themselves at closed ports, until those are open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Seconds in which a port's further frames tell nothing new.
PAUSE = 1.0


@dataclass
class HeardFrames:
    """By port; from any thread."""

    clock: Callable[[], float] = time.monotonic
    #: when it was heard, and the first frame
    _heard: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, port_id: str, frame: bytes) -> bool:
        """A frame of a port; whether that is news."""
        now = self.clock()
        with self._lock:
            known = self._heard.get(port_id)
            if known is not None and now - known[0] < PAUSE:
                return False
            self._heard[port_id] = now, frame
        return True

    def take(self, port_id: str) -> bytes:
        """The frame of a port that is open now, once; empty where there is none."""
        with self._lock:
            at, frame = self._heard.pop(port_id, (0.0, b""))
        return frame if self.clock() - at < PAUSE else b""
