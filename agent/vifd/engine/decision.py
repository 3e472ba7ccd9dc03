"""What a request means: decided against the journal, before anything is written.

Refusals are raised; what is wanted comes back as a change of the record.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from vifd import errors
from vifd.engine import plan
from vifd.engine.differing import differences, other_candidate, other_choice
from vifd.engine.pending import Pending
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.model import Document, Parts, PortRecord, Role, Side, sides, unread
from vifd.model.assembling import assembled
from vifd.model.lifecycle import Move, moved
from vifd.model.parts import sufficient, unused
from vifd.model.sides import Said
from vifd.model.status import hosted, settled, untouched
from vifd.negotiation import Choice, refusal_of
from vifd.negotiation.token import Claims
from vifd.plugin import Advert
from vifd.store import Change, Journal


@dataclass(frozen=True)
class Request:
    """What a caller wants of one port.

    :param claims: of the token of an offer, which names the candidate to take
    :param again: the host was read anew since it was about to be refused
    :param said: what one side says of its part of the port
    :param taking: what another program plugged is taken over, where there is such a port
    """

    kind: Kind
    ticket: Ticket
    doc: Document | None = None
    role: Role | None = None
    claims: Claims | None = None
    again: bool = False
    said: Said | None = None
    taking: bool = False


class Plugins(Protocol):
    """What a decision needs to know of the plugins."""

    def choose(self, doc: Document, claims: Claims | None = None) -> Choice: ...

    @property
    def adverts(self) -> Mapping[str, Advert]: ...

    def objections(self, present: PortRecord, doc: Document) -> list[errors.VifError]: ...

    @property
    def hostname(self) -> str: ...

    def sufficient(self, *, perhaps: bool) -> str: ...


class Kept(NamedTuple):
    """What the sides of a port say from now on; ``None``: a whole document does, or nobody."""

    parts: Parts | None


@dataclass
class Decision:
    """What a request means: a change of the record, or nothing to write.

    :param seen: the record that was decided upon
    :param kick: whether the port's lane has something to do
    :param refusal: why the request ends here, although what it wants is on disk
    :param parts: what the sides of the port say from now on, where that changes
    :param doc: the document that the port is brought to, where it is a new one
    :param adopt: the document of a port to look for, and to take over, before it is made
    :param failing: told to those who wait for the port's other part
    :param again: what was made ahead goes first; then the request is decided anew
    :param overtaken: set by the change where it could not be made any more: nothing is on disk
    """

    change: Change | None = None
    seen: PortRecord | None = None
    kick: bool = True
    refusal: errors.VifError | None = None
    parts: Kept | None = None
    adopt: Document | None = None
    doc: Document | None = None
    failing: errors.VifError | None = None
    again: bool = False
    overtaken: errors.VifError | None = None


def _room(records: Mapping[str, PortRecord], doc: Document) -> None:
    """:raises errors.UnreadTooLarge: the ports of this host have too many unknown fields already"""
    taken = sum(r.doc.unread for port_id, r in records.items() if port_id != doc.id)
    if taken + doc.unread > unread.MAX_JOURNAL:
        path, _ = next(unread.unread(doc.raw))
        problem = f"is not read; of such fields of all ports {unread.MAX_JOURNAL} bytes are kept"
        facts = {"field": path[:255], "problem": problem, "have": taken + doc.unread}
        raise errors.UnreadTooLarge(facts=facts, stage="intake", port=doc.id)


class Decider:
    """Decides one request after the other; on the intake's thread."""

    def __init__(self, plugins: Plugins, journal: Journal, pending: Pending[Request]) -> None:
        self._plugins = plugins
        self._journal = journal
        self._pending = pending

    def decide(self, request: Request, *, early: bool = False) -> Decision | None:
        """What to do for a request; ``None``: it waits for the end of a removal.

        :param early: a refusal is not final, because the host was not looked at yet
        :raises errors.VifError: the refusal
        """
        present = self._journal.get(request.ticket.port_id)
        if request.said is not None:
            return self._sides(request, request.said, early=early)
        if request.kind is Kind.UNPLUG:
            return self._unplug(request, present)
        if request.kind is Kind.CHECK:
            if present is None:
                raise errors.PortNotFound(facts={"port": request.ticket.port_id})
            self._served(present)
            return Decision(seen=present)
        if present is not None and present.removing:
            self._served(present)
        if self._pending.park(request.ticket.port_id, request):
            return None
        present = self._journal.get(request.ticket.port_id)
        row = self._journal.parts(request.ticket.port_id)
        if request.doc is None and present is None and row is not None:
            if request.role is Role.ACTIVE and row.network is None:
                raise errors.BindingUnbound(facts={"port": request.ticket.port_id})
            return Decision(parts=Kept(sides.in_role(row, request.role)), kick=False)
        doc, parts = self._whole(request, present, row)
        self._room(doc, request)
        decision = self._made(request, doc, present)
        if row is not None or parts is not None:
            decision.parts = Kept(parts)
        return decision

    def _room(self, doc: Document, request: Request) -> None:
        """:raises errors.UnreadTooLarge: the ports of this host have too much that is not read"""
        if request.role is None and doc.unread:
            _room(self._journal.records(), doc)

    def _whole(
        self, request: Request, present: PortRecord | None, row: Parts | None
    ) -> tuple[Document, Parts | None]:
        """The document that a request for the whole port is about, and the sides' parts then."""
        if request.doc is None:
            return _in_role(request, present), sides.in_role(row, request.role)
        opened = present is not None and present.open
        return sides.replaced(row, request.doc, self._plugins.hostname, opened=opened)

    def _made(self, request: Request, doc: Document, present: PortRecord | None) -> Decision:
        """Bring a port to a document."""
        others = present is None or untouched(present) or hosted(present)
        if request.taking and others and doc.attachment.hosted is None:
            return Decision(seen=present, adopt=doc, kick=False)
        if present is None:
            return self._new(request, doc)
        return self._changed(request, doc, present)

    # --- a port by its sides ---

    def _sides(self, request: Request, said: Said, *, early: bool) -> Decision | None:
        """What follows from what one side says of a port."""
        port_id = request.ticket.port_id
        if self._pending.occupied(port_id) and self._pending.park(port_id, request):
            return None
        present = self._journal.get(port_id)
        before = sides.known(self._journal.parts(port_id), present)
        if said.unused and (present is None or before is None or not before.prewired):
            gone = errors.PortNotFound(facts={"port": port_id})
            return Decision(seen=present, kick=False, refusal=gone)
        after = sides.after(before, said)
        after = sufficient(after, port_id, self._plugins.sufficient(perhaps=False))
        if early and after.network is None and self._plugins.sufficient(perhaps=True):
            raise errors.PartsMissing(facts={"missing": "", "seconds": 0})
        opened = present is not None and present.open and not present.removing
        try:
            # what is to be taken over is no other program's from then on
            whose = replace(after, hosted=None) if request.taking else after
            doc = assembled(whose, self._plugins.hostname, opened=opened)
        except errors.PartsDisagree as error:
            return self._refused(said, after, present, error)
        if doc is None:
            return self._incomplete(request, before, after, present)
        self._room(doc, request)
        if present is not None and present.removing:
            self._served(present)
            if self._pending.park(port_id, request):
                return None
            present = self._journal.get(port_id)
        try:
            decision = self._made(request, doc, present)
        except errors.VifError as error:
            if early:
                raise
            if present is not None and before is not None and before.prewired:
                return self._instead(request, said, before, present)
            return self._refused(said, after, present, error)
        decision.parts = Kept(replace(after, taking=decision.adopt is not None))
        if said.side is Side.COMPUTE and said.part is None and decision.refusal is None:
            # it is another program's, and stays
            decision.refusal = errors.PortNotFound(facts={"port": port_id})
        return decision

    def _instead(
        self, request: Request, said: Said, before: Parts, present: PortRecord
    ) -> Decision:
        """What was made ahead cannot become what is wanted now: it goes, and nobody has used it.
        Who uses the port has it made in the other way; nobody, and it is not made ahead again."""
        decision = self._unplug(request, present)
        kept = before if said.side is Side.NETWORK else unused(before)
        decision.parts, decision.again = Kept(kept), True
        return decision

    def _refused(
        self, said: Said, after: Parts, present: PortRecord | None, error: errors.VifError
    ) -> Decision:
        """The port that the parts make is refused. What compute asks for is not kept then; what the
        network service says of a port that is not made yet holds all the same.

        :raises errors.VifError: the refusal, where nothing is kept
        """
        if said.side is Side.COMPUTE or present is not None:
            raise error
        told = error.copy().at("intake", said.port)
        kept = Kept(replace(after, error=told.to_dict()))
        return Decision(parts=kept, kick=False, refusal=told, failing=told)

    def _incomplete(
        self, request: Request, before: Parts | None, after: Parts, present: PortRecord | None
    ) -> Decision:
        """A part lacks: the port waits for it, or is not wanted any more."""
        made = present is not None and not present.removing
        if request.kind is not Kind.UNPLUG and not made:
            return Decision(seen=present, parts=Kept(after), kick=False)
        if before is None:
            raise errors.PortNotFound(facts={"port": request.ticket.port_id})
        kept = Kept(None if after.bare else after)
        if present is None:
            gone = errors.PortNotFound(facts={"port": request.ticket.port_id})
            by = errors.Superseded(facts={"by": "unplug"}, stage="intake")
            return Decision(parts=kept, kick=False, refusal=gone, failing=by)
        leaves = request.said is not None and request.said.left and not untouched(present)
        decision = _leave(request, present) if leaves else self._unplug(request, present)
        decision.parts = kept
        return decision

    def _served(self, present: PortRecord) -> None:
        """A request for a port whose plugin is not there would wait for ever."""
        if (missing := self._missing(present)) is not None:
            raise missing

    def _missing(self, present: PortRecord) -> errors.PluginMissing | None:
        adverts = self._plugins.adverts
        if present.plugin in adverts:
            return None
        facts = {"wanted": present.plugin, "have": list(adverts)}
        return errors.PluginMissing(facts=facts, stage="plugin", port=present.id)

    def _unplug(self, request: Request, present: PortRecord | None) -> Decision:
        for other in self._pending.cancel(request.ticket.port_id):
            other.ticket.fail(errors.Superseded(facts={"by": "unplug"}, stage="intake"))
        kept = Kept(None) if self._journal.parts(request.ticket.port_id) else None
        if present is None:
            gone = errors.PortNotFound(facts={"port": request.ticket.port_id})
            if kept is None:
                raise gone
            by = errors.Superseded(facts={"by": "unplug"}, stage="intake")
            return Decision(parts=kept, kick=False, refusal=gone, failing=by)
        missing = self._missing(present)
        if missing is not None and untouched(present):
            return Decision(lambda _now: None, present, kick=False, parts=kept)
        if present.removing and not present.released:
            return Decision(seen=present, kick=missing is None, refusal=missing, parts=kept)
        error = missing.to_dict() if missing else None

        def change(now: PortRecord | None) -> PortRecord | None:
            return now and replace(
                now, removing=True, released=False, phase=moved(now.phase, Move.REMOVE),
                error=error, request_id=request.ticket.request_id,
            )  # fmt: skip

        return Decision(change, present, kick=missing is None, refusal=missing, parts=kept)

    def _choose(self, request: Request, doc: Document) -> PortRecord:
        """The record of a port that is to be made."""
        choice = self._plugins.choose(doc, request.claims)
        if not choice.plugin:
            raise refusal_of(choice, doc.attachment, self._plugins.adverts)
        if choice.vif_type != self._plugins.adverts[choice.plugin].vif_types[0]:
            # the plugin would take its first by itself
            doc = doc.with_vif_type(choice.vif_type)
        return PortRecord(
            doc=doc,
            plugin=choice.plugin,
            vif_type=choice.vif_type,
            request_id=request.ticket.request_id,
            selection=choice.selection(time.time()),
        )

    def _new(self, request: Request, doc: Document) -> Decision:
        record = self._choose(request, doc)
        request.ticket.created = True
        return Decision(lambda _now: record, doc=doc)

    def _changed(self, request: Request, doc: Document, present: PortRecord) -> Decision:
        missing = self._missing(present)
        kept = present.doc.attachment.vif_type
        if kept is not None and doc.attachment.vif_type is None:
            doc = doc.with_vif_type(kept)
        fixed = other_candidate(request.claims, present)
        if missing is None and not fixed and doc.raw == present.doc.raw:
            return Decision(seen=present, kick=not (settled(present) and present.applied))
        paths = differences(present.doc, doc)
        fixed += self._fixed(paths, doc, present)
        refusal: errors.VifError | None = missing or (_conflict(present, fixed) if fixed else None)
        if refusal is None and set(paths) - {"role"}:
            refusal = next(iter(self._plugins.objections(present, doc)), None)
        if refusal is not None:
            if not untouched(present):
                raise refusal
            return self._anew(request, doc, present, refusal)
        keeps = not paths or set(paths) == {"role"}
        request_id = request.ticket.request_id

        def change(now: PortRecord | None) -> PortRecord | None:
            base = now or present
            return replace(base, doc=doc, applied=base.applied and keeps, request_id=request_id)

        return Decision(change, present, doc=doc)

    def _fixed(self, paths: Sequence[str], doc: Document, present: PortRecord) -> list[str]:
        """The differences that a plugged port cannot take."""
        advert = self._plugins.adverts.get(present.plugin)
        in_place = (advert.in_place if advert else frozenset()) | {"prewired"}
        if present.doc.attachment.instance is None or hosted(present):
            # a port that was made before anybody used it, or by who knows more of it
            in_place |= {"instance"}
        fixed = [path for path in paths if not plan.covered(path, in_place)]
        return fixed + other_choice(doc, present)

    def _anew(
        self, request: Request, doc: Document, present: PortRecord, refusal: errors.VifError
    ) -> Decision:
        """Nothing of the port is on the host: choose again, as for a new one."""
        record = self._choose(request, doc)
        decision = Decision(seen=present, doc=doc)

        def change(now: PortRecord | None) -> PortRecord | None:
            if now is None or not untouched(now):
                # A lane began with it between the decision and the commit.
                decision.overtaken = refusal
                return now
            return record

        decision.change = change
        return decision


def _leave(request: Request, present: PortRecord) -> Decision:
    """The port is given to another program as it stands; see :mod:`vifd.engine.release`."""

    def change(now: PortRecord | None) -> PortRecord | None:
        if now is None or now.removing:
            return now
        return replace(now, removing=True, released=True, request_id=request.ticket.request_id)

    return Decision(change, present)


def _conflict(present: PortRecord, fields: list[str]) -> errors.StateConflict:
    facts = {"fields": fields, "phase": present.phase.value}
    return errors.StateConflict(facts=facts, port=present.id)


def _in_role(request: Request, present: PortRecord | None) -> Document:
    if present is None or request.role is None:
        raise errors.PortNotFound(facts={"port": request.ticket.port_id})
    return present.doc.with_role(request.role)
