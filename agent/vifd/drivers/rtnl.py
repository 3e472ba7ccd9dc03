"""Requests and answers of rtnetlink about devices, and the socket in between.

pyroute2 encodes and carries them. Requests that differ in values alone are encoded once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from pyroute2 import IPRSocket
from pyroute2.netlink import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
)
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK, RTMGRP_LINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_PROMISC, IFF_UP

from vifd.drivers.linkmessage import HEADER, LinkRequest, link, link_in_full, name_in
from vifd.drivers.linkrules import NAME_BYTES
from vifd.steady import advance

__all__ = [
    "LinkSocket",
    "Request",
    "bring_up",
    "changes",
    "delete",
    "delete_group",
    "event_socket",
    "get",
    "link",
    "link_in_full",
    "set_group",
    "set_link",
]

#: RTEXT_FILTER_SKIP_STATS
_SKIP_STATS = 8
#: Where a message has its sequence number.
_SEQUENCE = slice(8, 12)
_ERROR = struct.Struct("i")

#: So many messages go to the kernel at once: their answers must fit the socket's buffer.
_CHUNK = 32
#: Seconds after which an answer is given up; the kernel answers before ``send`` returns.
_TIMEOUT = 10
#: Bytes for one datagram: the kernel sends 32 KiB at most.
_DATAGRAM = 0x1_0000
_SO_RCVBUFFORCE = 33


# --- requests -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """An encoded message."""

    data: bytes

    def pack(self, sequence: int) -> bytes:
        """The bytes of the message with this sequence number."""
        number = sequence.to_bytes(4, sys.byteorder)
        return self.data[: _SEQUENCE.start] + number + self.data[_SEQUENCE.stop :]


def _request(
    kind: int, flags: int, *, index: int = 0, up: bool | None = None, promiscuous: bool = False,
    **attributes: Any,
) -> Request:  # fmt: skip
    """Encode a message about the device with this index, or the one that an attribute names.

    :param up: the administrative state to set, ``None`` to leave it
    :param promiscuous: whether to set that; it is never cleared
    :param attributes: without those that are ``None``
    """
    message = LinkRequest()
    message["header"] = {"type": kind, "flags": NLM_F_REQUEST | flags}
    message["index"] = index
    if up is not None:
        message["flags"], message["change"] = IFF_UP if up else 0, IFF_UP
    if promiscuous:
        message["flags"] |= IFF_PROMISC
        message["change"] |= IFF_PROMISC
    message["attrs"] = [(k, value) for k, value in attributes.items() if value is not None]
    message.encode()
    return Request(bytes(message.data))


_ANY = "*" * NAME_BYTES
_GET = _request(RTM_GETLINK, 0, IFLA_IFNAME=_ANY, IFLA_EXT_MASK=_SKIP_STATS).data
_ALL = _request(RTM_GETLINK, NLM_F_DUMP, IFLA_EXT_MASK=_SKIP_STATS)
_UP = _request(RTM_SETLINK, NLM_F_ACK, up=True, IFLA_IFNAME=_ANY).data


def _named(template: bytes, name: str) -> Request:
    return Request(template.replace(_ANY.encode(), name.encode().ljust(NAME_BYTES, b"\0")))


def get(name: str) -> Request:
    """Ask for one device; the answer is a message for :func:`link`, or ENODEV."""
    return _named(_GET, name)


def bring_up(name: str) -> Request:
    """Set IFF_UP."""
    return _named(_UP, name)


def set_link(
    name: str,
    *,
    mac: str | None = None,
    mtu: int | None = None,
    up: bool | None = None,
    alias: str | None = None,
    promiscuous: bool = False,
) -> Request:
    """Change a device."""
    values = (
        name.encode().ljust(NAME_BYTES, b"\0"),
        None if mac is None else bytes.fromhex(mac.replace(":", "")),
        None if mtu is None else mtu.to_bytes(4, sys.byteorder),
        None if alias is None else alias.encode(),
    )
    _, *sizes = (None if value is None else len(value) for value in values)
    first, *pieces = _shape(*sizes, up=up, promiscuous=promiscuous)
    filled = zip(filter(None, values), pieces, strict=True)
    return Request(first + b"".join(chain.from_iterable(filled)))


@lru_cache(maxsize=64)
def _shape(
    mac: int | None, mtu: int | None, alias: int | None, *, up: bool | None, promiscuous: bool
) -> tuple[bytes, ...]:
    """An encoded change, cut where its values belong: name, MAC, MTU and alias of these lengths."""
    left = _request(
        RTM_SETLINK,
        NLM_F_ACK,
        up=up,
        promiscuous=promiscuous,
        IFLA_IFNAME=_ANY,
        IFLA_ADDRESS=None if mac is None else b"+" * mac,
        IFLA_MTU=None if mtu is None else int.from_bytes(b"=" * mtu, sys.byteorder),
        IFLA_IFALIAS=None if alias is None else "~" * alias,
    ).data
    marks = (_ANY.encode(), b"+" * (mac or 0), b"=" * (mtu or 0), b"~" * (alias or 0))
    pieces = []
    for mark in filter(None, marks):
        piece, _, left = left.partition(mark)
        pieces.append(piece)
    return (*pieces, left)


def set_group(index: int, group: int) -> Request:
    """Put a device into a group."""
    return _request(RTM_SETLINK, NLM_F_ACK, index=index, IFLA_GROUP=group)


def delete(index: int) -> Request:
    """Remove a device."""
    return _request(RTM_DELLINK, NLM_F_ACK, index=index)


def delete_group(group: int) -> Request:
    """Remove all devices of a group."""
    return _request(RTM_DELLINK, NLM_F_ACK, IFLA_GROUP=group)


# --- answers --------------------------------------------------------------------------------------


def _messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, sequence number and bytes of each message in a datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        size, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if size < HEADER.size:
            return
        yield kind, flags, sequence, data[offset : offset + size]
        offset += (size + 3) & ~3


def changes(data: bytes) -> Iterator[tuple[str, bool]]:
    """Name and existence of each device that a datagram of the link group tells of; ``("", True)``
    where it cannot be read."""
    try:
        for kind, _, _, message in _messages(data):
            if kind not in (RTM_NEWLINK, RTM_DELLINK):
                continue
            family, name = name_in(message)
            if name is not None:
                # A bridge says RTM_DELLINK, in its own family, of a port that leaves it.
                yield name, kind == RTM_NEWLINK or family != socket.AF_UNSPEC
    except struct.error:
        yield "", True


# --- sockets --------------------------------------------------------------------------------------


def event_socket(buffer: int) -> Any:
    """A pyroute2 socket that hears of devices of the calling thread's network namespace.

    :param buffer: bytes of announcements that it may hold; for those without CAP_NET_ADMIN the
        system's limit applies
    """
    sock = IPRSocket(rcvbuf=buffer)
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
    sock.socket.setblocking(False)
    sock.bind(groups=RTMGRP_LINK)
    return sock


class LinkSocket:
    """A socket for requests, of the network namespace of the thread that makes it.

    Any thread may use it, one at a time: this class of pyroute2's has one file and no event loop.
    """

    def __init__(self) -> None:
        self._owner = IPRSocket()
        self._owner.bind(groups=0)
        self._socket: socket.socket = self._owner.socket
        self._socket.settimeout(_TIMEOUT)
        self._sequence = 0

    def talk(self, requests: Sequence[Request]) -> list[bytes | int]:
        """Send requests, and return for each the kernel's answer in order.

        :returns: a message, or an error number with 0 for success
        """
        answers: list[bytes | int] = []
        for start in range(0, len(requests), _CHUNK):
            answers += self._exchange(requests[start : start + _CHUNK])
        return answers

    def _exchange(self, requests: Sequence[Request]) -> list[bytes | int]:
        advance()
        first = self._sequence + 1
        self._sequence += len(requests)
        packed = (request.pack(first + number) for number, request in enumerate(requests))
        self._socket.send(b"".join(packed))
        answers: dict[int, bytes | int] = {}
        while len(answers) < len(requests):
            for kind, _, sequence, message in _messages(self._socket.recv(_DATAGRAM)):
                if sequence >= first:
                    failed = kind == NLMSG_ERROR
                    answers[sequence - first] = _failure(message) if failed else message
        return [answers[number] for number in range(len(requests))]

    def dump(self) -> list[bytes]:
        """The messages of all devices; begun anew, twice at most, when they changed meanwhile."""
        found, consistent = self._dump()
        for _ in range(2):
            if consistent:
                break
            found, consistent = self._dump()
        return found

    def _dump(self) -> tuple[list[bytes], bool]:
        self._sequence += 1
        self._socket.send(_ALL.pack(self._sequence))
        found: list[bytes] = []
        consistent = True
        while True:
            for kind, flags, sequence, message in _messages(self._socket.recv(_DATAGRAM)):
                if sequence != self._sequence:
                    continue
                consistent &= not flags & NLM_F_DUMP_INTR
                if kind == NLMSG_DONE:
                    return found, consistent
                if kind == NLMSG_ERROR:
                    number = _failure(message) or errno.EIO
                    raise OSError(number, os.strerror(number))
                found.append(message)

    def close(self) -> None:
        """Close the socket."""
        self._owner.close()


def _failure(message: bytes) -> int:
    return -int(_ERROR.unpack_from(message, HEADER.size)[0])
