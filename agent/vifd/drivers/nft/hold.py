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

    :param flags: as the kernel has them
    :param owner: the netlink address of its owner's socket, 0 for none
    """

    flags: int
    owner: int

    @property
    def flagged(self) -> bool:
        """Whether it is one that has, or had, an owner: without that only the other flag is
        left."""
        return bool(self.flags & _PERSIST)

    @property
    def dormant(self) -> bool:
        """Whether its chains are called for nothing."""
        return bool(self.flags & _DORMANT)


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
    (answer,) = sock.ask([question(table, family)])
    if isinstance(answer, int):
        return None if answer in (errno.ENOENT, errno.EAFNOSUPPORT) else Held(0, 0)
    return parse(answer)


def question(table: str, family: int) -> Message:
    """What :func:`parse` reads the answer to."""
    return Message(nl.GETTABLE, 0, nl.head(family) + text(_NAME, table))


def parse(body: bytes) -> Held:
    """A table from a message about it."""
    found = dict(attributes(body, 4))
    flags_ = number_(found[_FLAGS]) if _FLAGS in found else 0
    return Held(flags_, number_(found[_OWNED_BY]) if _OWNED_BY in found else 0)


def dormant(answer: bytes | int) -> bool:
    """Whether an answer is that of a table that is there and does nothing."""
    return isinstance(answer, bytes) and parse(answer).dormant


def waking(table: str, family: int, there: Held) -> Message:
    """Have a table's chains called again, and leave whose it is."""
    body = nl.head(family) + text(_NAME, table) + u32(_FLAGS, there.flags & ~_DORMANT)
    return Message(nl.NEWTABLE, CREATE, body, f"wake table {table}")


def taking(table: str, family: int) -> Message:
    """Take a table whose owner is gone."""
    body = nl.head(family) + text(_NAME, table) + flags()
    return Message(nl.NEWTABLE, CREATE, body, f"take table {table}")
