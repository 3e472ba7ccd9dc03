"""How long ovn-controller may still be waited for, port by port."""

from __future__ import annotations

import time
from collections.abc import Callable


class Patience:
    """Remembers since when a port waits for OVN.

    It is memory and nothing else: after a restart every port gets its time anew.

    :param seconds: that ovn-controller has
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: dict[str, float] = {}

    def __call__(self, port_id: str, good: bool) -> bool:
        """Whether waiting may help; a port that is wired waits no more."""
        if good:
            self._since.pop(port_id, None)
            return True
        now = self._clock()
        return now - self._since.setdefault(port_id, now) < self._seconds

    def forget(self, port_id: str) -> None:
        """The port is opened anew, or gone."""
        self._since.pop(port_id, None)
