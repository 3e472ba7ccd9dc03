"""Shared sets: what belongs to many ports, in the words of the Networking API. Values only.

A security group with its rules and members, an address group, and a network's forwarding: which
tunnel endpoints it has and who is reached behind each. They are read by
:mod:`vifd.model.setreading`, so that values here are canonical: addresses as :mod:`ipaddress`
writes them (one alone without a prefix length), hardware addresses in lower case.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from vifd.model.values import Direction, Id, MacAddress, Text

#: Protocols by the names of the Networking API, with their numbers (IANA, Protocol Numbers).
PROTOCOLS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "icmp": 1, "icmpv6": 58, "igmp": 2,
    "ipip": 4, "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59,
    "ipv6-opts": 60, "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6,
    "udp": 17, "udplite": 136, "vrrp": 112,
}  # fmt: skip
ICMP, ICMPV6 = PROTOCOLS["icmp"], PROTOCOLS["ipv6-icmp"]
#: Protocols whose packets have ports, and for which a rule may name a range of them.
WITH_PORTS = frozenset(PROTOCOLS[name] for name in ("dccp", "sctp", "tcp", "udp", "udplite"))
#: What one set may hold at most.
MAX_RULES, MAX_MEMBERS, MAX_ENDPOINTS, MAX_REACHABLE = 10_000, 50_000, 10_000, 50_000
#: Ethernet types as the Networking API names them, with their IP versions.
IP_VERSIONS = {"IPv4": 4, "IPv6": 6}


#: An IP address or a prefix.
Address = Annotated[str, Meta(min_length=2, max_length=64)]
Port = Annotated[int, Meta(ge=0, le=65535)]


class SetKind(StrEnum):
    """The kinds of sets."""

    SECURITY_GROUP = "security-group"
    ADDRESS_GROUP = "address-group"
    FORWARDING = "forwarding"  #: its id is the network's
    LOG = "log"  #: which packets that security groups judge are written down


class SetKey(NamedTuple):
    """Which set."""

    kind: SetKind
    id: str

    def __str__(self) -> str:
        what = "forwarding of network" if self.kind is SetKind.FORWARDING else self.kind.value
        return f"{what.replace('-', ' ')} {self.id}"


class SecurityGroupRule(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Which packets a group's ports may send or receive.

    :param direction: as seen from the guest
    :param ethertype: ``IPv4`` or ``IPv6``
    :param protocol: a name of :data:`PROTOCOLS` or a number; ``None``: any
    :param port_range_min: the lowest destination port; of ICMP, the type
    :param port_range_max: the highest; of ICMP, the code
    :param remote_ip_prefix: of the other side, as are the two that follow; one at most is given
    """

    id: Id
    direction: Direction
    ethertype: Literal["IPv4", "IPv6"] = "IPv4"
    protocol: Text | None = None
    port_range_min: Port | None = None
    port_range_max: Port | None = None
    remote_ip_prefix: Address | None = None
    remote_group_id: Id | None = None
    remote_address_group_id: Id | None = None

    @property
    def ip_version(self) -> int:
        """4 or 6."""
        return IP_VERSIONS[self.ethertype]

    @property
    def number(self) -> int | None:
        """The protocol's number; ``None`` for any. ICMP over IPv6 is ICMPv6."""
        if self.protocol is None:
            return None
        known = PROTOCOLS.get(self.protocol)
        number = int(self.protocol) if known is None else known
        return ICMPV6 if number == ICMP and self.ip_version == 6 else number

    @property
    def ports(self) -> tuple[int, int] | None:
        """The lowest and the highest destination port; ``None`` where none are named."""
        if self.port_range_min is None or self.port_range_max is None:
            return None
        return (self.port_range_min, self.port_range_max) if self.number in WITH_PORTS else None

    @property
    def icmp(self) -> tuple[int | None, int | None]:
        """ICMP's type and code; ``None`` for any."""
        if self.number not in (ICMP, ICMPV6):
            return None, None
        return self.port_range_min, self.port_range_max

    @property
    def refers_to(self) -> SetKey | None:
        """The set that the rule's other side is in."""
        if self.remote_group_id is not None:
            return SetKey(SetKind.SECURITY_GROUP, self.remote_group_id)
        if self.remote_address_group_id is not None:
            return SetKey(SetKind.ADDRESS_GROUP, self.remote_address_group_id)
        return None


