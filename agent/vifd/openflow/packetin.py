"""OpenFlow 1.4 packet-in (section 7.4.1 of the specification): frames that flows hand to those who
listen. Pure.

A connection to a bridge's management socket is given frames once it has said so, and those of
flows that name its identity alone (``NXT_SET_CONTROLLER_ID`` of the Nicira extension): the frames
of other programs' flows are not ours, and ours are not theirs.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from vifd.openflow import error_names
from vifd.openflow import match as mt
from vifd.openflow.field import BY_NAME
from vifd.openflow.message import VERSION, Message, Type

#: By which our connections go.
IDENTITY = 0x7669
#: Reasons for which a frame is handed over: an action says so.
BY_ACTION = 1 << 1
_SET_CONTROLLER_ID = 20
_IDENTIFY = struct.Struct("!BBHIII6xH")
_HEAD = struct.Struct("!IHBBQ")
_MATCH = struct.Struct("!HH")


class PacketIn(NamedTuple):
    """A frame, or its beginning, and the cookie of the flow that handed it over.

    :param table: of that flow
    :param match: what was known of the frame besides, as the bytes of a match
    :param total: the length of the whole frame; 0: it is whole
    """

    cookie: int
    frame: bytes
    whole: bool
    table: int = 0
    match: bytes = b""
    total: int = 0

    @property
    def length(self) -> int:
        """Bytes of the whole frame."""
        return self.total or len(self.frame)

    def register(self, name: str) -> int:
        """What a register held; 0 where it is not said."""
        wanted = BY_NAME[name]
        try:
            return next((n for known, n, _, _ in mt.items(self.match) if known == wanted), 0)
        except ValueError:
            return 0


def identify(xid: int) -> bytes:
    """Have this connection go by :data:`IDENTITY`."""
    return _IDENTIFY.pack(
        VERSION, Type.EXPERIMENTER, _IDENTIFY.size, xid, error_names.NICIRA, _SET_CONTROLLER_ID,
        IDENTITY,
    )  # fmt: skip


def handed(message: Message) -> PacketIn:
    """The content of a packet-in.

    :raises ValueError: it is damaged
    """
    body = message.body
    if len(body) < _HEAD.size + _MATCH.size:
        raise ValueError("packet-in without a packet")
    _, length, _, table, cookie = _HEAD.unpack_from(body)
    _, size = _MATCH.unpack_from(body, _HEAD.size)
    start = _HEAD.size + size + -size % 8 + 2
    if size < _MATCH.size or start > len(body):
        raise ValueError(f"packet-in with a match of the impossible length {size}")
    match = body[_HEAD.size + _MATCH.size : _HEAD.size + size]
    whole = len(body) - start >= length
    return PacketIn(cookie, body[start:], whole, table, match, length)
