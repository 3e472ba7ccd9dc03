"""Messages of rtnetlink about bridges, VLAN and VXLAN devices, forwarding tables and addresses.

The numbers are those of ``linux/if_link.h``, ``neighbour.h``, ``if_bridge.h`` and ``if_addr.h``;
what is done with any link is in :mod:`vifd.drivers.links`.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

from vifd.drivers import (
    BridgePort,
    BridgeSpec,
    FdbEntry,
    Spec,
    VlanSpec,
    VxlanSpec,
    ifla,
)
from vifd.drivers.netlink import (
    ACK,
    APPEND,
    CREATE,
    EXCL,
    REPLACE,
    Message,
    attribute,
    nest,
    pick,
    text,
)

_NDMSG = struct.Struct("BxxxiHBB")
#: In the table of a VXLAN device, frames to all and to whom it does not know.
NOBODY = "00:00:00:00:00:00"
_U16, _U32 = struct.Struct("H"), struct.Struct("I")
_BE16 = struct.Struct("!H")


def _u8(number: int, value: int) -> bytes:
    return attribute(number, bytes((value,)))


def _u32(number: int, value: int) -> bytes:
    return attribute(number, _U32.pack(value))


def _mac(text_: str) -> bytes:
    return bytes.fromhex(text_.replace(":", ""))


def _link(family: int = 0, index: int = 0, *, up: bool = False) -> bytes:
    return ifla.IFINFO.pack(family, 0, index, ifla.UP if up else 0, ifla.UP if up else 0)


# --- making devices -------------------------------------------------------------------------------


def create(spec: Spec, parent: int | None) -> list[Message]:
    """Make a device and mark it: two messages that go as one datagram, so that no death of the
    caller leaves an unmarked device.

    :param parent: ifindex of the device below
    """
    name = text(ifla.IFNAME, spec.name)
    body = name + _u32(ifla.MTU, spec.mtu)
    if isinstance(spec, BridgeSpec):
        body += attribute(ifla.ADDRESS, _mac(spec.mac))
    elif isinstance(spec, VlanSpec):
        body += _u32(ifla.LINK, parent or 0) + _own_mac(spec)
    kind, data = _data(spec, parent)
    body += nest(ifla.LINKINFO, text(ifla.KIND, kind) + nest(ifla.DATA, data))
    return [
        Message(ifla.NEWLINK, ACK | CREATE | EXCL, _link() + body),
        Message(ifla.SETLINK, ACK, _link() + name + attribute(ifla.ALIAS, spec.alias.encode())),
    ]


def _own_mac(spec: VlanSpec) -> bytes:
    return attribute(ifla.ADDRESS, _mac(spec.mac)) if spec.mac else b""


def _data(spec: Spec, parent: int | None) -> tuple[str, bytes]:
    if isinstance(spec, BridgeSpec):
        data = _settings()
        if spec.vlan_filtering:
            data += _u8(ifla.VLAN_FILTERING, 1) + attribute(ifla.DEFAULT_PVID, _U16.pack(0))
        return "bridge", data
    if isinstance(spec, VlanSpec):
        return "vlan", attribute(ifla.VLAN_ID, _U16.pack(spec.vlan_id))
    return "vxlan", _vxlan(spec, parent)


def _settings() -> bytes:
    """Of a bridge: without a delay ports forward at once; and it learns nothing from frames to the
    groups that it keeps to itself, which no filter sees before it does."""
    quiet = struct.pack("II", ifla.NO_LINK_LOCAL_LEARNING, ifla.NO_LINK_LOCAL_LEARNING)
    data = _u32(ifla.FORWARD_DELAY, 0) + _u32(ifla.STP, 0) + _u8(ifla.SNOOPING, 0)
    return data + attribute(ifla.OPTIONS, quiet)


def _vxlan(spec: VxlanSpec, parent: int | None) -> bytes:
    data = _u32(ifla.VNI, spec.vni) + attribute(ifla.PORT, _BE16.pack(spec.port))
    data += _u8(ifla.VX_LEARNING, int(spec.learning))
    local = ipaddress.ip_address(spec.local)
    data += attribute(ifla.LOCAL if local.version == 4 else ifla.LOCAL6, local.packed)
    if spec.group:
        group = ipaddress.ip_address(spec.group)
        data += attribute(ifla.GROUP if group.version == 4 else ifla.GROUP6, group.packed)
    if parent is not None:
        data += _u32(ifla.LOWER, parent)
    if spec.ttl:
        data += _u8(ifla.TTL, spec.ttl)
    return data


def settle(spec: Spec) -> list[Message]:
    """Bring a device that is there to its MTU and up, and a bridge to its settings; a spanning tree
    must end before there can be no delay."""
    body = _link(up=True) + text(ifla.IFNAME, spec.name) + _u32(ifla.MTU, spec.mtu)
    if not isinstance(spec, BridgeSpec):
        own = _own_mac(spec) if isinstance(spec, VlanSpec) else b""
        return [Message(ifla.SETLINK, ACK, body + own)]
    return [
        Message(
            ifla.NEWLINK,
            ACK,
            body + nest(ifla.LINKINFO, text(ifla.KIND, "bridge") + nest(ifla.DATA, data)),
        )
        for data in (_u32(ifla.STP, 0), _settings())
    ]


def probe(kind: str) -> Message:
    """Ask for a device that no kernel makes: its address is a multicast address. A kernel that
    knows the kind says that (EADDRNOTAVAIL), one that does not says so (EOPNOTSUPP)."""
    address = attribute(ifla.ADDRESS, b"\1\0\0\0\0\0")
    return Message(ifla.NEWLINK, ACK | CREATE | EXCL,
               _link() + address + nest(ifla.LINKINFO, text(ifla.KIND, kind)))  # fmt: skip


def probe_vlan_filtering() -> Message:
    """Ask for a bridge of a name that is taken, with a VLAN protocol that does not exist. A kernel
    that filters VLANs looks at the protocol first (EPROTONOSUPPORT), others say EEXIST."""
    data = nest(ifla.DATA, attribute(ifla.VLAN_PROTOCOL, b"\x12\x34"))
    info = nest(ifla.LINKINFO, text(ifla.KIND, "bridge") + data)
    return Message(ifla.NEWLINK, ACK | CREATE | EXCL, _link() + text(ifla.IFNAME, "lo") + info)


# --- ports ----------------------------------------------------------------------------------------


def enslave(port: BridgePort, bridge: int) -> list[Message]:
    """Put a device into a bridge, bring it up, and set what it does as a port."""
    name = text(ifla.IFNAME, port.name)
    flags = _u8(ifla.LEARNING, int(port.learning)) + _u8(ifla.FLOOD, int(port.flood))
    flags += _u8(ifla.MCAST_FLOOD, 1) + _u8(ifla.BCAST_FLOOD, 1) + _u8(ifla.ISOLATED, 0)
    chosen = (ifla.LOCKED, ifla.NEIGH_SUPPRESS, ifla.PROXY_ARP, ifla.PROXY_ARP_WIFI, ifla.HAIRPIN)
    flags += b"".join(_u8(number, 0) for number in chosen)
    slave = nest(ifla.LINKINFO, text(ifla.SLAVE_KIND, "bridge") + nest(ifla.SLAVE_DATA, flags))
    return [
        Message(ifla.SETLINK, ACK, _link(up=True) + name + _u32(ifla.MASTER, bridge)),
        Message(ifla.NEWLINK, ACK, _link() + name + slave),
    ]


def vlans(port: BridgePort, index: int) -> list[Message]:
    """The VLANs of a port of a VLAN-aware bridge."""
    info = [(vlan, 0) for vlan in port.tagged]
    if port.pvid is not None:
        info.append((port.pvid, ifla.VLAN_PVID | ifla.VLAN_UNTAGGED))
    return [
        Message(ifla.SETLINK, ACK, _link(ifla.AF_BRIDGE, index)
            + nest(ifla.AF_SPEC, attribute(ifla.VLAN_INFO, struct.pack("HH", flags, vlan))))
        for vlan, flags in info
    ]  # fmt: skip


def release(name: str) -> Message:
    """Take a device out of its bridge."""
    return Message(ifla.SETLINK, ACK, _link() + text(ifla.IFNAME, name) + _u32(ifla.MASTER, 0))


def get(name: str) -> Message:
    """Ask for a device; the answer is for :func:`device`, or ENODEV."""
    return Message(ifla.GETLINK, 0, _link() + text(ifla.IFNAME, name) + _u32(ifla.EXT_MASK, 8))


def delete(index: int) -> Message:
    """Remove a device."""
    return Message(ifla.DELLINK, ACK, _link(0, index))


def get_index(index: int) -> Message:
    """Ask for a device by its index."""
    return Message(ifla.GETLINK, 0, _link(0, index) + _u32(ifla.EXT_MASK, 8))


def members(bridge: int) -> Message:
    """Ask for the ports of a bridge (a dump)."""
    return Message(ifla.GETLINK, 0, _link() + _u32(ifla.EXT_MASK, 8) + _u32(ifla.MASTER, bridge))


def everything() -> Message:
    """Ask for every device (a dump)."""
    return Message(ifla.GETLINK, 0, _link() + _u32(ifla.EXT_MASK, 8))


# --- forwarding tables ----------------------------------------------------------------------------


def _entry(entry: FdbEntry, index: int) -> bytes:
    if entry.remote:
        remote = ipaddress.ip_address(entry.remote).packed
        head = _NDMSG.pack(ifla.AF_BRIDGE, index, ifla.NOARP | ifla.PERMANENT, ifla.SELF, 0)
        return head + attribute(ifla.LLADDR, _mac(entry.mac)) + attribute(ifla.DST, remote)
    flags = ifla.MASTER_FLAG | (ifla.STICKY if entry.fixed else 0)
    head = _NDMSG.pack(ifla.AF_BRIDGE, index, ifla.NOARP, flags, 0)
    body = head + attribute(ifla.LLADDR, _mac(entry.mac))
    return body if entry.vlan is None else body + attribute(ifla.VLAN, _U16.pack(entry.vlan))


def add_entry(entry: FdbEntry, index: int) -> Message:
    """Add a static entry; frames to all may go to several tunnel endpoints, an address is behind
    one, or one port."""
    more = APPEND if entry.remote and entry.mac == NOBODY else REPLACE
    return Message(ifla.NEWNEIGH, ACK | CREATE | more, _entry(entry, index))


def delete_entry(entry: FdbEntry, index: int) -> Message:
    """Remove an entry."""
    return Message(ifla.DELNEIGH, ACK, _entry(entry, index))


def get_entry(entry: FdbEntry, index: int) -> Message:
    """Ask a port's bridge for the entry of an address."""
    body = _NDMSG.pack(ifla.AF_BRIDGE, index, 0, ifla.MASTER_FLAG, 0) + attribute(
        ifla.LLADDR, _mac(entry.mac)
    )
    if entry.vlan is not None:
        body += attribute(ifla.VLAN, _U16.pack(entry.vlan))
    return Message(ifla.GETNEIGH, 0, body)


