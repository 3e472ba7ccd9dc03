"""What a rule of nftables translates, read from its expressions
(``linux/netfilter/nf_tables.h``)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping

from vifd.drivers.netlink import attributes, string
from vifd.drivers.translation import BITS, AddressCondition, DeviceCondition, Translation

_U32 = struct.Struct("!I")
_NATIVE = struct.Struct("=I")
_TRANSLATING = frozenset(("nat", "masq", "redir"))
#: What rules of ``iptables-nft`` leave to extensions of those.
TARGETS = frozenset(("MASQUERADE", "SNAT", "DNAT", "REDIRECT", "NETMAP"))
#: Of an expression that loads a packet's bytes.
_DREG, _BASE, _OFFSET, _LENGTH = 1, 2, 3, 4
_NETWORK_HEADER = 1
#: Where the addresses stand in the header of IP: whether it is the sender's, and the version.
_PLACES = {12: (True, 4), 16: (False, 4), 8: (True, 6), 24: (False, 6)}
_IIF, _OIF, _IIFNAME, _OIFNAME, _NFPROTO = 4, 5, 6, 7, 15
_VERSIONS = {"ip": (4,), "ip6": (6,)}
_PROTOCOLS = {b"\x02": (4,), b"\x0a": (6,)}
_IFNAMSIZ = 16
_EQUAL, _UNEQUAL = 0, 1

#: Of a set, by its name: its keys, and whether each ends a range.
Elements = Callable[[str], Iterable[tuple[bytes, bool]]]


def translation(
    family: str, expressions: Iterable[tuple[str, bytes]], elements: Elements
) -> Translation | None:
    """What a rule translates; ``None`` where it translates nothing.

    :param family: of its table
    :param expressions: the kind of each, and what it says
    """
    rule = list(expressions)
    if not any(map(_translates, rule)):
        return None
    versions = _VERSIONS.get(family, ()) or _said(rule)
    conditions = list(_conditions(rule, versions, elements))
    return Translation(
        versions,
        tuple(c for c in conditions if isinstance(c, AddressCondition)),
        tuple(c for c in conditions if isinstance(c, DeviceCondition)),
    )


def _said(rule: Iterable[tuple[str, bytes]]) -> tuple[int, ...]:
    """The versions of IP that a rule for both is about: it says so before it reads an address."""
    asked = False
    for kind, data in rule:
        parts = dict(attributes(data))
        if kind == "cmp" and asked and _number(parts, 2) == _EQUAL:
            value = dict(attributes(parts.get(3, b""))).get(1, b"")
            return _PROTOCOLS.get(value[:1], ())
        asked = kind == "meta" and _number(parts, 2) == _NFPROTO
    return (4, 6)


def _translates(expression: tuple[str, bytes]) -> bool:
    kind, data = expression
    if kind == "target":
        return string(dict(attributes(data)).get(1, b"")) in TARGETS
    return kind in _TRANSLATING


def _conditions(
    rule: Iterable[tuple[str, bytes]], versions: tuple[int, ...], elements: Elements
) -> Iterable[AddressCondition | DeviceCondition]:
    """Those that are understood; the others are taken to be met."""
    place: tuple[bool, int, int] | None = None
    device = 0
    mask: bytes | None = None
    for kind, data in rule:
        parts = dict(attributes(data))
        if kind == "payload":
            place, device, mask = _place(parts, versions), 0, None
        elif kind == "meta":
            key = _number(parts, 2)
            place, mask = None, None
            device = key if key in (_IIF, _OIF, _IIFNAME, _OIFNAME) else 0
        elif kind == "bitwise":
            mask = dict(attributes(parts.get(4, b""))).get(1)
            device = 0
        elif kind == "cmp" and _number(parts, 2) in (_EQUAL, _UNEQUAL):
            inverted = _number(parts, 2) == _UNEQUAL
            value = dict(attributes(parts.get(3, b""))).get(1, b"")
            if place is not None:
                yield _address(place, [_prefix(place, value, mask)], inverted=inverted)
            elif device:
                yield _device(device, value, inverted=inverted)
        elif kind == "lookup" and place is not None and mask is None and 3 not in parts:
            inverted = bool(_number(parts, 5) & 1)
            ranges = _ranges(place, elements(string(parts.get(1, b""))))
            if ranges is not None:
                yield _address(place, ranges, inverted=inverted)


def _place(parts: Mapping[int, bytes], versions: tuple[int, ...]) -> tuple[bool, int, int] | None:
    """Of the bytes that are loaded: whether they are the sender's address, the version of IP, and
    how many bytes of it; ``None`` where they are something else."""
    if len(versions) != 1 or _DREG not in parts or _number(parts, _BASE) != _NETWORK_HEADER:
        return None
    offset, length = _number(parts, _OFFSET), _number(parts, _LENGTH)
    source, version = _PLACES.get(offset, (False, 0))
    if version not in versions or not 0 < length <= BITS[version] // 8:
        return None
    return source, version, length


def _prefix(place: tuple[bool, int, int], value: bytes, mask: bytes | None) -> tuple[int, int]:
    """The first and last address that a comparison is about; of a mask with gaps, more."""
    _, version, length = place
    free = BITS[version] - 8 * length
    first = int.from_bytes(value[:length].ljust(length, b"\0"), "big")
    ones = (1 << 8 * length) - 1
    kept = ones if mask is None else int.from_bytes(mask[:length].ljust(length, b"\0"), "big")
    return first << free, ((first | (ones & ~kept)) << free) | ((1 << free) - 1)


def _ranges(
    place: tuple[bool, int, int], keys: Iterable[tuple[bytes, bool]]
) -> list[tuple[int, int]] | None:
    """Those of a set; ``None`` where its keys are more than an address."""
    _, version, length = place
    if length != BITS[version] // 8:
        return None
    found = [(int.from_bytes(key, "big"), ends) for key, ends in keys if len(key) == length]
    # where one range ends, the next may begin
    found.sort(key=lambda one: (one[0], not one[1]))
    ranges: list[tuple[int, int]] = []
    interval = any(ends for _, ends in found)
    for number, (first, ends) in enumerate(found):
        if ends:
            continue
        after = found[number + 1 :] if interval else []
        last = after[0][0] - 1 if after else (1 << BITS[version]) - 1 if interval else first
        ranges.append((first, last))
    return ranges


def _address(
    place: tuple[bool, int, int], ranges: Iterable[tuple[int, int]], *, inverted: bool
) -> AddressCondition:
    return AddressCondition(place[0], place[1], tuple(ranges), inverted)


def _device(key: int, value: bytes, *, inverted: bool) -> DeviceCondition:
    if key in (_IIF, _OIF):
        index = _NATIVE.unpack(value)[0] if len(value) == _NATIVE.size else -1
        return DeviceCondition(index=index, inverted=inverted)
    begins = len(value) < _IFNAMSIZ and not value.endswith(b"\0")
    return DeviceCondition(string(value), begins, inverted=inverted)


def _number(parts: Mapping[int, bytes], key: int) -> int:
    return int(_U32.unpack(parts[key])[0]) if len(parts.get(key, b"")) == _U32.size else 0
