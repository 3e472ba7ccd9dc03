"""What is refused before a guest moves: everything at once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from unit.docs import document, port_id
from vifd.migration.prechecks import unfit
from vifd.model import Evidence, Phase, PortRecord, Report, Vif, decode
from vifd.plugin.guest.features import AGREED, WITHHELD

VIF = Vif("ethernet", "tap1", "fa:16:3e:00:00:01", mtu=1450)


def here(**more: Any) -> PortRecord:
    made = {"phase": Phase.READY, "applied": True, "vif": VIF, **more}
    return PortRecord(doc=decode(document(1, role="INACTIVE")), plugin="p", vif_type="t", **made)


def aspects(source: dict[str, Any], vif: Vif | None, record: PortRecord) -> list[str]:
    return [str(e.facts["aspect"]) for e in unfit(decode(source).attachment, vif, record)]


def test_the_same_port_is_fit() -> None:
    assert aspects(document(1), VIF, here()) == []
    assert aspects(document(1), None, here()) == []


VLAN = {"network_type": "vlan", "physical_network": "p1", "segmentation_id": 7}
CASES: list[tuple[dict[str, Any], str]] = [
    ({"port__mac_address": "fa:16:3e:99:99:99"}, "MAC address"),
    ({"network__mtu": 1400}, "MTU"),
    ({"network__segment": VLAN}, "segment"),
    ({"network__id": "0d1e0000-0000-4000-8000-000000000009"}, "network"),
    ({"port__vnic_type": "direct"}, "VNIC type"),
    ({"port__port_security_enabled": False}, "port security"),
    ({"fixed_ips": [{"ip_address": "10.0.0.99"}]}, "addresses"),
    ({"fixed_ips": [{"ip_address": "fd00::99"}]}, "addresses"),
    ({"port__allowed_address_pairs": [{"ip_address": "10.0.0.50"}]}, "addresses"),
    ({"port__admin_state_up": False}, "administrative state"),
    ({"port__security_groups": [port_id(77)]}, "security groups"),
    ({"port__security_groups": []}, "security groups"),
    (
        {
            "port__trunk_details": {
                "trunk_id": port_id(70),
                "sub_ports": [
                    {"port_id": port_id(2), "segmentation_type": "vlan", "segmentation_id": 7}
                ],
            }
        },
        "sub-ports",
    ),
]


@pytest.mark.parametrize(("changes", "aspect"), CASES, ids=[f"{a}" for _, a in CASES])
def test_a_difference_of_the_documents(changes: dict[str, Any], aspect: str) -> None:
    assert aspect in aspects(document(1, **changes), VIF, here())


def test_addresses_matter_where_they_are_enforced() -> None:
    open_ = document(1, role="INACTIVE", port__port_security_enabled=False)
    record = msgspec.structs.replace(here(), doc=decode(open_))
    source = {**open_, "fixed_ips": [{"ip_address": "10.0.0.99"}]}
    assert aspects(source, VIF, record) == []


@pytest.mark.parametrize(
    ("change", "aspect"),
    [
        ({"queues": 4}, "queues"), ({"model": "e1000"}, "model"),
        ({"mtu": 9000}, "MTU of the device"),
        ({"type": "vhostuser", "socket_path": "/s"}, "kind of device"),
    ],
)  # fmt: skip
def test_a_difference_of_the_devices(change: dict[str, Any], aspect: str) -> None:
    there = msgspec.structs.replace(VIF, **change)
    assert aspects(document(1), there, here()) == [aspect]


@pytest.mark.parametrize(
    "more",
    [
        {"phase": Phase.FAILED, "error": {"code": "E_PLUG_MTU"}}, {"phase": Phase.PLUGGING},
        {"removing": True}, {"applied": False}, {"phase": Phase.DEGRADED},
    ],
)  # fmt: skip
def test_a_port_that_is_not_proven_is_not_fit(more: dict[str, Any]) -> None:
    (error,) = unfit(decode(document(1)).attachment, VIF, here(**more))
    assert error.code == "E_MIG_UNFIT"
    assert error.facts["aspect"] == "phase"


def test_what_the_guest_agreed_upon_must_be_offered_here() -> None:
    off = Evidence(WITHHELD, {"HOST_TSO4": "it is off", "CSUM": "it is off"})
    record = here(report=Report([off]))
    guest = Evidence(AGREED, ["CSUM", "HOST_TSO4", "VERSION_1"])
    source = decode(document(1)).attachment
    found = unfit(source, VIF, record, facts=[guest])
    assert [e.facts["aspect"] for e in found] == ["virtio feature CSUM", "virtio feature HOST_TSO4"]
    assert "not offered (it is off)" in found[0].message
    # nothing is known of the guest, or of this host
    assert unfit(source, VIF, record, facts=[]) == []
    assert unfit(source, VIF, here(), facts=[guest]) == []


SUBS = [{"port_id": port_id(n), "segmentation_type": "vlan", "segmentation_id": n} for n in (2, 3)]
TRUNK = {"port__trunk_details": {"trunk_id": port_id(70), "sub_ports": SUBS}}


def test_the_sub_ports_of_a_trunk_come_along() -> None:
    parent = msgspec.structs.replace(here(), doc=decode(document(1, role="INACTIVE", **TRUNK)))
    source = decode(document(1, **TRUNK)).attachment
    known = {port_id(2): here(), port_id(3): here(phase=Phase.FAILED)}
    found = {e.facts["aspect"]: e.facts["here"] for e in unfit(source, VIF, parent, known.get)}
    assert found == {f"sub-port {port_id(3)}": "FAILED"}
    del known[port_id(3)]
    (missing,) = unfit(source, VIF, parent, known.get)
    assert missing.facts["here"] == "unknown"


def test_all_reasons_come_at_once() -> None:
    source = document(1, network__mtu=1400, fixed_ips=[], port__mac_address="fa:16:3e:99:99:99")
    there = msgspec.structs.replace(VIF, queues=2, model="e1000")
    found = aspects(source, there, here(phase=Phase.FAILED))
    assert set(found) == {"phase", "MAC address", "MTU", "addresses", "queues", "model"}
