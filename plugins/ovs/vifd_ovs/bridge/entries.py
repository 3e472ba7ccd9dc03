"""The flows of one cookie. A change of a few of thousands makes a new value at its own cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from vifd.openflow.flow import Flow

#: What makes two flows the same entry of the switch: table, priority, match.
Key = tuple[int, int, bytes]
#: Flows by that. Never changed.
Entries = Mapping[Key, Flow]

K = TypeVar("K")
V = TypeVar("V")
#: So many changes stand beside what they change; more are worked into a copy.
_BESIDE = 256


class Step(Protocol):
    """Flows, and how they differ from those before."""

    @property
    def entries(self) -> Entries:
        """The flows."""

    @property
    def base(self) -> Entries:
        """The flows before."""

    @property
    def added(self) -> tuple[Flow, ...]:
        """What came, and the new form of what changed."""

    @property
    def removed(self) -> tuple[Flow, ...]:
        """What went."""


class Changed(Mapping[K, V]):
    """A mapping with a few changes beside it.

    :param beside: what came; ``None`` where something went
    """

    __slots__ = ("_base", "_beside", "_size")

    def __init__(self, base: dict[K, V], beside: dict[K, V | None], size: int) -> None:
        self._base, self._beside, self._size = base, beside, size

    def __getitem__(self, key: K) -> V:
        if key in self._beside:
            found = self._beside[key]
            if found is None:
                raise KeyError(key)
            return found
        return self._base[key]

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self._base if key not in self._beside)
        yield from (key for key, value in self._beside.items() if value is not None)

    def __len__(self) -> int:
        return self._size

    def taken_apart(self) -> tuple[dict[K, V], dict[K, V | None]]:
        """The mapping, and what changed of it."""
        return self._base, self._beside


def updated(held: Mapping[K, V], changes: Mapping[K, V | None]) -> Mapping[K, V]:
    """A mapping with other values; ``None`` where one went."""
    beside: dict[K, V | None] = {}
    base: Mapping[K, V] = held
    if isinstance(held, Changed):
        base, known = held.taken_apart()
        beside = known.copy()
    size = len(held)
    for key, now in changes.items():
        there = beside[key] if key in beside else base.get(key)
        size += (now is not None) - (there is not None)
        beside[key] = now
    if isinstance(base, dict) and len(beside) <= _BESIDE:
        return Changed(base, beside, size)
    whole = {key: value for key, value in base.items() if key not in beside}
    return whole | {key: value for key, value in beside.items() if value is not None}


def changed(entries: Entries, removed: Iterable[Flow], added: Iterable[Flow]) -> Entries:
    """Flows without some, and with others."""
    changes: dict[Key, Flow | None] = {flow.key: None for flow in removed}
    return updated(entries, changes | {flow.key: flow for flow in added})
