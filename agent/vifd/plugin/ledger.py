"""The ports of the journal as plugins may see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vifd.model import Attachment, Wiring


@dataclass(frozen=True)
class Entry:
    """A port of the journal as plugins may see it.

    :ivar derived: what a plugin made of it, under a key of its own: an entry lives as long as the
        port does not change
    """

    attachment: Attachment
    wiring: Wiring
    open: bool
    derived: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)


class NamingView(dict[str, Entry]):
    """The ledger while a batch is named: ports are added to it, one by one.

    :ivar derived: what a plugin made of the entries so far, under a key of its own, so that it need
        not go through all of them for every port; emptied when an entry is replaced
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        super().__init__(entries)
        self.derived: dict[object, Any] = {}

    def __setitem__(self, port_id: str, entry: Entry) -> None:
        if port_id in self:
            self.derived.clear()
        super().__setitem__(port_id, entry)

    def __delitem__(self, port_id: str) -> None:
        self.derived.clear()
        super().__delitem__(port_id)
