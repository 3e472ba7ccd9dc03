"""Meters: limits that flows send their packets through (OpenFlow 1.4, 7.3.4.4, 7.3.5.13 to 15).

Pure. A meter lets pass what its rate allows and drops the rest; each has one band here, that drops.
A flow that names a meter can be added only while the meter is there, and goes with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from vifd.openflow.message import HEADER_SIZE, VERSION, Message, Type

_MOD = 29
_CONFIG, _FEATURES = 10, 11
_MULTIPART = struct.Struct("!BBHIHH4x")
_ONE = struct.Struct("!I4x")
_HEAD = struct.Struct("!HH4x")
_MOST = struct.Struct("!I")
_METER_MOD = struct.Struct("!BBHIHHI")
_ENTRY = struct.Struct("!HHI")
_BAND = struct.Struct("!HHII4x")

_KBPS, _PKTPS, _BURST = 1, 2, 4
_DROP = 1
#: Every meter of the bridge (OFPM_ALL).
ALL = 0xFFFF_FFFF


class Command(IntEnum):
    """What a METER_MOD does."""

    ADD = 0
    MODIFY = 1
    DELETE = 2


class Meter(NamedTuple):
    """A limit.

    :param id: its number on the bridge, from 1
    :param rate: kbit per second, or packets per second
    :param burst: kbit or packets that may come at once
    :param packets: whether packets are counted, and not bits
    :param odd: what else the switch says of a meter that is none of ours
    """

    id: int
    rate: int
    burst: int
    packets: bool = False
    odd: str = ""

    def __str__(self) -> str:
        unit, much = ("packets/s", "packets") if self.packets else ("kbit/s", "kbit")
        return self.odd or f"{self.rate} {unit}, burst {self.burst} {much}"


def request(xid: int) -> bytes:
    """Ask what the switch can do."""
    size = HEADER_SIZE + _HEAD.size
    return _MULTIPART.pack(VERSION, Type.MULTIPART_REQUEST, size, xid, _FEATURES, 0)


def most(replies: Iterable[Message]) -> int:
    """How many meters there may be; 0 where the answer is none."""
    for reply in replies:
        if reply.type == Type.MULTIPART_REPLY and len(reply.body) >= _HEAD.size + _MOST.size:
            kind, _ = _HEAD.unpack_from(reply.body)
            if kind == _FEATURES:
                return int(_MOST.unpack_from(reply.body, _HEAD.size)[0])
    return 0


def config_request(xid: int, number: int = ALL) -> bytes:
    """Ask what a meter is set to; the answer for one that is not there is an error."""
    size = HEADER_SIZE + _HEAD.size + _ONE.size
    head = _MULTIPART.pack(VERSION, Type.MULTIPART_REQUEST, size, xid, _CONFIG, 0)
    return head + _ONE.pack(number)


def change(xid: int, meter: Meter, command: Command) -> bytes:
    """Add, modify or delete a meter; to delete one that is not there is no error."""
    band = b""
    if command is not Command.DELETE:
        band = _BAND.pack(_DROP, _BAND.size, meter.rate, meter.burst)
    flags = (_PKTPS if meter.packets else _KBPS) | _BURST
    size = _METER_MOD.size + len(band)
    return _METER_MOD.pack(VERSION, _MOD, size, xid, command, flags, meter.id) + band


def configs(reply: Message) -> Iterator[Meter]:
    """The meters in one part of an answer to :func:`config_request`.

    :raises ValueError: it is none, or damaged
    """
    body = reply.body
    if reply.type != Type.MULTIPART_REPLY or _HEAD.unpack_from(body)[0] != _CONFIG:
        raise ValueError(f"message of type {reply.type} is no list of meters")
    offset, end = _HEAD.size, len(body)
    while offset < end:
        if offset + _ENTRY.size > end:
            raise ValueError("list of meters ends within a meter")
        size, flags, number = _ENTRY.unpack_from(body, offset)
        if size < _ENTRY.size or offset + size > end:
            raise ValueError(f"meter with the impossible length {size}")
        yield _meter(number, flags, body[offset + _ENTRY.size : offset + size])
        offset += size


def _meter(number: int, flags: int, bands: bytes) -> Meter:
    plain = flags in (_KBPS | _BURST, _PKTPS | _BURST) and len(bands) == _BAND.size
    if not plain or _HEAD.unpack_from(bands)[:2] != (_DROP, _BAND.size):
        return Meter(number, 0, 0, odd=f"flags {flags:#x}, bands {bands.hex() or 'none'}")
    _, _, rate, burst = _BAND.unpack(bands)
    return Meter(number, rate, burst, packets=bool(flags & _PKTPS))
