"""Who belongs to whom by a trunk, from records alone."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from functional.trunks.documents import details
from unit.docs import document, port_id
from vifd.model import Evidence, Phase, PortRecord, Report, decode
from vifd.model.family import NO_DOCUMENT, Families, Relative
from vifd.model.trunks import SUB_PORT_OWNER

GOOD = Report([], at=1.0, passing=True)
VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 55}


def record(raw: dict[str, Any], **changes: Any) -> PortRecord:
    made = PortRecord(doc=decode(raw), plugin="ovs", vif_type="ovs", phase=Phase.LIVE, open=True,
                      applied=True, report=GOOD)  # fmt: skip
    return replace(made, **changes)


PARENT = record(document(1, port__trunk_details=details(1, (2, 101), (3, None), (4, 103))))
CHILD = record(document(2, port__device_owner=SUB_PORT_OWNER))
HEIR = record(document(3, port__device_owner=SUB_PORT_OWNER, network__segment=VLAN))
ORDINARY = record(document(9))


def families(*records: PortRecord) -> Families:
    return Families(lambda: records)


def of_child(**changes: Any) -> Relative:
    child = replace(CHILD, **changes)
    found = families(PARENT, child).of(PARENT)
    assert found is not None
    return found.sub_ports[0]


def test_a_parent_has_its_sub_ports() -> None:
    found = families(PARENT, CHILD, HEIR, ORDINARY).of(PARENT)
    assert found is not None
    assert [(s.port, s.vlan, s.status, s.problem) for s in found.sub_ports] == [
        (port_id(2), 101, "ACTIVE", ""), (port_id(3), 55, "ACTIVE", ""),
        (port_id(4), 103, "", NO_DOCUMENT),
    ]  # fmt: skip


@pytest.mark.parametrize(("child", "vlan"), [(CHILD, 101), (HEIR, 55)])
def test_a_sub_port_has_its_parent(child: PortRecord, vlan: int) -> None:
    found = families(PARENT, CHILD, HEIR, ORDINARY).of(child)
    assert found is not None
    assert [(p.port, p.vlan, p.status) for p in found.parents] == [(port_id(1), vlan, "ACTIVE")]


def test_a_sub_port_without_parent_and_an_ordinary_port() -> None:
    found = families(CHILD, ORDINARY).of(CHILD)
    assert found is not None
    assert (found.parents, found.sub_ports) == ([], [])
    assert families(PARENT, ORDINARY).of(ORDINARY) is None


def test_the_records_are_not_read_for_an_ordinary_port() -> None:
    def read() -> list[PortRecord]:
        raise AssertionError("read")

    assert Families(read).of(ORDINARY) is None


LACKING = Evidence("trunk.device", "tap1 is missing", "tap1 stands", ok=False)
ERROR = {"code": "E_TRUNK_WAITS", "message": "the sub-port waits"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"removing": True}, "it is being removed"),
        ({"phase": Phase.FAILED, "error": ERROR, "open": False},
         "E_TRUNK_WAITS: the sub-port waits"),
        ({"phase": Phase.DEGRADED, "error": ERROR, "report": Report([LACKING], at=1.0)},
         "trunk.device is tap1 is missing"),
        ({"doc": decode(document(2, port__device_owner=SUB_PORT_OWNER, role="INACTIVE")),
          "open": False},
         "closed: its role on this host is INACTIVE"),
        ({"doc": decode(document(2, port__device_owner=SUB_PORT_OWNER,
                                 port__admin_state_up=False)), "open": False},
         "closed: its admin_state_up is false"),
        ({"phase": Phase.PLUGGING, "open": False, "report": None},
         "vifd is at work on it (PLUGGING)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one(changes: dict[str, Any], problem: str) -> None:
    assert of_child(**changes).problem == problem
