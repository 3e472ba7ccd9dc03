"""Security groups: what passes a port beside anti-spoofing. Pure, and the same for every back end.

A rule is taken apart into clauses (what it says of the packet itself) and the other side. A packet
passes if :data:`BASE` has it, or if a rule of one of the port's groups lets the first packet of its
connection pass; nothing else does. Which rule, if any, that is, :func:`judge` says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from vifd.model.sets import SecurityGroup, SecurityGroupRule, SetKey, SetKind
from vifd.policy.rule import ARP, ICMPV6, IPV4, IPV6, RARP, UDP, Direction, Match, Rule, Verdict
from vifd.policy.spoofing import ADVERTISEMENT, ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION
from vifd.policy.spoofing import SOLICITATION as NEIGHBOR_SOLICITATION

_MOST = 65535
_QUERY, _REPORT_V1, _DONE, _REPORT_V2 = 130, 131, 132, 143
_NEUTRON = "Neutron 29, OVSFirewallDriver"

#: Protocols with ports that no back end here can tell packets by: DCCP and UDP-Lite. OpenFlow has
#: no fields for them (1.5.1, 7.2.3.7), and connection tracking in bridges may know neither.
UNSEEN = frozenset((33, 136))

#: Addresses and prefixes of a set, as ``ipaddress`` writes them.
Lookup = Callable[[SetKey], Collection[str]]


class Masked(NamedTuple):
    """The numbers that agree with a value in the bits of a mask."""

    value: int
    mask: int


class Clause(NamedTuple):
    """What a rule says of the packet itself, as one test of each field.

    :param version: 4 or 6
    :param protocol: ``None`` for any
    :param ports: destination ports; ``None`` for any
    """

    version: int
    protocol: int | None = None
    ports: Masked | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


@lru_cache(maxsize=4096)
def masks(low: int, high: int) -> tuple[Masked, ...]:
    """The fewest masks that together are the ports from ``low`` to ``high``."""
    found, at = [], low
    while at <= high:
        size = at & -at or 1 << 16
        while at + size - 1 > high:
            size >>= 1
        found.append(Masked(at, _MOST & ~(size - 1)))
        at += size
    return tuple(found)


@lru_cache(maxsize=16384)
def clauses(rule: SecurityGroupRule) -> tuple[Clause, ...]:
    """What a rule says of the packet itself; a packet that meets one of them meets the rule."""
    version, protocol, ports = rule.ip_version, rule.number, rule.ports
    if ports is not None and not (ports[0] <= 1 and ports[1] == _MOST):  # 0 is no port, RFC 6335, 6
        return tuple(Clause(version, protocol, masked) for masked in masks(*ports))
    return (Clause(version, protocol, None, *rule.icmp),)


def unseen(rule: SecurityGroupRule, protocols: Collection[int]) -> bool:
    """Whether a rule is about some ports of a protocol whose ports nobody sees: it lets nothing
    pass, because all of the protocol would be more than it says. (Neutron 29's
    ``create_port_range_flows`` has it let all of it pass.)

    :param protocols: those whose ports are not seen
    """
    return rule.number in protocols and any(clause.ports is not None for clause in clauses(rule))


def remote(rule: SecurityGroupRule) -> str | SetKey | None:
    """The other side: a prefix, a set, or anybody."""
    prefix = rule.remote_ip_prefix
    if prefix is not None and prefix.endswith("/0"):
        return None
    return rule.refers_to or prefix


def versions(prefix: str) -> int:
    """The IP version of an address or a prefix."""
    return 6 if ":" in prefix else 4


# --- what is there without a rule -----------------------------------------------------------------


def _udp(kind: int, sport: int, dport: int) -> Match:
    return Match(ethertype=kind, protocol=UDP, sport=sport, dport=dport)


def _icmpv6(kind: int) -> Match:
    return Match(ethertype=IPV6, protocol=ICMPV6, icmp_type=kind)


def _passes(what: str, match: Match, source: str) -> Rule:
    return Rule(what, match, Verdict.ACCEPT, source)


_EGRESS, _INGRESS = f"{_NEUTRON}._initialize_egress", f"{_NEUTRON}._initialize_ingress"
_UNTRACKED = "RFC 3810, 5.2; connection tracking knows no such message"

#: What passes whatever the groups say, once anti-spoofing let it pass.
BASE: dict[Direction, tuple[Rule, ...]] = {
    Direction.EGRESS: (
        _passes("address resolution", Match(ethertype=ARP), _EGRESS),
        _passes("an announcement of a migrated guest", Match(ethertype=RARP), _EGRESS),
        _passes("a request of a DHCP client", _udp(IPV4, 68, 67), _EGRESS),
        _passes("a request of a DHCPv6 client", _udp(IPV6, 546, 547), _EGRESS),
        _passes("a router solicitation", _icmpv6(ROUTER_SOLICITATION), _EGRESS),
        _passes("a neighbour solicitation", _icmpv6(NEIGHBOR_SOLICITATION), _EGRESS),
        _passes("a neighbour advertisement", _icmpv6(ADVERTISEMENT), _EGRESS),
        _passes("a version 1 listener report", _icmpv6(_REPORT_V1), _UNTRACKED),
        _passes("a version 1 listener done", _icmpv6(_DONE), _UNTRACKED),
        _passes("a version 2 listener report", _icmpv6(_REPORT_V2), _UNTRACKED),
    ),
    Direction.INGRESS: (
        _passes("address resolution", Match(ethertype=ARP), _INGRESS),
        _passes("an answer of a DHCP server", _udp(IPV4, 67, 68), _INGRESS),
        _passes("an answer of a DHCPv6 server", _udp(IPV6, 547, 546), _INGRESS),
        _passes("a router advertisement", _icmpv6(ROUTER_ADVERTISEMENT), _INGRESS),
        _passes("a neighbour solicitation", _icmpv6(NEIGHBOR_SOLICITATION), _INGRESS),
        _passes("a neighbour advertisement", _icmpv6(ADVERTISEMENT), _INGRESS),
        _passes("a multicast listener query", _icmpv6(_QUERY), _INGRESS),
    ),
}


# --- a packet -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """The first packet of a connection, as the rules see it.

    :param remote: the address of the other side
    :param dport: the destination port; of ICMP, nothing
    """

    direction: Direction
    remote: str
    protocol: int
    sport: int = 0
    dport: int = 0
    icmp_type: int | None = None
    icmp_code: int | None = None

    @property
    def version(self) -> int:
        """4 or 6."""
        return versions(self.remote)


class Passes(NamedTuple):
    """Why a packet passes.

    :param what: a sentence
    :param rule: the rule of a group that lets it, if it is one
    """

    what: str
    group: SecurityGroup | None = None
    rule: SecurityGroupRule | None = None


def judge(groups: Iterable[SecurityGroup], packet: Packet, lookup: Lookup) -> Passes | None:
    """What lets the first packet of a connection pass; ``None``: nothing does."""
    for base in BASE[packet.direction]:
        if _is_base(base.match, packet):
            return Passes(f"every guest needs it: {base.what} ({base.source})")
    for group in groups:
        for rule in group.rules:
            if rule.direction is packet.direction and _meets(rule, packet, lookup):
                return Passes(f"rule {rule.id} of security group {group.id}", group, rule)
    return None


def _is_base(match: Match, packet: Packet) -> bool:
    kind = IPV4 if packet.version == 4 else IPV6
    if match.ethertype != kind or match.protocol != packet.protocol:
        return False
    if match.icmp_type is not None:
        return match.icmp_type == packet.icmp_type
    return (match.sport, match.dport) == (packet.sport, packet.dport)


def _meets(rule: SecurityGroupRule, packet: Packet, lookup: Lookup) -> bool:
    other = remote(rule)
    near = any(_agrees(clause, packet) for clause in clauses(rule))
    if not near or other is None:
        return near
    address = ipaddress.ip_address(packet.remote)
    if isinstance(other, str):
        return address in ipaddress.ip_network(other)
    found = lookup(other)
    # most entries are single addresses, thousands of them
    return str(address) in found or any(
        address in ipaddress.ip_network(entry) for entry in found if "/" in entry
    )


def _agrees(clause: Clause, packet: Packet) -> bool:
    ports, icmp = clause.ports, (clause.icmp_type, clause.icmp_code)
    return (
        clause.version == packet.version
        and clause.protocol in (None, packet.protocol)
        and (ports is None or packet.dport & ports.mask == ports.value)
        and icmp[0] in (None, packet.icmp_type)
        and icmp[1] in (None, packet.icmp_code)
    )


# --- sets that are not there ----------------------------------------------------------------------


def missing(
    ids: Iterable[str], direction: Direction, group: Callable[[str], SecurityGroup | None],
    known: Callable[[SetKey], bool],
) -> Iterator[SetKey]:  # fmt: skip
    """The sets without which a direction of a port cannot be judged: it stays closed.

    :param ids: of the port's groups
    :param known: whether a set that a rule refers to is there
    """
    for group_id in ids:
        found = group(group_id)
        if found is None:
            yield SetKey(SetKind.SECURITY_GROUP, group_id)
            continue
        keys = (r.refers_to for r in found.rules if r.direction is direction)
        yield from dict.fromkeys(key for key in keys if key is not None and not known(key))
