"""Makes sure that the devices of a guest are there before the guest starts."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from msgspec import Struct

from vifd import errors
from vifd.engine import Engine
from vifd.engine.decision import Request
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.guests.matching import ports_of
from vifd.guests.pool import Pool
from vifd.hypervisor import GuestInterface
from vifd.model import PortRecord
from vifd.model.status import settled
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Guests at a time; more wait.
PARALLEL = 8
#: Seconds between two looks at a port whose repair is under way.
PAUSE = 0.1


class PreparedPort(Struct, frozen=True):
    """A port that the guest uses.

    :param ok: it was read back just now, and is as wanted
    :param error: why it is not, as an error object
    """

    id: str
    device: str
    ok: bool
    phase: str
    error: dict[str, Any] | None = None


class Prepared(Struct, frozen=True):
    """The ports of a guest that is about to start.

    :param ok: every port of vifd among the guest's interfaces is as wanted
    :param unknown: devices of the guest that are no port of vifd, and no business of it
    """

    guest: str
    ok: bool
    ports: list[PreparedPort]
    unknown: list[str]


class Preparer:
    """Serves guests that are about to start, on native threads."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._pool = Pool("guest-prepare", PARALLEL)

    def stop(self) -> None:
        self._pool.stop()

    def prepare(
        self, guest: str, interfaces: Sequence[GuestInterface], request_id: str, timeout: float
    ) -> Future[Prepared]:
        """Have every port of the guest read back, and repaired or made where that is needed."""
        deadline = time.monotonic() + timeout
        return self._pool.submit(self._prepare, guest, interfaces, request_id, deadline)

    def _prepare(
        self, guest: str, interfaces: Sequence[GuestInterface], request_id: str, deadline: float
    ) -> Prepared:
        started = time.monotonic()
        ours = ports_of(interfaces, self._journal.records())
        unknown = [i.device for i in interfaces if i.device not in ours]
        ports = self._bring_up(ours, request_id, deadline)
        ok = all(port.ok for port in ports)
        if ports:
            self._engine.metrics.guests.labels("prepare", "ok" if ok else "failed").inc()
            level = logging.INFO if ok else logging.ERROR
            text = "; ".join(_line(port) for port in ports)
            LOG.log(level, "guest %s is about to start, looked at in %.1f ms: %s [%s]", guest,
                    (time.monotonic() - started) * 1e3, text, request_id)  # fmt: skip
        return Prepared(guest, ok, ports, unknown)

    def _bring_up(
        self, ours: Mapping[str, PortRecord], request_id: str, deadline: float
    ) -> list[PreparedPort]:
        """Look at the ports until each is usable, has failed, or the time is over."""
        done: dict[str, PreparedPort] = {}
        waiting = dict(ours)
        while waiting:
            asked = {device: self._ask(record, request_id) for device, record in waiting.items()}
            for device, ticket in asked.items():
                result = _result(ticket, deadline)
                if isinstance(result, PortRecord) and not _usable(result):
                    # What is amiss is being repaired: look again, while there is time.
                    waiting[device] = result
                    if time.monotonic() < deadline:
                        continue
                    result = _late(result)
                done[device] = _judged(device, waiting.pop(device), result)
            if waiting:
                time.sleep(PAUSE)
        return [done[device] for device in ours]

    def _ask(self, record: PortRecord, request_id: str) -> Ticket:
        """Have a port read back; one that is not made or has failed is made now."""
        ticket = Ticket(record.id, request_id)
        if settled(record) and record.error is None:
            request = Request(Kind.CHECK, ticket)
        else:
            request = Request(Kind.PLUG, ticket, doc=record.doc)
        self._engine.submit([request])
        return ticket


def _result(ticket: Ticket, deadline: float) -> PortRecord | errors.VifError:
    try:
        return ticket.done.result(max(0.0, deadline - time.monotonic()))
    except FutureTimeout:
        return _late(None, ticket.port_id)
    except errors.VifError as error:
        return error


def _usable(record: PortRecord) -> bool:
    """Whether a guest can start on the port: what its guest alone can mend may be amiss."""
    report = record.report
    proven = report is not None and (report.clean or report.beyond_repair)
    return settled(record) and record.error is None and proven


def _late(record: PortRecord | None, port_id: str = "") -> errors.WaitTimeout:
    report = record.report if record else None
    finding = report.findings[0] if report and report.findings else None
    text = f"{finding.fact} is {finding.have!r}" if finding else "nothing was read back yet"
    phase = record.phase.value if record else "unknown"
    return errors.WaitTimeout(
        f"the port was not ready in time for its guest: {text}",
        facts={"wanted": "ready", "finding": text, "phase": phase}, stage="wait",
        port=record.id if record else port_id,
    )  # fmt: skip


def _judged(device: str, record: PortRecord, result: PortRecord | errors.VifError) -> PreparedPort:
    if isinstance(result, PortRecord):
        return PreparedPort(record.id, device, True, result.phase.value)
    return PreparedPort(record.id, device, False, record.phase.value, result.to_dict())


def _line(port: PreparedPort) -> str:
    if port.error is None:
        return f"{port.device} is there"
    return f"{port.device}: {port.error['code']}: {port.error['message']}"
