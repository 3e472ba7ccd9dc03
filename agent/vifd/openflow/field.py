"""The match fields: their OXM or NXM headers, widths, prerequisites and words.

Rank is the order in which Open vSwitch itself writes the fields of a match, which is the canonical
order here: what was sent and what is read back compare as bytes. Numbers are those of the OpenFlow
1.4 specification (class 0x8000), of the Nicira extension (class 1) and of Ericsson's (0x1000).
"""

from __future__ import annotations

import dataclasses
import re
import socket
from dataclasses import dataclass
from enum import Enum

#: A value by itself: an integer, the usual text (``fa:16:3e:00:00:05``, ``10.0.0.1``, ``0x1f``) or
#: the bytes as they stand on the wire.
Scalar = int | str | bytes
#: What a field may be matched with: a value, a (value, mask) pair, or text with a prefix length or
#: a mask after a slash (``10.0.0.0/24``, ``01:00:00:00:00:00/01:00:00:00:00:00``).
Value = Scalar | tuple[Scalar, Scalar]

OPENFLOW_BASIC = 0x8000
NICIRA = 0x0001
ERICSSON = 0x1000

IPV4, IPV6, ARP, RARP = 0x0800, 0x86DD, 0x0806, 0x8035
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT = 135, 136

#: The bit of ``vlan_vid`` that says a tag is there (OFPVID_PRESENT).
VLAN_PRESENT = 0x1000
#: ``vlan_vid=UNTAGGED`` matches frames without a VLAN tag.
UNTAGGED: Value = (0, 0x1FFF)
#: ``vlan_vid=PRIORITY_TAG`` matches frames whose tag has no VLAN id, only a priority.
PRIORITY_TAG: Value = 0
#: ``vlan_vid=TAGGED`` matches frames with any VLAN tag.
TAGGED: Value = (VLAN_PRESENT, VLAN_PRESENT)

#: Reserved port numbers.
IN_PORT, NORMAL, CONTROLLER, LOCAL = 0xFFFFFFF8, 0xFFFFFFFA, 0xFFFFFFFD, 0xFFFFFFFE
PORT_NAMES = {IN_PORT: "IN_PORT", NORMAL: "NORMAL", CONTROLLER: "CONTROLLER", LOCAL: "LOCAL"}

#: The flags of ``ct_state`` from bit 0; the switch knows no others, and writes an exact match as
#: one under this mask.
CT_FLAGS = ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
CT_MASK = 0xFF
CT_NEW, CT_ESTABLISHED, CT_RELATED, CT_REPLY, CT_INVALID, CT_TRACKED = 1, 2, 4, 8, 0x10, 0x20
#: Any of these says that there is a connection.
CT_OF_CONNECTIONS = 0xCF


class Kind(Enum):
    """How a value is written."""

    NUMBER = "number"
    HEX = "hex"
    PORT = "port"
    VID = "vid"
    MAC = "mac"
    IP4 = "ip4"
    IP6 = "ip6"
    CT = "ct"
    FRAGMENT = "fragment"


@dataclass(frozen=True, slots=True)
class Field:
    """One match field.

    :param rank: its place in a canonical match
    :param header: the OXM header without mask: class, field, payload length
    :param bits: significant bits
    :param needs: the prerequisite, a key of :data:`vifd.openflow.match.PREREQUISITES`, or nothing
    :param word: its name in the output of ovs-ofctl
    :ivar size: length of the payload in bytes
    :ivar full: the mask of an exact match
    """

    name: str
    rank: int
    header: int
    bits: int
    kind: Kind
    maskable: bool
    needs: str
    word: str
    size: int = dataclasses.field(init=False)
    full: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", self.header & 0xFF)
        object.__setattr__(self, "full", (1 << self.bits) - 1)


