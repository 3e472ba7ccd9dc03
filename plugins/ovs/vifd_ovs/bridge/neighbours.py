"""Ports of others on the VLAN of a network of ours: pure functions of the bridge's rows.

A port that was adopted has neighbours that were not, yet. They reach it through their own flows,
because it keeps its VLAN on the bridge; that it reaches them is what these numbers are for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from vifd.drivers import PortRow
from vifd.openflow import action as act
from vifd.openflow.field import LOCAL
from vifd_ovs.bridge import marks

#: The number of a bridge's own port in the database.
_LOCAL_ROW = 65534
#: The most that a port may have; above are numbers with a meaning.
_MOST = 65279


@dataclass(frozen=True)
class Neighbours:
    """Where else a flood of a network goes.

    :param plain: ofports that take its frames as they are
    :param trunks: ofports that take them with the tag of the VLAN
    :param vlan: that VLAN
    """

    plain: tuple[int, ...] = ()
    trunks: tuple[int, ...] = ()
    vlan: int = 0

    def without(self, ofports: Collection[int]) -> Neighbours:
        """The same without ports that are members of the network."""
        plain = tuple(n for n in self.plain if n not in ofports)
        return Neighbours(plain, tuple(n for n in self.trunks if n not in ofports), self.vlan)

    @property
    def tail(self) -> bytes:
        """The actions that end a flood; they change the frame."""
        if not self.trunks:
            return b""
        tag = act.push_vlan() + act.set_vlan(self.vlan)
        return tag + b"".join(map(act.output, self.trunks))

    def __bool__(self) -> bool:
        return bool(self.plain or self.trunks)


NOBODY = Neighbours()


def neighbours(rows: Iterable[PortRow], vlan: int) -> Neighbours:
    """The ports of others on a VLAN of a bridge.

    :param vlan: the tag of access ports; 0 for the untagged frames of ports without one
    """
    foreign = [row for row in rows if not marks.is_ours(row.external_ids)]
    plain = [n for row in foreign if (row.tag or 0) == vlan and (n := _number(row))]
    trunks = [n for row in foreign if vlan and row.tag is None and (n := _number(row)) != LOCAL]
    return Neighbours(tuple(sorted(plain)), tuple(sorted(filter(None, trunks))), vlan)


def _number(row: PortRow) -> int:
    """The port as a flow names it; 0 where nothing can be sent there."""
    if row.ofport == _LOCAL_ROW:
        return LOCAL if row.admin_state == "up" else 0
    return row.ofport if row.ofport is not None and 0 < row.ofport <= _MOST else 0
