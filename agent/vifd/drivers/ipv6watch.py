"""Finds IPv6 that is turned on for devices which make no announcement of it.

A device without a carrier gets no address, so the kernel tells nobody that ``disable_ipv6`` of it
was written; neither does a write for all devices, also where it changes nothing of that setting
itself. So a few devices of ours are looked at, for all: what is written for all shows on each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from vifd.drivers.link import MARK, Link

#: So many devices are looked at.
_FEW = 4
#: Seconds between two looks, which cost some ten microseconds, and between two readings of all.
PERIOD, AGE = 0.4, 30.0
#: The latter where none was found.
SELDOM = 300.0
#: Seconds after which what is still on is told again.
_FIRST, _LONGEST = 1.0, 60.0
_OFF = (0.0, 0.0)


class Ipv6Watch:
    """Which devices are looked at. Devices come from any thread, looks from one.

    :param every: reads all devices of ours, from time to time
    :param setting: where a device's setting is
    """

    def __init__(
        self, every: Callable[[], Iterable[Link]], *,
        setting: str = "/proc/sys/net/ipv6/conf/{}/disable_ipv6",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._every = every
        self._setting = setting
        self._clock = clock
        self._read_at = self._looked_at = -AGE
        self._age = AGE
        #: by name, when it is told next that IPv6 is on there, and the pause after that; 0 where it
        #: was off
        self._known: dict[str, tuple[float, float]] = {}

    def note(self, links: Iterable[Link]) -> None:
        """Devices as they were read. Those that have a carrier tell by themselves."""
        for link in links:
            if link.carrier or not link.alias.startswith(MARK):
                self._known.pop(link.name, None)
            elif link.name in self._known:
                if link.ipv6 is False:
                    self._known[link.name] = _OFF
            elif link.ipv6 is not None and len(self._known) < _FEW:
                self._known[link.name] = _OFF

    def turned_on(self) -> bool:
        """Whether IPv6 is on where it was off; said again with growing pauses, for it may be
        off and on between two looks. To be asked often: it looks every :data:`PERIOD`."""
        now, news = self._clock(), False
        if now - self._looked_at < PERIOD:
            return False
        self._looked_at = now
        # Reading a thousand takes a tenth of a second: not where there are enough already, and
        # seldom where all had a carrier. One that loses it is read by whoever minds its port.
        if len(self._known) < _FEW and now - self._read_at >= self._age:
            self._read_at = now
            self.note(self._every())
            self._age = AGE if self._known else SELDOM
        for name, (due, pause) in list(self._known.items()):
            found = self._read(name)
            if found is None:
                self._known.pop(name, None)
            elif not found:
                self._known[name] = _OFF
            elif now >= due:
                pause = min(_LONGEST, 2 * pause or _FIRST)
                news, self._known[name] = True, (now + pause, pause)
        return news

    def _read(self, name: str) -> bool | None:
        try:
            with open(self._setting.format(name), "rb", buffering=0) as file:
                return file.read(2)[:1] == b"0"
        except OSError:
            return None
