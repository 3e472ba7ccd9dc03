"""Takes requests, has them decided, and puts them on disk.

One native thread. Everything that waits is decided in order and written in one durable commit
(group commit), so that a lane that hangs never keeps a caller from being told "accepted".
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Protocol

from vifd import errors
from vifd.capabilities.neighbours import Neighbours
from vifd.engine.decision import Decider, Decision, Plugins, Request
from vifd.engine.pending import Pending
from vifd.engine.tickets import Kind, Tickets
from vifd.model import Document, PortRecord, alarming, notes, unread_remarks
from vifd.negotiation.secondlook import SecondLook, mendable
from vifd.steady import Steady
from vifd.store import Change, Journal, Records

LOG = logging.getLogger(__name__)

#: Requests decided in one commit.
GROUP = 512
#: Seconds after which a group that is being decided and written will not end any more.
STUCK = 120.0


class EngineApi(Plugins, Protocol):
    """What the intake needs of the engine."""

    def accept(self, changes: Mapping[str, Change]) -> Records: ...

    def again(self, port_ids: Iterable[str]) -> None: ...


@dataclass
class Intake:
    """The thread and its queue."""

    engine: EngineApi
    journal: Journal
    tickets: Tickets
    #: has the host read anew for a request that would be refused; ``None`` where nobody does
    look: SecondLook | None = None
    #: requests; a port's id where those that waited for its removal have their turn; the end
    _queue: SimpleQueue[Request | str | None] = field(default_factory=SimpleQueue)
    #: by port, who waits for a second look, and the refusal otherwise; known to the thread alone
    _looking: dict[str, tuple[Request, errors.VifError]] = field(default_factory=dict)
    _thread: Steady | None = None
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.pending: Pending[Request] = Pending(self._going)
        self._decider = Decider(self.engine, self.journal, self.pending)

    def _going(self, port_id: str) -> bool:
        present = self.journal.get(port_id)
        return present is not None and present.removing

    def start(self) -> None:
        self._thread = Steady(self._run, "intake", patience=STUCK)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Decide what waits, then end; what comes from now on is refused."""
        with self._lock:
            self._stopped = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout)
        _refuse(self.pending.close())
        _refuse([request for request, _ in self._looking.values()])

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
        for port_id in self.pending.free(port_ids):
            self._queue.put(port_id)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, stop = self._waiting(first)
            taken: list[Request] = []
            try:
                with self._thread.turn() if self._thread else nullcontext():
                    self._decide(group, taken)
            except BaseException as error:
                LOG.exception("intake: %d requests failed", len(taken))
                for request in taken:
                    request.ticket.fail(errors.wrap(error, stage="intake"))
            if stop:
                return

    def _waiting(self, first: Request | str) -> tuple[list[Request | str], bool]:
        group = [first]
        while not self._queue.empty() and len(group) < GROUP:
            entry = self._queue.get()
            if entry is None:
                return group, True
            group.append(entry)
        return group, False

    def _turns(self, group: Sequence[Request | str], taken: list[Request]) -> Iterator[Request]:
        """The requests in their order, each noted before it is decided."""
        for entry in group:
            turn = self.pending.take(entry) if isinstance(entry, str) else [entry]
            turn = [request for request in turn if self._has_its_turn(request)]
            taken += turn
            yield from turn

    def _has_its_turn(self, request: Request) -> bool:
        """The last request for a port has the last word: one that waits for a second look is
        refused by what was known once another one comes."""
        port_id = request.ticket.port_id
        earlier = self._looking.get(port_id)
        if request.again and (earlier is None or earlier[0].ticket is not request.ticket):
            return False
        if earlier is not None and request.kind is not Kind.CHECK:
            del self._looking[port_id]
            if not request.again:
                self._refuse(*earlier)
        return True

    def _decide(self, group: Sequence[Request | str], taken: list[Request]) -> None:
        """Decide in order; a second request for the same port, or for an address that a port of
        this group takes, waits for the commit of the first."""
        changes: dict[str, Change] = {}
        ready: list[tuple[Request, Decision]] = []
        coming = Neighbours()
        for request in self._turns(group, taken):
            if request.ticket.port_id in changes or _clashes(request, coming):
                self._write(changes, ready)
                changes, ready, coming = {}, [], Neighbours()
            decision = self._answer(request)
            if decision is not None:
                if decision.change is not None:
                    changes[request.ticket.port_id] = decision.change
                    if request.doc is not None:
                        coming.put(request.doc.attachment)
                ready.append((request, decision))
        self._write(changes, ready)

    def _write(self, changes: Mapping[str, Change], ready: list[tuple[Request, Decision]]) -> None:
        """Put the changes on disk, then tell the callers and the lanes."""
        new: Records = {}
        try:
            if changes:
                new = self.engine.accept(changes)
        except errors.JournalError as error:
            # What cannot be written is not done.
            for request, decision in ready:
                if decision.change is not None:
                    request.ticket.fail(error.copy().at(port=request.ticket.port_id))
            ready = [(r, d) for r, d in ready if d.change is None]
        for request, decision in ready:
            self._admit(request, decision, new.get(request.ticket.port_id) or decision.seen)
        self.engine.again(r.ticket.port_id for r, d in ready if d.kick)

    def _admit(self, request: Request, decision: Decision, record: PortRecord | None) -> None:
        """The request is on disk: tell so, and have the ticket wait for the rest."""
        ticket = request.ticket
        if decision.overtaken is not None:
            ticket.fail(decision.overtaken)
            return
        if record is not None:
            ticket.accept(record)
        if request.doc is not None and decision.change is not None:
            tell_unread(request.doc, ticket.request_id)
        if decision.refusal is not None:
            ticket.fail(decision.refusal)
            return
        self.tickets.add(request.kind, ticket)
        # A lane may have been faster than this thread.
        self.tickets.settle(ticket.port_id, record, self.journal.get(ticket.port_id), None)

    def _answer(self, request: Request) -> Decision | None:
        """The decision; ``None`` where it was refused, or waits."""
        try:
            return self._decider.decide(request)
        except errors.VifError as error:
            refusal = error.at("intake", request.ticket.port_id)
        if not self._look_first(request, refusal):
            self._refuse(request, refusal)
        return None

    def _look_first(self, request: Request, refusal: errors.VifError) -> bool:
        """Have the host read once more where that may change the answer; then it comes again."""
        if self.look is None or request.again or not mendable(refusal):
            return False
        again = replace(request, again=True)
        self._looking[request.ticket.port_id] = request, refusal
        self.look.ask(lambda: self._queue.put(again))
        return True

    def _refuse(self, request: Request, refusal: errors.VifError) -> None:
        """Tell the caller and the operator."""
        LOG.warning(
            "refused: %s: %s. Next: %s. port=%s request=%s",
            refusal.code, refusal.message, refusal.hint, request.ticket.port_id,
            request.ticket.request_id,
        )  # fmt: skip
        request.ticket.fail(refusal)


def tell_unread(doc: Document, request_id: str) -> None:
    """Warn of what a document that was taken says in vain, or probably does not mean."""
    remarks = alarming(unread_remarks(doc.raw)) if doc.unread else []
    for remark in (*remarks, *notes(doc.attachment)):
        LOG.warning(
            "document: %s. Next: correct it and send it again. port=%s instance=%s request=%s",
            remark, doc.id, doc.attachment.instance_id, request_id,
        )  # fmt: skip


def _clashes(request: Request, coming: Neighbours) -> bool:
    """Whether a port that is not in the journal yet has one of the addresses."""
    return request.doc is not None and any(True for _ in coming.clashes(request.doc.attachment))


def _refuse(requests: Iterable[Request]) -> None:
    for request in requests:
        request.ticket.fail(errors.Stopping(port=request.ticket.port_id))
