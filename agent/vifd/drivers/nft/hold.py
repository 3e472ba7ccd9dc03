"""Tables that belong to the process that made them, and outlive it.

The kernel lets nobody else change or flush such a table as long as its owner's socket is open
(``NFT_TABLE_F_OWNER``, Linux 5.12). It would take the table away when the socket is closed, so an
owner without ``NFT_TABLE_F_PERSIST`` (6.9) is worse than none: then neither is asked for. A table
whose owner is gone is anybody's to change, and becomes that of the next socket that asks for it.
One that was made without an owner can get none.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from vifd.drivers.netlink import CREATE, Message, attributes, text
from vifd.drivers.nft import nl
from vifd.drivers.nft.packing import number_, u32
from vifd.drivers.nft.socket import NftSocket, Refused

_DORMANT, _OWNER, _PERSIST = 1, 2, 4
_NAME, _FLAGS, _OWNED_BY = 1, 2, 7
_PROBE = "vifd-probe"


@dataclass(frozen=True)
class Held:
    """A table as the kernel tells of it.

    :param flagged: whether it is one that has, or had, an owner
    :param owner: the netlink address of its owner's socket, 0 for none
    """

    flagged: bool
    owner: int


def able(sock: NftSocket) -> bool:
    """Whether this kernel has tables that have an owner and outlive it; none is made."""
    body = nl.head() + text(_NAME, _PROBE) + u32(_FLAGS, _OWNER | _PERSIST | _DORMANT)
    try:
        sock.commit([Message(nl.NEWTABLE, CREATE, body, "ask for tables that stay")], dry=True)
    except Refused:
        return False
    return True


def flags() -> bytes:
    """The attribute that has a table made, or taken, as one of ours."""
    return u32(_FLAGS, _OWNER | _PERSIST)


def read(sock: NftSocket, table: str, family: int) -> Held | None:
    """A table, ``None`` where there is none."""
    (answer,) = sock.ask([Message(nl.GETTABLE, 0, nl.head(family) + text(_NAME, table))])
    if isinstance(answer, int):
        return None if answer in (errno.ENOENT, errno.EAFNOSUPPORT) else Held(False, 0)
    found = dict(attributes(answer, 4))
    # without its owner only the other flag is left
    flagged = bool(number_(found[_FLAGS]) & _PERSIST) if _FLAGS in found else False
    return Held(flagged, number_(found[_OWNED_BY]) if _OWNED_BY in found else 0)


def taking(table: str, family: int) -> Message:
    """Take a table whose owner is gone."""
    body = nl.head(family) + text(_NAME, table) + flags()
    return Message(nl.NEWTABLE, CREATE, body, f"take table {table}")
