"""A rule: which frames it is about, and what becomes of them. Values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vifd.model.values import Direction as Direction

IPV4, ARP, RARP, IPV6 = 0x0800, 0x0806, 0x8035, 0x86DD
ICMP, IGMP, TCP, UDP, ICMPV6 = 1, 2, 6, 17, 58
#: Ethernet types that begin a VLAN tag: C-TAG, S-TAG (IEEE 802.1Q, 9.5), and the older S-TAG.
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
#: What a link-layer address option has where there is none.
NO_OPTION = "00:00:00:00:00:00"


class Fragment(StrEnum):
    """Which part of an IP packet a frame holds. An atomic fragment (RFC 6946) is a whole one."""

    WHOLE = "whole"
    FIRST = "first"  #: begins at offset 0, and more follow
    LATER = "later"  #: any other: it has no transport header
    SOME = "some"  #: first or later


class Verdict(StrEnum):
    """What becomes of a frame."""

    REFUSE = "refuse"
    ACCEPT = "accept"
    BY_HARDWARE = "by hardware"  #: accepted if its Ethernet source is one of the port's
    BY_ADDRESS = "by address"  #: accepted if Ethernet and IP source are one allowed pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which frames; what is ``None`` does not matter. Header fields are those of the frame without
    a priority tag.

    :param eth_src: text of an address, with a mask after a slash where it is not one alone
    :param src: of IP: an address or a prefix
    :param sport: a port, or (value, mask)
    :param icmp_type: of ICMP, ICMPv6, or IGMP
    :param unreadable: the headers cannot be followed to where the transport header would be
    :param arp_sha: the sender's hardware address; of RARP too
    :param nd_target: of a neighbour solicitation or advertisement; ``::`` where it is malformed
    :param nd_option: the link-layer address option of either
    """

    ethertype: int | None = None
    eth_src: str | None = None
    eth_dst: str | None = None
    protocol: int | None = None
    src: str | None = None
    dst: str | None = None
    sport: int | tuple[int, int] | None = None
    dport: int | tuple[int, int] | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    fragment: Fragment | None = None
    unreadable: bool = False
    arp_op: int | None = None
    arp_sha: str | None = None
    arp_spa: str | None = None
    nd_target: str | None = None
    nd_option: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence of a policy.

    :param what: what such frames are, for a reader
    :param source: where the rule comes from: a standard, with the section
    """

    what: str
    match: Match
    verdict: Verdict
    source: str
