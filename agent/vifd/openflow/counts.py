"""What a switch counted at its ports and in its meters (OpenFlow 1.4, 7.3.5.6, 7.3.5.12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from vifd.openflow.message import ANY, VERSION, Message, Type

_PORTS, _METERS = 4, 9
_HEAD = struct.Struct("!HH4x")
_REQUEST = struct.Struct("!BBHIHH4xI4x")
_PORT = struct.Struct("!H2xI8x4Q")
#: Number, length, the counters and ages, up to the bands; a band: packets and bytes.
_METER = struct.Struct("!IH6x4x8x8x8x")
_BAND = struct.Struct("!QQ")


class Traffic(NamedTuple):
    """What passed through a port since it was made: from the switch's side, received is what came
    in by it."""

    received: int
    sent: int
    bytes_received: int
    bytes_sent: int


class Dropped(NamedTuple):
    """What a meter dropped."""

    packets: int
    bytes: int


def ports_request(xid: int) -> bytes:
    """Ask for the counters of every port."""
    return _REQUEST.pack(
        VERSION, Type.MULTIPART_REQUEST, _REQUEST.size, xid, _PORTS, 0, ANY
    )  # fmt: skip


def meter_request(xid: int, number: int) -> bytes:
    """Ask for those of a meter; the answer for one that is not there is an error."""
    return _REQUEST.pack(
        VERSION, Type.MULTIPART_REQUEST, _REQUEST.size, xid, _METERS, 0, number
    )  # fmt: skip


def ports(reply: Message) -> Iterator[tuple[int, Traffic]]:
    """The ports in one part of an answer, by number.

    :raises ValueError: it is none, or damaged
    """
    for offset, _ in _entries(reply, _PORTS, _PORT.size, 0):
        _, number, *counts = _PORT.unpack_from(reply.body, offset)
        yield number, Traffic(*counts)


def meters(reply: Message) -> Iterator[tuple[int, Dropped]]:
    """The meters in one part of an answer, by number.

    :raises ValueError: it is none, or damaged
    """
    for offset, size in _entries(reply, _METERS, _METER.size, 4):
        number, _ = _METER.unpack_from(reply.body, offset)
        bands = range(offset + _METER.size, offset + size - _BAND.size + 1, _BAND.size)
        found = [_BAND.unpack_from(reply.body, at) for at in bands]
        yield number, Dropped(sum(p for p, _ in found), sum(b for _, b in found))


def _entries(reply: Message, kind: int, least: int, at: int) -> Iterator[tuple[int, int]]:
    """Place and length of each entry.

    :param least: the shortest that one can be
    :param at: where in it the length stands
    """
    body = reply.body
    if reply.type != Type.MULTIPART_REPLY or _HEAD.unpack_from(body)[0] != kind:
        raise ValueError(f"message of type {reply.type} is no answer about counters")
    offset, end = _HEAD.size, len(body)
    while offset < end:
        if offset + least > end:
            raise ValueError("counters end within an entry")
        size = int.from_bytes(body[offset + at : offset + at + 2], "big")
        if size < least or offset + size > end:
            raise ValueError(f"counters with the impossible length {size}")
        yield offset, size
        offset += size
