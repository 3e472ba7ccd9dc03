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
from vifd.engine.early import Early
from vifd.engine.pending import Pending
from vifd.engine.setintake import Follow, SetIntake
from vifd.engine.setrequest import SetRequest
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind, Tickets
from vifd.model import Document, Parts, PortRecord, alarming, notes, unread_remarks
from vifd.model.setrecord import SetUpdate
from vifd.model.sides import refused
from vifd.negotiation.secondlook import SecondLook, mendable
from vifd.safety.steady import Steady
from vifd.store import Change, Journal, Records

LOG = logging.getLogger(__name__)

#: In the queue: look at what was kept, at sets that nothing refers to, or at ports that were
#: refused while the host was another; no port has these ids.
_WAKE, _SWEEP, _REFUSED = "", "sets", "refused"
#: The request id of what is decided anew because the host changed.
CHANGED = "host-changed"

#: Requests decided in one commit.
GROUP = 512
#: Seconds after which a group that is being decided and written will not end any more.
STUCK = 120.0


class EngineApi(Plugins, Protocol):
    """What the intake needs of the engine."""

    def accept(
        self, changes: Mapping[str, Change], parts: Mapping[str, Parts | None],
        sets: Sequence[SetUpdate],
    ) -> Records: ...  # fmt: skip

    def take_over(self, request: Request, doc: Document) -> None: ...

    def again(self, port_ids: Iterable[str]) -> None: ...


