"""Which families of nftables this kernel takes chains of: asked with a chain that is never made."""

from __future__ import annotations

import errno

from vifd.drivers.netlink import CREATE, Message, nest, text
from vifd.drivers.nft import nl
from vifd.drivers.nft.expr import Code
from vifd.drivers.nft.packing import u32
from vifd.drivers.nft.socket import NftSocket, Refused

#: Number, hook, and the device that the hook is on, by family.
_FAMILIES = {"inet": (1, 1, ""), "netdev": (5, 0, "lo"), "bridge": (nl.BRIDGE_FAMILY, 2, "")}
FAMILIES = tuple(_FAMILIES)
_TABLE = "vifd-probe"
#: The chains of such a table are never hooked in, not even while the kernel judges them.
_DORMANT = 1


def lacking(family: str) -> str | None:
    """Why the kernel takes no filter chain of a family (:data:`FAMILIES`); ``None`` where it does.

    Speaks of the network namespace of the calling thread.

    :raises OSError: it could not be asked: EPERM without CAP_NET_ADMIN
    """
    number, hook, device = _FAMILIES[family]
    head = nl.head(number)
    where = u32(1, hook) + u32(2, 0) + (text(3, device) if device else b"")
    chain = head + text(1, _TABLE) + text(3, "probe") + nest(4, where)
    chain += u32(5, Code.ACCEPT) + text(7, "filter")
    table = head + text(1, _TABLE) + u32(2, _DORMANT)
    messages = [
        Message(nl.NEWTABLE, CREATE, table, f"tables of family {family}"),
        Message(nl.NEWCHAIN, CREATE, chain, f"chains of family {family}"),
    ]
    sock = NftSocket()
    try:
        sock.commit(messages, dry=True)
    except Refused as refused:
        if refused.errno in (errno.EPERM, errno.EACCES):
            raise
        return f"the kernel refuses {refused.what}: {refused.strerror}"
    finally:
        sock.close()
    return None
