"""Takes requests, decides them against the journal, and puts them on disk.

One native thread. Everything that waits is decided in order and written in one durable commit
(group commit), so that a lane that hangs never keeps a caller from being told "accepted".
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Protocol

import msgspec
from msgspec.structs import replace

from vifd import errors, model, plan
from vifd.model import Document, Phase, PortRecord, Role
from vifd.negotiation import Choice, refusal_of
from vifd.plugin import Advert
from vifd.store import Change, Journal
from vifd.ticket import Ticket
from vifd.tickets import Kind, Tickets, finish

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

    def record(
        self,
        changes: Mapping[str, Change],
        errors_by_port: Mapping[str, errors.VifError] | None,
        *,
        durable: bool = False,
    ) -> Mapping[str, PortRecord | None]: ...

    def again(self, port_ids: Iterable[str]) -> None: ...


@dataclass
class Decision:
    """What a request means: a change of the record, or nothing to write."""

    change: Change | None = None
    kick: bool = True


@dataclass
class Intake:
    """The thread and its queue."""

    office: Office
    journal: Journal
    tickets: Tickets
    _queue: SimpleQueue[Request | None] = field(default_factory=SimpleQueue)
    _parked: dict[str, list[Request]] = field(default_factory=dict)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Decide what waits, then end."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout)
        for parked in self._parked.values():
            for request in parked:
                request.ticket.fail(errors.Stopping())

    def submit(self, requests: Iterable[Request]) -> None:
        """Queue requests; never blocks."""
        for request in requests:
            self._queue.put(request)

    def gone(self, port_ids: Iterable[str]) -> None:
        """These ports were removed: requests that waited for that go on."""
        for port_id in port_ids:
            self.submit(self._parked.pop(port_id, ()))

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
            try:
                decision = self._decision(request)
            except errors.VifError as error:
                LOG.warning(
                    "refused: %s: %s. Next: %s. port=%s request=%s",
                    error.code, error.message, error.hint, request.ticket.port_id,
                    request.ticket.request_id,
                )  # fmt: skip
                request.ticket.fail(error.at("intake", request.ticket.port_id))
                continue
            if decision is not None:
                if decision.change is not None:
                    changes[request.ticket.port_id] = decision.change
                ready.append((request, decision))
        self._write(changes, ready)

    def _write(self, changes: Mapping[str, Change], ready: list[tuple[Request, Decision]]) -> None:
        if not ready:
            return
        for request, _ in ready:
            self.tickets.add(request.kind, request.ticket)
        if changes:
            # A journal that cannot be written fails the tickets, and nothing goes on.
            if not self.office.record(changes, None, durable=True):
                return
        kick = []
        for request, decision in ready:
            record = self.journal.get(request.ticket.port_id)
            if record is not None:
                finish(request.ticket.accepted, record)
                self.tickets.settle(record.id, record, record, None)
            if decision.kick:
                kick.append(request.ticket.port_id)
        self.office.again(kick)

    # --- decisions ---

    def _decision(self, request: Request) -> Decision | None:
        present = self.journal.get(request.ticket.port_id)
        if request.kind is Kind.UNPLUG:
            return self._unplug(request, present)
        if request.kind is Kind.CHECK:
            if present is None:
                raise errors.PortNotFound(facts={"port": request.ticket.port_id})
            return Decision()
        if present is not None and present.removing:
            self._parked.setdefault(present.id, []).append(request)
            return None
        doc = request.doc or _in_role(request, present)
        if present is None:
            return self._new(request, doc)
        return self._changed(request, doc, present)

    def _unplug(self, request: Request, present: PortRecord | None) -> Decision | None:
        for parked in self._parked.pop(request.ticket.port_id, ()):
            parked.ticket.fail(errors.Superseded(facts={"by": "unplug"}, stage="intake"))
        if present is None:
            missing = errors.PortNotFound(facts={"port": request.ticket.port_id})
            request.ticket.fail(missing)
            return None
        if present.removing:
            return Decision()
        request_id = request.ticket.request_id

        def change(now: PortRecord | None) -> PortRecord | None:
            if now is None:
                return None
            phase = Phase.UNPLUGGING
            return replace(now, removing=True, phase=phase, error=None, request_id=request_id)

        return Decision(change)

    def _new(self, request: Request, doc: Document) -> Decision:
        choice = self.office.choose(doc)
        if not choice.plugin:
            raise refusal_of(choice, doc.attachment, self.office.adverts())
        request.ticket.created = True
        record = PortRecord(
            doc=doc,
            plugin=choice.plugin,
            vif_type=choice.vif_type,
            request_id=request.ticket.request_id,
        )
        return Decision(lambda _now: record)

    def _changed(self, request: Request, doc: Document, present: PortRecord) -> Decision:
        if doc.raw == present.doc.raw:
            return Decision(kick=present.phase is Phase.FAILED)
        paths = differences(present.doc, doc)
        advert = self.office.adverts().get(present.plugin)
        in_place = advert.in_place if advert else frozenset()
        fixed = [path for path in paths if not plan.covered(path, in_place)]
        fixed += _other_choice(doc, present)
        if fixed and present.wiring is not None:
            raise errors.StateConflict(facts={"fields": fixed, "phase": present.phase.value})
        keeps = not paths or set(paths) == {"role"}
        request_id = request.ticket.request_id

        def change(now: PortRecord | None) -> PortRecord | None:
            base = now or present
            names = None if fixed else base.names
            applied = base.applied and keeps
            return replace(base, doc=doc, applied=applied, names=names, request_id=request_id)

        return Decision(change)


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
