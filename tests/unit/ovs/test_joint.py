"""Whose zone is asked first, of two ports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vifd.openflow.field import IPV4
from vifd.testing.pipeline import matches
from vifd_ovs.bridge import joint, numbers, tables
from vifd_ovs.bridge.tables import JOINT_REGISTER, PORT_REGISTER, ZONE_REGISTER

_ROWS = sorted(
    (flow for flow in joint.common_flows() if flow.table == tables.EGRESS_ORDER),
    key=lambda flow: -flow.priority,
)
ports = st.integers(1, 0xFEFF)


def receivers_first(sender: int, receiver: int) -> bool:
    """Whether the zone of the receiver is asked first."""
    packet = {"eth_type": IPV4, PORT_REGISTER: sender, ZONE_REGISTER: receiver}
    row = next(flow for flow in _ROWS if matches(flow, packet))
    assert row.goto == tables.EGRESS_FIRST
    return JOINT_REGISTER in str(row)


@given(ports, ports)
@pytest.mark.parametrize("bit", range(16))
def test_it_is_the_same_one_whoever_sends(bit: int, one: int, two: int) -> None:
    for other in (two, one ^ 1 << bit):
        if other not in (0, one):
            assert receivers_first(one, other) is not receivers_first(other, one)


@given(st.integers(1, 0xFFFF), ports)
def test_no_life_is_taken_for_another(generation: int, ofport: int) -> None:
    life = joint.life(generation, ofport)
    assert (life >> 16, life & 0xFFFF) == (generation, ofport)
    assert life > joint.KNOWN
    assert numbers.generation()
