"""A collector of garbage without a host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from vifd import errors
from vifd.engine.garbage.tracker import State
from vifd.engine.garbage.view import (
    CollectedView,
    GarbageView,
    OrphanView,
    RemovedView,
    RestoredView,
)

T = TypeVar("T")

#: So many orphans go without force.
LIMIT = 3


class Recycling:
    """What is orphaned, and what was removed.

    :param effects: where changes are noted: ``remove <id>``, ``restore <id>``
    :ivar orphans: what a look finds, by id
    """

    def __init__(self, effects: list[str]) -> None:
        self.effects = effects
        self.orphans: dict[str, OrphanView] = {}
        self.removed: dict[str, RemovedView] = {}

    def dry_run(self) -> Future[GarbageView]:
        return _at_once(self._garbage)

    def _garbage(self) -> GarbageView:
        return GarbageView(
            orphans=list(self.orphans.values()), removed=list(self.removed.values()),
            automatic=True, doubt="", excess="", grace=300.0, missing={}, suspects=[], silent={},
        )  # fmt: skip

    def collect(self, ids: Sequence[str] | None, *, force: bool) -> Future[CollectedView]:
        return _at_once(lambda: self._collect(ids, force=force))

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

    def undo(self, ids: Sequence[str] | None) -> Future[RestoredView]:
        return _at_once(lambda: self._undo(ids))

    def _undo(self, ids: Sequence[str] | None) -> RestoredView:
        chosen = list(self.removed)[-1:] if ids is None else list(ids)
        if not chosen or any(i not in self.removed for i in chosen):
            facts = {"id": chosen[0] if chosen else "(the last one)", "what": "was removed"}
            raise errors.GarbageUnknown(facts=facts)
        self.effects += [f"restore {i}" for i in chosen]
        return RestoredView(restored=[self.removed.pop(i) for i in chosen], failed=[])


def _at_once(work: Callable[[], T]) -> Future[T]:
    """At once: nobody waits for it here, whatever the deadline."""
    future: Future[T] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future
