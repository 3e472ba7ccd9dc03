"""What a commit is made of, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from vifd.model import PortRecord
from vifd.model.event import Event
from vifd.model.setrecord import SetUpdate

#: Makes the new record from the present one (``None`` where there is none); ``None`` forgets it.
Change = Callable[[PortRecord | None], PortRecord | None]

#: Port records by id; ``None`` where there is none.
Records = Mapping[str, PortRecord | None]


class Committed(NamedTuple):
    """What a commit did.

    :param old: the records as they were
    :param new: the records as they are (``None``: forgotten)
    :param events: the events with their ids
    :param outgoing_count: how many statuses went into the outbox
    :param sets: the changes of shared sets, with their revisions
    :param released: whether a port refers to fewer sets than before
    """

    old: Records
    new: Records
    events: list[Event]
    outgoing_count: int
    sets: Sequence[SetUpdate] = ()
    released: bool = False
