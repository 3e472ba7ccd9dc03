"""A daemon without a host, for tests of the API: it keeps ports and resolves on a native thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from vifd import errors
from vifd.capabilities import enforcement
from vifd.capabilities.enforcement import Enforcement
from vifd.explain import Explanation, Subject, explain
from vifd.garbage.sightings import State
from vifd.garbage.view import (
    CollectedView,
    GarbageView,
    OrphanView,
    RemovedView,
    RestoredView,
)
from vifd.guests import Prepared, Repaired
from vifd.guests.matching import ports_of
from vifd.guests.preparing import PreparedPort
from vifd.hypervisor import GuestInterface
from vifd.inspection import Check, Inspection
from vifd.model import (
    Attachment,
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
from vifd.negotiation import Acceptable, Offer
from vifd.negotiation.token import Claims
from vifd.plugin import Advert
from vifd.status import settled, wants_open
from vifd.testing.hosting import FakeHost
from vifd.testing.offers import FakeOffers
from vifd.ticket import Event, Ticket
from vifd.upgrade.view import UpgradeView

T = TypeVar("T")

#: So many orphans go without force.
LIMIT = 3
#: What may change on a plugged port.
IN_PLACE = ("network.mtu", "role", "port.name")
#: What its plugin enforces.
FEATURES = frozenset({"port_security", "allowed_address_pairs", "mtu"})


class _Worker:
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
        self._thread.join(timeout=10)


class FakeDaemon:
    """A :class:`vifd.api.backend.Backend` that keeps state.

    :ivar orphans: what a look finds, by id
    :ivar inspected: what the inspection of a plugin finds besides
    :ivar offers: what it can give
    :ivar machine: what is known of its host
    :ivar effects: every change that was made, in order: ``plug <id>``, ``unplug <id>``…
    """

    def __init__(self) -> None:
        self.effects: list[str] = []
        #: what an explanation finds besides
        self.found: list[Evidence] = []
        self.orphans: dict[str, OrphanView] = {}
        self.removed: dict[str, RemovedView] = {}
        self.upgraded = UpgradeView("none")
        self.machine = FakeHost()
        self.inspected: list[Check] = []
        self.offers = FakeOffers(FEATURES)
        self._records: dict[str, PortRecord] = {}
        self._events: list[Event] = []
        self._callbacks: list[Callable[[Event], None]] = []
        self._failures: dict[str, Exception] = {}
        self._lock = threading.RLock()
        self._running = threading.Event()
        self._running.set()
        self._disk, self._lane = _Worker("fake-disk"), _Worker("fake-lane")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
        for worker in (self._disk, self._lane):
            worker.stop()

    # --- what tests set up ------------------------------------------------------------------------

    def hold(self) -> None:
        """Accept requests, but carry nothing out until :meth:`release`."""
        self._running.clear()

    def release(self) -> None:
        """Carry out what was held."""
        self._running.set()

    def fail(self, port_id: str, error: Exception) -> None:
        """Let the next plug of this port end with an error."""
        self._failures[port_id] = error

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

    # --- the backend ------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        phases: dict[str, int] = {}
        for record in self.ports():
            phases[record.phase] = phases.get(record.phase, 0) + 1
        return {
            "live": True,
            "ready": True,
            "version": "0",
            "plugins": {"fake": "ready"},
            "ports": phases,
        }

    def plugins(self) -> list[dict[str, Any]]:
        good = {"name": "fake", "distribution": "vifd", "version": "0", "state": "ready"}
        bad = {"name": "broken", "distribution": "elsewhere", "version": "1", "state": "refused"}
        return [{**good, "reasons": []}, {**bad, "reasons": ["ImportError: no module named x"]}]

    def verify_plugin(self, name: str) -> Future[Inspection]:
        if name == "broken":
            facts = {"plugin": name, "distribution": "elsewhere", "reason": "ImportError"}
            raise errors.PluginRefused(facts=facts, stage="load")
        if name != "fake":
            raise errors.PluginMissing(facts={"wanted": name, "have": ["fake"]}, stage="plugin")
        future: Future[Inspection] = Future()
        checks = [Check("contract.version", ok=True, detail="1.0"), *self.inspected]
        ok = all(check.ok for check in checks)

        def do() -> None:
            self._running.wait()
            future.set_result(Inspection("fake", "0", "1.0", ok, checks))

        self._lane.put(do)
        return future

    def host(self) -> dict[str, Any]:
        return self.machine.show()

    def refresh_host(self) -> Future[dict[str, Any]]:
        return self.machine.refresh()

    def ports(self) -> list[PortRecord]:
        with self._lock:
            return [self._records[k] for k in sorted(self._records)]

    def port(self, port_id: str) -> PortRecord:
        with self._lock:
            if port_id not in self._records:
                raise errors.PortNotFound(port=port_id, facts={"port": port_id})
            return self._records[port_id]

    def host_info(self) -> dict[str, Any]:
        return self.offers.host_info()

    def advert(self, plugin: str) -> Advert | None:
        return self.offers.advert if plugin == "fake" else None

    def offer(
        self, attachment: Attachment, acceptable: Sequence[Acceptable] | None, contract: str
    ) -> Future[Offer]:
        future: Future[Offer] = Future()

        def do() -> None:
            self._running.wait()
            try:
                future.set_result(self.offers.make(attachment, acceptable, contract))
            except errors.VifError as error:
                future.set_exception(error)

        self._lane.put(do)
        return future

    def enforcement(self, record: PortRecord) -> list[Enforcement]:
        wanted, advert = record.doc.attachment, Advert((record.vif_type,), features=FEATURES)
        return enforcement.report(wanted, advert, plugin=record.plugin)

    def plug(
        self,
        docs: Sequence[Document],
        request_id: str,
        claims: Mapping[str, Claims] | None = None,
    ) -> list[Ticket]:
        return [self._plug(doc, request_id, claims) for doc in docs]

    def unplug(self, port_ids: Sequence[str], request_id: str) -> list[Ticket]:
        return [self._unplug(port_id, request_id) for port_id in port_ids]

    def set_role(self, port_id: str, role: Role, request_id: str) -> Ticket:
        return self._plug(self.port(port_id).doc.with_role(role), request_id)

    def check(self, port_id: str, request_id: str) -> Future[PortRecord]:
        record = self.port(port_id)
        future: Future[PortRecord] = Future()

        def do() -> None:
            future.set_result(msgspec.structs.replace(record, report=_report(record)))

        self._lane.put(do)
        return future

    def prepare_guest(
        self, guest: str, interfaces: Sequence[GuestInterface], request_id: str, timeout: float
    ) -> Future[Prepared]:
        del request_id, timeout
        future: Future[Prepared] = Future()

        def do() -> None:
            self._running.wait()
            with self._lock:
                ours = ports_of(interfaces, self._records)
            ports = [
                PreparedPort(r.id, device, r.error is None, r.phase, r.error)
                for device, r in ours.items()
            ]
            unknown = [i.device for i in interfaces if i.device not in ours]
            future.set_result(Prepared(guest, all(p.ok for p in ports), ports, unknown))

        self._lane.put(do)
        return future

    def repair(self, port_id: str, request_id: str, timeout: float) -> Future[Repaired]:
        del request_id, timeout
        record = self.port(port_id)
        device = record.names.device if record.names else ""
        future: Future[Repaired] = Future()

        def do() -> None:
            self._running.wait()
            error = self._failures.pop(port_id, None)
            if error is not None:
                future.set_exception(error)
                return
            self.effects.append(f"repair {port_id}")
            text = f"{device} was taken out of guest fake and put back"
            future.set_result(Repaired(record, True, text, "fake", device, 0.2))

        self._lane.put(do)
        return future

    def explain(self, port_id: str) -> Future[Explanation]:
        record = self.port(port_id)
        future: Future[Explanation] = Future()

        def do() -> None:
            self._running.wait()
            report = _report(record)
            report = msgspec.structs.replace(report, evidence=[*report.evidence, *self.found])
            future.set_result(explain(Subject(record, time.time(), report, asked=True)))

        self._lane.put(do)
        return future

    def recall(self, port_id: str, unasked: str) -> Explanation:
        record = self.port(port_id)
        return explain(Subject(record, time.time(), record.report, unasked=unasked))

    # --- garbage ---

    def garbage(self) -> Future[GarbageView]:
        return self._later(self._garbage)

    def _garbage(self) -> GarbageView:
        return GarbageView(
            orphans=list(self.orphans.values()), removed=list(self.removed.values()),
            automatic=True, doubt="", excess="", grace=300.0, missing={}, suspects=[], silent={},
        )  # fmt: skip

    def collect(self, ids: Sequence[str] | None, *, force: bool) -> Future[CollectedView]:
        return self._later(lambda: self._collect(ids, force=force))

    def _collect(self, ids: Sequence[str] | None, *, force: bool) -> CollectedView:
        asked = [self._orphan(i) for i in ids] if ids is not None else [*self.orphans.values()]
        ripe = [o for o in asked if o.state is State.RIPE]
        if len(ripe) > LIMIT and not force:
            facts = {"count": len(ripe), "total": len(ripe), "reason": f"at most {LIMIT}"}
            raise errors.GarbageLimit(facts=facts)
        for orphan in ripe:
            self.effects.append(f"remove {orphan.id}")
            del self.orphans[orphan.id]
            self.removed[orphan.id] = RemovedView(
                id=orphan.id, plugin=orphan.plugin, port=orphan.port, reason=orphan.why,
                objects=orphan.objects, removed_at=1.0, restored_at=0.0, until=2.0, document=None,
            )  # fmt: skip
        gone = [self.removed[o.id] for o in ripe]
        return CollectedView(removed=gone, failed=[], waiting=[o for o in asked if o not in ripe])

    def _orphan(self, id_: str) -> OrphanView:
        if id_ not in self.orphans:
            raise errors.GarbageUnknown(facts={"id": id_, "what": "is orphaned"})
        return self.orphans[id_]

    def undo_garbage(self, ids: Sequence[str] | None) -> Future[RestoredView]:
        return self._later(lambda: self._undo(ids))

    def _undo(self, ids: Sequence[str] | None) -> RestoredView:
        chosen = list(self.removed)[-1:] if ids is None else list(ids)
        if not chosen or any(i not in self.removed for i in chosen):
            facts = {"id": chosen[0] if chosen else "(the last one)", "what": "was removed"}
            raise errors.GarbageUnknown(facts=facts)
        self.effects += [f"restore {i}" for i in chosen]
        return RestoredView(restored=[self.removed.pop(i) for i in chosen], failed=[])

    def _later(self, work: Callable[[], T]) -> Future[T]:
        """At once: nobody waits for it here, whatever the deadline."""
        future: Future[T] = Future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - it is the caller's
            future.set_exception(error)
        return future

    def upgrade(self) -> UpgradeView:
        return self.upgraded

    def approve(self) -> UpgradeView:
        if self.upgraded.affected:
            self.effects.append("approve")
        self.upgraded = UpgradeView("none", self.upgraded.upgraded)
        return self.upgraded

    def adopt(self, doc: Document, request_id: str) -> Ticket:
        """Everything that is asked for is there."""
        self.effects.append(f"adopt {doc.id}")
        return self._plug(doc, request_id)

    def events(self, after: int, limit: int = 1000) -> list[Event]:
        with self._lock:
            return self._events[after : after + limit]

    def on_event(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def metrics(self) -> bytes:
        return b"# TYPE vifd_ports gauge\nvifd_ports %d\n" % len(self._records)

    # --- inside -----------------------------------------------------------------------------------

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
                return ticket
            record = msgspec.structs.replace(record, removing=True, phase=Phase.UNPLUGGING)
            self._records[port_id] = record
            self.effects.append(f"unplug {port_id}")

        def do() -> None:
            self._running.wait()
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
        open=is_open,
        phase=Phase.LIVE if is_open else Phase.READY,
        wiring=record.names,
        vif=Vif("ethernet", device, attachment.mac, mtu=attachment.network.mtu),
        report=_report(record),
    )


def _failed(record: PortRecord, error: Exception) -> PortRecord:
    known = errors.wrap(error, port=record.id).to_dict()
    return msgspec.structs.replace(record, phase=Phase.FAILED, error=known)


def _report(record: PortRecord) -> Report:
    mtu = record.doc.attachment.network.mtu
    facts = [
        Evidence("device.mtu", have=mtu, wanted=mtu, source="netlink"),
        Evidence("ovsdb.ofport", have=7, wanted=7, source="ovsdb"),
        Evidence("flows.port", have=12, wanted=12, source="openflow"),
    ]
    return Report(facts, at=time.time())
