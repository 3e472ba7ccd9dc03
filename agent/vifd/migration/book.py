"""The migrations of this host, as they happen and for a while after."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from vifd.migration.timeline import (
    ANNOUNCED,
    ASKED,
    OPENED,
    RECORDED,
    STEPS,
    Migration,
    Moment,
    Time,
)  # fmt: skip
from vifd.migration.timeline import overrun as overrun_of
from vifd.model import PortRecord

LOG = logging.getLogger(__name__)

#: So many migrations are kept.
KEPT = 256
#: For so many seconds after a port was opened, another word that it is to be is one about the same
#: migration.
LATE = 60.0
FAILED = "failed"
#: A guest was started, paused, for an incoming migration.
COMING = "started: migrated"
#: The beginning of the request ids of those who are no callers of the API.
_TRIGGERS = {
    "libvirt": "libvirt",
    "guest-frame": "guest's frame",
    "neutron": "network service",
    "recover": "recovery",
    "peer": "source's agent",
}


def trigger_of(request_id: str) -> str:
    """Who asked, by the id of the request."""
    return next((t for name, t in _TRIGGERS.items() if request_id.startswith(name)), "api")


@dataclass(frozen=True)
class Watched:
    """Whom the book asks and tells.

    :param record: what is known of a port
    :param done: told of each migration that ended
    :param gap: told of one once its network gap is known
    """

    record: Callable[[str], PortRecord | None]
    done: Callable[[Migration], None] = lambda _migration: None
    gap: Callable[[Migration], None] = lambda _migration: None


class Book:
    """Notes from any thread, and answers from memory.

    :param budget: seconds from the first word to the open port; 0 for no limit
    """

    def __init__(self, watched: Watched, *, budget: Callable[[], float] = lambda: 0.0) -> None:
        self._watched = watched
        self._budget = budget
        self._lock = threading.Lock()
        self._next = 1
        self._present: dict[str, Migration] = {}
        self._ended: deque[Migration] = deque(maxlen=KEPT)
        #: by port, what the hypervisor said before anybody asked for the port
        self._guests: dict[str, tuple[Moment, ...]] = {}
        #: by port, when its guest last sent on the other host, before anybody asked for the port
        self._last: dict[str, Time] = {}

    # --- notes ---

    def noted(self, port_id: str, step: str, at: float, more: str = "") -> None:
        """A step of an activation; see :data:`vifd.migration.timeline.STEPS`. One that ``failed``
        brings the error along."""
        if step == FAILED:
            self.failed(port_id, more)
            return
        with self._lock:
            done = self._note(port_id, step, at, more)
        if done is not None:
            self._tell(done)

    def guest(self, port_id: str, what: str, at: float) -> None:
        """The hypervisor said something of the port's guest."""
        with self._lock:
            moment = Moment(what, at)
            known = self._present.get(port_id)
            if known is not None:
                self._present[port_id] = replace(known, guest=(*known.guest, moment))
            elif what == COMING:
                # what was said before belongs to a guest that left
                self._guests[port_id] = (moment,)
            elif port_id in self._guests or not self._late_guest(port_id, moment):
                earlier = [m for m in self._guests.get(port_id, ()) if at - m.at < LATE]
                self._guests[port_id] = (*earlier[-7:], moment)

    def failed(self, port_id: str, error: str) -> None:
        """The port is not opened."""
        with self._lock:
            known = self._present.pop(port_id, None)
            if known is None:
                return
            ended = replace(known, error=error)
            self._ended.append(ended)
        self._tell(ended)

    def left(self, port_id: str, last: Time) -> None:
        """The guest of a port that is about to be opened last sent then, on the other host."""
        with self._lock:
            self._last[port_id] = last

    def passed(self, port_id: str, first: Time) -> bool:
        """The first frame passed a port; whether that is of a migration that is known."""
        with self._lock:
            known = self._present.get(port_id)
            if known is not None:
                known = self._present[port_id] = replace(known, first=first)
            elif (found := self._last_of(port_id, first.at)) is not None:
                known = self._ended[found[0]] = replace(found[1], first=first)
        if known is not None and known.gap is not None:
            self._watched.gap(known)
            LOG.info(
                "migration %d: the network gap was %.0f ms (known to within %.0f ms). port=%s "
                "instance=%s", known.id, known.gap.at * 1000, known.gap.within * 1000, known.port,
                known.instance,
            )  # fmt: skip
        return known is not None

    def opened(self, port_id: str) -> bool:
        """Whether a port is open, be it on record or not yet."""
        with self._lock:
            known = self._present.get(port_id)
        if known is not None and known.at(OPENED) is not None:
            return True
        record = self._watched.record(port_id)
        return record is not None and record.open

    # --- answers ---

    def all(self) -> list[Migration]:
        """Every migration that is known, the oldest first."""
        with self._lock:
            return sorted((*self._ended, *self._present.values()), key=lambda m: m.id)

    def get(self, number: int) -> Migration | None:
        """One of them."""
        return next((m for m in self.all() if m.id == number), None)

    # --- inside ---

    def _note(self, port_id: str, step: str, at: float, request_id: str) -> Migration | None:
        known = self._present.get(port_id)
        if step == ASKED:
            self._asked(port_id, at, request_id, known)
            return None
        if known is None or step not in STEPS or known.at(step) is not None:
            return None
        if step == RECORDED and known.at(OPENED) is None:
            # a batch before it was opened
            return None
        known = replace(known, steps=(*known.steps, Moment(step, at)))
        if step != RECORDED:
            self._present[port_id] = known
            return None
        del self._present[port_id]
        self._ended.append(known)
        return known

    def _asked(self, port_id: str, at: float, request_id: str, known: Migration | None) -> None:
        moment = Moment(trigger_of(request_id), at)
        if known is not None:
            self._present[port_id] = replace(known, triggers=(*known.triggers, moment))
            return
        record = self._watched.record(port_id)
        if record is None or record.open:
            self._late_word(port_id, moment)
            return
        self._present[port_id] = Migration(
            id=self._next, port=port_id, instance=record.doc.attachment.instance_id,
            trigger=moment.what, triggers=(moment,), steps=(Moment(ASKED, at),),
            guest=self._guests.pop(port_id, ()), request_id=request_id,
            last=self._last.pop(port_id, None),
        )  # fmt: skip
        self._next += 1

    def _late_word(self, port_id: str, moment: Moment) -> None:
        """Somebody says what is known already."""
        found = self._last_of(port_id, moment.at)
        if found is not None:
            number, last = found
            self._ended[number] = replace(last, triggers=(*last.triggers, moment))

    def _late_guest(self, port_id: str, moment: Moment) -> bool:
        found = self._last_of(port_id, moment.at)
        if found is None:
            return False
        number, last = found
        self._ended[number] = replace(last, guest=(*last.guest, moment))
        return True

    def _last_of(self, port_id: str, at: float) -> tuple[int, Migration] | None:
        """The last migration of a port, where it was just now, and its place."""
        for number in range(len(self._ended) - 1, -1, -1):
            one = self._ended[number]
            if one.port == port_id:
                return (number, one) if at - one.steps[-1].at < LATE else None
        return None

    def _tell(self, one: Migration) -> None:
        self._watched.done(one)
        if one.error:
            LOG.warning(
                "migration %d: the port is not open: %s. Next: vifctl port explain %s. port=%s "
                "instance=%s request=%s",
                one.id, one.error, one.port, one.port, one.instance, one.request_id,
            )  # fmt: skip
            return
        added = "not known" if one.added is None else f"{one.added * 1000:.1f} ms"
        LOG.info(
            "migration %d: open %.1f ms after the word of %s, announced %s; added to the "
            "hypervisor's own pause: %s. port=%s instance=%s request=%s",
            one.id, (one.opening or 0.0) * 1000, one.trigger,
            "yes" if one.at(ANNOUNCED) else "no", added, one.port, one.instance, one.request_id,
        )  # fmt: skip
        slowest = overrun_of(one, self._budget())
        if slowest is not None:
            LOG.warning(
                "migration %d: %.1f ms until the port was open and announced, more than budget_ms "
                "allows; %s took %.1f ms of it. Next: vifctl migration show %d. port=%s",
                one.id, (one.opening or 0.0) * 1000, slowest.name, slowest.seconds * 1000, one.id,
                one.port,
            )  # fmt: skip


def now() -> float:
    """The clock of all notes."""
    return time.time()
