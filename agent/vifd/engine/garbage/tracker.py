"""How long an orphan has been one: the state machine, without I/O.

::

    (unseen) --seen--> SEEN --seen again, grace over--> RIPE --removed--> (unseen)
        ^                |                                |
        +---- gone, held, wanted again, or another one ---+
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from vifd.engine.garbage.reconcile import Orphan


class State(StrEnum):
    """Where an orphan is on its way to being removed."""

    SEEN = "seen"  #: may still be claimed: by a request, a recovery, a guest
    RIPE = "ripe"  #: was an orphan throughout the grace period
    HELD = "held"  #: somebody uses it
    KEPT = "kept"  #: was put back on request


@dataclass(frozen=True)
class Tracked:
    """What is known of one orphan.

    :param first: when it was seen first, on the machine's clock
    :param last: when it was seen last
    :param count: how often
    """

    orphan: Orphan
    state: State
    first: float
    last: float
    count: int = 1


class OrphanTracker:
    """All orphans, from look to look.

    :param grace: seconds that lie at least between the first and the last of two or more looks
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self._seen: dict[str, Tracked] = {}

    def look(
        self,
        now: float,
        orphans: Iterable[Orphan],
        *,
        answered: Collection[str],
        kept: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Take the result of a look at the host.

        :param now: seconds on a clock that never goes back
        :param answered: the plugins that could tell; of others nothing is concluded
        :param kept: whether an orphan was put back on request and shall stay
        """
        before, self._seen = self._seen, {}
        for id_, tracked in before.items():
            if tracked.orphan.plugin not in answered:
                self._seen[id_] = tracked
        for orphan in orphans:
            self._seen[orphan.id] = self._next(now, before.get(orphan.id), orphan, kept(orphan.id))

    def _next(self, now: float, before: Tracked | None, orphan: Orphan, kept: bool) -> Tracked:
        if orphan.holder or kept:
            state = State.HELD if orphan.holder else State.KEPT
            return Tracked(orphan, state, now, now)
        same = (
            before is not None
            and before.state in (State.SEEN, State.RIPE)
            and before.orphan.fingerprint == orphan.fingerprint
        )
        if before is None or not same:
            return Tracked(orphan, State.SEEN, now, now)
        ripe = now - before.first >= self.grace
        return replace(
            before, orphan=orphan, last=now, count=before.count + 1,
            state=State.RIPE if ripe else State.SEEN,
        )  # fmt: skip

    def all(self) -> list[Tracked]:
        """Every orphan that is known."""
        return list(self._seen.values())

    def ripe(self) -> list[Tracked]:
        """Those that may be removed."""
        return [s for s in self._seen.values() if s.state is State.RIPE]

    def forget(self, ids: Iterable[str]) -> None:
        """These were removed."""
        for id_ in ids:
            self._seen.pop(id_, None)

    def due(self) -> float | None:
        """When a look may make another one ripe; ``None`` where none is on its way."""
        waiting = [s.first + self.grace for s in self._seen.values() if s.state is State.SEEN]
        return min(waiting, default=None)
