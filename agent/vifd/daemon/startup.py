"""A long start: systemd is told how far it is, and waits as long as it goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from vifd.daemon import systemd

LOG = logging.getLogger(__name__)

#: Seconds that systemd waits for the next port to be settled; a plugin that hangs is given up after
#: one minute, and what it held up is done port by port then.
ALLOWED = 150
#: Seconds between two looks, and between two lines of the log.
LOOK, TELL = 3.0, 30.0


class Startup:
    """Counts the ports that are brought back until the start is over.

    Progress extends ``TimeoutStartSec=`` of the unit (``EXTEND_TIMEOUT_USEC=``, see sd_notify(3)).
    A start that does not go on extends nothing, and is ended when the time is over.

    :param left: how many ports of the journal are neither proven nor have their error
    """

    def __init__(self, left: Callable[[], int], now: Callable[[], float] = time.monotonic) -> None:
        self._left = left
        self._now = now
        self._begun = self._told = now()
        self._total = 0
        self._least: int | None = None

    def look(self) -> None:
        """Tell systemd of ports that were settled since the last look."""
        left = self._left()
        # what is taken back from marks comes on top
        grown = left > self._total
        self._total = max(self._total, left)
        if not self._total or (not grown and self._least is not None and left >= self._least):
            return
        self._least = left
        state = f"bringing ports back: {self._total - left} of {self._total}"
        systemd.notify(f"EXTEND_TIMEOUT_USEC={ALLOWED * 1_000_000}\nSTATUS={state}")
        now = self._now()
        if now - self._told >= TELL:
            self._told = now
            LOG.info("%s after %.0f s", state, now - self._begun)
