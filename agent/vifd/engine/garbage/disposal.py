"""Carrying it out: portion by portion on the plugin's lane, with pauses as long as the work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from functools import partial

import msgspec

from vifd import errors
from vifd.engine import Engine
from vifd.engine.garbage.reconcile import Orphan
from vifd.engine.garbage.survey import Surveyor
from vifd.engine.garbage.throttle import FIRST, Throttle
from vifd.engine.garbage.undo_store import Removed, UndoStore
from vifd.plugin.marked import Key, Marked
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Seconds after which a lane that is never idle is given up, for this time.
PATIENCE = 600.0


@dataclass
class Gone:
    """What became of orphans.

    :param removed: those of which something was removed, or put back
    :param failed: by id, each object that was left alone
    """

    removed: list[Removed] = field(default_factory=list)
    failed: list[tuple[str, errors.VifError]] = field(default_factory=list)

    def add(self, portion: Gone) -> None:
        """Take what became of one portion more."""
        self.removed += portion.removed
        self.failed += portion.failed


@dataclass
class Disposal:
    """Removes orphans, and puts them back.

    :param tell: called with what was done (``removed``, ``restored``) and every portion
    """

    engine: Engine
    journal: Journal
    surveyor: Surveyor
    undo_store: UndoStore
    stopping: threading.Event
    wall: Callable[[], float] = time.time
    tell: Callable[[str, Gone], None] = lambda _what, _portion: None

    def remove(self, orphans: Sequence[Orphan], reasons: Mapping[str, str]) -> Gone:
        """Remove orphans that are ripe."""
        done = Gone()
        for plugin, mine in _by_plugin(orphans):
            start, throttle = 0, Throttle()
            while start < len(mine) and not self.stopping.is_set():
                portion = mine[start : start + throttle.size]
                start += len(portion)
                part = Gone()
                work = partial(self._discard, plugin, portion, reasons, part)
                spent = self._await(plugin, portion, part, work)
                self.tell("removed", part)
                done.add(part)
                throttle.took(len(portion), spent)
                # as long again as the work took: ports have at least half of the switch's time
                self.stopping.wait(spent)
        return done

    def put_back(self, removed: Sequence[Removed]) -> Gone:
        """Restore what was removed."""
        done = Gone()
        for plugin, mine in _by_plugin([r.orphan for r in removed]):
            for start in range(0, len(mine), FIRST):
                portion = mine[start : start + FIRST]
                part = Gone()
                self._await(plugin, portion, part, partial(self._restore, plugin, portion, part))
                self.tell("restored", part)
                done.add(part)
        return done

    def _await(
        self, plugin: str, portion: Sequence[Orphan], done: Gone, work: Callable[[], None]
    ) -> float:
        """Have a lane do it when no port waits there; returns the seconds that it took there."""
        spent = 0.0

        def timed() -> None:
            nonlocal spent
            began = time.monotonic()
            work()
            spent = time.monotonic() - began

        lane = self.engine.lanes.get(plugin)
        if lane is None:
            error = errors.PluginMissing(facts={"wanted": plugin, "have": [*self.engine.lanes]})
            done.failed += [(o.id, error) for o in portion]
            return spent
        future = lane.ask("garbage", timed, idle=True)
        try:
            _result(future, self.stopping)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            failure = errors.wrap(error, stage="garbage")
            LOG.warning("garbage of plugin %s: %s: %s", plugin, failure.code, failure.message)
            done.failed += [(o.id, failure) for o in portion]
        return spent

    # --- on the lane ---

    def _discard(
        self, plugin: str, portion: Sequence[Orphan], reasons: Mapping[str, str], done: Gone
    ) -> None:
        """What is known now decides: a port may have been asked for since the last look."""
        orphans = self._unheld(plugin, self._unwanted(portion, done), done)
        at = self.wall()
        entries = {o.id: _entry(o, reasons.get(o.id, ""), at) for o in orphans}
        self.undo_store.put(entries.values())
        failed = self.engine.plugins[plugin].discard([m for o in orphans for m in o.objects])
        self.engine.lanes[plugin].changed.set()
        for orphan in orphans:
            gone = [m for m in orphan.objects if m.key not in failed]
            done.failed += [(orphan.id, failed[m.key]) for m in orphan.objects if m.key in failed]
            if gone:
                done.removed.append(msgspec.structs.replace(entries[orphan.id], objects=gone))
        self.undo_store.put(r for r in done.removed if r.id in entries and r != entries[r.id])
        self.undo_store.drop(entries.keys() - {r.id for r in done.removed})

    def _unwanted(self, portion: Sequence[Orphan], done: Gone) -> list[Orphan]:
        """Those of a portion that are still nobody's; the others have failed."""
        desired = self.surveyor.desired()
        found = []
        for orphan in portion:
            known = orphan.port and self.journal.get(orphan.port) is not None
            if not known and all(m.key not in desired for m in orphan.objects):
                found.append(orphan)
                continue
            facts = {"object": orphan.id, "problem": "a port of the journal has it now"}
            done.failed.append((orphan.id, errors.GarbageChanged(facts=facts, stage="garbage")))
        return found

    def _unheld(self, plugin: str, orphans: Sequence[Orphan], done: Gone) -> list[Orphan]:
        """Those whose devices nobody has open; the others have failed. A carrier does not say it:
        another program can take that from a guest that runs. Only who would remove a device may
        ask, as that opens it."""
        links = self.engine.plugins[plugin].host.drivers.links
        found = []
        for orphan in orphans:
            names = {name for marked in orphan.objects for name in marked.uses}
            held = next((name for name in sorted(names) if links.opened(name)), "")
            if not held:
                found.append(orphan)
                continue
            problem = f"{held} is open: a guest, or another program, has it"
            facts = {"object": orphan.id, "problem": problem}
            done.failed.append((orphan.id, errors.GarbageChanged(facts=facts, stage="garbage")))
        return found

    def _restore(self, plugin: str, portion: Sequence[Orphan], done: Gone) -> None:
        orphans = self._unwanted(portion, done)
        failed: dict[Key, errors.VifError] = {}
        failed |= self.engine.plugins[plugin].restore(_all(orphans))
        now = self.wall()
        for orphan in orphans:
            back = [m for m in orphan.objects if m.key not in failed]
            done.failed += [(orphan.id, failed[m.key]) for m in orphan.objects if m.key in failed]
            before = self.undo_store.get(orphan.id)
            if back and before is not None:
                done.removed.append(msgspec.structs.replace(before, restored_at=now))
        self.undo_store.put([r for r in done.removed if r.restored_at == now])


def _all(orphans: Sequence[Orphan]) -> list[Marked]:
    return [m for o in orphans for m in o.objects]


def _entry(orphan: Orphan, reason: str, at: float) -> Removed:
    return Removed(
        id=orphan.id, plugin=orphan.plugin, port=orphan.port, objects=list(orphan.objects),
        reason=reason, removed_at=at,
    )  # fmt: skip


def _by_plugin(orphans: Sequence[Orphan]) -> Iterator[tuple[str, list[Orphan]]]:
    """In the order of the first; network devices and bridges after the ports on them."""
    by_plugin: dict[str, list[Orphan]] = {}
    for orphan in sorted(orphans, key=lambda o: not o.port):
        by_plugin.setdefault(orphan.plugin, []).append(orphan)
    yield from by_plugin.items()


def _result(future: Future[None], stopping: threading.Event) -> None:
    """Wait; give up where the daemon stops, or the lane has no time at all."""
    end = time.monotonic() + PATIENCE
    while not wait_for([future], 0.2).done:
        given_up = stopping.is_set() or time.monotonic() > end
        if given_up and future.cancel():
            raise errors.Stopping()
    future.result()
