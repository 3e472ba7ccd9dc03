"""Starts, at boot, the guests whose autostart failed because their devices were not there yet.

libvirt reports such a failure by no event and does not try again, even when it is restarted itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vifd import errors
from vifd.engine.metrics import Metrics
from vifd.guests.matching import ports_of
from vifd.guests.pool import Pool
from vifd.hypervisor import Control, Guest, Rest
from vifd.model import Phase, PortRecord
from vifd.safety.steady import Steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Seconds that libvirt gets for its own autostart where it does not say that it tried.
GRACE = 10.0
#: Starts of one guest, and the seconds from one to the next.
ATTEMPTS = 3
PAUSE = 5.0

_MADE = frozenset({Phase.READY, Phase.LIVE, Phase.QUIESCED})


@dataclass(frozen=True)
class StartPolicy:
    """What the options allow.

    :param window: seconds that are left of the time after boot
    :param limit: guests at most
    :param parallel: guests at a time
    """

    window: float
    limit: int = 100
    parallel: int = 2


def startable(guest: Guest, records: Mapping[str, PortRecord], *, patient: bool) -> list[str]:
    """The devices of ours that a guest waited for at boot and that are all there now; empty for a
    guest that is not to be started. Pure.

    :param patient: libvirt had time for its own autostart
    """
    if guest.running or not guest.autostart:
        return []
    if guest.rest is not Rest.FAILED and not (guest.rest is Rest.UNKNOWN and patient):
        return []
    ours = ports_of(guest.interfaces, records)
    return sorted(ours) if ours and all(map(_there, ours.values())) else []


def _there(record: PortRecord) -> bool:
    report = record.report
    proven = report is not None and report.clean
    return record.phase in _MADE and record.error is None and proven


class GuestStarter:
    """A native thread that lives as long as the time after boot."""

    def __init__(
        self, hypervisor: Control, journal: Journal, metrics: Metrics, policy: StartPolicy, *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._hypervisor = hypervisor
        self._journal = journal
        self._metrics = metrics
        self._policy = policy
        self._clock = clock
        self._end = clock() + policy.window
        self._connected_at: float | None = None
        self._attempts: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._started = 0
        self._said = False
        self._stopping = threading.Event()
        self._pool = Pool("guest-start", policy.parallel)
        self._thread = Steady(self._run, "guest-starter")

    def start(self) -> None:
        if self._policy.window > 0 and self._policy.limit > 0:
            self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._pool.stop()

    def _run(self) -> None:
        while self._clock() < self._end and not self._stopping.wait(0.5):
            try:
                self.turn()
            except Exception:
                LOG.exception("looking for guests to start failed; it goes on")

    def turn(self) -> None:
        """Start what may be started now."""
        now = self._clock()
        if not self._hypervisor.connected():
            self._connected_at = None
            return
        if self._connected_at is None:
            self._connected_at = now
        patient = now - self._connected_at >= GRACE
        guests = [g for g in self._hypervisor.guests().values() if g.autostart and not g.running]
        records = self._journal.records() if guests else {}
        for guest in guests:
            if self._due.get(guest.id, 0.0) <= now and self._attempts.get(guest.id, 0) < ATTEMPTS:
                devices = startable(guest, records, patient=patient)
                if devices and self._within_limit(guest):
                    self._attempts[guest.id] = self._attempts.get(guest.id, 0) + 1
                    self._due[guest.id] = float("inf")
                    self._pool.submit(self._start_one, guest, devices)

    def _within_limit(self, guest: Guest) -> bool:
        if guest.id in self._attempts:
            return True
        if self._started < self._policy.limit:
            self._started += 1
            return True
        if not self._said:
            self._said = True
            LOG.warning("guest %s and others are not started: %d were, which is [libvirt] "
                        "start_limit", guest.name, self._policy.limit)  # fmt: skip
        return False

    def _start_one(self, guest: Guest, devices: list[str]) -> None:
        names = ", ".join(devices)
        try:
            self._hypervisor.start_guest(guest.id)
            self._metrics.guests.labels("start", "ok").inc()
            LOG.info("started guest %s (%s): its autostart had failed, and its devices are there "
                     "now: %s", guest.name, guest.id, names)  # fmt: skip
        except errors.HypervisorError as error:
            left = ATTEMPTS - self._attempts[guest.id]
            self._due[guest.id] = self._clock() + PAUSE
            self._metrics.guests.labels("start", "failed").inc()
            LOG.warning("guest %s (%s) cannot be started although its devices are there (%s): %s; "
                        "%d attempts left", guest.name, guest.id, names, error.message,
                        left)  # fmt: skip
