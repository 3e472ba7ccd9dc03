"""What this host must know of the service's objects: the newest of each, and what is gone.

Not shared between threads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from vifd.network.neutron.objects import VERSIONS, Plain, revision

#: So many ids of deleted objects are remembered, so that a late message brings none back.
REMEMBERED = 20_000


class Cache:
    """Objects by type and id."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Plain]] = {kind: {} for kind in VERSIONS}
        self._deleted: OrderedDict[tuple[str, str], None] = OrderedDict()
        #: the counts of objects that concern this host no more
        self._left: OrderedDict[tuple[str, str], int] = OrderedDict()

    def all(self, kind: str) -> dict[str, Plain]:
        """Everything of a type."""
        return self._kept[kind]

    def some(self) -> dict[str, str]:
        """The id of one object of each type of which there is any."""
        return {kind: next(iter(kept)) for kind, kept in self._kept.items() if kept}

    def get(self, kind: str, object_id: str) -> Plain | None:
        return self._kept[kind].get(object_id)

    def put(self, kind: str, item: Plain) -> bool:
        """Keep an object, unless it is deleted or a newer one is here; whether it was kept."""
        object_id = item["id"]
        if (kind, object_id) in self._deleted or revision(item) < self.revision(kind, object_id):
            return False
        self._left.pop((kind, object_id), None)
        self._kept[kind][object_id] = item
        return True

    def revision(self, kind: str, object_id: str) -> int:
        """The newest count of an object that was met; 0 where none is known."""
        held = self._kept[kind].get(object_id)
        return revision(held) if held is not None else self._left.get((kind, object_id), 0)

    def is_deleted(self, kind: str, object_id: str) -> bool:
        return (kind, object_id) in self._deleted

    def delete(self, kind: str, object_id: str) -> None:
        """The object is gone for good."""
        self._kept[kind].pop(object_id, None)
        self._deleted[kind, object_id] = None
        _bound(self._deleted)

    def leave(self, kind: str, item: Plain) -> bool:
        """The object as it is now concerns this host no more; whether that is news."""
        object_id = item["id"]
        if revision(item) < self.revision(kind, object_id):
            return False
        self._left[kind, object_id] = revision(item)
        _bound(self._left)
        return self._kept[kind].pop(object_id, None) is not None

    def forget(self, kind: str, object_ids: Iterable[str]) -> None:
        """These objects concern nobody here any more; they may come back as they are."""
        for object_id in list(object_ids):
            self._kept[kind].pop(object_id, None)

    def keep_only(self, kind: str, wanted: Iterable[str]) -> None:
        """Forget all others of a type."""
        self.forget(kind, self._kept[kind].keys() - set(wanted))


def _bound(remembered: OrderedDict[tuple[str, str], Any]) -> None:
    while len(remembered) > REMEMBERED:
        remembered.popitem(last=False)
