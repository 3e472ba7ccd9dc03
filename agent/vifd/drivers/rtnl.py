"""Requests about devices, which pyroute2 encodes, and announcements of them.

Requests that differ in values alone are encoded once.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any

from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_PROMISC, IFF_UP

from vifd.drivers.linkmessage import LinkRequest, link, link_in_full, name_in
from vifd.drivers.linkrules import NAME_BYTES
from vifd.drivers.netlink import ACK, HEADER, Message, messages

__all__ = [
    "ALL",
    "bring_up",
    "changes",
    "delete",
    "delete_group",
    "get",
    "link",
    "link_in_full",
    "set_group",
    "set_link",
]

#: RTEXT_FILTER_SKIP_STATS
_SKIP_STATS = 8


# --- requests -------------------------------------------------------------------------------------


def _body(
    *, index: int = 0, up: bool | None = None, promiscuous: bool = False,
    **attributes: Any,
) -> bytes:  # fmt: skip
    """Encode what is asked about the device with this index, or the one that an attribute names.

    :param up: the administrative state to set, ``None`` to leave it
    :param promiscuous: whether to set that; it is never cleared
    :param attributes: without those that are ``None``
    """
    message = LinkRequest()
    message["index"] = index
    if up is not None:
        message["flags"], message["change"] = IFF_UP if up else 0, IFF_UP
    if promiscuous:
        message["flags"] |= IFF_PROMISC
        message["change"] |= IFF_PROMISC
    message["attrs"] = [(k, value) for k, value in attributes.items() if value is not None]
    message.encode()
    return bytes(message.data)[HEADER.size :]


_ANY = "*" * NAME_BYTES
_GET = _body(IFLA_IFNAME=_ANY, IFLA_EXT_MASK=_SKIP_STATS)
_GET_COUNTED = _body(IFLA_IFNAME=_ANY)
_UP = _body(up=True, IFLA_IFNAME=_ANY)
#: Asks for all devices, by a dump.
ALL = Message(RTM_GETLINK, 0, _body(IFLA_EXT_MASK=_SKIP_STATS))


def _named(template: bytes, name: str) -> bytes:
    return template.replace(_ANY.encode(), name.encode().ljust(NAME_BYTES, b"\0"))


def _set(body: bytes) -> Message:
    return Message(RTM_SETLINK, ACK, body)


def get(name: str) -> Message:
    """Ask for one device; the answer is a message for :func:`link`, or ENODEV."""
    return Message(RTM_GETLINK, 0, _named(_GET, name))


def get_counted(name: str) -> Message:
    """Ask for one device with what it has counted."""
    return Message(RTM_GETLINK, 0, _named(_GET_COUNTED, name))


def get_by_index(index: int) -> Message:
    """Ask for one device, whatever its name is."""
    return Message(RTM_GETLINK, 0, _body(index=index, IFLA_EXT_MASK=_SKIP_STATS))


def rename(index: int, name: str) -> Message:
    """Give a device another name; EBUSY where an old kernel wants it down for that."""
    return _set(_body(index=index, IFLA_IFNAME=name))


def bring_up(name: str) -> Message:
    """Set IFF_UP."""
    return _set(_named(_UP, name))


def set_link(
    name: str,
    *,
    mac: str | None = None,
    mtu: int | None = None,
    up: bool | None = None,
    alias: str | None = None,
    promiscuous: bool = False,
) -> Message:
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
    return _set(first + b"".join(chain.from_iterable(filled)))


@lru_cache(maxsize=64)
def _shape(
    mac: int | None, mtu: int | None, alias: int | None, *, up: bool | None, promiscuous: bool
) -> tuple[bytes, ...]:
    """An encoded change, cut where its values belong: name, MAC, MTU and alias of these lengths."""
    left = _body(
        up=up,
        promiscuous=promiscuous,
        IFLA_IFNAME=_ANY,
        IFLA_ADDRESS=None if mac is None else b"+" * mac,
        IFLA_MTU=None if mtu is None else int.from_bytes(b"=" * mtu, sys.byteorder),
        IFLA_IFALIAS=None if alias is None else "~" * alias,
    )
    marks = (_ANY.encode(), b"+" * (mac or 0), b"=" * (mtu or 0), b"~" * (alias or 0))
    pieces = []
    for mark in filter(None, marks):
        piece, _, left = left.partition(mark)
        pieces.append(piece)
    return (*pieces, left)


def set_group(index: int, group: int) -> Message:
    """Put a device into a group."""
    return _set(_body(index=index, IFLA_GROUP=group))


def delete(index: int) -> Message:
    """Remove a device."""
    return Message(RTM_DELLINK, ACK, _body(index=index))


def delete_group(group: int) -> Message:
    """Remove all devices of a group."""
    return Message(RTM_DELLINK, ACK, _body(IFLA_GROUP=group))


# --- announcements --------------------------------------------------------------------------------


def changes(data: bytes) -> Iterator[tuple[str, bool]]:
    """Name and existence of each device that a datagram of the link group tells of; ``("", True)``
    where it cannot be read."""
    try:
        for kind, _, _, payload in messages(data):
            if kind not in (RTM_NEWLINK, RTM_DELLINK):
                continue
            family, name = name_in(payload)
            if name is not None:
                # A bridge says RTM_DELLINK, in its own family, of a port that leaves it.
                yield name, kind == RTM_NEWLINK or family != socket.AF_UNSPEC
    except struct.error:
        yield "", True
