"""OpenFlow 1.4 flow monitoring (section 7.3.5.17 of the specification): the switch tells of every
change of its flow tables. Pure.

What came by the connection that asks is told as its transaction id alone, so that whatever is told
in full was changed by somebody else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from vifd.openflow.message import ALL_TABLES, ANY, VERSION, Message, Type

_MONITOR = 16
_ADD, _REMOVED, _MODIFY = 2, 4, 8
_REQUEST = struct.Struct("!BBHIHH4xIIIHBBHH4x")
_HEAD = struct.Struct("!HH")
_FULL = struct.Struct("!HHBBHHH4xQ")
_OXM_MATCH = 1
_MULTIPART_HEAD = 8


class Event(IntEnum):
    """What happened to a flow; larger numbers concern the monitor itself."""

    INITIAL = 0
    ADDED = 1
    REMOVED = 2
    MODIFIED = 3
    ABBREVIATED = 4


class Update(NamedTuple):
    """A change that somebody else made."""

    event: int
    table: int
    priority: int
    cookie: int


def request(xid: int) -> bytes:
    """Ask to be told of every later change, without instructions."""
    return _REQUEST.pack(
        VERSION, Type.MULTIPART_REQUEST, _REQUEST.size, xid, _MONITOR, 0,
        1, ANY, ANY, _ADD | _REMOVED | _MODIFY, ALL_TABLES, 0, _OXM_MATCH, 4,
    )  # fmt: skip


def tells(message: Message) -> bool:
    """Whether a message comes from the monitor and answers nobody's question."""
    return message.type == Type.MULTIPART_REPLY and message.body[:2] == b"\0\x10"


def updates(message: Message) -> Iterator[Update]:
    """The changes by others in a message that :func:`tells`.

    :raises ValueError: it is damaged
    """
    body, offset = message.body, _MULTIPART_HEAD
    while offset + _HEAD.size <= len(body):
        size, event = _HEAD.unpack_from(body, offset)
        if size < 8 or offset + size > len(body):
            raise ValueError(f"flow update with the impossible length {size}")
        if event in (Event.ADDED, Event.REMOVED, Event.MODIFIED) and size >= _FULL.size:
            _, _, table, _, _, _, priority, cookie = _FULL.unpack_from(body, offset)
            yield Update(event, table, priority, cookie)
        offset += size
