"""What was counted of the frames of a port, from the guest's side."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why a frame was refused."""

    SPOOFED = "spoofed"  #: it claims what the port may not
    NO_RULE = "no_rule"  #: no rule of the security groups lets it pass, or it is of no connection
    NO_WAY = "no_way"  #: nobody has its destination, and the network leads nowhere else
    CLOSED = "closed"  #: the port was closed, or the frame bore a VLAN tag that it may not
    LIMITED = "limited"  #: more than the QoS policy allows


class Count(Struct, frozen=True):
    """Frames, and their bytes from the Ethernet head on, without the checksum of the wire."""

    packets: int = 0
    bytes: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.packets + other.packets, self.bytes + other.bytes)

    def less(self, other: Count) -> Count:
        """The difference, never below zero."""
        return Count(max(0, self.packets - other.packets), max(0, self.bytes - other.bytes))


class Way(Struct, frozen=True, kw_only=True):
    """The counters of one direction as a back end has them; each begins at zero whenever what holds
    it is made anew.

    :param offered: all that came, where that is what is counted; what was not refused has passed
    :param passed: what passed, where that is what is counted
    :param refused: by reason; a reason that the back end cannot tell is not there
    :param untold: reasons for which frames are refused that it cannot tell; where there are any,
        ``offered`` does not say what passed
    """

    offered: Count | None = None
    passed: Count | None = None
    refused: Mapping[Reason, Count] = {}
    untold: frozenset[Reason] = frozenset()


class Counted(Struct, frozen=True, kw_only=True):
    """The counters of a port as a back end has them now.

    :param sent: what the guest sends
    :param received: what is for the guest
    """

    sent: Way
    received: Way


class Passage(Struct, frozen=True, kw_only=True):
    """What became of the frames of one direction.

    :param passed: ``None`` where it is not counted
    :param offered: all that came, where what passed of it cannot be told; else ``None``
    :param refused: by reason; one that cannot be told on this host is not there
    """

    passed: Count | None = None
    offered: Count | None = None
    refused: dict[str, Count] = {}


class Counters(Struct, frozen=True, kw_only=True):
    """What was counted of a port since it was made, or since its plugin began to count.

    :param sent: what the guest sends
    :param received: what is for the guest
    :param at: of the reading, seconds since the epoch; 0 for none
    :param since: of the first reading of this daemon, seconds since the epoch
    :param resets: how often since then a counter was found to have begun anew, because a device, a
        flow or a rule was made anew. What it had counted until the reading before stays in the sum.
    :param note: why there is nothing, or nothing new, or what cannot be told; else empty
    """

    port: str
    plugin: str
    sent: Passage
    received: Passage
    at: float
    since: float
    resets: int = 0
    note: str = ""


class AllCounters(Struct, frozen=True, kw_only=True):
    """Those of every port of this host."""

    ports: list[Counters]