def ask_tunnels(index: int) -> Message:
    """Ask for the entries of a device's own table (a dump)."""
    return Message(ifla.GETNEIGH, 0, _link(ifla.AF_BRIDGE, index))


def tunnel_entry(message: bytes, wanted: int) -> tuple[str, str] | None:
    """Address and tunnel endpoint of a static entry of this device's own table."""
    _, index, state, flags, _ = _NDMSG.unpack_from(message)
    if index != wanted or not flags & ifla.SELF or not state & (ifla.NOARP | ifla.PERMANENT):
        return None
    found = pick(message, _NDMSG.size, (ifla.DST, ifla.LLADDR))
    if ifla.DST not in found or ifla.LLADDR not in found:
        return None
    return found[ifla.LLADDR].hex(":"), str(ipaddress.ip_address(found[ifla.DST]))


def entry_place(message: bytes) -> tuple[int, bool, bool]:
    """The ifindex that an entry points to, whether it is static, and whether it stays there."""
    _, index, state, flags, _ = _NDMSG.unpack_from(message)
    return index, bool(state & (ifla.NOARP | ifla.PERMANENT)), bool(flags & ifla.STICKY)


# --- addresses ------------------------------------------------------------------------------------


def ask_addresses() -> Message:
    """Ask for all addresses (a dump)."""
    return Message(ifla.GETADDR, 0, struct.pack("BBBBI", 0, 0, 0, 0, 0))


def address(message: bytes) -> tuple[int, str]:
    """The ifindex and the address with its prefix length."""
    family, length, _, _, index = struct.unpack_from("BBBBI", message)
    found = pick(message, 8, (ifla.LOCAL_ADDR, ifla.ADDR))
    raw = found.get(ifla.LOCAL_ADDR) or found.get(ifla.ADDR) or b""
    wanted = 4 if family == socket.AF_INET else 16
    return index, f"{ipaddress.ip_address(raw)}/{length}" if len(raw) == wanted else ""
