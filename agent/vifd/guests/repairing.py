"""Gives a running guest back a device that it lost: takes the interface out and puts it back."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from msgspec import Struct

from vifd import errors
from vifd.engine import Engine
from vifd.engine.decision import Request
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.guests.matching import interface_of
from vifd.guests.pool import Pool
from vifd.guests.watch import PATIENCE, GuestWatch
from vifd.hypervisor import Control, GuestInterface
from vifd.model import PortRecord
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Repairs at a time.
PARALLEL = 2
#: Seconds that a guest gets to take its new device into use.
CARRIER = 5.0


class Repaired(Struct, frozen=True):
    """What came of a repair.

    :param done: whether the guest's interface was taken out and put back
    :param text: one sentence for people
    :param guest: the guest's name
    """

    port: PortRecord
    done: bool
    text: str
    guest: str
    device: str
    seconds: float


class Repairer:
    """Repairs on request, on native threads."""

    def __init__(
        self, engine: Engine, journal: Journal, hypervisor: Control, watch: GuestWatch
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._hypervisor = hypervisor
        self._watch = watch
        self._pool = Pool("guest-repair", PARALLEL)

    def stop(self) -> None:
        self._pool.stop()

    def repair(self, port_id: str, request_id: str, timeout: float) -> Future[Repaired]:
        """Repair what the port's guest makes of it; a guest that has its device is left alone.

        :param timeout: seconds that the guest may take to let go of the device
        :raises errors.PortNotFound: there is no such port
        """
        if self._journal.get(port_id) is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        return self._pool.submit(self._counted, port_id, request_id, timeout)

    def _counted(self, port_id: str, request_id: str, timeout: float) -> Repaired:
        counter = self._engine.metrics.guests
        try:
            done = self._repair(port_id, request_id, timeout)
        except errors.VifError:
            counter.labels("repair", "failed").inc()
            raise
        counter.labels("repair", "ok" if done.done else "nothing").inc()
        return done

    def _repair(self, port_id: str, request_id: str, timeout: float) -> Repaired:
        started = time.monotonic()
        deadline = started + timeout
        record = self._checked(port_id, request_id, deadline)
        interface = self._interface(record)
        if self._watch.without_guest(record) is None:
            text = f"guest {interface.name} has {interface.device} open; nothing was done"
            return Repaired(record, False, text, interface.name, interface.device, 0.0)
        self._hypervisor.reattach(interface, max(1.0, deadline - time.monotonic()))
        self._taken_up(port_id, request_id, interface)
        self._watch.look_again(port_id)
        seconds = round(time.monotonic() - started, 3)
        text = (f"{interface.device} was taken out of guest {interface.name} and put back in "
                f"{seconds:.1f} s; the guest has it open")  # fmt: skip
        LOG.info("%s. port=%s request=%s", text, port_id, request_id)
        fresh = self._checked(port_id, request_id, time.monotonic() + PATIENCE)
        return Repaired(fresh, True, text, interface.name, interface.device, seconds)

    def _checked(self, port_id: str, request_id: str, deadline: float) -> PortRecord:
        """The port as it is now: its own side must be there before its guest can use it."""
        ticket = Ticket(port_id, request_id)
        self._engine.submit([Request(Kind.CHECK, ticket)])
        seconds = max(0.1, deadline - time.monotonic())
        try:
            return ticket.done.result(seconds)
        except FutureTimeout:
            facts = {"wanted": "checked", "seconds": round(seconds, 1), "phase": "unknown"}
            raise errors.WaitTimeout(facts=facts, stage="check", port=port_id) from None

    def _interface(self, record: PortRecord) -> GuestInterface:
        """The running guest's interface, as the hypervisor says now."""
        if not self._hypervisor.connected():
            problem = self._hypervisor.facts().get("problem") or "it is not connected"
            raise errors.HypervisorError(
                facts={"problem": problem}, stage="libvirt", port=record.id
            )
        found = interface_of(record, self._hypervisor.interfaces())
        if found is not None:
            self._refresh(found.guest)
            found = interface_of(record, self._hypervisor.interfaces())
        if found is None or not found.running:
            made = record.wiring or record.names
            problem = "no guest is defined with it" if found is None else f"{found.name} is off"
            facts = {"device": made.device if made else "the port", "problem": problem}
            raise errors.GuestNotRunning(facts=facts, stage="guest", port=record.id)
        return found

    def _refresh(self, guest: str) -> None:
        try:
            self._hypervisor.refresh(guest).result(PATIENCE)
        except FutureTimeout:
            facts = {"problem": f"libvirt gave no answer within {PATIENCE:g} s"}
            raise errors.HypervisorError(facts=facts, stage="libvirt") from None

    def _taken_up(self, port_id: str, request_id: str, interface: GuestInterface) -> None:
        """Wait until the guest has the device open.

        :raises errors.GuestRepairFailed: it has not
        """
        deadline = time.monotonic() + CARRIER
        while self._watch.without_guest(self._checked(port_id, request_id, deadline)) is not None:
            if time.monotonic() > deadline:
                facts = {
                    "device": interface.device, "guest": interface.name,
                    "problem": f"it was put back, but is still without carrier after {CARRIER:g} s",
                }  # fmt: skip
                raise errors.GuestRepairFailed(facts=facts, stage="guest", port=port_id)
            time.sleep(0.1)
