"""Whose frames a rule of others that translates addresses can be about."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from vifd.drivers.translation import AddressCondition, DeviceCondition, Translation

OWN = [ip_network("10.0.0.5"), ip_network("fe80::/64")]


def at(source: bool, prefix: str, inverted: bool = False) -> AddressCondition:
    network = ip_network(prefix)
    ends = int(network.network_address), int(network.broadcast_address)
    return AddressCondition(source, network.version, (ends,), inverted)


def rule(
    *conditions: AddressCondition | DeviceCondition, versions: tuple[int, ...] = (4,)
) -> Translation:
    return Translation(
        versions,
        tuple(c for c in conditions if isinstance(c, AddressCondition)),
        tuple(c for c in conditions if isinstance(c, DeviceCondition)),
    )


RULES = {
    "whatever it is": (rule(), True),
    "libvirt's": (rule(at(True, "192.168.122.0/24"), at(False, "192.168.122.0/24", True)), False),
    "Docker's": (
        rule(at(True, "172.17.0.0/16"), DeviceCondition("docker0", inverted=True)), False,
    ),
    "of every private network": (rule(at(True, "10.0.0.0/8")), True),
    "of all but its own, to it": (rule(at(True, "10.0.0.0/8", True)), True),
    "of all but its own, to others": (
        rule(at(True, "10.0.0.0/8", True), at(False, "203.0.113.0/24")), False,
    ),
    "of its own, to others": (rule(at(True, "10.0.0.0/24"), at(False, "10.0.0.0/24", True)), True),
    "to the port": (rule(at(False, "10.0.0.5/32")), True),
    "to somebody": (rule(at(False, "203.0.113.5/32")), True),
    "out of the card": (rule(DeviceCondition("eth0")), False),
    "out of its bridge": (rule(DeviceCondition("brq", begins=True)), True),
    "out of anything but its bridge": (
        rule(DeviceCondition("brq", begins=True, inverted=True)), False,
    ),
    "out of its bridge by number": (rule(DeviceCondition(index=7)), True),
    "out of another by number": (rule(DeviceCondition(index=8)), False),
    "of IPv6": (rule(versions=(6,)), False),
    "of both": (rule(versions=(4, 6)), True),
    "of both, for an address of IPv6": (rule(at(True, "fd00::/8"), versions=(4, 6)), False),
}  # fmt: skip


@pytest.mark.parametrize("case", RULES)
def test_whom_a_rule_meets(case: str) -> None:
    translation, meets = RULES[case]
    assert translation.meets(OWN, [4], "brq1", 7) is meets


def test_only_versions_that_are_handed_to_the_hosts_filters() -> None:
    assert not rule().meets(OWN, [], "brq1", 7)
    assert not rule().meets(OWN, [6], "brq1", 7)
    assert rule(versions=(6,)).meets(OWN, [6], "brq1", 7)


def test_a_port_that_may_send_anything_meets_every_address() -> None:
    assert rule(at(True, "192.168.122.0/24")).meets([], [4], "brq1", 7)


def test_a_pair_is_met_by_any_address_of_it() -> None:
    pair = [ip_network("10.0.0.0/24")]
    assert rule(at(True, "10.0.0.128/25")).meets(pair, [4], "brq1", 7)
    assert rule(at(True, "10.0.0.128/25", True)).meets(pair, [4], "brq1", 7)
    beyond = rule(at(True, "10.0.0.0/16", True), at(False, "203.0.113.0/24"))
    assert not beyond.meets(pair, [4], "brq1", 7)
