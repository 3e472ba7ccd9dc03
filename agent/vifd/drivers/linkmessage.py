"""What is read and written of a link message.

pyroute2 encodes. What is read all the time, devices by name, is read here at the offsets that
pyroute2's maps give: its own decoding makes an object for each of the forty attributes of a tap, of
which seven matter, and takes ten times as long. What is read once is left to it.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from pyroute2.netlink import NLA_F_NESTED, NLA_F_NET_BYTEORDER, nlmsg
from pyroute2.netlink.rtnl import RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg

from vifd.drivers import Link
from vifd.drivers.netlink import pack
from vifd.openflow.counts import Traffic

__all__ = ["LinkRequest", "attributes", "link", "link_in_full", "name_in", "traffic"]

#: Family, type of hardware, index, flags, changed flags of a device.
_DEVICE = struct.Struct("BxHiII")
_ATTRIBUTE = struct.Struct("HH")
_TYPE_MASK = ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER)
_S32, _U32 = struct.Struct("i"), struct.Struct("I")


def _numbers(nla_map: Sequence[Sequence[Any]], *names: str) -> tuple[int, ...]:
    """The numbers of attributes in one of pyroute2's maps."""
    known = [entry[0] for entry in nla_map]
    return tuple(known.index(name) for name in names)


_LINK = _ADDRESS, _IFNAME, _MTU, _LINKINFO, _IFALIAS, _AF_SPEC, _CARRIER = _numbers(
    ifinfmsg.nla_map,
    "IFLA_ADDRESS",
    "IFLA_IFNAME",
    "IFLA_MTU",
    "IFLA_LINKINFO",
    "IFLA_IFALIAS",
    "IFLA_AF_SPEC",
    "IFLA_CARRIER",
)
_COUNTED = (_STATS64,) = _numbers(ifinfmsg.nla_map, "IFLA_STATS64")
#: Packets received and sent, bytes received and sent.
_TRAFFIC = struct.Struct("4Q")
_INFO = _KIND, _DATA, _SLAVE_KIND = _numbers(
    ifinfmsg.ifinfo.nla_map, "IFLA_INFO_KIND", "IFLA_INFO_DATA", "IFLA_INFO_SLAVE_KIND"
)
_TUN = _OWNER, _GROUP, _MULTI_QUEUE, _QUEUES, _DETACHED = _numbers(
    ifinfmsg.ifinfo.data_map["tun"].nla_map,
    "IFLA_TUN_OWNER",
    "IFLA_TUN_GROUP",
    "IFLA_TUN_MULTI_QUEUE",
    "IFLA_TUN_NUM_QUEUES",
    "IFLA_TUN_NUM_DISABLED_QUEUES",
)
_FAMILIES = (_INET6,) = _numbers(ifinfmsg.af_spec_inet.nla_map, "AF_INET6")
_INET6_ALL = (_CONF,) = _numbers(ifinfmsg.af_spec_inet.inet6.nla_map, "IFLA_INET6_CONF")
_DISABLE_IPV6: int = ifinfmsg.af_spec_inet.inet6.ipv6_devconf.field_names.index("disable_ipv6")


class LinkRequest(nlmsg):  # type: ignore[misc]
    """What is asked for. The alias has no zero byte at its end: the kernel counts it. Addresses
    are bytes, because pyroute2 takes those of four bytes for IPv4."""

    fields = ifinfmsg.fields
    nla_map = tuple(
        (*_numbers(ifinfmsg.nla_map, name), name, kind)
        for name, kind in (
            ("IFLA_ADDRESS", "cdata"),
            ("IFLA_IFNAME", "asciiz"),
            ("IFLA_MTU", "uint32"),
            ("IFLA_IFALIAS", "string"),
            ("IFLA_GROUP", "uint32"),
            ("IFLA_EXT_MASK", "uint32"),
        )
    )


# --- read here ------------------------------------------------------------------------------------


def attributes(data: bytes, offset: int, wanted: Collection[int]) -> dict[int, bytes]:
    """The values of the wanted attributes, by number; the search ends when all are found."""
    found: dict[int, bytes] = {}
    end = len(data) - _ATTRIBUTE.size
    while offset <= end:
        size, number = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size:
            break
        number &= _TYPE_MASK
        if number in wanted:
            found[number] = data[offset + _ATTRIBUTE.size : offset + size]
            if len(found) == len(wanted):
                break
        offset += (size + 3) & ~3
    return found


