"""Anti-spoofing: what a guest may claim to be. The first rule set of the policy; data.

A frame of a secured port is judged by the first rule that it meets in :data:`REFUSED`, the port's
own :func:`vifd.policy.claims.claims`, :data:`UNPROVEN`, :data:`UNADDRESSED` and
:data:`ADDRESSED`. What meets none is refused.
"""

from __future__ import annotations

from vifd.policy.rule import (
    ARP,
    ICMPV6,
    IGMP,
    IPV4,
    IPV6,
    NO_OPTION,
    RARP,
    TCP,
    UDP,
    Fragment,
    Match,
    Rule,
    Verdict,
)

ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT = 133, 134
SOLICITATION, ADVERTISEMENT, REDIRECT = 135, 136, 137
ARP_REQUEST, RARP_REPLY = 1, 4
_QUERY, _REPORT_V1, _DONE, _REPORT_V2 = 130, 131, 132, 143
_IGMP_QUERY = 0x11
_REFUSE, _BY_HARDWARE = Verdict.REFUSE, Verdict.BY_HARDWARE
_NOBODY4, _NOBODY6 = "0.0.0.0", "::"


def _refuse(what: str, source: str, match: Match) -> Rule:
    return Rule(what, match, _REFUSE, source)


def _icmpv6(kind: int, fragment: Fragment | None = None) -> Match:
    return Match(ethertype=IPV6, protocol=ICMPV6, icmp_type=kind, fragment=fragment)


_FIRST = Fragment.FIRST

#: Frames and headers that say too little to be judged.
_FORM = (
    _refuse(
        "a destination that bridges keep to themselves",
        "IEEE 802.1Q-2022, 8.6.3 and table 8-1",
        Match(eth_dst="01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0"),
    ),
    _refuse(
        "an IPv4 header that cannot be read", "RFC 791, 3.1",
        Match(ethertype=IPV4, unreadable=True),
    ),
    _refuse(
        "IPv6 headers that end before the transport header", "RFC 7112, 5",
        Match(ethertype=IPV6, unreadable=True),
    ),
    *(
        _refuse(
            f"a first fragment without the whole {name} header, or to port 0", source,
            Match(ethertype=version, protocol=protocol, dport=0, fragment=_FIRST),
        )
        for version, source in ((IPV4, "RFC 1858, 3; RFC 6335, 6"), (IPV6, "RFC 7112, 5"))
        for protocol, name in ((UDP, "UDP"), (TCP, "TCP"))
    ),
    _refuse(
        "less than an ICMPv6 header, or of no type", "RFC 7112, 5; RFC 4443, 2.1", _icmpv6(0),
    ),
    *(
        _refuse("fragmented neighbour discovery", "RFC 6980, 5", _icmpv6(kind, _FIRST))
        for kind in range(ROUTER_SOLICITATION, REDIRECT + 1)
    ),
    _refuse(
        "a fragment from no address", "RFC 791, 3.2: the source is part of what is reassembled",
        Match(ethertype=IPV4, src=_NOBODY4, fragment=Fragment.SOME),
    ),
    *(
        _refuse(
            "a fragment from no address",
            "RFC 8200, 4.5: the source is part of what is reassembled",
            Match(ethertype=IPV6, src=_NOBODY6, fragment=fragment),
        )
        for fragment in (_FIRST, Fragment.LATER)
    ),
    _refuse(
        "a solicitation of nobody, or with malformed options", "RFC 4861, 7.1.1",
        Match(ethertype=IPV6, protocol=ICMPV6, icmp_type=SOLICITATION, nd_target=_NOBODY6),
    ),
)  # fmt: skip

