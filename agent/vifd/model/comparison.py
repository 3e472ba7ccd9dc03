"""What a side says should be here, held against what it said of each port. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from vifd.model.parts import Parts, Side

#: Seconds for which a part that has just come is not held against a list of which nobody says
#: when it was made.
YOUNG = 60.0


class Compared(Struct, frozen=True):
    """How a list and this host differ.

    :param stale: ports of which the side once said its part, and which it does not list
    :param missing: ports that it lists, and of which it said nothing here
    :param removed: whether the part of those that are stale is taken away now
    """

    stale: list[str]
    missing: list[str]
    removed: bool = False


def compared(
    parts: Mapping[str, Parts], side: Side, owner: str | None, listed: Collection[str], made: float
) -> Compared:
    """Hold a side's list against its parts.

    :param owner: only parts of this owner are looked at; ``None`` for all of the side
    :param made: when the list was made, in seconds since the epoch: what came later it cannot have
    """
    listed = set(listed)
    here = {i: part for i, p in parts.items() if (part := p.of(side)) is not None}
    stale = [
        port_id
        for port_id, part in here.items()
        if port_id not in listed and owner in (None, part.owner) and part.at <= made
    ]
    return Compared(sorted(stale), sorted(listed - set(here)))
