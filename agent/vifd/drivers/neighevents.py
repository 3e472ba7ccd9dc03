"""The kernel's announcements of what belongs to devices: static forwarding entries, addresses, IPv6
that is turned on, filters that are removed.

What bridges learn is announced as well, as often as a sender of forged frames likes: the kernel
itself leaves that out, by a filter on the socket (``bpf``, classic).
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

from vifd.drivers import ifla, netlink
from vifd.drivers.netlink import HEADER, messages

_NEIGHBOUR = struct.Struct("BxxxiHBB")
_ADDRESS = struct.Struct("BBBBI")
#: What ``struct ifinfomsg`` and ``struct tcmsg`` begin with.
_INDEXED = struct.Struct("4xi")
_NEWADDR, _DELADDR = 20, 21
#: RTM_DELQDISC, RTM_DELTFILTER, RTM_DELCHAIN: our own guards are set, and never removed.
_FILTER_GONE = (37, 45, 101)
#: RTMGRP_NEIGH, RTMGRP_TC, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_IFINFO. What turns
#: IPv6 on (``disable_ipv6``) makes no RTM_NEWNETCONF (see ``ipv6watch.py``).
_GROUPS = 0x4 | 0x8 | 0x10 | 0x100 | 0x800
_SO_ATTACH_FILTER = 26
_BUFFER = 1 << 20

_INSTRUCTION = struct.Struct("HBBI")
_LOAD_BYTE, _EQUAL, _ANY_BIT, _RETURN = 0x30, 0x15, 0x45, 0x06
_LOW = 0 if sys.byteorder == "little" else 1
_STATIC = ifla.NOARP | ifla.PERMANENT
#: Of neighbours only those of bridges that are static; of anything else everything.
_FILTER = (
    (_LOAD_BYTE, 0, 0, 4 + _LOW),
    (_EQUAL, 1, 0, ifla.NEWNEIGH),
    (_EQUAL, 0, 4, ifla.DELNEIGH),
    (_LOAD_BYTE, 0, 0, HEADER.size),
    (_EQUAL, 0, 3, ifla.AF_BRIDGE),
    (_LOAD_BYTE, 0, 0, HEADER.size + 8 + _LOW),
    (_ANY_BIT, 0, 1, _STATIC),
    (_RETURN, 0, 0, 0xFFFF_FFFF),
    (_RETURN, 0, 0, 0),
)


def open_socket() -> socket.socket:
    """A socket that hears of them in the calling thread's network namespace."""
    made = netlink.open_socket(
        netlink.ROUTE, groups=_GROUPS, buffer=_BUFFER, prepare=_leave_out_what_is_learned
    )
    made.setblocking(False)
    return made


def _leave_out_what_is_learned(sock: socket.socket) -> None:
    program = b"".join(_INSTRUCTION.pack(*step) for step in _FILTER)
    code = ctypes.create_string_buffer(program)
    head = struct.pack("HL", len(_FILTER), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)


def devices(data: bytes) -> set[int]:
    """The ifindexes of the devices that a datagram tells of."""
    found = set()
    for kind, _, _, payload in messages(data):
        if kind in (ifla.NEWNEIGH, ifla.DELNEIGH) and len(payload) >= _NEIGHBOUR.size:
            found.add(_NEIGHBOUR.unpack_from(payload)[1])
        elif kind in (_NEWADDR, _DELADDR) and len(payload) >= _ADDRESS.size:
            found.add(_ADDRESS.unpack_from(payload)[4])
        elif kind in (ifla.NEWLINK, *_FILTER_GONE) and len(payload) >= _INDEXED.size:
            found.add(_INDEXED.unpack_from(payload)[0])
    return found
