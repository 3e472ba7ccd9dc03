"""Packets that tell whether rules have their effect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vifd.model.rulereading import read_rule
from vifd.model.sets import SecurityGroup, SecurityGroupRule, SetKey, SetKind
from vifd.policy.groups import Clause, Packet, judge
from vifd.policy.rule import Direction
from vifd.policy.witness import passing, refused

HAS, EMPTY = (f"11111111-0000-4000-8000-{n:012}" for n in (1, 2))
MEMBERS = {
    SetKey(SetKind.SECURITY_GROUP, HAS): ("10.5.0.1", "10.6.0.0/24", "fd05::1"),
    SetKey(SetKind.SECURITY_GROUP, EMPTY): (),
}
IN = Direction.INGRESS


def group(*said: dict[str, Any], direction: str = "ingress") -> SecurityGroup:
    rules = [
        read_rule(
            SecurityGroupRule(
                id=f"22222222-0000-4000-8000-{n:012}", direction=Direction(direction), **rule
            ),
            f"rules[{n}]",
        )
        for n, rule in enumerate(said)
    ]
    return SecurityGroup(id=HAS, rules=tuple(rules))


def lookup(key: SetKey) -> tuple[str, ...]:
    return MEMBERS[key]


def tells(clause: Clause) -> bool:
    return clause.ports is None or clause.protocol in (6, 17, 132)


def both(
    found: SecurityGroup, own: tuple[int, ...] = (4, 6), turn: int = 0
) -> tuple[Packet | None, Packet | None]:
    return (passing([found], IN, own, lookup, tells, turn),
            refused([found], IN, own, lookup, tells, turn))  # fmt: skip


PORTS = st.integers(1, 65535)
RULES = st.fixed_dictionaries(
    {"ethertype": st.sampled_from(["IPv4", "IPv6"])},
    optional={
        "protocol": st.sampled_from(["tcp", "udp", "sctp", "47", "50", "132"]),
        "remote_group_id": st.sampled_from([HAS, EMPTY]),
    },
)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    said: dict[str, Any] = draw(RULES)
    if said.get("protocol") in ("tcp", "udp") and draw(st.booleans()):
        low, high = sorted((draw(PORTS), draw(PORTS)))
        said |= {"port_range_min": low, "port_range_max": high}
    return said


@given(st.lists(rules(), max_size=6), st.integers(0, 20), st.sampled_from([(4,), (6,), (4, 6)]))
def test_they_are_what_the_rules_say(
    said: list[dict[str, Any]], turn: int, own: tuple[int, ...]
) -> None:
    found = group(*said)
    passes, not_ = both(found, own, turn)
    for packet, right in ((passes, True), (not_, False)):
        if packet is not None:
            assert packet.version in own
            assert (judge([found], packet, lookup) is not None) is right
    usable = [r for r in said if int(r["ethertype"][-1]) in own
              and r.get("remote_group_id") != EMPTY]  # fmt: skip
    assert (passes is not None) is bool(usable)


def test_each_turn_tries_another_rule_and_then_another_part_of_it() -> None:
    found = group({"protocol": "tcp", "port_range_min": 5, "port_range_max": 8},
                  {"protocol": "udp", "port_range_min": 53, "port_range_max": 53})  # fmt: skip
    tried = [both(found, turn=turn)[0] for turn in range(5)]
    assert [(p.protocol, p.dport) for p in tried if p is not None] == [
        (6, 5), (17, 53), (6, 6), (17, 53), (6, 8),
    ]  # fmt: skip


def test_what_is_refused_stands_next_to_what_passes() -> None:
    passes, not_ = both(group({"protocol": "tcp", "port_range_min": 80, "port_range_max": 80}))
    assert passes is not None
    assert not_ is not None
    assert (passes.dport, not_.dport, not_.protocol, not_.remote) == (80, 81, 6, passes.remote)


def test_a_member_is_spoken_to_and_a_stranger_is_refused() -> None:
    passes, not_ = both(group({"protocol": "47", "remote_group_id": HAS}), (4,))
    assert passes is not None
    assert not_ is not None
    assert (passes.remote, not_.remote) == ("10.5.0.1", "192.0.2.1")


@pytest.mark.parametrize("said", [
    {"protocol": "dccp", "port_range_min": 5, "port_range_max": 5},
    {"protocol": "tcp", "remote_group_id": EMPTY},
    {"protocol": "ipv6-icmp", "ethertype": "IPv6", "port_range_min": 134},
    {"protocol": "igmp"},
])  # fmt: skip
def test_what_no_packet_can_tell_is_left_out(said: dict[str, Any]) -> None:
    assert both(group(said))[0] is None


def test_where_everything_passes_nothing_is_refused() -> None:
    found = group({"ethertype": "IPv4"}, {"ethertype": "IPv6"})
    assert both(found)[1] is None
    assert both(group({"ethertype": "IPv4"}))[1] is not None


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ({"protocol": "icmp"}, (1, 8, 0)),
        ({"protocol": "icmp", "port_range_min": 3, "port_range_max": 4}, (1, 3, 4)),
        ({"protocol": "icmp", "port_range_min": 0}, (1, 0, 0)),
        ({"protocol": "ipv6-icmp", "ethertype": "IPv6"}, (58, 128, 0)),
        ({"protocol": "ipv6-icmp", "ethertype": "IPv6", "port_range_min": 129}, (58, 129, 0)),
        ({"protocol": "ipv6-icmp", "ethertype": "IPv6", "port_range_min": 154}, (58, 154, 0)),
    ],
)
def test_a_message_has_the_type_and_the_code_of_the_rule(
    said: dict[str, Any], right: tuple[int, int, int]
) -> None:
    passes, not_ = both(group(said))
    assert passes is not None
    assert not_ is not None
    assert (passes.protocol, passes.icmp_type, passes.icmp_code) == right


@pytest.mark.parametrize("number", [43, 44, 51, 59, 60, 135])
def test_the_number_of_a_header_is_no_protocol_of_ipv6(number: int) -> None:
    assert both(group({"protocol": str(number), "ethertype": "IPv6"}))[0] is None


@pytest.mark.parametrize("number", [51, 135])
def test_but_it_is_one_of_ipv4(number: int) -> None:
    passes, _ = both(group({"protocol": str(number)}))
    assert passes is not None
    assert passes.protocol == number


@pytest.mark.parametrize(
    ("low", "high", "beside"),
    [(1, 1, (6, 2)), (1, 65534, (6, 65535)), (65535, 65535, (6, 65534)), (2, 65535, (6, 1))],
)
def test_the_ports_beside_a_range_are_those_that_there_are(
    low: int, high: int, beside: tuple[int, int]
) -> None:
    said = {"protocol": "tcp", "port_range_min": low, "port_range_max": high,
            "remote_ip_prefix": "0.0.0.0/0"}  # fmt: skip
    found = [both(group(said), (4,), turn)[1] for turn in range(64)]
    ours = [(p.protocol, p.dport) for p in found if p is not None]
    assert beside in ours
    assert {p for n, p in ours if n == 6} <= {1, 2, 65534, 65535, 443}


def test_who_is_asked_about_a_prefix_is_no_network_address() -> None:
    passes, _ = both(group({"protocol": "tcp", "remote_ip_prefix": "10.7.0.0/24"}))
    assert passes is not None
    assert passes.remote == "10.7.0.1"
