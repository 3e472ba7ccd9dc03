"""Rules with what they let pass and what not. The answers are the Networking API's (its reference,
"Security group rules", and the administration guide), not the code's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from functional.groups.packets import Station
from vifd.testing.attachments import ipv4, ipv6, mac

API = "Networking API v2.0, security group rules"
RANGE = f"{API}: port_range_min, port_range_max"
PROTOCOL = f"{API}: protocol"
PREFIX = f"{API}: remote_ip_prefix"
MEMBERS = f"{API}: remote_group_id"
ADDRESSES = f"{API}: remote_address_group_id"
DEFAULT = "Networking API v2.0, security groups: what no rule allows is dropped"

PORT, PEER = (Station(mac(n), ipv4(n), ipv6(n)) for n in (1, 2))
WIRE = Station("02:00:00:00:00:fa", "10.0.0.250", "fd00::fa")
OTHERS = {"peer": PEER, "wire": WIRE}

GROUP = "11111111-0000-4000-8000-000000000001"
HAS, LACKS = "22222222-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"
HOLDS, MISSES = "33333333-0000-4000-8000-000000000001", "33333333-0000-4000-8000-000000000002"


@dataclass(frozen=True)
class Said:
    """A rule and its answers.

    :param rules: in the words of the API, without direction and ethertype
    :param only: the one IP version that it is about
    """

    what: str
    source: str
    rules: tuple[dict[str, Any], ...]
    passes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    only: int = 0


def _one(
    what: str, source: str, passes: str, refused: str, only: int = 0, **rule: Any
) -> Said:  # fmt: skip
    return Said(what, source, (rule,), tuple(passes.split()), tuple(refused.split()), only)


def _ports(low: int, high: int) -> dict[str, int]:
    return {"port_range_min": low, "port_range_max": high}


RULES = (
    Said("no rule", DEFAULT, (), (), ("tcp:80", "udp:53", "icmp:8/0", "proto:47")),
    _one("anything", API, "tcp:80 udp:53 icmp:8/0 proto:47 proto:132/5060", ""),
    _one("tcp", PROTOCOL, "tcp:1 tcp:65535", "udp:1 icmp:8/0", protocol="tcp"),
    _one("protocol 6", PROTOCOL, "tcp:22", "udp:22", protocol="6"),
    _one("udp", PROTOCOL, "udp:1", "tcp:1 icmp:8/0", protocol="udp"),
    _one("gre by number", PROTOCOL, "proto:47", "tcp:47 proto:50", protocol="47"),
    _one("esp by name", PROTOCOL, "proto:50", "proto:51 udp:50", protocol="esp"),
    _one("icmp", PROTOCOL, "icmp:8/0", "tcp:8 udp:8", protocol="icmp"),
    _one("echo requests", RANGE, "icmp:8/0", "udp:8", 4, protocol="icmp", port_range_min=8),
    _one("echo requests of code 0", RANGE, "icmp:8/0", "tcp:8", 4, protocol="icmp", **_ports(8, 0)),
    _one("echo requests of code 1", RANGE, "", "icmp:8/0", 4, protocol="icmp", **_ports(8, 1)),
    _one("timestamps", RANGE, "icmp:13/0", "icmp:8/0", 4, protocol="icmp", port_range_min=13),
    _one("ICMPv6 echo requests", RANGE, "icmp:8/0", "udp:128", 6, protocol="ipv6-icmp",
         port_range_min=128),
    _one("ICMPv6 errors", RANGE, "", "icmp:8/0", 6, protocol="ipv6-icmp", port_range_min=1),
    _one("one port", RANGE, "tcp:443", "tcp:442 tcp:444 udp:443", protocol="tcp",
         **_ports(443, 443)),
    _one("a range that is one mask", RANGE, "udp:64 udp:127", "udp:63 udp:128", protocol="udp",
         **_ports(64, 127)),
    _one("a range of many masks", RANGE, "tcp:1025 tcp:1500 tcp:5999", "tcp:1024 tcp:6000",
         protocol="tcp", **_ports(1025, 5999)),
    _one("every port", RANGE, "tcp:1 tcp:65535", "udp:1", protocol="tcp", **_ports(1, 65535)),
    _one("ports of SCTP", RANGE, "proto:132/5060", "proto:132/5061 tcp:5060", protocol="sctp",
         **_ports(5060, 5060)),
    _one("sctp", PROTOCOL, "proto:132/5060", "tcp:7 udp:7", protocol="sctp"),
    _one("a range of SCTP", RANGE, "proto:132/100 proto:132/131", "proto:132/99 proto:132/132",
         protocol="132", **_ports(100, 131)),
    _one("everything behind an address group and SCTP", ADDRESSES, "proto:132/9", "tcp:9",
         protocol="sctp", remote_address_group_id=HOLDS),
    _one("ports of DCCP, which OpenFlow does not show", RANGE, "", "proto:33/5060", protocol="dccp",
         **_ports(5060, 5060)),
    _one("all of DCCP", PROTOCOL, "proto:33/5060", "tcp:33 proto:136/5060", protocol="dccp"),
    _one("every port of UDP-Lite", RANGE, "proto:136/65535", "udp:1", protocol="136",
         **_ports(1, 65535)),
    _one("ports of UDP-Lite, which OpenFlow does not show", RANGE, "", "proto:136/53",
         protocol="udplite", **_ports(53, 53)),
    _one("an IPv6 header by number", PROTOCOL, "", "tcp:43", 6, protocol="43"),
    _one("protocol 0", PROTOCOL, "tcp:1 udp:1 icmp:8/0", "", 4, protocol="0"),
    _one("Neutron's other name of 0", PROTOCOL, "tcp:1 udp:1", "", 6, protocol="hopopt"),
    _one("odd bounds", RANGE, "udp:1 udp:7 udp:65533", "udp:65534 tcp:7", protocol="udp",
         **_ports(1, 65533)),
    _one("two ports", RANGE, "tcp:7 tcp:8", "tcp:6 tcp:9", protocol="tcp", **_ports(7, 8)),
    _one("the last ports", RANGE, "tcp:65535 tcp:32769", "tcp:32768", protocol="tcp",
         **_ports(32769, 65535)),
    _one("everybody by a prefix", PREFIX, "udp:53", "", 4, remote_ip_prefix="0.0.0.0/0"),
    _one("everybody by a prefix", PREFIX, "udp:53", "", 6, remote_ip_prefix="::/0"),
    _one("their prefix", PREFIX, "tcp:80", "", 4, remote_ip_prefix="10.0.0.0/24"),
    _one("their prefix", PREFIX, "tcp:80", "", 6, remote_ip_prefix="fd00::/64"),
    _one("another prefix", PREFIX, "", "tcp:80", 4, remote_ip_prefix="10.0.1.0/24"),
    _one("another prefix", PREFIX, "", "tcp:80", 6, remote_ip_prefix="fd01::/64"),
    _one("their prefix and a port", PREFIX, "tcp:80", "tcp:81 udp:80", 4, protocol="tcp",
         remote_ip_prefix="10.0.0.0/8", **_ports(80, 80)),
    _one("a group that they are in", MEMBERS, "udp:53 tcp:80", "", remote_group_id=HAS),
    _one("a group that they are not in", MEMBERS, "", "udp:53", remote_group_id=LACKS),
    _one("a group and a port", MEMBERS, "tcp:80", "tcp:81 udp:80", protocol="tcp",
         remote_group_id=HAS, **_ports(80, 80)),
    _one("a group and a range", MEMBERS, "udp:1001 udp:1999", "udp:1000 udp:2000", protocol="udp",
         remote_group_id=HAS, **_ports(1001, 1999)),
    _one("a group, SCTP", MEMBERS, "proto:132/7", "proto:132/8", protocol="sctp",
         remote_group_id=HAS, **_ports(7, 7)),
    _one("an address group that holds them", ADDRESSES, "tcp:80 icmp:8/0", "",
         remote_address_group_id=HOLDS),
    _one("an address group that does not", ADDRESSES, "", "tcp:80", remote_address_group_id=MISSES),
    _one("an address group and a protocol", ADDRESSES, "icmp:8/0", "udp:8", protocol="icmp",
         remote_address_group_id=HOLDS),
    Said("several rules: one suffices", API,
         ({"protocol": "tcp", **_ports(22, 22)}, {"protocol": "udp", "remote_group_id": HAS},
          {"protocol": "tcp", "remote_group_id": LACKS}, {"remote_address_group_id": MISSES}),
         ("tcp:22", "udp:5"), ("tcp:23", "icmp:8/0")),
    Said("two sets, one port each", MEMBERS,
         ({"protocol": "tcp", "remote_group_id": HAS, **_ports(80, 80)},
          {"protocol": "tcp", "remote_address_group_id": HOLDS, **_ports(81, 81)},
          {"protocol": "tcp", "remote_group_id": LACKS, **_ports(82, 82)}),
         ("tcp:80", "tcp:81"), ("tcp:82",)),
    Said("overlapping ranges", RANGE,
         ({"protocol": "tcp", **_ports(1, 100)}, {"protocol": "tcp", **_ports(50, 200)}),
         ("tcp:75", "tcp:200"), ("tcp:201",)),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One rule set with the frames for it: each a connection, with the right verdict."""

    said: Said
    direction: str
    version: int
    other: str
    packets: tuple[tuple[str, bool], ...] = field(default=())

    @property
    def rules(self) -> list[dict[str, Any]]:
        ethertype = f"IPv{self.version}"
        return [{"direction": self.direction, "ethertype": ethertype, **r} for r in self.said.rules]

    def __str__(self) -> str:
        return f"{self.said.what}, {self.direction}, IPv{self.version}, {self.other}"


def cases() -> Iterator[Case]:
    """Every rule set, both ways, both IP versions, with a port beside and with the wire."""
    for said, direction, version, other in itertools.product(
        RULES, ("ingress", "egress"), (4, 6), OTHERS
    ):
        if said.only in (0, version):
            packets = [(name, True) for name in said.passes] + [(n, False) for n in said.refused]
            yield Case(said, direction, version, other, tuple(packets))


def sets(put: Any) -> None:
    """The sets that the rules name."""
    everybody = [PEER.ip4, PEER.ip6, WIRE.ip4, WIRE.ip6]
    put("security-group", HAS, members=[{"ip_address": ip} for ip in everybody])
    put("security-group", LACKS, members=[{"ip_address": "10.0.0.99"}, {"ip_address": "fd00::99"}])
    put(
        "address-group", HOLDS, addresses=["10.0.0.2/31", "10.0.0.240/28", PEER.ip6, "fd00::f8/125"]
    )
    put("address-group", MISSES, addresses=["10.0.1.0/24", "fd01::/64"])
