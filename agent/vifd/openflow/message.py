"""OpenFlow 1.4 messages: what the driver sends, and what it reads (version 0x05). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from vifd.openflow import error_names
from vifd.openflow import match as mt
from vifd.openflow.flow import Flow

VERSION = 0x05
ALL_TABLES = 0xFF
ANY = 0xFFFFFFFF
EXACT = 0xFFFF_FFFF_FFFF_FFFF
HEADER_SIZE = 8
#: A message says its length in 16 bits.
MAX_SIZE = 0xFFFF
#: What a flow's match, actions and instructions may take of a bundled message.
_ROOM = MAX_SIZE - 100


class Type(IntEnum):
    """Message types that are sent or understood here."""

    HELLO = 0
    ERROR = 1
    ECHO_REQUEST = 2
    ECHO_REPLY = 3
    EXPERIMENTER = 4
    GET_CONFIG_REQUEST = 7
    GET_CONFIG_REPLY = 8
    SET_CONFIG = 9
    PACKET_IN = 10
    PORT_STATUS = 12
    PACKET_OUT = 13
    FLOW_MOD = 14
    MULTIPART_REQUEST = 18
    MULTIPART_REPLY = 19
    BARRIER_REQUEST = 20
    BARRIER_REPLY = 21
    SET_ASYNC = 28
    BUNDLE_CONTROL = 33
    BUNDLE_ADD = 34


class Control(IntEnum):
    """Kinds of bundle control messages; each reply is its request plus one."""

    OPEN = 0
    COMMIT = 4
    DISCARD = 6


class Command(IntEnum):
    """What a FLOW_MOD does."""

    ADD = 0
    DELETE = 3
    DELETE_STRICT = 4


class Message(NamedTuple):
    """One received message; the body is what follows the header."""

    version: int
    type: int
    xid: int
    body: bytes


class SwitchError(NamedTuple):
    """The content of an ERROR message: the error's name, and the start of what caused it."""

    name: str
    data: bytes

    def __str__(self) -> str:
        text = self.data.decode("ascii", "replace").rstrip("\0") if self.data else ""
        return f"{self.name}: {text}" if text.isprintable() and text else self.name


_HEADER = struct.Struct("!BBHI")
_HELLO = struct.Struct("!BBHIHHI")
_CONTROL = struct.Struct("!BBHIIHH")
_FLOW_MOD = struct.Struct("!BBHIQQBBHHHIIIHHHH")
_BUNDLED = struct.Struct("!BBHII2xHBBHIQQBBHHHIIIHHHH")
_FLUSH_ZONE = struct.Struct("!BBHIII6xH")
_PACKET_OUT = struct.Struct("!BBHIIIH6x")
_FLOW_STATS_REQUEST = struct.Struct("!BBHIHH4xB3xII4xQQHHI")
#: Of an entry of a reply: priority, time-outs, cookie; flags and importance are nobody's concern.
_FLOW_NUMBERS = struct.Struct("!HHH6xQ")
_MULTIPART = struct.Struct("!HH4x")
_INSTRUCTION = struct.Struct("!HH4x")
_GOTO = struct.Struct("!HHB3x")
_TLV_HEAD = struct.Struct("!HH")
_ERROR = struct.Struct("!HH")

_FLOW = 1
_MORE = 1
_GOTO_TABLE, _APPLY_ACTIONS = 1, 4
_ORDERED_ATOMIC = 3
_OXM_MATCH = 1
_NXT_CT_FLUSH_ZONE = 29
_NO_BUFFER = 0xFFFFFFFF
_PADDING = [bytes(n) for n in range(8)]


# --- sent -----------------------------------------------------------------------------------------


def hello(xid: int) -> bytes:
    """HELLO with the bitmap of versions: 1.4 only."""
    return _HELLO.pack(VERSION, Type.HELLO, 16, xid, 1, 8, 1 << VERSION)


def echo_reply(xid: int, payload: bytes) -> bytes:
    """The answer to an ECHO_REQUEST."""
    return _HEADER.pack(VERSION, Type.ECHO_REPLY, HEADER_SIZE + len(payload), xid) + payload


def echo_request(xid: int) -> bytes:
    """Ask for an answer at once."""
    return _HEADER.pack(VERSION, Type.ECHO_REQUEST, HEADER_SIZE, xid)


