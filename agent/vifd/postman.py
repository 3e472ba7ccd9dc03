"""Carries statuses from the outbox to the network service until they are taken."""

from __future__ import annotations

import logging
import random
import threading

from vifd import plan
from vifd.network import NetworkService
from vifd.store import Journal, Outgoing

LOG = logging.getLogger(__name__)

#: Statuses handed over in one call.
CHUNK = 100


class Postman:
    """A native thread between the outbox and the service.

    :param service: who is told
    :param journal: where the outbox is
    """

    def __init__(self, service: NetworkService, journal: Journal) -> None:
        self.failures = 0
        self._service = service
        self._journal = journal
        self._mail = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)

    def start(self) -> None:
        self._mail.set()
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping.set()
        self._mail.set()
        self._thread.join(timeout)

    def notify(self) -> None:
        """There is mail."""
        self._mail.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._mail.wait()
            self._mail.clear()
            while not self._stopping.is_set() and not self._deliver():
                pause = plan.delay(self.failures, jitter=random.random())
                self._stopping.wait(pause)

    def _deliver(self) -> bool:
        """One round; true once the outbox is empty."""
        try:
            mail = self._journal.outbox()
            for start in range(0, len(mail), CHUNK):
                taken = self._service.report(mail[start : start + CHUNK])
                self._journal.acknowledge([(o.port_id, o.revision) for o in taken])
            left = self._journal.outbox()
        except Exception as error:  # noqa: BLE001 - a driver may raise anything
            self._failed(f"{type(error).__name__}: {error}", self._size())
            return False
        if left and not _newer(left, mail):
            self._failed("it did not take them", len(left))
            return False
        self.failures = 0
        return not left

    def _failed(self, why: str, waiting: int) -> None:
        self.failures += 1
        level = logging.WARNING if self.failures in (1, 2, 4) or self.failures % 10 == 0 else 10
        LOG.log(
            level, "network service %s: %d statuses wait (%s); attempt %d, trying again",
            self._service.name, waiting, why, self.failures,
        )  # fmt: skip

    def _size(self) -> int:
        try:
            return len(self._journal.outbox())
        except Exception:  # noqa: BLE001 - only for the log line
            return -1


def _newer(left: list[Outgoing], mail: list[Outgoing]) -> bool:
    """Whether everything that is left came in after this round began."""
    return not {(o.port_id, o.revision) for o in left} & {(o.port_id, o.revision) for o in mail}
