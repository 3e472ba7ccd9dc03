"""The collector: looks from time to time, removes what is ripe, and puts back what was removed.

A native thread of its own. It does nothing to the host itself: what it decides is carried out by
the lanes, in small portions, when no port waits there, so that nothing races with a plug.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

import msgspec

from vifd import errors
from vifd.engine import Engine
from vifd.engine.garbage import view
from vifd.engine.garbage.completeness import Completeness
from vifd.engine.garbage.disposal import Disposal, Gone
from vifd.engine.garbage.options import Settings
from vifd.engine.garbage.reconcile import stood_on
from vifd.engine.garbage.survey import Survey, Surveyor
from vifd.engine.garbage.tracker import OrphanTracker, State, Tracked
from vifd.engine.garbage.undo_store import Removed, UndoStore
from vifd.engine.garbage.view import CollectedView, GarbageView, RestoredView
from vifd.hypervisor import Hypervisor, NoHypervisor
from vifd.model.event import Event
from vifd.safety.steady import Steady, settle
from vifd.store import Journal

LOG = logging.getLogger(__name__)

T = TypeVar("T")

#: So many ports are named in a log line.
_SHOWN = 8

#: At most so long passes between two looks at the clock, in seconds.
LONGEST_PAUSE = 3600.0


@dataclass
class Collector:
    """The thread and what it knows.

    :param complete: whether the desired set is known to be complete
    :param clock: for intervals and the grace period; never goes back
    :param wall: for what people read
    """

    engine: Engine
    journal: Journal
    surveyor: Surveyor
    complete: Completeness
    undo_store: UndoStore
    settings: Settings = field(default_factory=Settings)
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    tracker: OrphanTracker = field(init=False)
    _orders: SimpleQueue[Callable[[], None] | None] = field(default_factory=SimpleQueue)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: Steady | None = None
    _looked: float | None = None
    _survey: Survey = field(default_factory=Survey)
    _excess: str = ""

    @classmethod
    def of(
        cls,
        engine: Engine,
        journal: Journal,
        hypervisor: Hypervisor | None = None,
        settings: Settings | None = None,
    ) -> Collector:
        """The collector of a daemon."""
        surveyor = Surveyor(engine, journal, hypervisor or NoHypervisor())
        complete = Completeness(engine, journal)
        if journal.fresh or journal.set_aside is not None or journal.incomplete:
            complete.lost()
        return cls(engine, journal, surveyor, complete, UndoStore(journal), settings or Settings())

    def __post_init__(self) -> None:
        self.tracker = OrphanTracker(self.settings.grace)
        self._disposal = Disposal(
            self.engine, self.journal, self.surveyor, self.undo_store, self._stopping, self.wall,
            self._announce,
        )  # fmt: skip

    # --- life ---

    def start(self) -> None:
        self._thread = Steady(self._run, "garbage")
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End once the portion that is being removed is done."""
        self._stopping.set()
        self._orders.put(None)
        if self._thread is not None:
            self._thread.join(timeout)

    def configure(self, settings: Settings) -> None:
        """Take other options."""
        self.settings = settings
        self._orders.put(lambda: None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = LONGEST_PAUSE
            try:
                pause = self.turn()
            except Exception:
                LOG.exception("the garbage collector failed; it goes on")
            try:
                order = self._orders.get(timeout=max(0.0, pause))
            except Empty:
                continue
            if order is not None:
                order()

    def turn(self) -> float:
        """Look and remove if it is time; returns the seconds until it may be time again.

        Whatever the interval, the host is looked at once after a start, for what has to be told.
        """
        interval = self.settings.interval
        if self.complete.starting():
            return 1.0
        if not interval:
            if self._looked is None:
                self.look()
            return LONGEST_PAUSE
        left = self._due() - self.clock()
        if left > 0:
            return min(left, LONGEST_PAUSE)
        self.look()
        self._collect_by_itself()
        return min(max(0.0, self._due() - self.clock()), LONGEST_PAUSE)

    def _due(self) -> float:
        """When to look next: after the interval, or when something may have become ripe."""
        if self._looked is None:
            return self.clock()
        due = self._looked + self.settings.interval
        ripening = self.tracker.due()
        return due if ripening is None else min(due, max(ripening, self._looked + 0.05))

    # --- requests, from any thread ---

    def dry_run(self) -> Future[GarbageView]:
        """Look now, and tell what was found; nothing is removed."""
        return self._order(self._tell)

    def collect(self, ids: Sequence[str] | None, *, force: bool) -> Future[CollectedView]:
        """Remove orphans.

        :param ids: which ones; all that are ripe by default
        :param force: beyond the limits, and although a journal was lost
        """
        return self._order(lambda: self._collect(ids, force=force))

    def undo(self, ids: Sequence[str] | None) -> Future[RestoredView]:
        """Put removed orphans back; the last one by default."""
        return self._order(lambda: self._undo(ids))

    def _order(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()

        def run() -> T:
            try:
                return work()
            except Exception as error:  # it is the caller's
                raise errors.wrap(error, stage="garbage") from error

        if self._stopping.is_set():
            future.set_exception(errors.Stopping())
        else:
            self._orders.put(partial(settle, future, run))
        return future

    # --- looking ---

    def look(self) -> Survey:
        """Compare the host with the journal; what a port lacks is repaired."""
        now = self.clock()
        self.tracker.grace = self.settings.grace
        self.undo_store.expire(self.wall(), self.settings.undo_period)
        self._survey = survey = self.surveyor.look()
        known = {s.orphan.id for s in self.tracker.all()}
        orphans = survey.plan.orphans
        below = stood_on(o for o in orphans if self.undo_store.keeps(o.id))
        self.tracker.look(
            now, orphans, answered=survey.answered,
            kept=lambda id_: id_ in below or self.undo_store.keeps(id_),
        )  # fmt: skip
        self._looked = now
        found = [s for s in self.tracker.all() if s.orphan.id not in known]
        self._report(found, survey)
        self.engine.again(survey.plan.dirty)
        if not survey.plan.orphans and not survey.silent:
            self.complete.proven()
        return survey

    def _report(self, found: Sequence[Tracked], survey: Survey) -> None:
        states = Counter(s.state for s in self.tracker.all())
        self.engine.metrics.orphans.set(sum(states.values()))
        for state in State:
            self.engine.metrics.garbage.labels(state.value).set(states[state])
        for port, lacks in view.missing(survey.plan).items():
            LOG.warning("port %s lacks %s; it is looked at", port, ", ".join(lacks))
        now = self.clock()
        for tracked in found:
            orphan = tracked.orphan
            LOG.info("orphan %s: %s; %s", orphan.id, ", ".join(map(view.describe, orphan.objects)),
                     view.why(tracked, now, self.settings.grace))  # fmt: skip
        self._warn(found)
        self._post([_event("orphan-found", s.orphan.port, s.orphan.plugin, s.orphan.id)
                    for s in found], self.wall())  # fmt: skip

    def _warn(self, found: Sequence[Tracked]) -> None:
        """Ports, and not only remains, that no record stands for: an operator has to know."""
        ports = sorted({s.orphan.port for s in found if s.orphan.port})
        if not ports:
            return
        by = sorted({s.orphan.plugin for s in found if s.orphan.port})
        more = f" and {len(ports) - _SHOWN} more" if len(ports) > _SHOWN else ""
        LOG.warning(
            "%d ports bear our mark and are in no journal (plugins %s): %s%s; they stay as they "
            "are until garbage collection may take them. Next: `vifctl port explain ID` tells what "
            "there is, a plug takes a port over in place, `vifctl gc` shows all",
            len(ports), ", ".join(by),
            ", ".join(ports[:_SHOWN]), more,
        )  # fmt: skip

    def unrecorded(self) -> list[str]:
        """Ids of the ports whose marks are on this host and that are in no journal, as of the last
        look; from memory."""
        return sorted({s.orphan.port for s in self.tracker.all() if s.orphan.port})

    def _tell(self) -> GarbageView:
        survey = self.look()
        now, grace = self.clock(), self.settings.grace
        known = sorted(self.tracker.all(), key=lambda s: (s.first, s.orphan.id))
        return GarbageView(
            orphans=[view.orphan(s, now, grace) for s in known],
            removed=[view.removed(r, self.settings.undo_period) for r in self.undo_store.all()],
            automatic=self.settings.automatic,
            doubt=self.complete.doubt(),
            excess=self._excessive(len(self.tracker.ripe())),
            grace=grace,
            missing=view.missing(survey.plan),
            suspects=[view.describe(m) for m in survey.plan.suspects],
            silent=dict(survey.silent),
        )

    def _excessive(self, count: int) -> str:
        return self.settings.limits.exceeded(count, len(self.journal.records()))

    # --- removing ---

    def _collect_by_itself(self) -> None:
        ripe = self.tracker.ripe()
        if not self.settings.automatic or self.complete.doubt():
            return
        excess = self._excessive(len(ripe))
        self.engine.metrics.held_back.set(len(ripe) if excess else 0)
        if excess:
            if excess != self._excess:
                error = self._limit(len(ripe), excess)
                LOG.warning("%s: %s. Next: %s", error.code, error.message, error.hint)
                event = _event("garbage-held-back", "", "", error.message)
                self._post([event], self.wall())
            self._excess = excess
            return
        self._excess = ""
        if ripe:
            self._remove(ripe)

    def _collect(self, ids: Sequence[str] | None, *, force: bool) -> CollectedView:
        self.complete.require(force=force)
        self.look()
        known = {s.orphan.id: s for s in self.tracker.all()}
        unknown = [i for i in ids or () if i not in known]
        if unknown:
            what = "is orphaned on this host now"
            raise errors.GarbageUnknown(facts={"id": unknown[0], "what": what})
        asked = list(known.values()) if ids is None else [known[i] for i in dict.fromkeys(ids)]
        ripe = [s for s in asked if s.state is State.RIPE]
        excess = self._excessive(len(ripe))
        if excess and not force:
            raise self._limit(len(ripe), excess)
        done = self._remove(ripe) if ripe else Gone()
        if force and not done.failed:
            self.complete.approved()
        now, grace = self.clock(), self.settings.grace
        return CollectedView(
            removed=[view.removed(r, self.settings.undo_period) for r in done.removed],
            failed=_failures(done),
            waiting=[view.orphan(s, now, grace) for s in asked if s.state is not State.RIPE],
        )

    def _limit(self, count: int, excess: str) -> errors.GarbageLimit:
        total = count + len(self.journal.records())
        return errors.GarbageLimit(
            facts={"count": count, "total": total, "reason": excess}, stage="garbage"
        )

    def _remove(self, ripe: Sequence[Tracked]) -> Gone:
        now, grace = self.clock(), self.settings.grace
        reasons = {s.orphan.id: view.why(s, now, grace) for s in ripe}
        done = self._disposal.remove([s.orphan for s in ripe], reasons)
        self.tracker.forget(r.id for r in done.removed)
        return done

    def _undo(self, ids: Sequence[str] | None) -> RestoredView:
        self.undo_store.expire(self.wall(), self.settings.undo_period)
        there = [r for r in self.undo_store.all() if not r.restored_at]
        chosen = there[:1] if ids is None else [self._undoable(i) for i in dict.fromkeys(ids)]
        if not chosen:
            what = "was removed and can be put back"
            raise errors.GarbageUnknown(facts={"id": "(the last one)", "what": what})
        done = self._disposal.put_back(chosen)
        self.tracker.forget(r.id for r in done.removed)
        return RestoredView(
            restored=[view.removed(r, self.settings.undo_period) for r in done.removed],
            failed=_failures(done),
        )

    def _undoable(self, id_: str) -> Removed:
        removed = self.undo_store.get(id_)
        if removed is None:
            what = "was removed and can be put back"
            raise errors.GarbageUnknown(facts={"id": id_, "what": what})
        return removed

    def _announce(self, what: str, done: Gone) -> None:
        """A line for each object, an event for each orphan."""
        event = f"garbage-{what}"
        for removed in done.removed:
            for marked in removed.objects:
                LOG.info("%s: %s (%s)", event, view.describe(marked), removed.reason)
            self.engine.metrics.collected.labels(removed.plugin, what).inc()
        for id_, error in done.failed:
            LOG.warning("%s: %s: %s: %s", event, id_, error.code, error.message)
        self._post([_event(event, r.port, r.plugin, r.id) for r in done.removed], self.wall())

    def _post(self, events: Sequence[Event], at: float) -> None:
        if not events:
            return
        events = [msgspec.structs.replace(e, at=at) for e in events]
        try:
            self.engine.bus.publish(self.journal.post(events))
        except errors.JournalError as error:
            LOG.warning("%s: %s", error.code, error.message)


def _event(name: str, port: str, plugin: str, detail: str) -> Event:
    return Event(0, name, 0.0, port=port, plugin=plugin, detail=detail)


def _failures(done: Gone) -> list[view.FailureView]:
    return [
        view.FailureView(id_, str(error.facts.get("object", "")), error.to_dict())
        for id_, error in done.failed
    ]
