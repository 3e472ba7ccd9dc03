"""Filters of legacy iptables (the modules ip_tables and ip6_tables), which nftables does not list.

They are read as iptables itself reads them: by ``getsockopt``
(``linux/netfilter_ipv4/ip_tables.h``, ``…_ipv6/ip6_tables.h``). Only tables that are loaded are
asked for, since asking loads them.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from vifd.drivers import FilterChain
from vifd.drivers.translation import AddressCondition, DeviceCondition, Translation

#: IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; those of IPv6 have the same numbers.
_INFO, _ENTRIES = 64, 65
_NAME = 32
#: ``struct ipt_getinfo``: hooks that the table has, where each begins and where its policy stands.
_GETINFO = struct.Struct("=32sI5I5III")
#: ``entrytable`` of ``struct ipt_get_entries``, aligned for its counters.
_TABLE = 40
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_OFFSETS = struct.Struct("=HH")
_TARGET = struct.Struct("=H29sBi")
_REFUSING = (b"REJECT", b"DROP")
_TRANSLATING = (b"MASQUERADE", b"SNAT", b"DNAT", b"REDIRECT", b"NETMAP")
#: Bits of what an entry inverts, and the longest name of a device.
_INV_IN, _INV_OUT, _INV_SOURCE, _INV_DESTINATION = 1, 2, 8, 16
_IFNAMSIZ = 16
_DROP = -1


@dataclass(frozen=True)
class _Family:
    """
    :param offsets: where an entry says where its target and the next entry are
    :param inverts: where it says which of its conditions are inverted
    :param version: of IP, whose addresses are ``width`` bytes long
    """

    name: str
    number: int
    level: int
    loaded: str
    offsets: int
    inverts: int
    version: int
    width: int


_FAMILIES = (
    _Family("ip", socket.AF_INET, socket.IPPROTO_IP, "ip_tables_names", 88, 83, 4, 4),
    _Family("ip6", socket.AF_INET6, socket.IPPROTO_IPV6, "ip6_tables_names", 140, 132, 6, 16),
)


def read() -> Iterator[FilterChain]:
    """Base chains that refuse something or translate addresses, of the calling thread's network
    namespace; none where the kernel has no such tables, or shows them to others only."""
    for family in _FAMILIES:
        names = _loaded(family)
        if not names:
            continue
        try:
            with socket.socket(family.number, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                for name in names:
                    yield from _chains(sock, family, name)
        except OSError:
            continue


def _loaded(family: _Family) -> list[str]:
    try:
        with open(f"/proc/thread-self/net/{family.loaded}", encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []


def _chains(sock: socket.socket, family: _Family, table: str) -> Iterator[FilterChain]:
    head = table.encode().ljust(_NAME, b"\0")
    info = _ask(sock, family, _INFO, head, _GETINFO.size)
    _, valid, *rest = _GETINFO.unpack(info)
    begins, policies, size = rest[:5], rest[5:10], rest[11]
    asked = head + struct.pack("=I", size)
    blob = _ask(sock, family, _ENTRIES, asked, _TABLE + size)[_TABLE:]
    for number, hook in enumerate(_HOOKS):
        if not valid >> number & 1:
            continue
        drops = _refuses(blob, policies[number], family)
        rules = list(_entries(blob, begins[number], policies[number], family))
        said = f"{table} (iptables-legacy)"
        chain = FilterChain(
            family.name, said, _CHAINS[number], hook, (), drops,
            sum(_refuses(blob, at, family) for at in rules),
            translating=tuple(_translation(blob, at, family) for at in rules
                              if _target(blob, at, family)[0] in _TRANSLATING),
        )  # fmt: skip
        if chain:
            yield chain


def _entries(blob: bytes, at: int, end: int, family: _Family) -> Iterator[int]:
    """Where the rules of a chain begin, its policy left out."""
    while 0 <= at < end and at + family.offsets + _OFFSETS.size <= len(blob):
        yield at
        _, following = _OFFSETS.unpack_from(blob, at + family.offsets)
        if not following:
            return
        at += following


def _refuses(blob: bytes, at: int, family: _Family) -> bool:
    """Whether the entry there drops or rejects."""
    word, verdict = _target(blob, at, family)
    return bool(word in _REFUSING or (not word and verdict == _DROP))


def _target(blob: bytes, at: int, family: _Family) -> tuple[bytes, int]:
    """The name of what an entry does, empty for a verdict; and that verdict."""
    if at + family.offsets + _OFFSETS.size > len(blob):
        return b"", 0
    target, _ = _OFFSETS.unpack_from(blob, at + family.offsets)
    if at + target + _TARGET.size > len(blob):
        return b"", 0
    _, name, _, verdict = _TARGET.unpack_from(blob, at + target)
    return name.partition(b"\0")[0], verdict


def _translation(blob: bytes, at: int, family: _Family) -> Translation:
    """The entry there by the conditions of its head (``struct ipt_ip``, ``struct ip6t_ip6``)."""
    width, inverts = family.width, blob[at + family.inverts]
    source, destination, source_mask, destination_mask = (
        int.from_bytes(blob[at + n * width : at + (n + 1) * width], "big") for n in range(4)
    )
    names = at + 4 * width
    sides = (
        (True, source, source_mask, _INV_SOURCE),
        (False, destination, destination_mask, _INV_DESTINATION),
    )
    ways = ((0, _INV_IN), (1, _INV_OUT))
    every = (1 << 8 * width) - 1
    addresses = tuple(
        AddressCondition(sender, family.version, ((value & mask, value | (every & ~mask)),),
                         bool(inverts & bit))
        for sender, value, mask, bit in sides if mask
    )  # fmt: skip
    devices = tuple(
        _device(blob, names + n * _IFNAMSIZ, inverted=bool(inverts & bit)) for n, bit in ways
    )
    return Translation((family.version,), addresses, tuple(d for d in devices if d is not None))


def _device(blob: bytes, at: int, *, inverted: bool) -> DeviceCondition | None:
    """The device whose name stands there, with its mask behind both names; ``None`` for any."""
    mask = blob[at + 2 * _IFNAMSIZ : at + 3 * _IFNAMSIZ].rstrip(b"\0")
    if not mask:
        return None
    name = blob[at : at + len(mask)]
    begins = not name.endswith(b"\0")
    return DeviceCondition(name.rstrip(b"\0").decode(errors="replace"), begins, inverted=inverted)


_libc = ctypes.CDLL(None, use_errno=True)


def _ask(sock: socket.socket, family: _Family, what: int, head: bytes, size: int) -> bytes:
    """What the kernel answers to a question that begins with ``head``; Python's own ``getsockopt``
    cannot ask one.

    :raises OSError: it does not say
    """
    buffer = ctypes.create_string_buffer(head, size)
    length = ctypes.c_uint32(size)
    if _libc.getsockopt(sock.fileno(), family.level, what, buffer, ctypes.byref(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw[: length.value]