#: What only servers, routers and queriers send; guests are none of these.
_ROLES = (
    _refuse(
        "to a DHCP client", "RFC 2131, 4.1; RFC 7610, 5",
        Match(ethertype=IPV4, protocol=UDP, dport=68),
    ),
    _refuse(
        "to a DHCPv6 client", "RFC 8415, 7.2; RFC 7610, 5",
        Match(ethertype=IPV6, protocol=UDP, dport=546),
    ),
    _refuse("a router advertisement", "RFC 6105, 2", _icmpv6(ROUTER_ADVERTISEMENT)),
    _refuse("a redirect", "RFC 4861, 8.2: routers alone send it", _icmpv6(REDIRECT)),
    _refuse("a multicast listener query", "RFC 3810, 5.1; RFC 2710, 3", _icmpv6(_QUERY)),
    _refuse("a multicast router advertisement", "RFC 4286, 3", _icmpv6(151)),
    _refuse("a multicast router solicitation: a snooper's", "RFC 4286, 3", _icmpv6(152)),
    _refuse("a multicast router termination", "RFC 4286, 3", _icmpv6(153)),
    _refuse(
        "an IGMP query", "RFC 3376, 4.1",
        Match(ethertype=IPV4, protocol=IGMP, icmp_type=_IGMP_QUERY),
    ),
    _refuse(
        "IGMP to all hosts: a general query", "RFC 3376, 4.1.12; RFC 2236, 6",
        Match(ethertype=IPV4, protocol=IGMP, dst="224.0.0.1"),
    ),
    _refuse(
        "IGMP to all snoopers: a multicast router's", "RFC 4286, 3.1",
        Match(ethertype=IPV4, protocol=IGMP, dst="224.0.0.106"),
    ),
    _refuse(
        "a RARP reply: a server's", "RFC 903",
        Match(ethertype=RARP, arp_op=RARP_REPLY),
    ),
)  # fmt: skip

#: What no secured guest may send.
REFUSED = _FORM + _ROLES

#: What must have been a claim of the port's own to pass.
UNPROVEN = (
    Rule(
        "a solicitation that tells no link-layer address",
        Match(
            ethertype=IPV6, protocol=ICMPV6, icmp_type=SOLICITATION, nd_option=NO_OPTION,
        ),
        Verdict.BY_ADDRESS, "RFC 4861, 4.3",
    ),
    _refuse(
        "a solicitation that tells a foreign link-layer address", "RFC 4861, 4.3 and 7.2.3",
        _icmpv6(SOLICITATION),
    ),
    _refuse(
        "an advertisement of a foreign address or link-layer address", "RFC 4861, 7.2.5",
        _icmpv6(ADVERTISEMENT),
    ),
    _refuse("address resolution in a foreign name", "RFC 826", Match(ethertype=ARP)),
)  # fmt: skip


def _unaddressed(what: str, source: str, match: Match) -> Rule:
    return Rule(what, match, _BY_HARDWARE, source)


def _from_nobody(kind: int) -> Match:
    return Match(ethertype=IPV6, src=_NOBODY6, protocol=ICMPV6, icmp_type=kind)


#: What a guest sends before it has an address, besides its claims (probes, address detection):
#: only the MAC can be judged.
UNADDRESSED = (
    _unaddressed(
        "a request of a DHCP or BOOTP client", "RFC 2131, 4.1; RFC 951, 3",
        Match(ethertype=IPV4, src=_NOBODY4, protocol=UDP, sport=68, dport=67),
    ),
    _unaddressed(
        "an IGMP report or leave", "RFC 3376, 4.2.13",
        Match(ethertype=IPV4, src=_NOBODY4, dst="224.0.0.0/4", protocol=IGMP),
    ),
    _unaddressed(
        "a router solicitation", "RFC 4861, 4.1", _from_nobody(ROUTER_SOLICITATION),
    ),
    _unaddressed("a version 1 listener report", "RFC 3590, 4", _from_nobody(_REPORT_V1)),
    _unaddressed("a version 1 listener done", "RFC 3590, 4", _from_nobody(_DONE)),
    _unaddressed("a version 2 listener report", "RFC 3810, 5.2.13", _from_nobody(_REPORT_V2)),
    _unaddressed(
        "a RARP request or announcement", "RFC 903; QEMU announces a migrated guest so",
        Match(ethertype=RARP),
    ),
)  # fmt: skip

#: What is judged by the pairs of MAC and IP addresses.
ADDRESSED = (
    Rule(
        "IGMP to a multicast group", Match(ethertype=IPV4, protocol=IGMP, dst="224.0.0.0/4"),
        Verdict.BY_ADDRESS, "RFC 3376, 4.2.14",
    ),
    _refuse(
        "IGMP to one host: a query, or a multicast router's", "RFC 3376, 4.1.12",
        Match(ethertype=IPV4, protocol=IGMP),
    ),
    Rule("IPv4", Match(ethertype=IPV4), Verdict.BY_ADDRESS, "RFC 2827 (BCP 38)"),
    Rule("IPv6", Match(ethertype=IPV6), Verdict.BY_ADDRESS, "RFC 2827 (BCP 38); RFC 6620"),
)  # fmt: skip
