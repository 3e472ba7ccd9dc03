"""What was removed, kept for as long as it can be put back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from msgspec import Struct

from vifd.engine.garbage.reconcile import Orphan
from vifd.plugin.marked import Marked

#: What its notes are called.
NAME = "garbage"

T = TypeVar("T")


class Notes(Protocol):
    """The part of the journal that the undo store is kept in."""

    def remember(self, name: str, value: object) -> None: ...

    def note(self, name: str, kind: type[T]) -> T | None: ...


class Removed(Struct, frozen=True, kw_only=True):
    """An orphan that was removed, or that was put back.

    :param id: the orphan's
    :param reason: why it was removed, for a reader
    :param removed_at: seconds since the epoch
    :param restored_at: when it was put back; 0 where it was not
    """

    id: str
    plugin: str
    port: str
    objects: list[Marked]
    reason: str
    removed_at: float
    restored_at: float = 0.0

    @property
    def orphan(self) -> Orphan:
        return Orphan(self.id, self.plugin, self.port, tuple(self.objects))


class Slot(Struct, frozen=True):
    """What went to the undo store together."""

    removed: list[Removed] = []


class UndoStore:
    """All that can be put back, in the journal: note ``garbage`` has the number of slots, the notes
    ``garbage/0``, ``garbage/1``… what is in them. What goes together is written together.

    :param notes: where it is kept
    """

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        #: by id, the entry and its slot
        self._known: dict[str, tuple[Removed, int]] = {}
        self._slots = notes.note(NAME, int) or 0
        for number in range(self._slots):
            slot = notes.note(f"{NAME}/{number}", Slot) or Slot()
            self._known |= {r.id: (r, number) for r in slot.removed}

    def all(self) -> list[Removed]:
        """What there is, the last one first."""
        entries = [entry for entry, _ in self._known.values()]
        return sorted(entries, key=lambda r: r.removed_at, reverse=True)

    def get(self, id_: str) -> Removed | None:
        found = self._known.get(id_)
        return found[0] if found else None

    def put(self, removed: Iterable[Removed]) -> None:
        """Keep these, in place of what was known under their ids.

        :raises errors.JournalError: what is not on disk is not known
        """
        new = {r.id: r for r in removed}
        if not new:
            return
        known = {id_: self._known[id_][1] for id_ in new if id_ in self._known}
        fresh = self._free() if len(known) < len(new) else -1
        changed = {id_: (entry, known.get(id_, fresh)) for id_, entry in new.items()}
        self._write({**self._known, **changed}, {number for _, number in changed.values()})

    def drop(self, ids: Iterable[str]) -> None:
        """Keep these no longer.

        :raises errors.JournalError: they are kept
        """
        gone = {id_ for id_ in ids if id_ in self._known}
        left = {id_: place for id_, place in self._known.items() if id_ not in gone}
        self._write(left, {self._known[id_][1] for id_ in gone})

    def expire(self, now: float, period: float) -> None:
        """Drop what can be put back no longer."""
        entries = [entry for entry, _ in self._known.values()]
        self.drop([r.id for r in entries if now - max(r.removed_at, r.restored_at) > period])

    def keeps(self, id_: str) -> bool:
        """Whether an orphan was put back on request."""
        entry = self.get(id_)
        return entry is not None and entry.restored_at > 0

    def _free(self) -> int:
        """An empty slot."""
        used = {number for _, number in self._known.values()}
        return next(n for n in range(self._slots + 1) if n not in used)

    def _write(self, known: dict[str, tuple[Removed, int]], slots: Iterable[int]) -> None:
        for number in slots:
            entries = [entry for entry, slot in known.values() if slot == number]
            self._notes.remember(f"{NAME}/{number}", Slot(entries))
            if number >= self._slots:
                self._notes.remember(NAME, number + 1)
                self._slots = number + 1
        self._known = known