def _table() -> tuple[Field, ...]:
    number, hexa, mac, ip4, ip6 = Kind.NUMBER, Kind.HEX, Kind.MAC, Kind.IP4, Kind.IP6
    of, nx, eri = OPENFLOW_BASIC, NICIRA, ERICSSON
    rows: list[tuple[str, int, int, int, Kind, bool, str, str]] = [
        ("conj_id", nx, 37, 32, number, False, "", "conj_id"),
        ("in_port", of, 0, 32, Kind.PORT, False, "", "in_port"),
        ("eth_src", of, 4, 48, mac, True, "", "dl_src"),
        ("eth_dst", of, 3, 48, mac, True, "", "dl_dst"),
        ("eth_type", of, 5, 16, hexa, False, "", "dl_type"),
        ("vlan_vid", of, 6, 13, Kind.VID, True, "", "dl_vlan"),
        ("vlan_pcp", of, 7, 3, number, False, "vlan", "dl_vlan_pcp"),
        ("ipv4_src", of, 11, 32, ip4, True, "ipv4", "nw_src"),
        ("ipv4_dst", of, 12, 32, ip4, True, "ipv4", "nw_dst"),
        ("ipv6_src", of, 26, 128, ip6, True, "ipv6", "ipv6_src"),
        ("ipv6_dst", of, 27, 128, ip6, True, "ipv6", "ipv6_dst"),
        ("ip_frag", nx, 26, 2, Kind.FRAGMENT, True, "ip", "nw_frag"),
        ("ip_dscp", of, 8, 6, number, False, "ip", "nw_tos"),
        ("ip_proto", of, 10, 8, number, False, "ip", "nw_proto"),
        ("tcp_src", of, 13, 16, number, True, "tcp", "tp_src"),
        ("tcp_dst", of, 14, 16, number, True, "tcp", "tp_dst"),
        ("udp_src", of, 15, 16, number, True, "udp", "tp_src"),
        ("udp_dst", of, 16, 16, number, True, "udp", "tp_dst"),
        ("sctp_src", of, 17, 16, number, True, "sctp", "tp_src"),
        ("sctp_dst", of, 18, 16, number, True, "sctp", "tp_dst"),
        ("icmpv4_type", of, 19, 8, number, False, "icmpv4", "icmp_type"),
        ("icmpv4_code", of, 20, 8, number, False, "icmpv4", "icmp_code"),
        ("icmpv6_type", of, 29, 8, number, False, "icmpv6", "icmp_type"),
        ("icmpv6_code", of, 30, 8, number, False, "icmpv6", "icmp_code"),
        ("nd_target", of, 31, 128, ip6, True, "nd", "nd_target"),
        ("nd_sll", of, 32, 48, mac, True, "nd_sll", "nd_sll"),
        ("nd_tll", of, 33, 48, mac, True, "nd_tll", "nd_tll"),
        ("nd_reserved", eri, 1, 32, number, False, "nd", "nd_reserved"),
        ("nd_options_type", eri, 2, 8, number, False, "nd", "nd_options_type"),
        ("arp_op", of, 21, 16, number, False, "arp", "arp_op"),
        ("arp_spa", of, 22, 32, ip4, True, "arp", "arp_spa"),
        ("arp_tpa", of, 23, 32, ip4, True, "arp", "arp_tpa"),
        ("arp_sha", of, 24, 48, mac, True, "arp", "arp_sha"),
        ("arp_tha", of, 25, 48, mac, True, "arp", "arp_tha"),
        ("tun_id", of, 38, 64, hexa, True, "", "tun_id"),
        ("tun_src", nx, 31, 32, ip4, True, "", "tun_src"),
        ("tun_dst", nx, 32, 32, ip4, True, "", "tun_dst"),
        ("tun_ipv6_src", nx, 109, 128, ip6, True, "", "tun_ipv6_src"),
        ("tun_ipv6_dst", nx, 110, 128, ip6, True, "", "tun_ipv6_dst"),
        *((f"reg{n}", nx, n, 32, hexa, True, "", f"reg{n}") for n in range(16)),
        ("ct_state", nx, 105, 32, Kind.CT, True, "", "ct_state"),
        ("ct_zone", nx, 106, 16, number, False, "", "ct_zone"),
        ("ct_mark", nx, 107, 32, hexa, True, "", "ct_mark"),
        ("ct_nw_src", nx, 120, 32, ip4, True, "ct_ipv4", "ct_nw_src"),
        ("ct_ipv6_src", nx, 122, 128, ip6, True, "ct_ipv6", "ct_ipv6_src"),
        ("ct_nw_dst", nx, 121, 32, ip4, True, "ct_ipv4", "ct_nw_dst"),
        ("ct_ipv6_dst", nx, 123, 128, ip6, True, "ct_ipv6", "ct_ipv6_dst"),
        ("ct_nw_proto", nx, 119, 8, number, False, "ct", "ct_nw_proto"),
        ("ct_tp_src", nx, 124, 16, number, True, "ct_ports", "ct_tp_src"),
        ("ct_tp_dst", nx, 125, 16, number, True, "ct_ports", "ct_tp_dst"),
        ("metadata", of, 2, 64, hexa, True, "", "metadata"),
    ]
    return tuple(
        Field(name, rank, cls << 16 | number_ << 9 | (bits + 7) // 8, bits, kind, mask, need, word)
        for rank, (name, cls, number_, bits, kind, mask, need, word) in enumerate(rows)
    )


FIELDS = _table()
BY_NAME = {field.name: field for field in FIELDS}
BY_HEADER = {field.header: field for field in FIELDS}


def parse(field: Field, value: Value) -> tuple[int, int]:
    """A value as (number, mask), with the bits outside the mask cleared.

    A plain ``vlan_vid`` is a VLAN id and gets the bit that says a tag is there; in a pair that bit
    stands like any other. ``ct_state`` may be written as ``+trk-new``.

    :raises ValueError: when the value does not fit the field
    """
    if isinstance(value, str) and "/" in value:
        text, _, suffix = value.partition("/")
        value = (text, _prefix(field, suffix))
    if isinstance(value, str) and field.kind is Kind.CT and value[:1] in ("+", "-"):
        value = _ct_flags(value)
    if isinstance(value, tuple):
        number, mask = _scalar(field, value[0]), _scalar(field, value[1])
        if mask != field.full and not field.maskable:
            raise ValueError(f"{field.name} cannot be matched under a mask")
        return number & mask, mask
    number = _scalar(field, value)
    if field.kind is Kind.CT:
        if number > CT_MASK:
            raise ValueError(f"{field.name}={value!r}: no such flag")
        return number, CT_MASK
    if field.kind is Kind.VID:
        if number > 0xFFF:
            raise ValueError(f"{field.name}={value!r}: a VLAN id is at most 4095")
        number |= VLAN_PRESENT
    return number, field.full


def _prefix(field: Field, suffix: str) -> Scalar:
    if field.kind not in (Kind.IP4, Kind.IP6) or not suffix.isdecimal():
        return suffix
    length = int(suffix)
    if length > field.bits:
        raise ValueError(f"{field.name}: prefix length /{suffix} is more than {field.bits}")
    return field.full ^ (field.full >> length)


def _scalar(field: Field, value: Scalar) -> int:
    try:
        number = _number(field, value)
    except (ValueError, OSError, UnicodeError):
        raise ValueError(f"{field.name}={value!r}: not a valid value") from None
    if not 0 <= number <= field.full:
        raise ValueError(f"{field.name}={value!r}: out of range, {field.bits} bits")
    return number


def _number(field: Field, value: Scalar) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, bytes):
        if len(value) != field.size:
            raise ValueError
        return int.from_bytes(value, "big")
    match field.kind:
        case Kind.MAC:
            octets = bytes.fromhex(value.replace(":", " "))
            if len(octets) != 6 or len(value) != 17:
                raise ValueError
            return int.from_bytes(octets, "big")
        case Kind.IP4:
            return int.from_bytes(socket.inet_pton(socket.AF_INET, value), "big")
        case Kind.IP6:
            return int.from_bytes(socket.inet_pton(socket.AF_INET6, value), "big")
        case Kind.PORT if value.upper() in _PORT_NUMBERS:
            return _PORT_NUMBERS[value.upper()]
    return int(value, 0)