@dataclass
class Intake:
    """The thread and its queue."""

    engine: EngineApi
    journal: Journal
    tickets: Tickets
    #: has a set's ticket wait for the plugins
    follow: Follow = lambda ticket: ticket.finish(None)
    #: has the host read anew for a request that would be refused; ``None`` where nobody does
    look: SecondLook | None = None
    #: requests; a port's id where those that waited for its removal have their turn; the end
    _queue: SimpleQueue[Request | SetRequest | str | None] = field(default_factory=SimpleQueue)
    #: by port, who waits for a second look, and the refusal otherwise; known to the thread alone
    _looking: dict[str, tuple[Request, errors.VifError]] = field(default_factory=dict)
    _thread: Steady | None = None
    _stopped: bool = False
    _timer: threading.Timer = field(default_factory=lambda: threading.Timer(0, lambda: None))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.pending: Pending[Request] = Pending(self._going)
        self.early: Early[Request] = Early(
            lambda r: r.ticket.port_id, lambda: self._queue.put(_WAKE)
        )
        self._decider = Decider(self.engine, self.journal, self.pending)
        self._sets = SetIntake(self.journal, self.follow)

    def _going(self, port_id: str) -> bool:
        present = self.journal.get(port_id)
        return present is not None and present.removing

    def start(self, patience: float = 0.0) -> None:
        """Begin to decide.

        :param patience: seconds after which a refusal is final though no plugin has answered yet
        """
        self._timer = threading.Timer(patience, self.early.end)
        self._timer.name, self._timer.daemon = "first-look", True
        self._timer.start()
        self._thread = Steady(self._run, "intake", patience=STUCK)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Decide what waits, then end; what comes from now on is refused."""
        self._timer.cancel()
        self.early.end()
        with self._lock:
            self._stopped = True
            self._queue.put(None)
        if self._thread is not None:
            self._thread.join(timeout)
        _refuse(self.pending.close())
        _refuse([request for request, _ in self._looking.values()])

    def sweep(self) -> None:
        """Sets may be there that their owners took away and that nothing refers to any more."""
        self._queue.put(_SWEEP)

    def host_changed(self) -> None:
        """What the sides of ports said, and was refused, may be possible now."""
        self._queue.put(_REFUSED)

    def submit(self, requests: Iterable[Request | SetRequest]) -> None:
        """Queue requests; never blocks."""
        requests = list(requests)
        for request in requests:
            if isinstance(request, Request):
                self.tickets.parents.expect(request.doc, request.ticket)
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
            taken: list[Request | SetRequest] = []
            try:
                with self._thread.turn() if self._thread else nullcontext():
                    self._decide([entry for entry in group if entry != _REFUSED], taken)
                    if _REFUSED in group:
                        # what this group kept is on disk by now
                        self._say_again()
            except BaseException as error:
                LOG.exception("intake: %d requests failed", len(taken))
                self._sets.failed(errors.wrap(error, stage="intake"))
                for request in taken:
                    request.ticket.fail(errors.wrap(error, stage="intake"))
            if stop:
                return

    def _say_again(self) -> None:
        again = refused(self.journal.all_parts(), self.journal.records())
        self.submit(Request(Kind.PLUG, Ticket(s.port, CHANGED), said=s) for s in again)

    def _waiting(
        self, first: Request | SetRequest | str
    ) -> tuple[list[Request | SetRequest | str], bool]:
        group = [first]
        # what one call brings is decided together
        with self._lock:
            while not self._queue.empty() and len(group) < GROUP:
                entry = self._queue.get()
                if entry is None:
                    return group, True
                group.append(entry)
        return group, False

    def _turns(
        self, group: Sequence[Request | SetRequest | str], taken: list[Request | SetRequest]
    ) -> Iterator[Request | SetRequest | None]:
        """The requests in their order, each noted before it is decided; ``None``: to sweep sets."""
        for entry in group:
            if isinstance(entry, SetRequest) or entry == _SWEEP:
                known = entry if isinstance(entry, SetRequest) else None
                taken += [known] if known else []
                yield known
                continue
            first = self.early.take()
            taken += first
            yield from first
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

    def _decide(
        self, group: Sequence[Request | SetRequest | str], taken: list[Request | SetRequest]
    ) -> None:
        """Decide in order; a second request for the same port, or for an address that a port of
        this group takes, waits for the commit of the first."""
        changes: dict[str, Change] = {}
        ready: list[tuple[Request, Decision]] = []
        coming = Neighbours()
        written: set[str] = set()
        for request in self._turns(group, taken):
            if request is None or isinstance(request, SetRequest):
                if request is None or request.removes:
                    # who refers to it is known once what came before is written
                    self._write(changes, ready)
                    changes, ready, coming, written = {}, [], Neighbours(), set()
                self._sets.sweep() if request is None else self._sets.take(request)
                continue
            if request.ticket.port_id in written or _clash(request.doc, coming):
                self._write(changes, ready)
                changes, ready, coming, written = {}, [], Neighbours(), set()
            decision = self._answer(request)
            if decision is not None and request.doc is None and _clash(decision.doc, coming):
                # What a side says makes a document only when it is decided.
                self._write(changes, ready)
                changes, ready, coming, written = {}, [], Neighbours(), set()
                decision = self._answer(request)
            if decision is not None:
                if decision.change is not None or decision.parts is not None:
                    written.add(request.ticket.port_id)
                if decision.change is not None:
                    changes[request.ticket.port_id] = decision.change
                if decision.doc is not None:
                    coming.put(decision.doc.attachment)
                ready.append((request, decision))
        self._write(changes, ready)

    def _write(self, changes: Mapping[str, Change], ready: list[tuple[Request, Decision]]) -> None:
        """Put the changes on disk, then tell the callers and the lanes."""
        new: Records = {}
        parts, sets = self._parts(ready), self._sets.updates
        try:
            if changes or parts or sets:
                new = self.engine.accept(changes, parts, sets)
            self._sets.written()
        except errors.JournalError as error:
            # What cannot be written is not done.
            self._sets.failed(error)
            for request, decision in ready:
                if decision.change is not None or request.ticket.port_id in parts:
                    request.ticket.fail(error.copy().at(port=request.ticket.port_id))
            ready = [(r, d) for r, d in ready if not r.ticket.done.done()]
        for request, decision in ready:
            self._admit(request, decision, new.get(request.ticket.port_id) or decision.seen)
        self.engine.again(r.ticket.port_id for r, d in ready if d.kick)

    def _parts(self, ready: Sequence[tuple[Request, Decision]]) -> dict[str, Parts | None]:
        """What the sides of ports say now, where it differs from what is on disk."""
        said = {r.ticket.port_id: d.parts.parts for r, d in ready if d.parts is not None}
        return {i: parts for i, parts in said.items() if parts != self.journal.parts(i)}

    def _admit(self, request: Request, decision: Decision, record: PortRecord | None) -> None:
        """The request is on disk: tell so, and have the ticket wait for the rest."""
        ticket = request.ticket
        if decision.overtaken is not None:
            ticket.fail(decision.overtaken)
            return
        if decision.again and decision.refusal is None:
            # nothing of what it says is on disk yet
            if not self.pending.park(ticket.port_id, request):
                # a lane was faster than this thread
                self._queue.put(request)
            return
        if decision.failing is not None:
            self.tickets.fail({ticket.port_id: decision.failing})
        if decision.parts is not None:
            ticket.keep(decision.parts.parts)
        if decision.adopt is not None:
            self.engine.take_over(request, decision.adopt)
            return
        if record is not None:
            ticket.accept(record)
        if decision.doc is not None and decision.change is not None and request.role is None:
            tell_unread(decision.doc, ticket.request_id)
        if decision.refusal is not None:
            if decision.failing is decision.refusal:
                # what a side says is kept; nobody else would hear why nothing comes of it
                self._refuse(request, decision.refusal)
            ticket.fail(decision.refusal)
            return
        self.tickets.add(request.kind, ticket)
        # A lane may have been faster than this thread.
        present = self.journal.get(ticket.port_id)
        if record is not None or present is not None:
            self.tickets.settle(ticket.port_id, record, present, None)

    def _behind(self, request: Request) -> bool:
        """Whether a request waits with an earlier one for the first look at the host."""
        port_id = request.ticket.port_id
        if not self.early.waits(port_id):
            return False
        if request.kind is Kind.UNPLUG and request.said is None:
            for other in self.early.cancel(port_id):
                other.ticket.fail(errors.Superseded(facts={"by": "unplug"}, stage="intake"))
            return False
        self.early.keep(request)
        return True

    def _answer(self, request: Request) -> Decision | None:
        """The decision; ``None`` where it was refused, or waits."""
        first = not self.early.over
        if first and self._behind(request):
            return None
        try:
            return self._decider.decide(request, early=first)
        except errors.VifError as error:
            refusal = error.at("intake", request.ticket.port_id)
        if first and request.kind is Kind.PLUG:
            self.early.keep(request)
            return None
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


def _clash(doc: Document | None, coming: Neighbours) -> bool:
    """Whether a port that is not in the journal yet has one of the addresses."""
    return doc is not None and any(True for _ in coming.clashes(doc.attachment))


def _refuse(requests: Iterable[Request | SetRequest]) -> None:
    for request in requests:
        port = request.ticket.port_id if isinstance(request, Request) else ""
        request.ticket.fail(errors.Stopping(port=port))