def barrier(xid: int) -> bytes:
    """Ask for an answer once everything before is done."""
    return _HEADER.pack(VERSION, Type.BARRIER_REQUEST, HEADER_SIZE, xid)


def bundle_control(xid: int, bundle: int, control: Control) -> bytes:
    """Open, commit or discard an atomic, ordered bundle."""
    return _CONTROL.pack(
        VERSION, Type.BUNDLE_CONTROL, 16, xid, bundle, control, _ORDERED_ATOMIC
    )  # fmt: skip


def flow_mod(
    xid: int,
    flow: Flow,
    command: Command = Command.ADD,
    *,
    mask: int = 0,
    bundle: int | None = None,
) -> bytes:
    """A FLOW_MOD, wrapped for a bundle if one is given.

    :param mask: which bits of the cookie must agree, for the deletes
    :raises ValueError: when the flow does not fit into a message
    """
    if not fits(flow):
        raise ValueError("the flow does not fit into a message")
    body = _match_tail(flow.match) + instructions(flow)
    size = 52 + len(body)
    fields = (
        VERSION, 14, size, xid, flow.cookie, mask, flow.table, command, flow.idle_timeout,
        flow.hard_timeout, flow.priority, _NO_BUFFER, ANY, ANY, 0, 0, _OXM_MATCH,
        4 + len(flow.match),
    )  # fmt: skip
    if bundle is None:
        return _FLOW_MOD.pack(*fields) + body
    return _BUNDLED.pack(VERSION, 34, 16 + size, xid, bundle, _ORDERED_ATOMIC, *fields) + body


def fits(flow: Flow) -> bool:
    """Whether a message can hold the flow."""
    return len(flow.match) + len(flow.actions) + len(flow.instructions) <= _ROOM


def delete_by_cookie(xid: int, cookie: int, mask: int, *, bundle: int | None = None) -> bytes:
    """A FLOW_MOD that removes all flows with this cookie under this mask, in every table."""
    everything = Flow(table=ALL_TABLES, priority=0, cookie=cookie)
    return flow_mod(xid, everything, Command.DELETE, mask=mask, bundle=bundle)


def packet_out(xid: int, frame: bytes, in_port: int, actions: bytes) -> bytes:
    """Send a frame through a list of actions."""
    size = 24 + len(actions) + len(frame)
    if size > MAX_SIZE:
        raise ValueError(f"frame of {len(frame)} bytes does not fit into a message")
    head = _PACKET_OUT.pack(
        VERSION, Type.PACKET_OUT, size, xid, _NO_BUFFER, in_port, len(actions)
    )  # fmt: skip
    return head + actions + frame


def flush_zone(xid: int, zone: int) -> bytes:
    """Forget every connection of a zone (NXT_CT_FLUSH_ZONE of the Nicira extension)."""
    return _FLUSH_ZONE.pack(
        VERSION, Type.EXPERIMENTER, 24, xid, error_names.NICIRA, _NXT_CT_FLUSH_ZONE, zone
    )  # fmt: skip


def flow_stats_request(xid: int, cookie: int, mask: int, table: int = ALL_TABLES) -> bytes:
    """Ask for the flows with this cookie under this mask."""
    return _FLOW_STATS_REQUEST.pack(
        VERSION, 18, 56, xid, _FLOW, 0, table, ANY, ANY, cookie, mask, _OXM_MATCH, 4, 0
    )


def _match_tail(match: bytes) -> bytes:
    """What follows the head of a match: the fields and the padding."""
    return match + _PADDING[-(len(match) + 4) % 8]


def instructions(flow: Flow) -> bytes:
    """The instructions of a flow, in the order in which the switch gives them back."""
    actions, goto = flow.actions, flow.goto
    apply = _INSTRUCTION.pack(_APPLY_ACTIONS, 8 + len(actions)) + actions if actions else b""
    return apply + flow.instructions + (b"" if goto is None else _GOTO.pack(_GOTO_TABLE, 8, goto))


# --- received -------------------------------------------------------------------------------------


def split(buffer: bytes) -> tuple[list[Message], int]:
    """The whole messages in a buffer, and where the rest begins.

    :raises ValueError: when the bytes cannot be OpenFlow
    """
    messages = []
    offset, end = 0, len(buffer)
    while end - offset >= HEADER_SIZE:
        version, kind, size, xid = _HEADER.unpack_from(buffer, offset)
        if size < HEADER_SIZE:
            raise ValueError(f"message with the impossible length {size}")
        if end - offset < size:
            break
        body = buffer[offset + HEADER_SIZE : offset + size]
        messages.append(Message(version, kind, xid, body))
        offset += size
    return messages, offset


