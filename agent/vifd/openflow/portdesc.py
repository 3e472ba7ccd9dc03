"""OpenFlow 1.4 descriptions of ports, and the switch's news of them (sections 7.2.1, 7.3.5.6 and
7.4.3 of the specification). Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from vifd.openflow import fragments
from vifd.openflow.fragments import Config
from vifd.openflow.message import VERSION, Message, Type

_PORT_DESC = 13
_REQUEST = struct.Struct("!BBHIHH4x")
_PORT = struct.Struct("!IH2x6s2x16sII")
_MULTIPART_HEAD, _STATUS_HEAD = 8, 8
_SET_ASYNC = struct.Struct("!BBHI")
_MASK = struct.Struct("!HHI")
#: Kinds of a SET_ASYNC property, for both roles: flows that ended; ports; packets.
_UNWANTED, _PORTS, _PACKETS = (4, 5), (2, 3), (0, 1)
#: Reasons of news of a port: added, removed, changed.
_ALL_REASONS = 0x7

#: What an operator can set on a port and what stops frames, in the words of ovs-ofctl.
_CONFIG = {0x1: "PORT_DOWN", 0x4: "NO_RECV", 0x20: "NO_FWD"}
_STATE = {0x2: "BLOCKED"}


class PortDesc(NamedTuple):
    """A port as the switch describes it.

    :param flags: what stops frames there: ``PORT_DOWN``, ``NO_RECV``, ``NO_FWD``, ``BLOCKED``
    """

    number: int
    name: str
    flags: frozenset[str]


def request(xid: int) -> bytes:
    """Ask for all ports of a bridge."""
    return _REQUEST.pack(
        VERSION, Type.MULTIPART_REQUEST, _REQUEST.size, xid, _PORT_DESC, 0
    )  # fmt: skip


def descriptions(message: Message) -> Iterator[PortDesc]:
    """The ports in a part of the answer.

    :raises ValueError: it is damaged
    """
    offset = _MULTIPART_HEAD
    while offset + _PORT.size <= len(message.body):
        size, found = _read(message.body, offset)
        yield found
        offset += size


def announce(xid: int, mode: str, packets: int = 0) -> bytes:
    """Ask to be told of changes of ports on this connection, and of nothing else. A switch tells a
    connection of its management socket nothing until that has named a length for packets.

    :param mode: how the bridge shows fragments, which the same message would change
    :param packets: the reasons for which frames are wanted as well, a bit for each
    """
    properties = [_MASK.pack(kind, _MASK.size, 0) for kind in _UNWANTED]
    properties += [_MASK.pack(kind, _MASK.size, _ALL_REASONS) for kind in _PORTS]
    properties += [_MASK.pack(kind, _MASK.size, packets) for kind in _PACKETS]
    body = b"".join(properties)
    masks = _SET_ASYNC.pack(VERSION, Type.SET_ASYNC, _SET_ASYNC.size + len(body), xid) + body
    return masks + fragments.change(xid, Config(mode, 1))


def told(message: Message) -> str | None:
    """The name of the port that a message tells of a change of; ``None`` for any other message.

    :raises ValueError: it is damaged
    """
    if message.type != Type.PORT_STATUS:
        return None
    if len(message.body) < _STATUS_HEAD + _PORT.size:
        raise ValueError("port status without a port")
    return _read(message.body, _STATUS_HEAD)[1].name


def _read(body: bytes, offset: int) -> tuple[int, PortDesc]:
    number, size, _, raw, config, state = _PORT.unpack_from(body, offset)
    if size < _PORT.size:
        raise ValueError(f"port description with the impossible length {size}")
    flags = [word for bit, word in _CONFIG.items() if config & bit]
    flags += [word for bit, word in _STATE.items() if state & bit]
    name = raw.rstrip(b"\0").decode(errors="replace")
    return size, PortDesc(number, name, frozenset(flags))
