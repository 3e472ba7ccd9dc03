"""The packets of a port that logs of security groups are about, as flows. Pure.

A packet that is judged goes on as ever; a copy of it goes through the port's own meter, and what
that lets pass is handed to vifd. So the switch itself holds the limit, one port's flood hides
nobody else's packets, and of what is not logged not one flow is another. What a copy was, its
register says.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from vifd.openflow import action as act
from vifd.openflow.field import Value
from vifd.openflow.flow import Flow, entry, through
from vifd.openflow.meters import Meter
from vifd.openflow.packetin import IDENTITY, PacketIn
from vifd.policy.rule import Direction
from vifd_ovs.bridge.shaping import Kind, number
from vifd_ovs.bridge.tables import LOG_REGISTER, LOGGED, PORT_REGISTER

#: Of each packet so much is handed over: a log shows headers.
_LONGEST = 192
_PRIORITY = 10
_DIRECTIONS = {Direction.EGRESS: 1, Direction.INGRESS: 2}
_DROPPED, _ACCEPTED = 0, 4


class Verdict(NamedTuple):
    """What became of a packet that was handed over."""

    direction: Direction
    accepted: bool


@lru_cache(maxsize=4)
def tell(direction: Direction, *, accepted: bool) -> act.Action:
    """Have a copy of the packet handed over."""
    code = _DIRECTIONS[direction] | (_ACCEPTED if accepted else _DROPPED)
    return act.copied([act.set_field(LOG_REGISTER, code), act.resubmit(table=LOGGED)])


def handing(cookie: int, ofport: int) -> Iterator[Flow]:
    """Hands copies of a port's packets over, as many as its meter lets pass."""
    hand = [act.controller_of(IDENTITY, _LONGEST)]
    here: dict[str, Value] = {PORT_REGISTER: ofport}
    yield through(number(Kind.LOGGED, ofport), entry(LOGGED, _PRIORITY, cookie, here, hand))
    # what goes to all is judged for its sender as well, who gets none of it
    for verdict in (_DROPPED, _ACCEPTED):
        own: dict[str, Value] = {
            **here, "in_port": ofport, LOG_REGISTER: _DIRECTIONS[Direction.INGRESS] | verdict
        }  # fmt: skip
        yield entry(LOGGED, _PRIORITY + 1, cookie, own)


def meter(ofport: int, rate: int, burst: int) -> Meter:
    """The limit of what is handed over of a port."""
    return Meter(number(Kind.LOGGED, ofport), rate, burst, packets=True)


def verdict(handed: PacketIn) -> Verdict | None:
    """What a packet that was handed over is; ``None``: none of these."""
    if handed.table != LOGGED:
        return None
    code = handed.register(LOG_REGISTER)
    direction = next((d for d, bits in _DIRECTIONS.items() if code & 3 == bits), None)
    return None if direction is None else Verdict(direction, bool(code & _ACCEPTED))
