"""When plugins that cannot work are asked again whether they can: what they lack may come without
an event, as when a switch was too busy to answer in time."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vifd.plugin import UNPROBED, Health, Probe

#: Seconds until a plugin that has just fallen ill is asked again, and the longest pause after that.
FIRST, LONGEST = 1.0, 60.0


class Unwell:
    """Soon at first, then more and more seldom: some never can on a host. Not shared between
    threads."""

    def __init__(self) -> None:
        #: by plugin: when it is asked, and the pause after that
        self._due: dict[str, tuple[float, float]] = {}

    def due(self, probes: Mapping[str, Probe], now: float) -> list[str]:
        """The plugins that are to be probed now.

        :param probes: what they said last
        :param now: in seconds
        """
        ill = [name for name, probe in probes.items() if _may_recover(probe)]
        self._due = {name: self._due.get(name, (now + FIRST, FIRST)) for name in ill}
        found = [name for name, (at, _) in self._due.items() if at <= now]
        for name in found:
            pause = min(2 * self._due[name][1], LONGEST)
            self._due[name] = now + pause, pause
        return found

    def pause(self, now: float) -> float:
        """Seconds until one is to be probed; infinite where all are well."""
        return max(0.0, min((at for at, _ in self._due.values()), default=math.inf) - now)


def _may_recover(probe: Probe) -> bool:
    ill = probe.health is Health.UNAVAILABLE and probe.reasons != UNPROBED.reasons
    return ill and probe.applies and not probe.taken