class Member(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who is in a security group: an address or a prefix, with its MAC address where it matters."""

    ip_address: Address
    mac_address: MacAddress | None = None


class SecurityGroup(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A security group.

    :param stateful: packets of a connection that was let begin pass without a rule of their own
    :param members: who is in it anywhere, as the owner says; ports of this host count besides
    """

    id: Id
    name: Text = ""
    stateful: bool = True
    rules: Annotated[tuple[SecurityGroupRule, ...], Meta(max_length=MAX_RULES)] = ()
    members: Annotated[tuple[Member, ...], Meta(max_length=MAX_MEMBERS)] = ()


class AddressGroup(
    Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """Addresses and prefixes that rules may name together."""

    id: Id
    name: Text = ""
    addresses: Annotated[tuple[Address, ...], Meta(max_length=MAX_MEMBERS)] = ()


class Reachable(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A port of another host, by its addresses."""

    mac_address: MacAddress
    ip_addresses: Annotated[tuple[Address, ...], Meta(max_length=1000)] = ()


class Endpoint(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A tunnel endpoint that the network has, and who is reached behind it. One with nobody behind
    it is flooded to and nothing else."""

    address: Address
    ports: Annotated[tuple[Reachable, ...], Meta(max_length=MAX_REACHABLE)] = ()


class Forwarding(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The forwarding of one network. A MAC address is behind one endpoint at most."""

    id: Id
    endpoints: Annotated[tuple[Endpoint, ...], Meta(max_length=MAX_ENDPOINTS)] = ()


class LogEvent(StrEnum):
    """Which packets a log is about, as the Networking API names them."""

    ACCEPT = "ACCEPT"  #: the first of each connection that passes
    DROP = "DROP"  #: each that no rule lets pass
    ALL = "ALL"


class LogSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a log is about; the piece that a log has, and its only one.

    :param resource_id: a security group; ``None``: every one of the ports
    :param target_id: a port; ``None``: every one of the group, or of the project
    :param project_id: whose ports are meant where neither group nor port is named; empty: all
    """

    event: LogEvent = LogEvent.ALL
    enabled: bool = True
    resource_id: Id | None = None
    target_id: Id | None = None
    project_id: Text = ""


class GroupLog(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A log of what security groups decide; the fields are those of :class:`LogSettings`."""

    id: Id
    name: Text = ""
    event: LogEvent = LogEvent.ALL
    enabled: bool = True
    resource_type: Literal["security_group"] = "security_group"
    resource_id: Id | None = None
    target_id: Id | None = None
    project_id: Text = ""

    @property
    def settings(self) -> LogSettings:
        """All but its id and name."""
        return LogSettings(
            event=self.event, enabled=self.enabled, resource_id=self.resource_id,
            target_id=self.target_id, project_id=self.project_id,
        )  # fmt: skip


def log_of(log_id: str, name: str, said: LogSettings) -> GroupLog:
    """A log by its settings."""
    return GroupLog(
        id=log_id, name=name, event=said.event, enabled=said.enabled,
        resource_id=said.resource_id, target_id=said.target_id, project_id=said.project_id,
    )  # fmt: skip


class Behind(NamedTuple):
    """A port of another host and the tunnel endpoint it is behind; without a port, an endpoint that
    is flooded to."""

    endpoint: str
    port: Reachable | None = None


#: A piece of a set; of an address group, the address or prefix.
SetPart = SecurityGroupRule | Member | str | Behind | LogSettings

#: What a set holds, of any kind.
SetBody = SecurityGroup | AddressGroup | Forwarding | GroupLog

BODIES: dict[
    SetKind, type[SecurityGroup] | type[AddressGroup] | type[Forwarding] | type[GroupLog]
] = {
    SetKind.SECURITY_GROUP: SecurityGroup,
    SetKind.ADDRESS_GROUP: AddressGroup,
    SetKind.FORWARDING: Forwarding,
    SetKind.LOG: GroupLog,
}


def key_of(body: SetBody) -> SetKey:
    """Which set this is."""
    return SetKey(next(kind for kind, cls in BODIES.items() if type(body) is cls), body.id)
