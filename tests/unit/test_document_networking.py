"""Documents as the Networking API writes them: understood, or refused by the field's path."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from unit.docs import NETWORK, document, port_id
from vifd import errors
from vifd.cli import report
from vifd.model import Role, alarming, decode, notes, restore, unread_remarks

SUBNET = "0d1e0000-0000-4000-8000-0000000000ff"
DEVICE = document()["instance"]["id"]
#: A port as GET /v2.0/ports/{id} answers it.
PORT: dict[str, Any] = {
    "id": port_id(1),
    "name": "web",
    "network_id": NETWORK,
    "tenant_id": "ab", "project_id": "ab",
    "mac_address": "fa:16:3e:00:00:01",
    "admin_state_up": True,
    "status": "DOWN",
    "device_id": DEVICE,
    "device_owner": "compute:nova",
    "fixed_ips": [{"subnet_id": SUBNET, "ip_address": "10.0.0.1"}],
    "allowed_address_pairs": [{"ip_address": "10.9.0.0/24", "mac_address": "fa:16:3e:00:00:99"}],
    "extra_dhcp_opts": [],
    "security_groups": ["0d1e0000-0000-4000-8000-000000000abc"],
    "description": "", "tags": [], "qos_policy_id": None, "qos_network_policy_id": None,
    "port_security_enabled": True,
    "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    "revision_number": 3,
    "dns_name": "", "dns_assignment": [], "dns_domain": "",
    "propagate_uplink_status": False, "ip_allocation": "immediate",
    "binding:vnic_type": "direct", "binding:profile": {"trusted": "true"},
    "binding:host_id": "compute-1", "binding:vif_type": "ovs", "binding:vif_details": {},
    "resource_request": None, "numa_affinity_policy": None, "hardware_offload_type": None,
    "hints": None, "trusted": None,
}  # fmt: skip
NET: dict[str, Any] = {
    "id": NETWORK, "name": "net", "mtu": 1450, "admin_state_up": True, "status": "ACTIVE",
    "subnets": [SUBNET], "shared": False, "router:external": False,
    "provider:network_type": "vlan", "provider:physical_network": "physnet1",
    "provider:segmentation_id": 101, "vlan_transparent": None, "qinq": None,
}  # fmt: skip


def pasted(**changes: Any) -> dict[str, Any]:
    doc: dict[str, Any] = {
        "version": "1.0", "port": copy.deepcopy(PORT), "network": copy.deepcopy(NET),
    }  # fmt: skip
    for path, value in changes.items():
        where = doc
        *parents, leaf = path.split("__")
        for parent in parents:
            where = where[parent]
        where[leaf] = value
    return doc


def test_it_is_understood() -> None:
    attachment = decode(pasted()).attachment
    assert [ip.ip_address for ip in attachment.fixed_ips] == ["10.0.0.1"]
    assert attachment.fixed_ips[0].subnet_id == SUBNET
    assert attachment.port.vnic_type == "direct"
    assert attachment.port.binding_profile == {"trusted": "true"}
    assert attachment.port.allowed_address_pairs[0].ip_address == "10.9.0.0/24"
    segment = attachment.network.segment
    assert (segment.network_type, segment.physical_network, segment.segmentation_id) == (
        "vlan", "physnet1", 101,
    )  # fmt: skip


def test_it_is_the_same_document_as_ours() -> None:
    ours = pasted()
    ours["fixed_ips"] = ours["port"].pop("fixed_ips")
    assert decode(pasted()).raw["fixed_ips"] == ours["fixed_ips"]
    assert decode(pasted()).attachment == decode(ours).attachment
    assert decode(pasted()).with_role(Role.INACTIVE).attachment.fixed_ips


def test_what_was_sent_is_not_changed() -> None:
    sent = pasted()
    decode(sent)
    assert sent == pasted()


def test_what_says_nothing_to_a_host_is_told_without_alarm() -> None:
    remarks = unread_remarks(decode(pasted()).raw)
    assert any(r.startswith("port.tags is not read") for r in remarks)
    assert all(r.endswith(report.SAYS_NOTHING) for r in remarks[:-1])
    assert remarks[-1].startswith("and ")
    assert alarming(remarks[:-1]) == []


def test_what_says_half_of_something_is_told() -> None:
    doc = pasted(port__qos_policy_id=SUBNET, network__segments=[{}])
    first = unread_remarks(decode(doc).raw)[:2]
    assert [r.partition(" ")[0] for r in first] == ["port.qos_policy_id", "network.segments"]
    assert alarming(first) == first


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"fixed_ips": [{"ip_address": "10.0.0.2"}]}, "port.fixed_ips"),
    ({"port__vnic_type": "normal"}, "port.binding:vnic_type"),
    ({"port__binding_profile": {}}, "port.binding:profile"),
    ({"port__network_id": port_id(9)}, "port.network_id"),
    ({"instance": {"id": port_id(9)}}, "port.device_id"),
    ({"port__fixed_ips": [{"ip_address": "10.0.0.300"}]}, "port.fixed_ips[0].ip_address"),
    ({"port__fixed_ips": [{}]}, "port.fixed_ips[0].ip_address"),
    ({"port__fixed_ips": {"ip_address": "10.0.0.1"}}, "port.fixed_ips"),
    ({"port__fixed_ips": None}, "port.fixed_ips"),
    ({"port__binding:vnic_type": 3}, "port.binding:vnic_type"),
    ({"port__binding:profile": []}, "port.binding:profile"),
    ({"network__provider:segmentation_id": 4095}, "network.provider:segmentation_id"),
    ({"network__provider:segmentation_id": "101"}, "network.provider:segmentation_id"),
    ({"network__provider:physical_network": None}, "network.provider:physical_network"),
    ({"network__segment": {"network_type": "flat"}}, "network.provider:network_type"),
    ({"port__allowed_address_pairs": [{"ip_address": "10.0.0.0/33"}]},
     "port.allowed_address_pairs[0].ip_address"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field"), REFUSED, ids=[f for _, f in REFUSED])
def test_it_is_refused_by_its_path(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        decode(pasted(**changes))
    assert caught.value.facts["field"] == field
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"port": PORT}, "version"),
        ({"version": "1.0", "port": PORT}, "network"),
        (PORT, "port"),
    ],
)
def test_a_port_alone_is_pointed_to_the_converter(body: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.BadDocument, match="document from-neutron") as caught:
        decode(copy.deepcopy(body))
    assert caught.value.facts["field"] == field


def test_the_same_thing_twice_is_no_contradiction() -> None:
    addresses = copy.deepcopy(PORT["fixed_ips"])
    doc = decode(pasted(fixed_ips=addresses, port__vnic_type="direct", instance={"id": DEVICE}))
    assert doc.attachment.fixed_ips[0].ip_address == "10.0.0.1"


@pytest.mark.parametrize(
    "changes",
    [
        {"port__fixed_ips": "nonsense"},
        {"port__network_id": port_id(9)},
        {"port__binding:vnic_type": 7},
        {"port__device_id": port_id(8)},
        {"network__provider:segmentation_id": "x"},
    ],
)
def test_what_an_earlier_vifd_took_is_read_from_the_journal(changes: dict[str, Any]) -> None:
    doc = document()
    doc["port"]["fixed_ips"] = []
    for path, value in changes.items():
        part, _, name = path.partition("__")
        doc[part][name] = value
    with pytest.raises(errors.BadDocument):
        decode(copy.deepcopy(doc))
    assert restore(doc).id == port_id(1)


MISSPELT = [
    ({"port__port_security_enable": False}, "port.port_security_enable",
     "port.port_security_enabled"),
    ({"port__allowed_adress_pairs": []}, "port.allowed_adress_pairs",
     "port.allowed_address_pairs"),
    ({"fixed_ip": []}, "fixed_ip", "fixed_ips"),
    ({"subnet": []}, "subnet", "subnets"),
    ({"port__mtu": 9000}, "port.mtu", "network.mtu"),
    ({"mac_address": "x"}, "mac_address", "port.mac_address"),
    ({"network__segment": {"network_type": "local", "physical-network": "p"}},
     "network.segment.physical-network", "network.segment.physical_network"),
    ({"fixed_ips": [{"ip_address": "10.0.0.1", "subnet": "x"}]}, "fixed_ips[0].subnet", ""),
    ({"port__qos_policy": {"rules": [{"type": "bandwidth_limit", "max_kbps": 1, "max_kbp": 2}]}},
     "port.qos_policy.rules[0].max_kbp", "port.qos_policy.rules[0].max_kbps"),
    ({"zzz": 1}, "zzz", ""),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field", "meant"), MISSPELT, ids=[f for _, f, _ in MISSPELT])
def test_a_misspelt_field_is_told(changes: dict[str, Any], field: str, meant: str) -> None:
    (remark,) = unread_remarks(decode(document(**changes)).raw)
    assert remark.startswith(f"{field} is not read")
    if meant:
        assert remark.endswith(f"; did you mean {meant}?")
    assert alarming([remark]) == [remark]


def test_foreign_names_do_no_harm() -> None:
    doc = document()
    doc["a\nERROR forged"] = 1
    doc["b" * 5000] = 1
    for number in range(100):
        doc[f"zz{number}"] = 1
    remarks = unread_remarks(decode(doc).raw)
    assert all("\n" not in r and len(r) < 250 for r in remarks)
    assert (len(remarks), remarks[-1]) == (21, "and 82 more fields are not read")


def test_no_address_with_port_security_is_a_note() -> None:
    assert notes(decode(document()).attachment) == []
    (note,) = notes(decode(document(fixed_ips=[])).attachment)
    assert "no address" in note
    for changes in (
        {"port__port_security_enabled": False},
        {"port__allowed_address_pairs": [{"ip_address": "10.0.0.0/24"}]},
        {"port__ip_allocation": "none"},
    ):
        assert notes(decode(document(fixed_ips=[], **changes)).attachment) == []
