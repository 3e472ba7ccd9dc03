"""Which port of this host is at the other end of a packet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vifd.explain.passing import other_end
from vifd.policy.groups import Packet
from vifd.policy.rule import Direction
from vifd.testing.attachments import attachment, ipv4, ipv6

VIP = "10.9.0.1"
SHARED: dict[str, Any] = {"allowed_address_pairs": [{"ip_address": VIP}]}
EVERYBODY = [
    attachment(1), attachment(2), attachment(3, **SHARED), attachment(4, network=2),
    attachment(5, allowed_address_pairs=[{"ip_address": "0.0.0.0/0"}]),
]  # fmt: skip


def packet(remote: str, direction: Direction = Direction.EGRESS) -> Packet:
    return Packet(direction=direction, remote=remote, protocol=6, dport=443)


@pytest.mark.parametrize("address", [ipv4, ipv6])
def test_the_port_that_has_the_address_judges_it_the_other_way_round(
    address: Callable[[int], str],
) -> None:
    found = other_end(EVERYBODY[0], packet(address(2)), EVERYBODY)
    assert found is not None
    assert found[0].id == attachment(2).id
    seen = found[1]
    assert (seen.direction, seen.remote, seen.dport) == (Direction.INGRESS, address(1), 443)
    back = other_end(EVERYBODY[1], packet(address(1), Direction.INGRESS), EVERYBODY)
    assert back is not None
    assert back[1].direction is Direction.EGRESS


def test_one_that_may_use_it_and_one_that_has_it() -> None:
    (may, _) = other_end(EVERYBODY[0], packet(VIP), EVERYBODY) or (None, None)
    assert may is not None
    assert may.id == attachment(3).id
    owner = attachment(6, ips=[VIP])
    (has, _) = other_end(EVERYBODY[0], packet(VIP), [*EVERYBODY, owner]) or (None, None)
    assert has is not None
    assert has.id == owner.id


@pytest.mark.parametrize("remote", [ipv4(1), ipv4(4), ipv4(99), "8.8.8.8", "fe80::1"])
def test_nobody_else_is(remote: str) -> None:
    """Not the port itself, none of another network, and none that may use any address."""
    assert other_end(EVERYBODY[0], packet(remote), EVERYBODY) is None


def test_whose_own_address_is_not_known_cannot_be_told() -> None:
    bare = attachment(7, ips=[])
    assert other_end(bare, packet(ipv4(2)), [*EVERYBODY, bare]) is None
