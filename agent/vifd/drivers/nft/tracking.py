"""Whether this kernel follows connections across its bridges: asked with rules that are never made.

``nf_conntrack_bridge`` does it (Linux 5.3), and ``nft_meta_bridge`` tells the bridge of a frame.
"""

from __future__ import annotations

import errno

from vifd.drivers.netlink import APPEND, CREATE, Message
from vifd.drivers.nft import nl
from vifd.drivers.nft.expr import Connection, Expr, Key, Load, Meta, Note, Tracked, Untracked
from vifd.drivers.nft.objects import Chain, Hook, Rule
from vifd.drivers.nft.socket import NftSocket, Refused

_TABLE = "vifd-probe"
_ASKED: tuple[tuple[str, tuple[Expr, ...]], ...] = (
    ("connection tracking on bridges (nf_conntrack_bridge)", (Connection(Tracked.DIRECTION),)),
    ("zones of connection tracking", (Load(b"\1\0"), Note(Tracked.ZONE))),
    ("marks of connections", (Load(bytes(4)), Note(Tracked.MARK))),
    ("frames that are not tracked", (Untracked(),)),
    ("the bridge of a frame (nft_meta_bridge)", (Meta(Key.BRIDGE),)),
)


def lacking(sock: NftSocket) -> str | None:
    """What is missing, in words; ``None`` where nothing is.

    :raises OSError: it cannot be told now
    """
    chain = Chain("probe", hook=Hook.PREROUTING)
    messages = [
        Message(nl.NEWTABLE, CREATE, nl.table(_TABLE), "make a table"),
        Message(nl.NEWCHAIN, CREATE, nl.chain(_TABLE, chain), "make a chain"),
    ]
    for what, exprs in _ASKED:
        body = nl.rule(_TABLE, chain.name, Rule(exprs))
        messages.append(Message(nl.NEWRULE, CREATE | APPEND, body, what))
    try:
        sock.commit(messages, dry=True)
    except Refused as refused:
        if refused.what.startswith("make ") or refused.errno in (errno.EPERM, errno.ENOMEM):
            raise
        return f"the kernel has no {refused.what}: {refused.strerror}"
    return None