def versions(hello: Message) -> frozenset[int]:
    """The versions that a HELLO offers: its bitmap, else everything up to its own version."""
    body = hello.body
    offset = 0
    while offset + 8 <= len(body):
        kind, size = _TLV_HEAD.unpack_from(body, offset)
        if kind == 1:
            bitmap = int.from_bytes(body[offset + 4 : offset + 8], "big")
            return frozenset(n for n in range(32) if bitmap >> n & 1)
        offset += max(8, size + -size % 8)
    return frozenset(range(1, hello.version + 1))


def more(message: Message) -> bool:
    """Whether further parts of this multipart reply follow."""
    return message.type == Type.MULTIPART_REPLY and bool(message.body[3] & _MORE)


def error(message: Message) -> SwitchError:
    """What an ERROR message says."""
    if len(message.body) < 4:
        return SwitchError("error without a type", b"")
    kind, code = _ERROR.unpack_from(message.body)
    data = message.body[4:]
    if kind == error_names.EXPERIMENTER and len(data) >= 4:
        vendor, data = int.from_bytes(data[:4], "big"), data[4:]
        known = vendor == error_names.NICIRA
        text = error_names.nicira(code) if known else f"experimenter {vendor:#x} error {code}"
        return SwitchError(text, data)
    # only HELLO_FAILED carries words; all others carry the start of the request
    return SwitchError(error_names.name(kind, code), data)


def flows(message: Message) -> Iterator[Flow]:
    """The flows in one part of a flow-stats reply.

    :raises ValueError: when it is not such a reply, or damaged
    """
    body = message.body
    if message.type != Type.MULTIPART_REPLY or _MULTIPART.unpack_from(body)[0] != _FLOW:
        raise ValueError(f"message of type {message.type} is no flow-stats reply")
    offset, end = _MULTIPART.size, len(body)
    while offset < end:
        size = int.from_bytes(body[offset : offset + 2], "big")
        after = offset + size
        if size < 56 or after > end:
            raise ValueError(f"flow entry with the impossible length {size}")
        # all but its age and its counters is mostly what was read before
        decode = _known if size <= _SMALL else _known.__wrapped__
        known = decode(body[offset + 2], body[offset + 12 : offset + 32], body[offset + 48 : after])
        counts = body[offset + 32 : offset + 48]
        yield known if counts == _NONE else _counted(known, counts)
        offset = after


def _counted(known: Flow, counts: bytes) -> Flow:
    return Flow(
        known.table, known.priority, known.cookie, known.match, known.actions, known.goto,
        known.idle_timeout, known.hard_timeout, known.instructions,
        int.from_bytes(counts[:8], "big"), int.from_bytes(counts[8:], "big"),
    )  # fmt: skip


#: Counters that counted nothing.
_NONE = bytes(16)
#: Bytes of an entry that is kept: those that flood to many ports are few, and soon others.
_SMALL = 512


@lru_cache(maxsize=4096)
def _known(table: int, numbers: bytes, rest: bytes) -> Flow:
    """A flow without its counters. A plug reads its own twice, and those of the bridge every time.

    :param numbers: from the priority to the cookie
    :param rest: the match and the instructions
    """
    priority, idle, hard, cookie = _FLOW_NUMBERS.unpack(numbers)
    length = int.from_bytes(rest[2:4], "big")
    match = mt.canonical(rest[4:length])
    actions, goto, other = _instructions(rest, (length + 7) // 8 * 8, len(rest))
    return Flow(table, priority, cookie, match, actions, goto, idle, hard, other)


def _instructions(body: bytes, offset: int, end: int) -> tuple[bytes, int | None, bytes]:
    """(actions applied, table gone on with, instructions of other kinds as they stand)."""
    actions, goto, other = b"", None, b""
    while offset < end:
        kind, size = _TLV_HEAD.unpack_from(body, offset)
        if size < 8 or offset + size > end:
            raise ValueError(f"instruction with the impossible length {size}")
        if kind == _APPLY_ACTIONS:
            actions = body[offset + 8 : offset + size]
        elif kind == _GOTO_TABLE:
            goto = body[offset + 4]
        else:
            other += body[offset : offset + size]
        offset += size
    return actions, goto, other
