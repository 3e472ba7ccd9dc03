"""The flow cookie: how we recognise our flows, and whose each one is.

::

    63    56 55    48 47          32 31                    0
    +-------+--------+--------------+-----------------------+
    | 0x76  |  kind  |  generation  |        number         |
    +-------+--------+--------------+-----------------------+

The generation is drawn anew for each life of a port, so that flows of an earlier life are never
taken for those of the present one.
"""

from __future__ import annotations

from enum import IntEnum

from vifd.openflow.mark import MARK, OURS, ours

__all__ = [
    "BRIDGE", "EXACT", "MARK", "OTHERS", "OURS", "Kind", "describe", "group", "network", "ours",
    "port",
]  # fmt: skip

#: Cookies and masks that together stand for everything that is not: one for each bit of the mark.
OTHERS = tuple((~(MARK << 56) & 1 << bit, 1 << bit) for bit in range(56, 64))
#: The mask that asks for one cookie alone.
EXACT = 0xFFFF_FFFF_FFFF_FFFF


class Kind(IntEnum):
    """Whose a flow is; decides what the number means."""

    PORT = 1  #: number is the ofport
    NETWORK = 2  #: number is the local VLAN id
    BRIDGE = 3  #: number is 0
    GROUP = 4  #: number is the security group's, made of its id


def _cookie(kind: Kind, generation: int, number: int) -> int:
    return MARK << 56 | kind << 48 | generation << 32 | number


def port(generation: int, ofport: int) -> int:
    """The cookie of one life of a port."""
    return _cookie(Kind.PORT, generation, ofport)


def network(tag: int) -> int:
    """The cookie of a network's flows on this bridge."""
    return _cookie(Kind.NETWORK, 0, tag)


def group(number: int) -> int:
    """The cookie of a security group's rules on this bridge."""
    return _cookie(Kind.GROUP, 0, number)


def group_number(cookie: int) -> int | None:
    """The number in the cookie of a security group; ``None`` for any other cookie."""
    return cookie & 0xFFFF_FFFF if cookie >> 48 == MARK << 8 | Kind.GROUP else None


#: The cookie of flows that belong to no port and no network.
BRIDGE = _cookie(Kind.BRIDGE, 0, 0)


def port_number(cookie: int) -> int | None:
    """The ofport in the cookie of a port; ``None`` for any other cookie."""
    return cookie & 0xFFFF_FFFF if cookie >> 48 == MARK << 8 | Kind.PORT else None


def describe(cookie: int) -> str:
    """A cookie for a reader, e.g. ``port 4711 of generation 0x1f2a``."""
    kind, number = cookie >> 48 & 0xFF, cookie & 0xFFFF_FFFF
    if not ours(cookie):
        return f"foreign cookie {cookie:#x}"
    if kind == Kind.PORT:
        return f"port {number} of generation {cookie >> 32 & 0xFFFF:#06x}"
    if kind == Kind.NETWORK:
        return f"network with local VLAN {number}"
    if kind == Kind.GROUP:
        return f"security group with number {number:#010x}"
    return "bridge" if kind == Kind.BRIDGE else f"unknown cookie {cookie:#x} of ours"
