"""What rules mean: ranges as masks, clauses, verdicts; and what is closed for want of a set."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vifd.model.rulereading import read_rule
from vifd.model.sets import SecurityGroup, SecurityGroupRule, SetKey, SetKind
from vifd.policy.groups import BASE, Clause, Masked, Packet, clauses, judge, masks, missing
from vifd.policy.rule import Direction

GROUP, OTHER = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58


def rule(number: int = 1, direction: str = "ingress", **said: Any) -> SecurityGroupRule:
    made = SecurityGroupRule(
        id=f"22222222-0000-4000-8000-{number:012}", direction=Direction(direction), **said
    )
    return read_rule(made, "rules[0]")


def group(*rules: SecurityGroupRule) -> SecurityGroup:
    return SecurityGroup(id=GROUP, rules=rules)


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_masks_are_the_range_and_nothing_else(one: int, other: int) -> None:
    low, high = sorted((one, other))
    found = masks(low, high)
    sizes = [65536 - masked.mask for masked in found]
    assert sum(sizes) == high - low + 1
    at = low
    for masked, size in zip(found, sizes, strict=True):
        assert masked.value == at
        assert masked.value & masked.mask == masked.value
        at += size
    assert len(found) <= 30


@pytest.mark.parametrize(("said", "wanted"), [
    ({}, [Clause(4)]),
    ({"protocol": "tcp"}, [Clause(4, TCP)]),
    ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65535}, [Clause(4, TCP)]),
    ({"protocol": "udp", "port_range_min": 4, "port_range_max": 6},
     [Clause(4, UDP, Masked(4, 0xFFFE)), Clause(4, UDP, Masked(6, 0xFFFF))]),
    ({"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}, [Clause(4, ICMP, None, 8, 0)]),
    ({"protocol": "icmp", "ethertype": "IPv6", "port_range_min": 128},
     [Clause(6, ICMPV6, None, 128)]),
])  # fmt: skip
def test_a_rule_taken_apart(said: dict[str, Any], wanted: list[Clause]) -> None:
    assert list(clauses(rule(**said))) == wanted


def test_the_rule_that_lets_a_packet_pass_is_named() -> None:
    first = rule(1, protocol="tcp", port_range_min=80, port_range_max=80)
    second = rule(2, protocol="tcp", remote_group_id=OTHER)
    known = {SetKey(SetKind.SECURITY_GROUP, OTHER): ["10.0.0.0/28"]}
    groups = [group(first, second)]

    def found(remote: str, dport: int) -> str:
        packet = Packet(direction=Direction.INGRESS, remote=remote, protocol=TCP, dport=dport)
        passes = judge(groups, packet, known.__getitem__)
        return passes.rule.id[-1] if passes is not None and passes.rule is not None else ""

    assert [found("10.0.0.3", 80), found("10.0.0.3", 81), found("10.0.1.3", 81)] == ["1", "2", ""]
    out = Packet(direction=Direction.EGRESS, remote="10.0.0.3", protocol=TCP, dport=80)
    assert judge(groups, out, known.__getitem__) is None


@pytest.mark.parametrize("packet", [
    Packet(direction=Direction.EGRESS, remote="255.255.255.255", protocol=UDP, sport=68, dport=67),
    Packet(direction=Direction.INGRESS, remote="10.0.0.2", protocol=UDP, sport=67, dport=68),
    Packet(direction=Direction.INGRESS, remote="fe80::1", protocol=ICMPV6, icmp_type=134),
])  # fmt: skip
def test_what_every_guest_needs_is_named(packet: Packet) -> None:
    passes = judge([], packet, lambda _: ())
    assert passes is not None
    assert passes.rule is None
    assert "Neutron" in passes.what


def test_every_base_rule_has_its_source() -> None:
    assert all(r.source and r.what for rules in BASE.values() for r in rules)


def test_a_direction_is_closed_by_what_its_own_rules_name() -> None:
    bodies = {GROUP: group(rule(1, "ingress", remote_group_id=OTHER), rule(2, "egress"))}

    def lacking(*ids: str, direction: Direction) -> list[str]:
        return [str(k) for k in missing(ids, direction, bodies.get, lambda _: False)]

    assert lacking(GROUP, direction=Direction.EGRESS) == []
    assert lacking(GROUP, direction=Direction.INGRESS) == [f"security group {OTHER}"]
    assert lacking(OTHER, direction=Direction.EGRESS) == [f"security group {OTHER}"]
