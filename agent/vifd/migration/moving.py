"""A port changes its back end under its running guest: the same tap, another plugin.

The record says from the start who shall serve the port, by which names, and whom it leaves
(``Origin``); that is on disk before the first effect. The other plugin takes the tap over by the
usual plug, with its filters and flows in force before, and proves it. What cannot be proven is the
first one's again, in the commit that says so. Only a port that was proven has its leftovers removed
where it was. Killed anywhere, the next start goes on from the record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from vifd import errors
from vifd.engine import Engine
from vifd.engine.intake import tell_unread
from vifd.engine.ticket import Ticket
from vifd.engine.tickets import Kind
from vifd.engine.worker import ledger
from vifd.migration import movable, origins
from vifd.migration.lulls import LullWatch, Watched
from vifd.migration.moved import Moved
from vifd.migration.timeline import Time
from vifd.model import Document, PortRecord, Wiring
from vifd.model.event import Event
from vifd.model.status import status_of, untouched
from vifd.negotiation import Choice, refusal_of
from vifd.plugin import Item
from vifd.safety.steady import settle
from vifd.store import Change, Journal

LOG = logging.getLogger(__name__)

_MS = 1000


@dataclass
class _Move:
    """One that is under way, for who waits for it."""

    port: str
    source: str
    target: str
    device: str
    request_id: str
    future: Future[Moved]
    watched: Watched
    began: float = 0.0
    proven: float | None = None
    gap: Time | None = None
    measured: bool = False
    swept: bool = False
    left: str = ""

    @property
    def whence(self) -> str:
        return self.source or "another program"

    def answer(self) -> Moved:
        """What became of it."""
        gap, took = self.gap, None if self.proven is None else self.proven - self.began
        return Moved(
            self.port, self.source, self.target, self.device, done=True,
            gap_ms=None if gap is None else round(gap.at * _MS, 1),
            gap_within_ms=None if gap is None else round(gap.within * _MS, 1),
            took_ms=None if took is None else round(took * _MS, 1), left=self.left,
        )  # fmt: skip


@dataclass
class Moves:
    """Moves ports.

    :param gap: told of each gap, for the metrics
    :param migrating: whether a guest is on its way to a port
    """

    engine: Engine
    journal: Journal
    gap: Callable[[float], None] = lambda _seconds: None
    migrating: Callable[[str], bool] = lambda _port: False
    watch: LullWatch = field(default_factory=LullWatch)
    _under_way: dict[str, _Move] = field(default_factory=dict)

    def move(
        self, port_id: str, target: str, request_id: str, *, dry_run: bool = False,
        doc: Document | None = None,
    ) -> Future[Moved]:  # fmt: skip
        """Have another plugin serve this port; never blocks.

        :param dry_run: only say whether it can be done
        :param doc: of a port that another program plugged with its tap behind a bridge of its own
        """
        future: Future[Moved] = Future()
        ticket = Ticket(port_id, request_id)
        ticket.done.add_done_callback(lambda done: settle(future, partial(_raise, done)))
        try:
            self.engine.serving()
            if doc is not None and self._unknown(port_id, target):
                take = partial(self._take, ticket, target, future, doc, dry_run=dry_run)
                self.engine.lanes.serve(target, "move", ticket, take)
                return future
            present = self._present(port_id, target)
            begin = partial(self._begin, ticket, target, future, dry_run=dry_run)
            self.engine.lanes.serve(present.plugin, "move", ticket, begin)
        except errors.VifError as error:
            ticket.fail(error.at("move", port_id))
        return future

    def _present(self, port_id: str, target: str) -> PortRecord:
        """The port's record.

        :raises errors.VifError: there is none, or nobody to serve it
        """
        present = self.journal.get(port_id)
        if present is None:
            raise errors.PortNotFound(facts={"port": port_id})
        for wanted in (present.plugin, target):
            if wanted not in self.engine.plugins:
                facts = {"wanted": wanted, "have": list(self.engine.plugins)}
                raise errors.PluginMissing(facts=facts, stage="plugin")
        return present

    def _unknown(self, port_id: str, target: str) -> bool:
        """Whether nothing of a port is ours yet.

        :raises errors.PluginMissing: there is nobody to take it
        """
        if target not in self.engine.plugins:
            facts = {"wanted": target, "have": list(self.engine.plugins)}
            raise errors.PluginMissing(facts=facts, stage="plugin")
        present = self.journal.get(port_id)
        return present is None or untouched(present)

    # --- on the lane of the plugin that takes over what another program plugged ---

    def _take(
        self, ticket: Ticket, target: str, future: Future[Moved], doc: Document, *, dry_run: bool
    ) -> None:
        wanted = replace(doc.attachment, plugin=target)
        choice = self.engine.negotiator.choose(wanted)
        if choice.plugin != target:
            raise refusal_of(choice, wanted, self.engine.adverts)
        with self.engine.naming:
            names = self.engine.plugins[target].take(doc.attachment, ledger(self.journal), "")
            if names is None:
                raise errors.AdoptionAbsent(facts={"port": doc.id})
            if dry_run:
                settle(future, lambda: Moved(doc.id, "", target, names.device))
                return
            one = self._started(ticket, "", target, names.device, future)
            record = origins.taken(doc, target, names, choice, ticket.request_id)
            self._accept(one, record, lambda now: origins.made_or(now, record))
        tell_unread(doc, ticket.request_id)

    def _started(
        self, ticket: Ticket, source: str, target: str, device: str, future: Future[Moved]
    ) -> _Move:
        """Somebody waits for it from now on, and its frames are counted."""
        watched = self.watch.follow(device)
        return _Move(ticket.port_id, source, target, device, ticket.request_id, future, watched)

    def _accept(self, one: _Move, seen: PortRecord, change: Change) -> None:
        """Put on disk who serves the port from now on, and have that one plug it.

        :raises errors.VifError: it is another port by now, or cannot be written
        """
        try:
            present = self.engine.accept({one.port: change})[one.port]
            origins.demand(one.port, one.target, present)
        except BaseException:
            self.watch.drop(one.watched)
            raise
        one.began = time.time()
        self.watch.begun(one.watched)
        self._under_way[one.port] = one
        LOG.info(
            "moving from %s to %s: device %s. port=%s instance=%s request=%s",
            one.whence, one.target, one.device, one.port,
            seen.doc.attachment.instance_id, one.request_id,
        )  # fmt: skip
        plugged = Ticket(one.port, one.request_id)
        plugged.done.add_done_callback(partial(self._plugged, one))
        self.engine.tickets.add(Kind.PLUG, plugged)
        self.engine.again([one.port])

    # --- on the lane that the port leaves: nothing else is done with it meanwhile ---

    def _begin(self, ticket: Ticket, target: str, future: Future[Moved], *, dry_run: bool) -> None:
        seen = self._present(ticket.port_id, target)
        device = (seen.wiring or seen.names or Wiring("", "", "")).device
        same = Moved(seen.id, seen.plugin, target, device)
        if seen.plugin == target and seen.origin is None:
            settle(future, lambda: same)
            return
        choice = self._choice(seen, target)
        with self.engine.naming:
            names = self._names(seen, target)
            if dry_run:
                settle(future, lambda: same)
                return
            one = self._started(ticket, seen.plugin, target, device, future)
            change = origins.intended(seen, target, names, choice, ticket.request_id)
            self._accept(one, seen, change)

    def _choice(self, seen: PortRecord, target: str) -> Choice:
        """What this host says of the port on the other plugin.

        :raises errors.VifError: it cannot be there, or would be held to less
        """
        adverts = self.engine.adverts
        problem = movable.problem(seen, adverts[seen.plugin], adverts[target])
        if not problem and self.migrating(seen.id):
            problem = "a guest is on its way to it: wait until its migration has ended"
        if problem:
            raise movable.unfit(seen.plugin, target, problem)
        wanted = replace(seen.doc.attachment, plugin=target, vif_type=None)
        choice = self.engine.negotiator.choose(wanted)
        if choice.plugin != target:
            raise refusal_of(choice, wanted, adverts)
        if weaker := movable.weaker(seen, adverts[seen.plugin], adverts[target], target):
            raise weaker[0]
        return choice

    def _names(self, seen: PortRecord, target: str) -> Wiring:
        """By which names the other plugin takes the tap over.

        :raises errors.VifError: it cannot
        """
        device = seen.wiring.device if seen.wiring else ""
        plugin = self.engine.plugins[target]
        names = plugin.take(seen.doc.attachment, ledger(self.journal), device)
        if names is None:
            raise movable.unfit(seen.plugin, target, f"plugin {target} takes over no taps")
        return names

    # --- how it went on ---

    def _plugged(self, one: _Move, done: Future[PortRecord]) -> None:
        """The other plugin has proven the port, or it is the first one's again."""
        error = done.exception()
        if error is not None:
            self._failed(one, errors.wrap(error, stage="move", port=one.port))
            return
        one.proven = time.time()
        self.watch.ended(one.watched, partial(self._measured, one))

    def _failed(self, one: _Move, error: errors.VifError) -> None:
        self._under_way.pop(one.port, None)
        self.watch.drop(one.watched)
        present = self.journal.get(one.port)
        if not one.source or present is None or present.plugin != one.source:
            # it is being removed, or the daemon ends; the record says how it goes on
            settle(one.future, partial(_refuse, error))
            return
        told = errors.BackendReturned(
            facts={"have": one.source, "wanted": one.target, "reason_code": error.code,
                   "problem": error.message, "reason": error.to_dict()},
            stage="move", port=one.port,
        )  # fmt: skip
        LOG.warning(
            "not moved: on %s it failed (%s: %s), and is back on %s. Next: %s. port=%s request=%s",
            one.target, error.code, error.message, one.source, error.hint, one.port, one.request_id,
        )  # fmt: skip
        self._post(present, "backend-returned", f"{one.target}: {error.code}: {error.message}")
        ticket = Ticket(one.port, one.request_id)
        ticket.done.add_done_callback(lambda _: settle(one.future, partial(_refuse, told)))
        self.engine.tickets.add(Kind.PLUG, ticket)
        self.engine.tickets.settle(one.port, present, self.journal.get(one.port), None)

    def _measured(self, one: _Move, gap: Time | None) -> None:
        """The first frame has come, or nobody sends any."""
        one.gap, one.measured = gap, True
        if gap is not None:
            self.gap(gap.at)
        self._finish(one)

    def _finish(self, one: _Move) -> None:
        """Tell it once it is proven, measured and swept."""
        if not (one.measured and one.swept) or one.future.done():
            return
        self._under_way.pop(one.port, None)
        answer = one.answer()
        said = "no frames to measure it by" if one.gap is None else (
            f"the gap was {answer.gap_ms:.0f} ms, to within {answer.gap_within_ms:.0f} ms"
        )  # fmt: skip
        LOG.info(
            "moved from %s to %s: %s; proven after %.0f ms. port=%s request=%s",
            one.whence, one.target, said, answer.took_ms or 0.0, one.port, one.request_id,
        )  # fmt: skip
        present = self.journal.get(one.port)
        if present is not None:
            self._post(
                present,
                "backend-moved",
                f"from {one.whence} to {one.target}; {said}",
            )
        settle(one.future, lambda: answer)

    def _post(self, record: PortRecord, what: str, detail: str) -> None:
        self.engine.post(
            Event(
                id=0, event=what, at=time.time(), port=record.id,
                instance=record.doc.attachment.instance_id, request_id=record.request_id,
                plugin=record.plugin, phase=record.phase.value, role=record.role.value,
                status=status_of(record).value, revision=record.revision, detail=detail,
            )
        )  # fmt: skip

    # --- what is left where it was ---

    def follow(self, records: Sequence[PortRecord]) -> None:
        """These records were just written: go on with what they say."""
        for record in records:
            origin = record.origin
            if origin is None:
                continue
            if record.removing:
                self._superseded(record)
                continue
            if origin.back and not record.applied and record.error is not None:
                # nobody waits a second for the port to be where it was
                self.engine.again([record.id])
            elif origin.foreign and record.wiring is None and record.error is not None:
                lane = self.engine.lanes[record.plugin]
                lane.urgent(f"drop {record.id}", partial(self._drop, record.id))
            elif origins.swept(record) and origin.plugin in self.engine.plugins:
                lane = self.engine.lanes[origin.plugin]
                lane.urgent(f"sweep {record.id}", partial(self._sweep, record.id))

    def _drop(self, port_id: str) -> None:
        """What could not be taken from another program is that one's, as it was."""
        self.engine.record({port_id: origins.dropped}, None)

    def _superseded(self, record: PortRecord) -> None:
        """It goes; what is left where it was is an orphan once it is gone."""
        one = self._under_way.pop(record.id, None)
        if one is not None:
            self.watch.drop(one.watched)
            gone = errors.Superseded(facts={"by": "unplug"}, stage="move", port=record.id)
            settle(one.future, partial(_refuse, gone))

    def _sweep(self, port_id: str) -> None:
        """On the lane of the plugin that the port left: nothing of it stays there."""
        record = self.journal.get(port_id)
        if record is None or record.origin is None or not origins.swept(record):
            return
        origin = record.origin
        item = Item(record.doc.attachment, origin.wiring, origin.wiring, open=False)
        one = self._under_way.get(port_id)
        try:
            outcome = self.engine.plugins[origin.plugin].hand_over([item]).get(port_id)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            outcome = errors.wrap(error, stage="sweep", port=port_id)
        if isinstance(outcome, Wiring):
            self.engine.record({port_id: partial(origins.without, origin)}, None)
            left = ""
        else:
            left = outcome.message if outcome else "its plugin gave no answer"
            LOG.warning(
                "something of it is left on %s, and is tried again: %s. port=%s", origin.plugin,
                left, port_id,
            )  # fmt: skip
            self.engine.later(port_id)
        if one is not None and not origin.back:
            one.swept, one.left = True, left
            self._finish(one)


def _raise(done: Future[PortRecord]) -> Moved:
    """What ended a request ends the answer to it."""
    raise done.exception() or errors.Superseded(facts={"by": "another request"})


def _refuse(error: errors.VifError) -> Moved:
    raise error
