"""When the last frame of a guest left it on its old host, and when the first one passed on its new
one, by the counters of its device.

They are looked at every few milliseconds while a guest moves, which takes no privilege and touches
no frame; so a time is known to within the pause between two looks, and that is told with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vifd.migration.timeline import Time
from vifd.model import PortRecord
from vifd.plugin import Advert
from vifd.safety.steady import Steady

LOG = logging.getLogger(__name__)

#: Seconds between two looks.
PERIOD = 0.005
#: Seconds after which a guest of which nothing was heard is not looked at any more: nobody says
#: that a migration was given up before its guest stopped.
LONGEST = 600.0


class Counts(NamedTuple):
    """Frames of a device: those of the guest, and those for it."""

    sent: int
    received: int


def of_device(device: str) -> Counts | None:
    """The counters of a tap; ``None``: there is no such device."""
    where = Path("/sys/class/net", device, "statistics")
    try:
        # what a tap receives is what its guest sends
        sent, received = ((where / f"{way}_packets").read_text() for way in ("rx", "tx"))
        return Counts(int(sent), int(received))
    except (OSError, ValueError):
        return None


def through_at_once(record: PortRecord | None, adverts: Mapping[str, Advert]) -> bool:
    """Whether a port lets its guest's frames through as soon as it is open: one that somebody else
    wires does so when that one gets to it. Pure."""
    advert = adverts.get(record.plugin) if record is not None else None
    return advert is None or not advert.compute_suffices


@dataclass
class Followed:
    """One port's device; pure.

    :param began: when it was last heard that the guest moves
    :param last: when the guest last sent; ``None``: it has not since
    """

    device: str
    coming: bool
    began: float
    seen: Counts | None = None
    looked: float = 0.0
    last: Time | None = None

    def saw(self, now: float, counts: Counts | None, *, opened: bool) -> Time | None:
        """Its counters at a time; the time of the first frame that passed, where that is new.

        What is given to the guest passed the port. What it sends has, once the port is open.
        """
        before, since = self.seen, self.looked
        if counts is None:
            return None
        self.seen, self.looked = counts, now
        if before is None:
            return None
        found = Time(now, now - since)
        if counts.sent > before.sent:
            self.last = found
        passed = counts.received > before.received or (opened and counts.sent > before.sent)
        return found if self.coming and passed else None


@dataclass
class FrameWatch:
    """The thread; asleep while nobody moves.

    :param first: told of a port whose first frame passed, until it says that a move is known of
        which that is
    :param opened: whether what a guest sends passes its port, as far as is known
    """

    first: Callable[[str, Time], bool]
    opened: Callable[[str], bool]
    counts: Callable[[str], Counts | None] = of_device
    clock: Callable[[], float] = time.time
    _followed: dict[str, Followed] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _thread: Steady | None = None

    def start(self) -> None:
        self._thread = Steady(self._run, "frame-watch")
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout)

    def follow(self, port_id: str, device: str, *, coming: bool) -> None:
        """A guest is about to leave this port, or to come to it; a socket has no counters."""
        if not device or device.startswith("/"):
            return
        with self._lock:
            known = self._followed.get(port_id)
            if known is None or known.coming != coming:
                self._followed[port_id] = Followed(device, coming, self.clock())
            else:
                known.began = self.clock()
        self._wake.set()

    def forget(self, port_id: str) -> None:
        """It is over."""
        with self._lock:
            self._followed.pop(port_id, None)

    def quiet(self, port_id: str) -> Time | None:
        """How long ago the guest of a port last sent, in seconds; forgets the port."""
        self.turn()
        with self._lock:
            known = self._followed.pop(port_id, None)
        if known is None or known.last is None:
            return None
        return Time(max(0.0, self.clock() - known.last.at), known.last.within)

    def turn(self) -> bool:
        """Look once; whether there is anything to look at."""
        with self._lock:
            for port_id, one in list(self._followed.items()):
                now = self.clock()
                found = one.saw(now, self.counts(one.device), opened=self.opened(port_id))
                told = found is not None and self.first(port_id, found)
                if told or now - one.began > LONGEST:
                    del self._followed[port_id]
            return bool(self._followed)

    def _run(self) -> None:
        while not self._stopping:
            if self.turn():
                time.sleep(PERIOD)
            else:
                self._wake.wait()
                self._wake.clear()
