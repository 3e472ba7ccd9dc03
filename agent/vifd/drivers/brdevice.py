"""What the kernel says of a device, unpacked: only what bridging looks at, and quickly."""

from __future__ import annotations

import ipaddress
import struct
import sys
from dataclasses import replace

from vifd.drivers import Device, Link, ifla
from vifd.drivers.netlink import pick, string

_U32 = struct.Struct("I")


def _number(raw: bytes | None) -> int | None:
    return None if raw is None else int.from_bytes(raw, sys.byteorder)


def _flag(raw: bytes | None) -> bool | None:
    return None if raw is None else any(raw)


def _ip(raw: bytes | None) -> str:
    return str(ipaddress.ip_address(raw)) if raw else ""


_WANTED = frozenset(
    (
        ifla.ADDRESS,
        ifla.IFNAME,
        ifla.MTU,
        ifla.LINK,
        ifla.MASTER,
        ifla.LINKINFO,
        ifla.ALIAS,
        ifla.AF_SPEC,
        ifla.CARRIER,
    )
)
_INFO = frozenset((ifla.KIND, ifla.DATA, ifla.SLAVE_KIND, ifla.SLAVE_DATA))
_SLAVE = frozenset(
    (
        ifla.STATE,
        ifla.LEARNING,
        ifla.FLOOD,
        ifla.MCAST_FLOOD,
        ifla.BCAST_FLOOD,
        ifla.ISOLATED,
        ifla.LOCKED,
        ifla.NEIGH_SUPPRESS,
        ifla.HAIRPIN,
        ifla.PROXY_ARP,
        ifla.PROXY_ARP_WIFI,
    )
)
#: What somebody may choose of a port that costs frames; what gives them back breaks the detection
#: of duplicate addresses (RFC 4862, section 5.4).
_CHOSEN = {
    ifla.LOCKED: "it is locked",
    ifla.NEIGH_SUPPRESS: "it suppresses requests for neighbours",
    ifla.PROXY_ARP: "it keeps ARP requests back (proxy_arp)",
    ifla.PROXY_ARP_WIFI: "it keeps ARP requests back (proxy_arp_wifi)",
    ifla.HAIRPIN: "it gives frames back to whom they come from (hairpin)",
}
#: Of the data of each kind what is looked at.
_OF_KIND = {
    "bridge": frozenset(
        (ifla.STP, ifla.VLAN_FILTERING, ifla.OPTIONS, ifla.SNOOPING, *ifla.NF_CALLS)
    ),
    "vlan": frozenset((ifla.VLAN_ID,)),
    "vxlan": frozenset(
        (
            ifla.VNI, ifla.LOWER, ifla.LOCAL, ifla.LOCAL6, ifla.GROUP, ifla.GROUP6, ifla.PORT,
            ifla.VX_LEARNING,
        )
    ),
    "tun": frozenset((ifla.TUN_OWNER, ifla.TUN_GROUP, ifla.TUN_MULTI_QUEUE)),
}  # fmt: skip


