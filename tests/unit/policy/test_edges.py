"""The edges of what rules and addresses mean: whole ranges, prefixes within prefixes, families."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from unit.docs import document
from vifd.model import decode
from vifd.model.rulereading import read_rule
from vifd.model.sets import SecurityGroup, SecurityGroupRule
from vifd.policy.addresses import allowed, link_local
from vifd.policy.claims import Claim, allowed_claims
from vifd.policy.groups import Clause, Packet, clauses, judge, remote
from vifd.policy.rule import Direction

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
PEER = "192.0.2.7"


def rule(direction: str = "ingress", **said: Any) -> SecurityGroupRule:
    made = SecurityGroupRule(
        id="22222222-0000-4000-8000-000000000001", direction=Direction(direction), **said
    )
    return read_rule(made, "rules[0]")


def packet(
    direction: Direction, other: str, protocol: int, sport: int = 0, dport: int = 0, **icmp: int
) -> Packet:
    return Packet(direction=direction, remote=other, protocol=protocol, sport=sport, dport=dport,
                  **icmp)  # fmt: skip


def passes(first: Packet, *rules: SecurityGroupRule) -> bool:
    group = SecurityGroup(id="11111111-0000-4000-8000-000000000001", rules=rules)
    return judge([group], first, lambda _: frozenset()) is not None


@pytest.mark.parametrize(
    ("low", "high", "whole"),
    [(1, 65535, True), (2, 65535, False), (1, 65534, False)],
)
def test_every_port_is_no_range(low: int, high: int, whole: bool) -> None:
    found = clauses(rule(protocol="tcp", port_range_min=low, port_range_max=high))
    assert (found == (Clause(4, TCP),)) is whole


@pytest.mark.parametrize(
    ("said", "other"),
    [({}, None), ({"remote_ip_prefix": "0.0.0.0/0"}, None),
     ({"remote_ip_prefix": "::/0", "ethertype": "IPv6"}, None),
     ({"remote_ip_prefix": "192.0.2.0/24"}, "192.0.2.0/24")],
)  # fmt: skip
def test_the_whole_world_is_nobody_in_particular(said: dict[str, Any], other: str | None) -> None:
    assert remote(rule(**said)) == other


@pytest.mark.parametrize(("address", "let_in"), [(PEER, True), ("198.51.100.7", False)])
def test_a_prefix_is_who_is_in_it(address: str, let_in: bool) -> None:
    first = packet(Direction.INGRESS, address, TCP, 4000, 80)
    assert passes(first, rule(remote_ip_prefix="192.0.2.0/24")) is let_in


@pytest.mark.parametrize(("kind", "let_in"), [(8, True), (0, False)])
def test_a_type_without_a_code_is_that_type_alone(kind: int, let_in: bool) -> None:
    first = packet(Direction.INGRESS, PEER, ICMP, icmp_type=kind, icmp_code=0)
    assert passes(first, rule(protocol="icmp", port_range_min=8)) is let_in


@pytest.mark.parametrize(
    ("first", "let_out"),
    [(packet(Direction.EGRESS, "255.255.255.255", UDP, 68, 67), True),
     (packet(Direction.EGRESS, "255.255.255.255", TCP, 68, 67), False),
     (packet(Direction.EGRESS, "ff02::1:2", UDP, 68, 67), False),
     (packet(Direction.EGRESS, "255.255.255.255", UDP, 68, 68), False),
     (packet(Direction.EGRESS, "ff02::1", ICMPV6, icmp_type=135), True),
     (packet(Direction.EGRESS, "ff02::1", ICMPV6, icmp_type=128), False),
     (packet(Direction.EGRESS, "192.0.2.7", ICMP, icmp_type=135), False)],
    ids=["DHCP", "TCP", "IPv6", "another port", "a solicitation", "an echo", "IPv4"],
)  # fmt: skip
def test_what_every_guest_needs_is_no_more_than_that(first: Packet, let_out: bool) -> None:
    assert passes(first) is let_out


# --- addresses ---


def test_the_link_local_address_of_a_mac() -> None:
    assert link_local("02:11:22:33:44:55") == "fe80::11:22ff:fe33:4455"


def test_a_prefix_that_another_one_covers_is_left_out() -> None:
    doc = document(1, fixed_ips=[{"ip_address": "10.0.0.5"}, {"ip_address": "2001:db8::5"}])
    doc["port"]["allowed_address_pairs"] = [
        {"ip_address": "10.0.0.0/24"}, {"ip_address": "10.0.1.0/24"},
        {"ip_address": "2001:db8::/64"}, {"ip_address": "192.0.2.1"},
    ]  # fmt: skip
    (own,) = allowed(decode(doc).attachment)
    assert own.ipv4 == ("10.0.0.0/23", "192.0.2.1")
    assert own.ipv6 == ("2001:db8::/64", link_local(doc["port"]["mac_address"]))


@pytest.mark.parametrize(
    ("version", "wide", "one", "far"),
    [(4, "10.0.0.0/24", "10.0.0.7", "192.0.2.1"), (6, "2001:db8::/64", "2001:db8::7", "fd00::1")],
)
def test_who_may_say_where_what_is(version: int, wide: str, one: str, far: str) -> None:
    """What both may use, the smaller of two; and each all of its own."""

    def pair(mac: str, *prefixes: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        return (mac, prefixes, ()) if version == 4 else (mac, (), prefixes)

    found = allowed_claims([pair("a", wide), pair("b", one, far)], version)
    assert sorted(found) == sorted(
        [Claim("a", "a", wide), Claim("b", "b", one), Claim("b", "b", far),
         *(Claim(x, y, one) for x, y in itertools.permutations("ab"))]
    )  # fmt: skip
    assert allowed_claims([pair("a", wide)], 10 - version) == []
