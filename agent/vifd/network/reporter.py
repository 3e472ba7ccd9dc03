"""Carries statuses from the outbox to the network service until they are taken."""

from __future__ import annotations

import logging
import random
import threading

from vifd.engine import plan
from vifd.network import NetworkService
from vifd.safety.steady import Steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Statuses handed over in one call.
CHUNK = 100
#: Seconds in which statuses collect: a plug has two, BUILD and ACTIVE, and its own way goes first.
LINGER = 0.02


class StatusReporter:
    """A native thread between the outbox and the service.

    :param service: who is told
    :param journal: where the outbox is
    :param first: seconds before the first repetition; the pause doubles up to a minute
    """

    def __init__(self, service: NetworkService, journal: Journal, *, first: float = 1.0) -> None:
        self.failures = 0
        #: why it took nothing the last time
        self._refused = ""
        self._unreachable = False
        self._first = first
        self._service = service
        self._journal = journal
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = Steady(self._run, "reporter")

    @property
    def name(self) -> str:
        """The service's name."""
        return self._service.name

    @property
    def told(self) -> bool:
        """Whether the service wants statuses."""
        return self._service.told

    @property
    def problem(self) -> str:
        """Why the service takes or tells nothing just now; empty while it does."""
        try:
            return self._service.problem() or self._refused
        except Exception as error:  # noqa: BLE001 - a driver may raise anything
            return f"{type(error).__name__}: {error}"

    @property
    def ahead(self) -> str:
        """Whether the service has ports made ahead of compute, and why; empty where it does not
        say."""
        try:
            return self._service.ahead()
        except Exception as error:  # noqa: BLE001 - a driver may raise anything
            return f"{type(error).__name__}: {error}"

    def start(self) -> None:
        self._wake.set()
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout)

    def notify(self) -> None:
        """There is something in the outbox."""
        self._wake.set()

    def awaited(self) -> None:
        """Somebody uses a port of which the service has said nothing."""
        self._service.awaited()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            # Asked after that: an end that was told before it would be slept through.
            if self._stopping.is_set():
                return
            if self._deliver():
                self.failures, self._refused = 0, ""
            if self.failures == 0:
                self._wake.wait()
                self._stopping.wait(LINGER)
                continue
            pause = plan.delay(self.failures, first=self._first, jitter=random.random())
            # A service that takes some and refuses others is there: new ones need not wait.
            (self._stopping if self._unreachable else self._wake).wait(pause)

    def _deliver(self) -> bool:
        """Hand over what is there; true where the service took all of it."""
        try:
            outbox = self._journal.outbox()
            refused = 0
            for start in range(0, len(outbox), CHUNK):
                if self._stopping.is_set():
                    return True
                part = outbox[start : start + CHUNK]
                taken = {(o.port_id, o.revision) for o in self._service.report(part)}
                self._journal.acknowledge(taken)
                refused += sum((o.port_id, o.revision) not in taken for o in part)
        except BaseException as error:  # noqa: BLE001 - a driver may raise anything
            self._unreachable = True
            self._failed(f"{type(error).__name__}: {error}", self._size())
            return False
        self._unreachable = False
        if refused:
            self._failed("it did not take them", refused)
        return not refused

    def _failed(self, why: str, waiting: int) -> None:
        self.failures += 1
        self._refused = why
        level = logging.WARNING if self.failures in (1, 2, 4) or self.failures % 10 == 0 else 10
        LOG.log(
            level, "network service %s: %d statuses wait (%s); attempt %d, trying again",
            self._service.name, waiting, why, self.failures,
        )  # fmt: skip

    def _size(self) -> int:
        try:
            return self._journal.outbox_size()
        except Exception:  # noqa: BLE001 - only for the log line
            return -1
