"""What a switch says of its meters (OFPMP_METER_FEATURES of OpenFlow 1.3 and later). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from vifd.openflow.message import HEADER_SIZE, VERSION, Message, Type

_KIND = 11
_REQUEST = struct.Struct("!BBHIHH4x")
_HEAD = struct.Struct("!HH4x")
_MOST = struct.Struct("!I")


def request(xid: int) -> bytes:
    """Ask for it."""
    size = HEADER_SIZE + _HEAD.size
    return _REQUEST.pack(VERSION, Type.MULTIPART_REQUEST, size, xid, _KIND, 0)


def most(replies: Iterable[Message]) -> int:
    """How many meters there may be; 0 where the answer is none."""
    for reply in replies:
        if reply.type == Type.MULTIPART_REPLY and len(reply.body) >= _HEAD.size + _MOST.size:
            kind, _ = _HEAD.unpack_from(reply.body)
            if kind == _KIND:
                return int(_MOST.unpack_from(reply.body, _HEAD.size)[0])
    return 0
