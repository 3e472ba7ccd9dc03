"""What a start has yet to bring back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from vifd import errors
from vifd.engine import outcome
from vifd.engine.plan import only_watched
from vifd.model import PortRecord, Report


def unserved(
    records: Mapping[str, PortRecord], plugins: Sequence[str]
) -> dict[str, errors.VifError]:
    """Ports whose plugin is not admitted any more say so, and wait."""
    return {
        i: errors.PluginMissing(facts={"wanted": r.plugin, "have": [*plugins]})
        for i, r in records.items()
        if r.plugin not in plugins
    }


class Unsettled:
    """Ports of the journal at start that are neither proven nor given up for now.

    :param repairs: whether what a report tells of is repaired
    :param done: called when the last of them has settled by a result
    """

    def __init__(self, repairs: Callable[[Report | None], bool], done: Callable[[], None]) -> None:
        self._ids: set[str] = set()
        self._repairs = repairs
        self._done = done

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._ids)

    def __bool__(self) -> bool:
        return bool(self._ids)

    def expect(self, port_ids: Iterable[str]) -> None:
        """Wait for these ports."""
        self._ids.update(port_ids)

    def drop(self, port_ids: Iterable[str]) -> None:
        """Count ports as settled for now."""
        self._ids.difference_update(port_ids)

    def seen(
        self,
        port_id: str,
        old: PortRecord | None,
        new: PortRecord | None,
        error: errors.VifError | None,
    ) -> None:
        """A port of the journal was proven, given up for now, or removed: it counts as settled."""
        if port_id in self._ids and (error is not None or new is None or self._proven(old, new)):
            self._ids.discard(port_id)
            if not self._ids:
                self._done()

    def _proven(self, old: PortRecord | None, new: PortRecord) -> bool:
        """Whether it was read, and nothing follows from what was found: a report that tells of
        something missing is no proof where its repair comes next. One that failed before the start
        is tried again, or is only watched."""
        if old is not None and new.report is old.report:
            return False
        repair = self._repairs(new.report)
        if new.error is not None:
            return only_watched(new, repair=repair)
        return not outcome.unfinished(new, repair=repair)
