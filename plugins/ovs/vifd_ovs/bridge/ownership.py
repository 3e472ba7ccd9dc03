"""Whose the row of a port is. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vifd.drivers import PortRow
from vifd.errors import NameClash
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.batch import Work


@dataclass(frozen=True)
class Ends:
    """What is known of the devices or sockets that rows stand on.

    :param ours: ids of ports whose row stands on what was made for them
    :param gone: ids of ports of which there is no such thing any more
    """

    ours: Collection[str] = frozenset()
    gone: Collection[str] = frozenset()


#: Nothing is known.
UNKNOWN = Ends()


def belongs(row: PortRow, work: Work, ends: Ends) -> bool:
    """Whether a row is the port's: it bears its mark; or it bears none and no other port's id, and
    is known all the same: another program made it anew on what we made, or took its marks away."""
    if work.names.hosted:
        return False
    if marks.belongs(row, work.id):
        return True
    if marks.is_ours(row.external_ids):
        return False
    owner = row.external_ids.get("iface-id")
    if owner == work.id and (work.names.adopted or work.id in ends.gone):
        return True
    return owner in (work.id, None) and (marks.known(row, work.names) or work.id in ends.ours)


def clash(work: Work, row: PortRow | None, ends: Ends = UNKNOWN) -> NameClash | None:
    """The error for a row that has the port's name and is not the port's."""
    if row is None or belongs(row, work, ends):
        return None
    have = f"a port on bridge {row.bridge} without the mark of this port"
    facts = {"kind": "port", "name": work.device, "have": have, **marks.ours(row)}
    return NameClash(facts=facts)
