"""Meters of a bridge, on its connection. A bundle cannot hold changes of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vifd.drivers.openflow_bundle import Refused
from vifd.drivers.openflow_connection import Connection
from vifd.openflow import counts, meters
from vifd.openflow import message as msg
from vifd.openflow.counts import Dropped
from vifd.openflow.message import Message, Type
from vifd.openflow.meters import Command, Meter

_EXISTS = "OFPMMFC_METER_EXISTS"


def read(
    connection: Connection, numbers: Collection[int] | None, deadline: float
) -> dict[int, Meter]:
    """The meters with these numbers that are there."""
    asked = [meters.ALL] if numbers is None else [*dict.fromkeys(numbers)]
    if not asked:
        return {}
    first = connection.xids(len(asked) + 1)
    last = first + len(asked)
    request = b"".join(meters.config_request(xid, n) for xid, n in enumerate(asked, first))
    replies = connection.exchange(request + msg.barrier(last), last, deadline)
    # one that is not there is told as an error, and so is a switch that has none
    told = [r for r in replies if first <= r.xid < last and r.type == Type.MULTIPART_REPLY]
    return {meter.id: meter for reply in told for meter in meters.configs(reply)}


def dropped(
    connection: Connection, numbers: Collection[int], deadline: float
) -> dict[int, Dropped]:
    """What the meters with these numbers dropped, of those that are there."""
    if not numbers:
        return {}
    first = connection.xids(len(numbers) + 1)
    last = first + len(numbers)
    request = b"".join(counts.meter_request(xid, n) for xid, n in enumerate(numbers, first))
    replies = connection.exchange(request + msg.barrier(last), last, deadline)
    told = [r for r in replies if first <= r.xid < last and r.type == Type.MULTIPART_REPLY]
    return dict(found for reply in told for found in counts.meters(reply))


def change(
    connection: Connection, wanted: Sequence[Meter], delete: Sequence[int], deadline: float
) -> None:
    """Make or set meters, then remove some.

    :raises Refused: the switch refused one
    """
    there = _send(connection, wanted, Command.ADD, deadline)
    _send(connection, there, Command.MODIFY, deadline)
    _send(connection, [Meter(number, 0, 0) for number in delete], Command.DELETE, deadline)


def _send(
    connection: Connection, changes: Sequence[Meter], command: Command, deadline: float
) -> list[Meter]:
    """Those that are there already."""
    if not changes:
        return []
    first = connection.xids(len(changes) + 1)
    last = first + len(changes)
    request = b"".join(meters.change(xid, m, command) for xid, m in enumerate(changes, first))
    replies = connection.exchange(request + msg.barrier(last), last, deadline)
    failed = [r for r in replies if r.type == Type.ERROR and first <= r.xid < last]
    there = [r for r in failed if msg.error(r).name == _EXISTS]
    _refuse(next((r for r in failed if r not in there), None), changes, first)
    return [changes[reply.xid - first] for reply in there]


def _refuse(reply: Message | None, changes: Sequence[Meter], first: int) -> None:
    if reply is not None:
        meter = changes[reply.xid - first]
        raise Refused(f"meter {meter.id:#x} ({meter})", msg.error(reply))
