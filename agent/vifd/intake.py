"""Takes requests, decides them against the journal, and puts them on disk.

One native thread. Everything that waits is decided in order and written in one durable commit
(group commit), so that a lane that hangs never keeps a caller from being told "accepted".
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

import msgspec
from msgspec.structs import replace

from vifd import errors, model, plan
from vifd.model import Document, Phase, PortRecord, Role
from vifd.negotiation import Choice, refusal_of
from vifd.plugin import Advert
from vifd.status import settled, untouched
from vifd.store import Change, Journal, Records
from vifd.ticket import Ticket
from vifd.tickets import Kind, Tickets

LOG = logging.getLogger(__name__)

#: Requests decided in one commit.
GROUP = 512


@dataclass(frozen=True)
class Request:
    """What a caller wants of one port."""

    kind: Kind
    ticket: Ticket
    doc: Document | None = None
    role: Role | None = None


class Office(Protocol):
    """What the intake needs of the engine."""

    def choose(self, doc: Document) -> Choice: ...

    def adverts(self) -> Mapping[str, Advert]: ...

    def accept(self, changes: Mapping[str, Change]) -> Records: ...

    def again(self, port_ids: Iterable[str]) -> None: ...


@dataclass
class Decision:
    """What a request means: a change of the record, or nothing to write.

    :param seen: the record that was decided upon
    :param kick: whether the port's lane has something to do
    :param refusal: why the request ends here, although what it wants is on disk
    """

    change: Change | None = None
    seen: PortRecord | None = None
    kick: bool = True
    refusal: errors.VifError | None = None


@dataclass
class Intake:
    """The thread and its queue."""

    office: Office
    journal: Journal
    tickets: Tickets
    _queue: SimpleQueue[Request | None] = field(default_factory=SimpleQueue)
    _parked: dict[str, list[Request]] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Decide what waits, then end; what comes from now on is refused."""
        with self._lock:
            self._stopped = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout)
        with self._lock:
            parked, self._parked = self._parked, {}
        for requests in parked.values():
            _refuse(requests)

    def submit(self, requests: Iterable[Request]) -> None:
        """Queue requests; never blocks."""
        late = []
        with self._lock:
            for request in requests:
                if self._stopped:
                    late.append(request)
                else:
                    self._queue.put(request)
        _refuse(late)

    def gone(self, port_ids: Iterable[str]) -> None:
        """These ports were removed: requests that waited for that go on."""
        for port_id in port_ids:
            with self._lock:
                parked = self._parked.pop(port_id, [])
            self.submit(parked)

    def _park(self, request: Request) -> bool:
        """Keep a request until its port is gone; False where it is gone already."""
        port_id = request.ticket.port_id
        with self._lock:
            present = self.journal.get(port_id)
            if present is None or not present.removing:
                return False
            if not self._stopped:
                self._parked.setdefault(port_id, []).append(request)
                return True
        _refuse([request])
        return True

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, stop = self._waiting(first)
            try:
                self._decide(group)
            except Exception as error:
                LOG.exception("intake: %d requests failed", len(group))
                for request in group:
                    request.ticket.fail(errors.wrap(error, stage="intake"))
            if stop:
                return

    def _waiting(self, first: Request) -> tuple[list[Request], bool]:
        group = [first]
        while not self._queue.empty() and len(group) < GROUP:
            request = self._queue.get()
            if request is None:
                return group, True
            group.append(request)
        return group, False

    def _decide(self, group: list[Request]) -> None:
        """Decide in order; a second request for the same port waits for the commit of the first."""
        changes: dict[str, Change] = {}
        ready: list[tuple[Request, Decision]] = []
        for request in group:
            if request.ticket.port_id in changes:
                self._write(changes, ready)
                changes, ready = {}, []
            decision = self._answer(request)
            if decision is not None:
                if decision.change is not None:
                    changes[request.ticket.port_id] = decision.change
                ready.append((request, decision))
        self._write(changes, ready)

    def _write(self, changes: Mapping[str, Change], ready: list[tuple[Request, Decision]]) -> None:
        """Put the changes on disk, then tell the callers and the lanes."""
        new: Records = {}
        try:
            if changes:
                new = self.office.accept(changes)
        except errors.JournalError as error:
            # What cannot be written is not done.
            for request, decision in ready:
                if decision.change is not None:
                    request.ticket.fail(error.copy().at(port=request.ticket.port_id))
            ready = [(r, d) for r, d in ready if d.change is None]
        for request, decision in ready:
            self._admit(request, decision, new.get(request.ticket.port_id) or decision.seen)
        self.office.again(r.ticket.port_id for r, d in ready if d.kick)

    def _admit(self, request: Request, decision: Decision, record: PortRecord | None) -> None:
        """The request is on disk: tell so, and have the ticket wait for the rest."""
        ticket = request.ticket
        if record is not None:
            ticket.accept(record)
        if decision.refusal is not None:
            ticket.fail(decision.refusal)
            return
        self.tickets.add(request.kind, ticket)
        # A lane may have been faster than this thread.
        self.tickets.settle(ticket.port_id, record, self.journal.get(ticket.port_id), None)

    def _answer(self, request: Request) -> Decision | None:
        """The decision, or a refusal told to the caller and the operator."""
        try:
            return self._decision(request)
        except errors.VifError as error:
            refusal = error.at("intake", request.ticket.port_id)
        LOG.warning(
            "refused: %s: %s. Next: %s. port=%s request=%s",
            refusal.code, refusal.message, refusal.hint, request.ticket.port_id,
            request.ticket.request_id,
        )  # fmt: skip
        request.ticket.fail(refusal)
        return None

    # --- decisions ---

    def _decision(self, request: Request) -> Decision | None:
        present = self.journal.get(request.ticket.port_id)
        if request.kind is Kind.UNPLUG:
            return self._unplug(request, present)
        if request.kind is Kind.CHECK:
            if present is None:
                raise errors.PortNotFound(facts={"port": request.ticket.port_id})
            self._served(present)
            return Decision(seen=present)
        if present is not None and present.removing:
            self._served(present)
            if self._park(request):
                return None
            present = self.journal.get(request.ticket.port_id)
        doc = request.doc or _in_role(request, present)
        if present is None:
            return self._new(request, doc)
        return self._changed(request, doc, present)

    def _served(self, present: PortRecord) -> None:
        """A request for a port whose plugin is not there would wait for ever."""
        if (missing := self._missing(present)) is not None:
            raise missing

    def _missing(self, present: PortRecord) -> errors.PluginMissing | None:
        adverts = self.office.adverts()
        if present.plugin in adverts:
            return None
        facts = {"wanted": present.plugin, "have": list(adverts)}
        return errors.PluginMissing(facts=facts, stage="plugin", port=present.id)

    def _unplug(self, request: Request, present: PortRecord | None) -> Decision:
        with self._lock:
            parked = self._parked.pop(request.ticket.port_id, [])
        for other in parked:
            other.ticket.fail(errors.Superseded(facts={"by": "unplug"}, stage="intake"))
        if present is None:
            raise errors.PortNotFound(facts={"port": request.ticket.port_id})
        missing = self._missing(present)
        if missing is not None and untouched(present):
            return Decision(lambda _now: None, present, kick=False)
        if present.removing:
            return Decision(seen=present, kick=missing is None, refusal=missing)
        error = missing.to_dict() if missing else None

        def change(now: PortRecord | None) -> PortRecord | None:
            return now and replace(
                now, removing=True, phase=Phase.UNPLUGGING, error=error,
                request_id=request.ticket.request_id,
            )  # fmt: skip

        return Decision(change, present, kick=missing is None, refusal=missing)

    def _choose(self, doc: Document) -> Choice:
        choice = self.office.choose(doc)
        if not choice.plugin:
            raise refusal_of(choice, doc.attachment, self.office.adverts())
        return choice

    def _new(self, request: Request, doc: Document) -> Decision:
        choice = self._choose(doc)
        request.ticket.created = True
        record = PortRecord(
            doc=doc,
            plugin=choice.plugin,
            vif_type=choice.vif_type,
            request_id=request.ticket.request_id,
        )
        return Decision(lambda _now: record)

    def _changed(self, request: Request, doc: Document, present: PortRecord) -> Decision:
        missing = self._missing(present)
        if missing is None and doc.raw == present.doc.raw:
            return Decision(seen=present, kick=not (settled(present) and present.applied))
        paths = differences(present.doc, doc)
        fixed = self._fixed(paths, doc, present)
        if missing is not None or fixed:
            refusal = missing or _conflict(present, fixed)
            if not untouched(present):
                raise refusal
            return self._anew(request, doc, present, refusal)
        keeps = not paths or set(paths) == {"role"}
        request_id = request.ticket.request_id

        def change(now: PortRecord | None) -> PortRecord | None:
            base = now or present
            return replace(base, doc=doc, applied=base.applied and keeps, request_id=request_id)

        return Decision(change, present)

    def _fixed(self, paths: Sequence[str], doc: Document, present: PortRecord) -> list[str]:
        """The differences that a plugged port cannot take."""
        advert = self.office.adverts().get(present.plugin)
        in_place = advert.in_place if advert else frozenset()
        fixed = [path for path in paths if not plan.covered(path, in_place)]
        return fixed + _other_choice(doc, present)

    def _anew(
        self, request: Request, doc: Document, present: PortRecord, refusal: errors.VifError
    ) -> Decision:
        """Nothing of the port is on the host: choose again, as for a new one."""
        choice = self._choose(doc)
        decision = Decision(seen=present)

        def change(now: PortRecord | None) -> PortRecord | None:
            if now is None or not untouched(now):
                # A lane began with it between the decision and the commit.
                decision.refusal = refusal
                return now
            return PortRecord(
                doc=doc, plugin=choice.plugin, vif_type=choice.vif_type,
                request_id=request.ticket.request_id,
            )  # fmt: skip

        decision.change = change
        return decision


def _refuse(requests: Iterable[Request]) -> None:
    for request in requests:
        request.ticket.fail(errors.Stopping(port=request.ticket.port_id))


def _conflict(present: PortRecord, fields: list[str]) -> errors.StateConflict:
    facts = {"fields": fields, "phase": present.phase.value}
    return errors.StateConflict(facts=facts, port=present.id)


def _in_role(request: Request, present: PortRecord | None) -> Document:
    if present is None or request.role is None:
        raise errors.PortNotFound(facts={"port": request.ticket.port_id})
    return present.doc.with_role(request.role)


def differences(old: Document, new: Document) -> list[str]:
    """The paths at which two documents differ in what this version understands."""
    a, b = (msgspec.to_builtins(d.attachment) for d in (old, new))
    return [p for p in model.differences(a, b) if p not in ("plugin", "vif_type", "version")]


def _other_choice(doc: Document, present: PortRecord) -> list[str]:
    """A wish for another plugin or VIF type than the one that serves the port."""
    wishes = {"plugin": present.plugin, "vif_type": present.vif_type}
    return [
        name for name, have in wishes.items() if getattr(doc.attachment, name) not in (None, have)
    ]
