"""A match of the policy in the words of the switch. Pure."""

from __future__ import annotations

from vifd.openflow.match import Value
from vifd.policy.rule import ICMP, ICMPV6, IGMP, Fragment, Match

#: What OpenFlow does not show, for the enforcement report.
CAVEAT = (
    "IGMP queries to one multicast group look like reports and pass, and the link-layer address in "
    "a router solicitation is not seen: OpenFlow has no fields for them"
)
#: The same of security groups.
PORTS_CAVEAT = (
    "rules for some ports of DCCP and UDP-Lite let nothing pass: OpenFlow has no fields for these; "
    "rules for all ports of them have their effect"
)
#: ``ip_frag``: bit 0 says that it is a fragment, bit 1 that it is not the first one.
_FRAGMENTS: dict[Fragment, Value] = {
    Fragment.WHOLE: 0, Fragment.FIRST: 1, Fragment.LATER: 3, Fragment.SOME: (1, 1),
}  # fmt: skip
_TYPES = {ICMP: "icmpv4_type", ICMPV6: "icmpv6_type"}
_CODES = {ICMP: "icmpv4_code", ICMPV6: "icmpv6_code"}
_TRANSPORTS = {6: "tcp", 17: "udp"}
_SOLICITATION = 135
_SAME = ("eth_src", "eth_dst", "arp_op", "arp_sha", "arp_spa", "nd_target")


def expressible(match: Match) -> bool:
    """Whether OpenFlow can tell these frames from others: it has no field for a type of IGMP."""
    return match.protocol != IGMP or match.icmp_type is None


def fields(match: Match) -> dict[str, Value]:
    """The match fields; with the prerequisites, which the policy's matches bring themselves.

    Headers that cannot be read are protocol 0 to the switch.
    """
    found: dict[str, Value] = {}
    _put(found, "eth_type", match.ethertype)
    _put(found, "ip_proto", 0 if match.unreadable else match.protocol)
    for name in _SAME:
        _put(found, name, getattr(match, name))
    version = "ipv6" if ":" in (match.src or match.dst or "") else "ipv4"
    _put(found, f"{version}_src", match.src)
    _put(found, f"{version}_dst", match.dst)
    transport = _TRANSPORTS.get(match.protocol or 0, "")
    _put(found, f"{transport}_src", match.sport)
    _put(found, f"{transport}_dst", match.dport)
    _put(found, _TYPES.get(match.protocol or 0, ""), match.icmp_type)
    _put(found, _CODES.get(match.protocol or 0, ""), match.icmp_code)
    _put(found, "nd_sll" if match.icmp_type == _SOLICITATION else "nd_tll", match.nd_option)
    if match.fragment is not None:
        found["ip_frag"] = _FRAGMENTS[match.fragment]
    return found


def _put(found: dict[str, Value], name: str, value: Value | None) -> None:
    if value is not None:
        found[name] = value
