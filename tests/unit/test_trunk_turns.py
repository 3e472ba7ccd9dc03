"""Sub-ports have their turn after the parent that comes with them, whatever the order."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document, port_id
from vifd.engine.trunks import turns, woken
from vifd.model import Phase, PortRecord, decode
from vifd.model.trunks import SUB_PORT_OWNER

DETAILS = {
    "trunk_id": port_id(99),
    "sub_ports": [
        {"port_id": port_id(n), "segmentation_id": n, "segmentation_type": "vlan"} for n in (2, 3)
    ],
}


def record(number: int, **changes: Any) -> PortRecord:
    return PortRecord(doc=decode(document(number, **changes)), plugin="ovs", vif_type="ovs")


PARENT = record(1, port__trunk_details=DETAILS)
SUBS = [record(n, port__device_owner=SUB_PORT_OWNER) for n in (2, 3)]
OTHER = record(4)


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([*SUBS, OTHER, PARENT], [[4, 1], [2, 3]]),
        ([PARENT, *SUBS], [[1], [2, 3]]),
        ([*SUBS, OTHER], [[2, 3, 4]]),
        ([*SUBS, replace(PARENT, removing=True)], [[2, 3, 1]]),
    ],
)
def test_the_turns_of_a_batch(batch: list[PortRecord], expected: list[list[int]]) -> None:
    assert list(turns(batch)) == [[port_id(n) for n in turn] for turn in expected]


def test_a_parent_that_becomes_another_one_comes_with_its_sub_ports() -> None:
    new, one_less = {PARENT.id: PARENT}, record(1)
    assert woken({PARENT.id: None}, new) == [port_id(n) for n in (1, 2, 3)]
    assert woken(new, {PARENT.id: one_less}) == [port_id(n) for n in (1, 2, 3)]
    assert woken(new, {PARENT.id: None}) == [port_id(n) for n in (2, 3)]


def test_one_that_only_changes_its_state_does_not() -> None:
    opened = replace(PARENT, open=True, phase=Phase.LIVE)
    assert woken({PARENT.id: PARENT}, {PARENT.id: opened}) == [port_id(n) for n in (2, 3)]
    assert woken({PARENT.id: PARENT}, {PARENT.id: PARENT}) == []