def device(message: bytes) -> Device:
    """The device that the payload of an RTM_NEWLINK message describes."""
    _, _, index, flags, _ = ifla.IFINFO.unpack_from(message)
    found = pick(message, ifla.IFINFO.size, _WANTED)
    info = pick(found.get(ifla.LINKINFO, b""), 0, _INFO)
    kind = string(info.get(ifla.KIND, b""))
    data = pick(info.get(ifla.DATA, b""), 0, _OF_KIND.get(kind, ()))
    slave = {}
    if info.get(ifla.SLAVE_KIND, b"")[:6] == b"bridge":
        slave = pick(info.get(ifla.SLAVE_DATA, b""), 0, _SLAVE)
    tun = data if kind == "tun" else {}
    link = Link(
        name=string(found[ifla.IFNAME]),
        ifindex=index,
        mac=found.get(ifla.ADDRESS, b"").hex(":"),
        mtu=_U32.unpack(found[ifla.MTU])[0],
        up=bool(flags & ifla.UP),
        carrier=found.get(ifla.CARRIER) == b"\1",
        alias=string(found.get(ifla.ALIAS, b"")),
        kind=kind,
        multi_queue=tun.get(ifla.TUN_MULTI_QUEUE) == b"\1",
        ipv6=_ipv6(found.get(ifla.AF_SPEC)),
        owner=_number(tun.get(ifla.TUN_OWNER)),
        group=_number(tun.get(ifla.TUN_GROUP)),
        within=string(info.get(ifla.SLAVE_KIND, b"")),
    )
    plain = Device(
        link,
        master=_number(found.get(ifla.MASTER)),
        parent=_number(found.get(ifla.LINK)),
        flood=_flag(slave.get(ifla.FLOOD)),
        learning=_flag(slave.get(ifla.LEARNING)),
        forwarding=slave[ifla.STATE][0] == ifla.FORWARDING if ifla.STATE in slave else None,
        isolated=_flag(slave.get(ifla.ISOLATED)),
        stops=_stops(slave, passes=link.up and link.carrier),
        broadcasts=_both(_flag(slave.get(ifla.MCAST_FLOOD)), _flag(slave.get(ifla.BCAST_FLOOD))),
    )
    return _special(plain, data)


#: States of a port of a bridge, by number.
_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")


def _stops(slave: dict[int, bytes], *, passes: bool) -> tuple[str, ...]:
    """What keeps frames from passing at a port.

    :param passes: whether the device is up and has a carrier: one that is not is disabled by itself
    """
    state = slave[ifla.STATE][0] if ifla.STATE in slave else ifla.FORWARDING
    found = []
    if passes and state != ifla.FORWARDING:
        found.append(f"its state is {_STATES[state] if state < len(_STATES) else state}")
    found += [text for number, text in _CHOSEN.items() if _flag(slave.get(number))]
    return tuple(found)


def _both(one: bool | None, other: bool | None) -> bool | None:
    return None if one is None or other is None else one and other


def _special(plain: Device, data: dict[int, bytes]) -> Device:
    """With what only devices of its kind have."""
    match plain.link.kind:
        case "bridge":
            stp, filtering = _flag(data.get(ifla.STP)), _flag(data.get(ifla.VLAN_FILTERING))
            options = data.get(ifla.OPTIONS)
            quiet = (
                None
                if options is None
                else bool(_U32.unpack_from(options)[0] & ifla.NO_LINK_LOCAL_LEARNING)
            )
            calls = tuple(w for n, w in ifla.NF_CALLS.items() if _flag(data.get(n)))
            return replace(
                plain, stp=stp, vlan_filtering=filtering, quiet=quiet, calls=calls,
                snooping=_flag(data.get(ifla.SNOOPING)),
            )  # fmt: skip
        case "vlan":
            return replace(plain, number=_number(data.get(ifla.VLAN_ID)))
        case "vxlan":
            return replace(
                plain,
                number=_number(data.get(ifla.VNI)),
                parent=_number(data.get(ifla.LOWER)) or None,
                local=_ip(data.get(ifla.LOCAL) or data.get(ifla.LOCAL6)),
                group=_ip(data.get(ifla.GROUP) or data.get(ifla.GROUP6)),
                port=int.from_bytes(data.get(ifla.PORT, b""), "big"),
                learning=_flag(data.get(ifla.VX_LEARNING)),
            )
    return plain


def _ipv6(spec: bytes | None) -> bool | None:
    """Whether IPv6 runs, by the per-family part; a device without it has no IPv6 at all."""
    if spec is None:
        return None
    inner = pick(spec, 0, (ifla.AF_INET6,)).get(ifla.AF_INET6, b"")
    conf = pick(inner, 0, (ifla.INET6_CONF,)).get(ifla.INET6_CONF)
    if conf is None:
        return False
    if len(conf) < 4 * (ifla.DISABLE_IPV6 + 1):
        return None
    return not any(conf[4 * ifla.DISABLE_IPV6 : 4 * ifla.DISABLE_IPV6 + 4])
