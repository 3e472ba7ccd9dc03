"""How a switch shows fragments to its flows (OFPT_SET_CONFIG), a setting of the bridge. Pure.

Only with ``nx-match`` do first fragments show the header that they hold; else the ports and types
of every fragment are 0 to a flow. The setting is lost when the switch restarts.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from vifd.openflow.message import HEADER_SIZE, VERSION, Message, Type

_MESSAGE = struct.Struct("!BBHI")
_CONFIG = struct.Struct("!HH")
_MODE_BITS = 3

#: The modes by their number (openflow/openflow-common.h and nicira-ext.h of Open vSwitch).
MODES = ("normal", "drop", "reassemble", "nx-match")
WHOLE_HEADERS = "nx-match"  #: the mode in which first fragments are judged as what they are


class Config(NamedTuple):
    """What one message sets together.

    :param mode: one of :data:`MODES`, for the whole bridge
    :param packet_length: so many bytes of a packet are sent to this connection; the switch tells a
        connection with 0 nothing of its own accord
    """

    mode: str
    packet_length: int


def request(xid: int) -> bytes:
    """Ask for the setting."""
    return _MESSAGE.pack(VERSION, Type.GET_CONFIG_REQUEST, HEADER_SIZE, xid)


def change(xid: int, config: Config) -> bytes:
    """Change it, and what belongs to the connection with it."""
    head = _MESSAGE.pack(VERSION, Type.SET_CONFIG, HEADER_SIZE + _CONFIG.size, xid)
    return head + _CONFIG.pack(MODES.index(config.mode), config.packet_length)


def config(replies: Iterable[Message]) -> Config:
    """The setting in an answer; that of a new switch where it is none."""
    for reply in replies:
        if reply.type == Type.GET_CONFIG_REPLY and len(reply.body) >= _CONFIG.size:
            flags, length = _CONFIG.unpack_from(reply.body)
            return Config(MODES[flags & _MODE_BITS], length)
    return Config(MODES[0], 0)
