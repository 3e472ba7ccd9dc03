"""How long a guest got no frames while its port was moved, by the counters of its tap.

They are looked at every few milliseconds, which takes no privilege and touches no frame, so a time
is known to within the pauses between two looks, and that is told with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from vifd.migration.frames import PERIOD, Counts, of_device
from vifd.migration.timeline import Time
from vifd.safety.steady import Steady

#: Seconds after the end of a move in which the first frame is waited for.
PATIENCE = 1.0


def longest(frames: Sequence[Time], begin: float, end: float) -> Time | None:
    """The longest pause between two frames that reaches into a span of time, and how much that may
    be wrong; ``None`` where none came after it. What came before the first look is not known: the
    time from the begin to the first frame is a pause as well. Pure."""
    if not frames or frames[-1].at < end:
        return None
    seen = frames if frames[0].at <= begin else [Time(begin, 0.0), *frames]
    pauses = [
        Time(after.at - before.at, before.within + after.within)
        for before, after in pairwise(seen)
        if after.at > begin and before.at < end
    ]
    return max(pauses, default=None)


@dataclass
class Watched:
    """The frames that a device gave to its guest.

    :param told: called once with the longest pause of the move
    """

    device: str
    begin: float
    seen: Counts | None = None
    looked: float = 0.0
    frames: list[Time] = field(default_factory=list)
    end: float | None = None
    told: Callable[[Time | None], None] = lambda _gap: None

    def saw(self, now: float, counts: Counts | None) -> None:
        """Its counters at a time."""
        before, since = self.seen, self.looked
        self.seen, self.looked = counts, now
        if counts is not None and before is not None and counts.received > before.received:
            self.frames.append(Time(now, now - since))

    def over(self, now: float) -> bool:
        """Whether nothing more is waited for."""
        if self.end is None:
            return False
        came = bool(self.frames) and self.frames[-1].at >= self.end
        return came or now >= self.end + PATIENCE


@dataclass
class LullWatch:
    """Looks at devices while their ports move; its thread ends when none does."""

    counts: Callable[[str], Counts | None] = of_device
    clock: Callable[[], float] = time.time
    _watched: list[Watched] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: bool = False

    def follow(self, device: str) -> Watched:
        """A port is about to be moved."""
        one = Watched(device, self.clock())
        with self._lock:
            self._watched.append(one)
            start, self._running = not self._running, True
        if start:
            Steady(self._run, "lull-watch").start()
        return one

    def begun(self, one: Watched) -> None:
        """The move begins now: what was seen before is what frames came like until then."""
        one.begin = self.clock()

    def ended(self, one: Watched, told: Callable[[Time | None], None]) -> None:
        """The port has moved; say how long it was once the next frame has come."""
        one.told = told
        one.end = self.clock()

    def drop(self, one: Watched) -> None:
        """It was not moved."""
        with self._lock:
            if one in self._watched:
                self._watched.remove(one)

    def turn(self) -> bool:
        """Look once; whether there is anything left to look at."""
        with self._lock:
            over = []
            for one in self._watched:
                now = self.clock()
                one.saw(now, self.counts(one.device))
                if one.over(now):
                    over.append(one)
            self._watched = [one for one in self._watched if one not in over]
            left = self._running = bool(self._watched)
        for one in over:
            one.told(longest(one.frames, one.begin, one.end or one.begin))
        return left

    def _run(self) -> None:
        while self.turn():
            time.sleep(PERIOD)
