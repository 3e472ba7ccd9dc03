"""The guests behind the ports: watched, prepared for, started at boot, repaired on request."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from vifd.drivers import Links
from vifd.engine import Engine
from vifd.engine.metrics import Metrics
from vifd.guests.preparing import Prepared, Preparer
from vifd.guests.repairing import Repaired, Repairer
from vifd.guests.starting import GuestStarter, StartPolicy
from vifd.guests.watch import GuestWatch
from vifd.hypervisor import Control, GuestInterface, NoHypervisor
from vifd.model import Evidence, PortRecord
from vifd.store import Journal

__all__ = ["Guests", "Prepared", "Repaired", "StartPolicy"]


class Guests:
    """Everything that vifd does about guests; the daemon starts and stops it.

    :param start: whether and how guests are started at boot
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        hypervisor: Control | None = None,
        links: Links | None = None,
        start: StartPolicy | None = None,
    ) -> None:
        hypervisor = hypervisor or NoHypervisor()
        self._engine = engine
        self._hypervisor = hypervisor
        self._watch = GuestWatch(engine, journal, hypervisor, links)
        policy = start or StartPolicy(window=0.0)
        self._starter = GuestStarter(hypervisor, journal, engine.metrics, policy)
        self._preparer = Preparer(engine, journal)
        self._repairer = Repairer(engine, journal, hypervisor, self._watch)

    def start(self) -> None:
        self._hypervisor.start()
        if not isinstance(self._hypervisor, NoHypervisor):
            self._watch.start()
            self._starter.start()

    def stop(self, timeout: float) -> None:
        self._watch.stop(timeout)
        self._starter.stop(timeout)
        self._preparer.stop()
        self._repairer.stop()
        self._hypervisor.close()

    def evidence(self, record: PortRecord) -> list[Evidence]:
        """What is known of the guest behind a port; from memory."""
        return self._watch.evidence(record)

    def status(self) -> dict[str, Any]:
        """Whether the hypervisor answers, in short."""
        facts = self._hypervisor.facts()
        names = ("connected", "problem", "guests_running", "guests_defined")
        return {name: facts[name] for name in names if name in facts}

    def gauge(self, metrics: Metrics) -> None:
        """Bring the gauges up to date."""
        metrics.hypervisor.set(self._hypervisor.connected())
        metrics.lost.set(self._watch.lost)

    def prepare(
        self, guest: str, interfaces: Sequence[GuestInterface], request_id: str, timeout: float
    ) -> Future[Prepared]:
        """See :meth:`vifd.guests.preparing.Preparer.prepare`."""
        self._engine.serving()
        return self._preparer.prepare(guest, interfaces, request_id, timeout)

    def repair(self, port_id: str, request_id: str, timeout: float) -> Future[Repaired]:
        """See :meth:`vifd.guests.repairing.Repairer.repair`."""
        self._engine.serving()
        return self._repairer.repair(port_id, request_id, timeout)
