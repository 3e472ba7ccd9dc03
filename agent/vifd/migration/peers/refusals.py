"""What the log is told of connections that are refused: a stranger may try a thousand times a
second, and everybody who can reach the port may."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

LOG = logging.getLogger(__name__)

#: For so many seconds the same of the same address is not told again.
AGAIN = 60.0
#: So many addresses and reasons are remembered.
MOST = 256


@dataclass
class Refusals:
    """One for each server; called from the threads of its connections."""

    clock: Callable[[], float] = time.monotonic
    #: by address and reason: when it was told, and how many came since
    _told: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, where: str, why: str) -> None:
        """A connection from an address was refused, or ended, for this reason."""
        now, key = self.clock(), (where, why)
        with self._lock:
            at, since = self._told.get(key, (None, 0))
            if at is not None and now - at < AGAIN:
                self._told[key] = (at, since + 1)
                return
            if len(self._told) >= MOST:
                self._told.clear()
            self._told[key] = (now, 0)
        more = f" ({since} more since it was told last)" if since else ""
        LOG.warning("a connection from %s: %s%s", where, why, more)