_PORT_NUMBERS = {name: number for number, name in PORT_NAMES.items()}


def _ct_flags(text: str) -> tuple[int, int]:
    value = mask = 0
    for sign, name in re.findall(r"([+-])([^+-]*)", text):
        if name not in CT_FLAGS:
            raise ValueError(f"ct_state={text!r}: no such flag {name!r}")
        bit = 1 << CT_FLAGS.index(name)
        mask |= bit
        value = value | bit if sign == "+" else value & ~bit
    return value, mask


def show(field: Field, number: int) -> str:
    """A number in the field's usual words."""
    match field.kind:
        case Kind.MAC:
            return number.to_bytes(6, "big").hex(":")
        case Kind.IP4:
            return socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))
        case Kind.IP6:
            return socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, "big"))
        case Kind.PORT:
            return PORT_NAMES.get(number, str(number))
        case Kind.HEX | Kind.CT if number:
            return hex(number)  # a zero has no prefix, as with printf's %#x
    return str(number)


def prefix_length(field: Field, mask: int) -> int | None:
    """The prefix length that an address mask stands for, or ``None`` where it is none."""
    host = field.full ^ mask
    if field.kind not in (Kind.IP4, Kind.IP6) or host & (host + 1):
        return None
    return field.bits - host.bit_length()
