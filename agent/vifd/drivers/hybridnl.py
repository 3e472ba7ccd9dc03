"""Messages of rtnetlink about a bridge and a pair of another program, as nova's os-vif plugin makes
them: the bridge forgets at once where addresses are (an ageing time of 0), so that it floods.

The numbers are those of ``linux/if_link.h`` and ``linux/veth.h``.
"""

from __future__ import annotations

import struct

from vifd.drivers import HybridSpec, ifla
from vifd.drivers.netlink import ACK, CREATE, EXCL, Message, attribute, nest, text

_U32 = struct.Struct("I")
_AGEING, _PEER = 4, 1
_PROMISCUOUS = 0x100


def bridge(name: str) -> Message:
    """Make the bridge."""
    data = attribute(_AGEING, _U32.pack(0))
    info = text(ifla.KIND, "bridge") + nest(ifla.DATA, data)
    body = ifla.IFINFO.pack(0, 0, 0, 0, 0) + text(ifla.IFNAME, name) + nest(ifla.LINKINFO, info)
    return Message(ifla.NEWLINK, ACK | CREATE | EXCL, body)


def pair(spec: HybridSpec) -> Message:
    """Make both ends."""
    nothing = ifla.IFINFO.pack(0, 0, 0, 0, 0)
    data = nest(_PEER, nothing + text(ifla.IFNAME, spec.inner))
    info = text(ifla.KIND, "veth") + nest(ifla.DATA, data)
    body = nothing + text(ifla.IFNAME, spec.outer) + nest(ifla.LINKINFO, info)
    return Message(ifla.NEWLINK, ACK | CREATE | EXCL, body)


def up(name: str, master: int, mtu: int) -> Message:
    """Bring one of them up, with its MTU.

    :param master: the ifindex of the bridge that it is to be a port of; 0 for none, and then it is
        left in what it is in
    """
    flags = ifla.UP | (_PROMISCUOUS if master else 0)
    body = ifla.IFINFO.pack(0, 0, 0, flags, flags) + text(ifla.IFNAME, name)
    body += attribute(ifla.MTU, _U32.pack(mtu))
    if master:
        body += attribute(ifla.MASTER, _U32.pack(master))
    return Message(ifla.SETLINK, ACK, body)