def link(payload: bytes) -> Link:
    """The device that an RTM_NEWLINK message describes."""
    _, _, index, flags, _ = _DEVICE.unpack_from(payload)
    found = attributes(payload, _DEVICE.size, _LINK)
    kind, multi_queue, owner, group, within, queues = _info(found.get(_LINKINFO, b""))
    return Link(
        name=_text(found[_IFNAME]),
        ifindex=index,
        mac=found.get(_ADDRESS, b"").hex(":"),
        mtu=_U32.unpack(found[_MTU])[0],
        up=bool(flags & IFF_UP),
        carrier=found.get(_CARRIER) == b"\1",
        alias=_text(found.get(_IFALIAS, b"")),
        kind=kind,
        multi_queue=multi_queue,
        ipv6=_ipv6(found.get(_AF_SPEC)),
        owner=owner,
        group=group,
        within=within,
        queues=queues,
    )


def traffic(payload: bytes) -> Traffic | None:
    """What the device of an RTM_NEWLINK message has counted; ``None`` where it does not say."""
    found = attributes(payload, _DEVICE.size, _COUNTED).get(_STATS64, b"")
    if len(found) < _TRAFFIC.size:
        return None
    received, sent, bytes_received, bytes_sent = _TRAFFIC.unpack_from(found)
    return Traffic(received, sent, bytes_received, bytes_sent)


@lru_cache(maxsize=64)
def _info(raw: bytes) -> tuple[str, bool, int | None, int | None, str, int]:
    """Kind, of a tap queue flag, owner and group, the kind of what it is a port of, and of a tap
    for several queues those that are open. Remembered: taps differ in little."""
    found = attributes(raw, 0, _INFO)
    kind = _text(found.get(_KIND, b""))
    tun = attributes(found.get(_DATA, b""), 0, _TUN) if kind == "tun" else {}
    owner, group = (
        None if number not in tun else _U32.unpack(tun[number])[0] for number in (_OWNER, _GROUP)
    )
    within = _text(found.get(_SLAVE_KIND, b""))
    queues = sum(_U32.unpack(tun[number])[0] for number in (_QUEUES, _DETACHED) if number in tun)
    return kind, tun.get(_MULTI_QUEUE) == b"\1", owner, group, within, queues


def _ipv6(families: bytes | None) -> bool | None:
    """Whether IPv6 runs, by the per-family part; a device without it has no IPv6 at all."""
    if families is None:
        return None
    conf = attributes(attributes(families, 0, _FAMILIES).get(_INET6, b""), 0, _INET6_ALL).get(_CONF)
    if conf is None:
        return False
    offset = _S32.size * _DISABLE_IPV6
    return None if len(conf) < offset + _S32.size else not _S32.unpack_from(conf, offset)[0]


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def name_in(payload: bytes) -> tuple[int, str | None]:
    """Family and name in a message about a device, and nothing else.

    :raises struct.error: it is too short for one
    """
    family = _DEVICE.unpack_from(payload)[0]
    name = attributes(payload, _DEVICE.size, (_IFNAME,)).get(_IFNAME)
    return family, None if name is None else _text(name)


# --- read by pyroute2 -----------------------------------------------------------------------------


def link_in_full(payload: bytes) -> Link:
    """As :func:`link`, by pyroute2's own decoding, which writes addresses of four bytes as IPv4."""
    told = ifinfmsg(pack(0, RTM_NEWLINK, 0, payload))
    told.decode()
    tun = told.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    families = told.get_attr("IFLA_AF_SPEC")
    conf = told.get_nested("IFLA_AF_SPEC", "AF_INET6", "IFLA_INET6_CONF")
    kind = told.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or ""
    of_tun = tun.get_attr if kind == "tun" and tun is not None else {}.get
    return Link(
        name=told.get_attr("IFLA_IFNAME"),
        ifindex=told["index"],
        mac=told.get_attr("IFLA_ADDRESS") or "",
        mtu=told.get_attr("IFLA_MTU"),
        up=bool(told["flags"] & IFF_UP),
        carrier=told.get_attr("IFLA_CARRIER") == 1,
        alias=told.get_attr("IFLA_IFALIAS") or "",
        kind=kind,
        multi_queue=of_tun("IFLA_TUN_MULTI_QUEUE") == 1,
        ipv6=None if families is None else conf is not None and not conf["disable_ipv6"],
        owner=of_tun("IFLA_TUN_OWNER"),
        group=of_tun("IFLA_TUN_GROUP"),
        within=told.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_KIND") or "",
        queues=(of_tun("IFLA_TUN_NUM_QUEUES") or 0) + (of_tun("IFLA_TUN_NUM_DISABLED_QUEUES") or 0),
    )
