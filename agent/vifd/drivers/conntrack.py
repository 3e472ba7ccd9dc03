"""Connections that the kernel follows: found by zone and address, and forgotten. Over netlink; the
numbers are those of ``linux/netfilter/nfnetlink_conntrack.h``.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Collection, Iterator
from typing import NamedTuple

from vifd.drivers.netlink import ACK, Message, Socket, attribute, attributes, nest, pick
from vifd.drivers.nft import nl

_GET, _DELETE = 0x101, 0x102
_TUPLE, _REPLY, _MARK, _ID, _ZONE = 1, 2, 8, 12, 18
_IP = 1
_BE16, _BE32 = struct.Struct("!H"), struct.Struct("!I")
#: What says that connection tracking is not in use.
_ABSENT = (errno.EPROTONOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL)


class Followed(NamedTuple):
    """A connection.

    :param ends: the addresses of the two sides, packed
    :param mark: as it was set, in the byte order of the host
    :param family: of the message that names it
    :param name: the attributes that name it
    """

    zone: int
    mark: int
    ends: frozenset[bytes]
    family: int
    name: bytes


def followed(sock: Socket, zone: int) -> Iterator[Followed]:
    """The connections of a zone.

    :raises OSError: the kernel refuses
    """
    asked = nl.head(0) + attribute(_ZONE, _BE16.pack(zone))
    for body in sock.dump(Message(_GET, 0, asked)):
        found = pick(body, 4, (_TUPLE, _REPLY, _MARK, _ID, _ZONE))
        there = _BE16.unpack(found[_ZONE])[0] if _ZONE in found else 0
        # kernels before 6.8 tell of all zones
        if there == zone:
            mark = _BE32.unpack(found[_MARK])[0] if _MARK in found else 0
            name = nest(_TUPLE, found[_TUPLE]) + attribute(_ZONE, found[_ZONE])
            name += attribute(_ID, found[_ID]) if _ID in found else b""
            yield Followed(there, mark, frozenset(_ends(found)), body[0], name)


def _ends(found: dict[int, bytes]) -> Iterator[bytes]:
    for side in (_TUPLE, _REPLY):
        ip = dict(attributes(found.get(side, b""))).get(_IP, b"")
        yield from (value for _, value in attributes(ip))


def forget(sock: Socket, zone: int, ends: Collection[bytes] | None, marks: Collection[int]) -> int:
    """Forget the connections of a zone that have one of these addresses at an end, or one of these
    marks; all of them without addresses.

    :returns: how many
    :raises OSError: the kernel refuses
    """
    try:
        going = [
            c
            for c in followed(sock, zone)
            if ends is None or c.mark in marks or not c.ends.isdisjoint(ends)
        ]
        answers = sock.ask([Message(_DELETE, ACK, nl.head(c.family) + c.name) for c in going])
    except OSError as error:
        if error.errno in _ABSENT:
            return 0
        raise
    for number in answers:
        # it ended by itself meanwhile
        if isinstance(number, int) and number not in (0, errno.ENOENT):
            raise OSError(number, os.strerror(number))
    return len(going)
