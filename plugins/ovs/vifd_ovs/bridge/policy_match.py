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


def expressible(match: Match) -> bool:
    """Whether OpenFlow can tell these frames from others: it has no field for a type of IGMP."""
    return match.protocol != IGMP or match.icmp_type is None


def fields(match: Match) -> dict[str, Value]:
    """The match fields; with the prerequisites, which the policy's matches bring themselves.

    Headers that cannot be read are protocol 0 to the switch.
    """
    version = "ipv6" if ":" in (match.src or match.dst or "") else "ipv4"
    transport = _TRANSPORTS.get(match.protocol or 0, "")
    said: dict[str, Value | None] = {
        "eth_type": match.ethertype,
        "ip_proto": 0 if match.unreadable else match.protocol,
        "eth_src": match.eth_src, "eth_dst": match.eth_dst,
        "arp_op": match.arp_op, "arp_sha": match.arp_sha, "arp_spa": match.arp_spa,
        "nd_target": match.nd_target,
        f"{version}_src": match.src, f"{version}_dst": match.dst,
        f"{transport}_src": match.sport, f"{transport}_dst": match.dport,
        _TYPES.get(match.protocol or 0, "type"): match.icmp_type,
        _CODES.get(match.protocol or 0, "code"): match.icmp_code,
        "nd_sll" if match.icmp_type == _SOLICITATION else "nd_tll": match.nd_option,
        "ip_frag": None if match.fragment is None else _FRAGMENTS[match.fragment],
    }  # fmt: skip
    return {name: value for name, value in said.items() if value is not None}
