"""The flows of one cookie. A change of a few of thousands makes a new value at its own cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from vifd.openflow.flow import Flow

#: What makes two flows the same entry of the switch: table, priority, match.
Key = tuple[int, int, bytes]
#: Flows by that. Never changed.
Entries = Mapping[Key, Flow]

#: So many changes stand beside the flows that they change; more are worked into a copy.
_BESIDE = 256
_NOBODY: dict[Key, Flow | None] = {}


class Changed(Mapping[Key, Flow]):
    """Flows with a few changes beside them.

    :param beside: the flows that came; ``None`` where one went
    """

    __slots__ = ("_base", "_beside", "_size")

    def __init__(self, base: dict[Key, Flow], beside: dict[Key, Flow | None], size: int) -> None:
        self._base, self._beside, self._size = base, beside, size

    def __getitem__(self, key: Key) -> Flow:
        if key in self._beside:
            found = self._beside[key]
            if found is None:
                raise KeyError(key)
            return found
        return self._base[key]

    def __iter__(self) -> Iterator[Key]:
        yield from (key for key in self._base if key not in self._beside)
        yield from (key for key, flow in self._beside.items() if flow is not None)

    def __len__(self) -> int:
        return self._size

    def taken_apart(self) -> tuple[dict[Key, Flow], dict[Key, Flow | None]]:
        """The flows, and what changed of them."""
        return self._base, self._beside


def changed(entries: Entries, removed: Iterable[Flow], added: Iterable[Flow]) -> Entries:
    """Flows without some, and with others."""
    base, beside = entries.taken_apart() if isinstance(entries, Changed) else (entries, _NOBODY)
    beside = beside.copy()
    size = len(entries)
    for flow, now in (*((f, None) for f in removed), *((f, f) for f in added)):
        there = beside[flow.key] if flow.key in beside else base.get(flow.key)
        size += (now is not None) - (there is not None)
        beside[flow.key] = now
    if isinstance(base, dict) and len(beside) <= _BESIDE:
        return Changed(base, beside, size)
    whole = {key: flow for key, flow in base.items() if key not in beside}
    return whole | {key: flow for key, flow in beside.items() if flow is not None}
