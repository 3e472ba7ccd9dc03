"""Matches: from names to the canonical bytes and back, and in the words of ovs-ofctl.

A match is the OXM list without the header of the match and without padding. Canonical means: the
order of :data:`vifd.openflow.field.FIELDS`, no bits outside a mask, no mask on an exact match and
no field that is wholly wildcarded. That is the form in which Open vSwitch answers, so a flow that
is read back compares as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from vifd.openflow import field as fd
from vifd.openflow.field import BY_NAME, TAGGED, UNTAGGED, Field, Kind, Value
from vifd.openflow.match_text import text
from vifd.openflow.oxm import in_order, items, tlv

__all__ = [
    "PREREQUISITES",
    "TAGGED",
    "UNTAGGED",
    "Value",
    "canonical",
    "decode",
    "encode",
    "items",
    "text",
]

#: What must be matched besides, per prerequisite of a field: allowed eth_type, ip_proto and
#: icmpv6_type; ``None`` where it does not matter (OpenFlow 1.4 section 7.2.3.6).
PREREQUISITES: dict[str, tuple[tuple[int, ...], int | None, tuple[int, ...] | None]] = {
    "arp": ((fd.ARP, fd.RARP), None, None),
    "ip": ((fd.IPV4, fd.IPV6), None, None),
    "ipv4": ((fd.IPV4,), None, None),
    "ipv6": ((fd.IPV6,), None, None),
    "tcp": ((fd.IPV4, fd.IPV6), fd.TCP, None),
    "udp": ((fd.IPV4, fd.IPV6), fd.UDP, None),
    "sctp": ((fd.IPV4, fd.IPV6), fd.SCTP, None),
    "icmpv4": ((fd.IPV4,), fd.ICMP, None),
    "icmpv6": ((fd.IPV6,), fd.ICMPV6, None),
    "nd": ((fd.IPV6,), fd.ICMPV6, (fd.NEIGHBOR_SOLICITATION, fd.NEIGHBOR_ADVERTISEMENT)),
    "nd_sll": ((fd.IPV6,), fd.ICMPV6, (fd.NEIGHBOR_SOLICITATION,)),
    "nd_tll": ((fd.IPV6,), fd.ICMPV6, (fd.NEIGHBOR_ADVERTISEMENT,)),
}


def encode(fields: Mapping[str, Value]) -> bytes:
    """The canonical bytes of a match.

    :param fields: field name to value; see :data:`vifd.openflow.field.Value`
    :raises ValueError: for an unknown field, a value that does not fit, or a missing prerequisite
    """
    parts = [_encode_one(name, value) for name, value in fields.items()]
    for name, part in zip(fields, parts, strict=True):
        if part[2] and part[1]:
            _check(name, part[2], fields)
    parts.sort()
    return b"".join([part[1] for part in parts])


@lru_cache(maxsize=8192)
def _encode_one(name: str, value: Value) -> tuple[int, bytes, str]:
    field = BY_NAME.get(name)
    if field is None:
        raise ValueError(f"no such match field: {name}")
    number, mask = fd.parse(field, value)
    return field.rank, tlv(field, number, mask), field.needs


def _check(name: str, needs: str, fields: Mapping[str, Value]) -> None:
    """Raise unless the match holds what the field ``name`` presupposes."""
    if needs == "vlan":
        if not fd.parse(BY_NAME["vlan_vid"], fields.get("vlan_vid", UNTAGGED))[0]:
            raise ValueError(f"{name} needs vlan_vid with a tag present")
        return
    if needs.startswith("ct"):
        _check_tracked(name, needs, fields)
        return
    eth_types, proto, icmp_types = PREREQUISITES[needs]
    if _number(fields, "eth_type") not in eth_types:
        raise ValueError(f"{name} needs eth_type={' or '.join(map(hex, eth_types))}")
    if proto is not None and _number(fields, "ip_proto") != proto:
        raise ValueError(f"{name} needs ip_proto={proto}")
    if icmp_types is not None and _number(fields, "icmpv6_type") not in icmp_types:
        raise ValueError(f"{name} needs icmpv6_type={' or '.join(map(str, icmp_types))}")


def _check_tracked(name: str, needs: str, fields: Mapping[str, Value]) -> None:
    """What a connection began with is known of tracked packets that are not invalid, which the
    match must say (ovs-fields(7), "Connection Tracking Fields")."""
    number, mask = fd.parse(BY_NAME["ct_state"], fields.get("ct_state", (0, 0)))
    valid = number & fd.CT_TRACKED and mask & fd.CT_INVALID and not number & fd.CT_INVALID
    if not (valid or number & fd.CT_OF_CONNECTIONS):
        raise ValueError(f"{name} needs ct_state=+trk-inv")
    if needs == "ct_ports" and not _number(fields, "ct_nw_proto"):
        raise ValueError(f"{name} needs ct_nw_proto")
    kind = {"ct_ipv4": fd.IPV4, "ct_ipv6": fd.IPV6}.get(needs)
    if kind is not None and _number(fields, "eth_type") != kind:
        raise ValueError(f"{name} needs eth_type={kind:#06x}")


def _number(fields: Mapping[str, Value], name: str) -> int | None:
    value = fields.get(name)
    if value is None or isinstance(value, int):
        return value
    return fd.parse(BY_NAME[name], value)[0]


def decode(match: bytes) -> dict[str, Value]:
    """A match by name, so that ``encode(decode(m)) == m`` for every canonical ``m``.

    Addresses are text, with a prefix length or a mask after a slash; other numbers are integers, or
    pairs under a mask. Fields that are not ours are left out.
    """
    return {
        field.name: _value(field, number, mask)
        for field, number, mask, _ in items(match)
        if field is not None
    }


def _value(field: Field, number: int, mask: int) -> Value:
    if field.kind is Kind.VID:
        tagged = mask == field.full and number & fd.VLAN_PRESENT
        return number & 0xFFF if tagged else (number, mask)
    if field.kind not in (Kind.MAC, Kind.IP4, Kind.IP6):
        return number if mask == field.full else (number, mask)
    if mask == field.full:
        return fd.show(field, number)
    length = fd.prefix_length(field, mask)
    suffix = fd.show(field, mask) if length is None else str(length)
    return f"{fd.show(field, number)}/{suffix}"


def canonical(match: bytes) -> bytes:
    """The canonical form of a match that a switch sent; fields that are not ours come last."""
    if in_order(match):
        return match
    parts = [
        (1 << 16, raw) if field is None else (field.rank, tlv(field, number, mask))
        for field, number, mask, raw in items(match)
    ]
    parts.sort()
    return b"".join([part for _, part in parts])
