"""What plugins tell of packets that logs of security groups are about."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from vifd.policy.groups import Packet, Passes
from vifd.policy.rule import Direction

#: Says which rule lets the first packet of a connection of a port pass, of these groups or of all.
Judge = Callable[[Packet, Collection[str] | None], Passes | None]


class Seen(NamedTuple):
    """A packet that a port's groups let pass, the first of its connection, or did not.

    :param direction: as seen from the guest
    :param frame: it, or its beginning
    :param length: of all of it
    :param judge: called on another thread, soon
    """

    port: str
    direction: Direction
    accepted: bool
    frame: bytes
    length: int
    judge: Judge


@dataclass(frozen=True)
class LogDesk:
    """What a plugin needs to have packets logged.

    :param rate: packets a second of one port that are handed over at most
    :param burst: that may come at once
    :param seen: to be called with each; from any thread, returns at once
    """

    rate: int
    burst: int
    seen: Callable[[Seen], None]
