"""Ports that are kept and never made: they resolve on a native thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from support.offers import FakeOffers
from vifd import errors
from vifd.engine.ticket import Ticket
from vifd.model import (
    Document,
    Evidence,
    Phase,
    PortRecord,
    Report,
    Role,
    Selection,
    Vif,
    Wiring,
    differences,
)
from vifd.model.event import Event
from vifd.model.status import settled, wants_open
from vifd.negotiation.token import Claims
from vifd.testing.wait import PATIENCE

T = TypeVar("T")

#: What may change on a plugged port.
IN_PLACE = ("network.mtu", "role", "port.name")
#: What its plugin enforces.
FEATURES = frozenset({"port_security", "allowed_address_pairs", "mtu"})


class _Thread:
    """A native thread that does one thing after another."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self.put = self._work.put

    def _run(self) -> None:
        while (do := self._work.get()) is not None:
            do()

    def stop(self) -> None:
        """Do what is queued, then end."""
        self.put(None)
        self._thread.join(timeout=PATIENCE)


class PortBook:
    """The ports of a daemon without a host, and the events that tell of them.

    :ivar offers: what it can give
    :ivar effects: every change that was made, in order: ``plug <id>``, ``unplug <id>``…
    """

    def __init__(self) -> None:
        self.effects: list[str] = []
        self.offers = FakeOffers(FEATURES, self._later)
        self._records: dict[str, PortRecord] = {}
        self._events: list[Event] = []
        self._callbacks: list[Callable[[Event], None]] = []
        self._failures: dict[str, Exception] = {}
        self._lock = threading.RLock()
        self._running = threading.Event()
        self._running.set()
        self._clearing = threading.Event()
        self._clearing.set()
        self._disk, self._lane = _Thread("fake-disk"), _Thread("fake-lane")
        self._clearer = _Thread("fake-clearer")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        for worker in (self._disk, self._lane, self._clearer):
            worker.stop()

    # --- what tests set up ---

    def hold(self) -> None:
        """Accept requests, but carry nothing out until :meth:`release`."""
        self._running.clear()

    def release(self) -> None:
        """Carry out what was held."""
        self._running.set()
        self._clearing.set()

    def hold_clearing(self) -> None:
        """Detach ports, but leave what is cleared away after that until :meth:`release`."""
        self._clearing.clear()
        self._running.set()

    def fail(self, port_id: str, error: Exception) -> None:
        """Let the next plug of this port end with an error."""
        self._failures[port_id] = error

    def give_guest(self, port_id: str, have: str) -> None:
        """Let the port's last report say what the hypervisor knows of its guest."""
        fact = Evidence("guest.name", have=have, source="libvirt")
        with self._lock:
            record = self._records[port_id]
            report = report_of(record)
            report = msgspec.structs.replace(report, evidence=[*report.evidence, fact])
            self._records[port_id] = msgspec.structs.replace(record, report=report)

    def emit(self, name: str, record: PortRecord | None = None) -> Event:
        """Put an event into the journal and announce it."""
        with self._lock:
            attachment = record.doc.attachment if record else None
            event = Event(
                id=len(self._events) + 1,
                event=name,
                at=time.time(),
                port=record.id if record else "",
                instance=attachment.instance_id if attachment else "",
                phase=record.phase if record else "",
                revision=record.revision if record else 0,
                error=record.error if record else None,
            )
            self._events.append(event)
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback(event)
        return event

    # --- the backend's part ---

    def ports(self) -> list[PortRecord]:
        with self._lock:
            return [self._records[k] for k in sorted(self._records)]

    def port(self, port_id: str) -> PortRecord:
        with self._lock:
            if port_id not in self._records:
                raise errors.PortNotFound(port=port_id, facts={"port": port_id})
            return self._records[port_id]

    def plug(
        self,
        docs: Sequence[Document],
        request_id: str,
        claims: Mapping[str, Claims] | None = None,
        *,
        taking: bool = False,
    ) -> list[Ticket]:
        """Nothing is there to be taken over."""
        del taking
        return [self._plug(doc, request_id, claims) for doc in docs]

    def unplug(self, port_ids: Sequence[str], request_id: str) -> list[Ticket]:
        return [self._unplug(port_id, request_id) for port_id in port_ids]

    def set_role(self, port_id: str, role: Role, request_id: str) -> Ticket:
        return self._plug(self.port(port_id).doc.with_role(role), request_id)

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        with self._lock:
            return self._events[after : after + limit]

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    # --- inside ---

    def _later(self, work: Callable[[], T]) -> Future[T]:
        """On the lane, once what is held is released."""
        future: Future[T] = Future()

        def do() -> None:
            self._running.wait()
            try:
                future.set_result(work())
            except errors.VifError as error:
                future.set_exception(error)

        self._lane.put(do)
        return future

    def _plug(
        self, doc: Document, request_id: str, claims: Mapping[str, Claims] | None = None
    ) -> Ticket:
        ticket = Ticket(doc.id, request_id)
        with self._lock:
            old = self._records.get(doc.id)
            if old is not None and old.doc.text() == doc.text() and settled(old):
                ticket.accepted.set_result(old)
                ticket.done.set_result(old)
                return ticket
            if old is not None:
                fixed = [p for p in differences(old.doc.raw, doc.raw) if p not in IN_PLACE]
                if fixed:
                    facts = {"fields": fixed}
                    ticket.fail(errors.StateConflict(port=doc.id, facts=facts, stage="accept"))
                    return ticket
            try:
                selection = old.selection if old else self.offers.select(doc, claims)
            except errors.TokenStale as stale:
                ticket.fail(stale)
                return ticket
            ticket.created = old is None
            record = self._accept(doc, request_id, old, selection)
        self._disk.put(lambda: ticket.accepted.set_result(record))
        self._disk.put(lambda: self._lane.put(lambda: self._carry_out(record, ticket)))
        return ticket

    def _accept(
        self, doc: Document, request_id: str, old: PortRecord | None, selection: Selection | None
    ) -> PortRecord:
        names = Wiring("fake", "tap", f"tap{doc.id[:11]}", {"ofport": 7})
        record = PortRecord(
            doc=doc,
            plugin="fake",
            vif_type="tap",
            names=names,
            revision=old.revision + 1 if old else 1,
            updated_at=time.time(),
            request_id=request_id,
            selection=selection,
        )
        self._records[doc.id] = record
        self.effects.append(f"plug {doc.id}")
        return record

    def _carry_out(self, record: PortRecord, ticket: Ticket) -> None:
        self._running.wait()
        with self._lock:
            error = self._failures.pop(record.id, None)
            record = _failed(record, error) if error else _plugged(record)
            self._records[record.id] = record
        self.emit("failed" if error else "live" if record.open else "ready", record)
        if error is not None:
            ticket.done.set_exception(error)
        else:
            ticket.done.set_result(record)

    def _unplug(self, port_id: str, request_id: str) -> Ticket:
        ticket = Ticket(port_id, request_id)
        with self._lock:
            record = self._records.get(port_id)
            if record is None:
                ticket.accepted.set_result(None)  # type: ignore[arg-type]
                ticket.done.set_result(None)  # type: ignore[arg-type]
                ticket.detach()
                return ticket
            record = msgspec.structs.replace(record, removing=True, phase=Phase.UNPLUGGING)
            self._records[port_id] = record
            self.effects.append(f"unplug {port_id}")

        def do() -> None:
            self._running.wait()
            ticket.detach()
            if self._clearing.is_set():
                clear()
            else:
                self._clearer.put(clear)

        def clear() -> None:
            self._clearing.wait()
            with self._lock:
                self._records.pop(port_id, None)
            self.emit("unplugged", record)
            ticket.done.set_result(record)

        self._disk.put(lambda: ticket.accepted.set_result(record))
        self._disk.put(lambda: self._lane.put(do))
        return ticket


def _plugged(record: PortRecord) -> PortRecord:
    attachment = record.doc.attachment
    device = record.names.device if record.names else ""
    is_open = wants_open(record)
    return msgspec.structs.replace(
        record,
        applied=True,
        open=is_open,
        phase=Phase.LIVE if is_open else Phase.READY,
        wiring=record.names,
        vif=Vif("ethernet", device, attachment.mac, mtu=attachment.network.mtu),
        report=report_of(record),
    )


def _failed(record: PortRecord, error: Exception) -> PortRecord:
    known = errors.wrap(error, port=record.id).to_dict()
    return msgspec.structs.replace(record, phase=Phase.FAILED, error=known)


def report_of(record: PortRecord) -> Report:
    mtu = record.doc.attachment.network.mtu
    facts = [
        Evidence("device.mtu", have=mtu, wanted=mtu, source="netlink"),
        Evidence("ovsdb.ofport", have=7, wanted=7, source="ovsdb"),
        Evidence("flows.port", have=12, wanted=12, source="openflow"),
    ]
    return Report(facts, at=time.time())
