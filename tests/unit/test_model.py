"""The attachment document: what is read, what is refused and how, what is kept."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.docs import document, port_id
from vifd import errors
from vifd.model import (
    Attachment,
    Evidence,
    Report,
    Role,
    decode,
    differences,
    names_in,
    restore,
)

BAD: list[tuple[str, Any, str]] = [
    ("version", 1, "version"),
    ("role", "active", "role"),
    ("port", [], "port"),
    ("port__id", "x", "port.id"),
    ("port__id", port_id(1).upper().replace("0", "A"), "port.id"),
    ("port__id", port_id(1) + "\n", "port.id"),
    ("port__mac_address", "fa:16:3e:00:00", "port.mac_address"),
    ("port__mac_address", "01:00:5e:00:00:01", "port.mac_address"),
    ("port__mac_address", "00:00:00:00:00:00", "port.mac_address"),
    ("port__name", "x" * 256, "port.name"),
    ("port__admin_state_up", "yes", "port.admin_state_up"),
    ("port__allowed_address_pairs", {}, "port.allowed_address_pairs"),
    ("port__allowed_address_pairs", [{}], "port.allowed_address_pairs[0].ip_address"),
    ("port__allowed_address_pairs", [{"ip_address": "10.0.0.300"}],
     "port.allowed_address_pairs[0].ip_address"),
    ("port__allowed_address_pairs", [{"ip_address": "fe80::1%eth0"}],
     "port.allowed_address_pairs[0].ip_address"),
    ("port__allowed_address_pairs",
     [{"ip_address": "10.0.0.0/8"}, {"ip_address": "::/0", "mac_address": "ff:ff:ff:ff:ff:ff"}],
     "port.allowed_address_pairs[1].mac_address"),
    ("port__binding_profile", "x", "port.binding_profile"),
    ("network__id", None, "network.id"),
    ("network__mtu", 67, "network.mtu"),
    ("network__mtu", 65522, "network.mtu"),
    ("network__mtu", "1500", "network.mtu"),
    ("network__mtu", 1500.5, "network.mtu"),
    ("network__segment", {}, "network.segment.network_type"),
    ("network__segment", {"network_type": "vlan", "physical_network": "p"},
     "network.segment.segmentation_id"),
    ("network__segment", {"network_type": "vlan", "physical_network": "p", "segmentation_id": 4095},
     "network.segment.segmentation_id"),
    ("network__segment", {"network_type": "vlan", "segmentation_id": 5},
     "network.segment.physical_network"),
    ("network__segment", {"network_type": "flat"}, "network.segment.physical_network"),
    ("network__segment", {"network_type": "vxlan", "segmentation_id": 2**24},
     "network.segment.segmentation_id"),
    ("fixed_ips", [{"ip_address": "10.0.0.0/24"}], "fixed_ips[0].ip_address"),
    ("fixed_ips", [{"ip_address": "10.0.0.1"}, {"ip_address": ""}], "fixed_ips[1].ip_address"),
    ("subnets", [{"id": port_id(9), "cidr": "10.0.0.1/33"}], "subnets[0].cidr"),
    ("subnets", [{"id": port_id(9), "cidr": "10.0.0.0/24", "gateway_ip": "no"}],
     "subnets[0].gateway_ip"),
    ("instance__id", "b1b2", "instance.id"),
    ("instance__vcpus", 0, "instance.vcpus"),
    ("required", [], "required"),
    ("required", {"features": "qos"}, "required.features"),
    ("required", {"features": [1]}, "required.features"),
    ("required", {"traits": [""]}, "required.traits"),
    ("port__ip_allocation", "later", "port.ip_allocation"),
    ("port__security_groups", ["x"], "port.security_groups[0]"),
    ("port__security_groups", [{"id": port_id(9), "rules": {}}], "port.security_groups[0].rules"),
    ("port__qos_policy", {"rules": [{"type": "bandwidth_limit"}]},
     "port.qos_policy.rules[0].max_kbps"),
    ("port__qos_policy", {"rules": [{"type": "dscp_marking", "dscp_mark": 1}]},
     "port.qos_policy.rules[0].dscp_mark"),
    ("port__qos_policy", {"rules": [{"type": "x"}, {"type": "y", "direction": "up"}]},
     "port.qos_policy.rules[1].direction"),
    ("port__qos_policy", {"rules": [{"type": "bandwidth_limit", "max_kbps": -1}]},
     "port.qos_policy.rules[0].max_kbps"),
    ("port__trunk_details", {"trunk_id": "x"}, "port.trunk_details.trunk_id"),
    ("port__trunk_details", {"trunk_id": port_id(8), "sub_ports": [
        {"port_id": port_id(9), "segmentation_id": 0}]},
     "port.trunk_details.sub_ports[0].segmentation_id"),
    ("port__trunk_details", {"trunk_id": port_id(8), "sub_ports": [
        {"port_id": port_id(9), "segmentation_id": 5},
        {"port_id": port_id(10), "segmentation_id": 5}]},
     "port.trunk_details.sub_ports[1].segmentation_id"),
    ("port__trunk_details", {"trunk_id": port_id(8), "sub_ports": [
        {"port_id": port_id(1), "segmentation_id": 5}]},
     "port.trunk_details.sub_ports[0].port_id"),
    ("port__numa_affinity_policy", "near", "port.numa_affinity_policy"),
    ("port__trusted", "yes", "port.trusted"),
    ("network__vlan_transparent", "yes", "network.vlan_transparent"),
    ("instance__numa_nodes", [-1], "instance.numa_nodes[0]"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "named"), BAD)
def test_a_bad_field_is_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        decode(document(1, **{path: value}))
    assert caught.value.facts["field"] == named
    assert caught.value.message.startswith(f"{named}: ")
    assert caught.value.stage == "decode"


@pytest.mark.parametrize("path", ["version", "port", "port.id", "port.mac_address", "network",
                                  "network.id", "network.segment"])  # fmt: skip
def test_a_missing_field_is_named(path: str) -> None:
    doc = document(1)
    where = doc
    *parents, leaf = path.split(".")
    for parent in parents:
        where = where[parent]
    del where[leaf]
    with pytest.raises(errors.BadDocument) as caught:
        decode(doc)
    assert caught.value.message == f"{path}: is required"


@pytest.mark.parametrize("raw", [None, 1, "x", [], [document(1)]])
def test_only_an_object_is_a_document(raw: object) -> None:
    with pytest.raises(errors.BadDocument) as caught:
        decode(raw)
    assert caught.value.facts["field"] == "(document)"


def test_another_version_is_refused_with_those_that_are_spoken() -> None:
    with pytest.raises(errors.UnsupportedVersion) as caught:
        decode(document(1, version="2.0"))
    assert caught.value.facts == {"field": "version", "wanted": "2.0", "have": ["1.0"]}


def test_an_unknown_requirement_is_refused_by_name() -> None:
    with pytest.raises(errors.UnknownRequired) as caught:
        decode(document(1, required={"teleport": True}))
    assert caught.value.facts["field"] == "required.teleport"
    assert caught.value.port == port_id(1)


def test_the_id_must_be_the_one_that_was_addressed() -> None:
    assert decode(document(1), port_id=port_id(1)).id == port_id(1)
    with pytest.raises(errors.BadDocument, match=r"port\.id"):
        decode(document(1), port_id=port_id(2))


def test_unknown_fields_are_kept_wherever_they_stand() -> None:
    doc = document(1, port__x={"y": [1]}, network__segment__z=None, future=True)
    read = decode(copy.deepcopy(doc))
    assert read.raw == doc
    assert decode(json.loads(read.text())).raw == doc


def test_equal_documents_have_equal_text() -> None:
    doc = document(1)
    turned = dict(reversed([(k, v) for k, v in doc.items()]))
    turned["port"] = dict(reversed(list(doc["port"].items())))
    assert decode(doc).text() == decode(turned).text()
    assert decode(doc).text() != decode(document(1, network__mtu=1400)).text()


def test_the_role_changes_in_both_forms_and_nothing_else_does() -> None:
    before = decode(document(1, port__x=1))
    after = before.with_role(Role.INACTIVE)
    assert (after.attachment.role, after.raw["role"]) == (Role.INACTIVE, "INACTIVE")
    assert before.raw["role"] == "ACTIVE"
    assert differences(before.raw, after.raw) == ["role"]


def test_differences_are_paths_and_lists_are_whole() -> None:
    old = {"a": {"b": {"c": 1, "d": 2}}, "l": [1, 2], "gone": 1, "n": None}
    new = {"a": {"b": {"c": 1, "d": 3}}, "l": [2, 1], "come": {}, "n": None}
    assert differences(old, new) == ["a.b.d", "come", "gone", "l"]
    assert differences(old, old) == []


@pytest.mark.parametrize(("path", "default"), [
    ("port__vnic_type", "normal"), ("port__device_owner", ""), ("port__name", ""),
    ("port__admin_state_up", True), ("port__port_security_enabled", True),
])  # fmt: skip
def test_a_default_that_is_said_is_no_difference(path: str, default: object) -> None:
    """Whoever says it: as it comes over a wire it is equal to the default, and not the same."""
    said = decode(json.loads(json.dumps(document(1, **{path: default}))))
    raw = document(1)
    raw["port"].pop(path.removeprefix("port__"), None)
    assert differences(decode(raw).attachment, said.attachment) == []


def test_what_is_read_back_is_clean_where_every_fact_is() -> None:
    good, bad = Evidence("mtu", 1450, wanted=1450), Evidence("tag", 2, wanted=1, ok=False)
    assert Report([good]).clean
    assert Report([good, bad]).findings == [bad]
    assert not Report([good, bad]).clean


def test_long_lists_are_shortened_for_people() -> None:
    assert names_in(["a", "b"]) == "a, b"
    assert names_in(range(10), 3) == "0, 1, 2 and 7 more"


# --- any document ---------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip
KNOWN = set(Attachment.__struct_fields__)
EXTRA = st.dictionaries(st.text(min_size=1, max_size=8).filter(lambda k: k not in KNOWN), JSON,
                        max_size=3)  # fmt: skip


@given(extra=EXTRA, profile=st.dictionaries(st.text(max_size=8), JSON, max_size=3),
       name=st.text(max_size=255), mtu=st.integers(68, 65521))  # fmt: skip
@settings(max_examples=60)
def test_a_document_goes_round(
    extra: dict[str, Any], profile: dict[str, Any], name: str, mtu: int
) -> None:
    doc = document(1, port__name=name, port__binding_profile=profile, network__mtu=mtu) | extra
    first = decode(doc)
    again = decode(msgspec.json.decode(first.text()))
    assert again.attachment == first.attachment
    assert again.raw == doc
    assert again.text() == first.text()


def refused(raw: Any) -> errors.BadDocument | None:
    try:
        decode(raw)
    except errors.BadDocument as error:
        return error
    return None


@given(st.dictionaries(st.sampled_from([*sorted(KNOWN), "x"]), JSON) | JSON)
@settings(max_examples=60)
def test_nonsense_is_refused_with_a_field_and_never_breaks(raw: Any) -> None:
    refusal = refused(raw)
    if refusal is not None:
        assert refusal.facts["field"]
        json.dumps(refusal.to_dict())


@given(st.sampled_from(["port", "network", "instance", "fixed_ips", "subnets"]), JSON)
@settings(max_examples=60)
def test_nonsense_in_a_part_is_told_by_its_path(part: str, value: Any) -> None:
    refusal = refused(document(1, **{part: value}))
    if refusal is not None:
        assert str(refusal.facts["field"]).startswith(part)


EXTENSIONS: dict[str, Any] = {
    "ip_allocation": "none", "security_groups": [port_id(7), {"id": port_id(8), "rules": [{}]}],
    "qos_policy": {"rules": [{"type": "minimum_packet_rate", "min_kpps": 1, "direction": "any"}]},
    "trunk_details": {"trunk_id": port_id(9), "sub_ports": [
        {"port_id": port_id(2), "segmentation_id": 100, "segmentation_type": "vlan",
         "mac_address": "fa:16:3e:00:00:02"}]},
    "numa_affinity_policy": "socket", "trusted": True, "hardware_offload_type": "switchdev",
    "hints": {"openvswitch": {}}, "propagate_uplink_status": False,
}  # fmt: skip


def test_extensions_are_read() -> None:
    raw = document(1)
    raw["port"] |= EXTENSIONS
    port = decode(raw).attachment.port
    assert port.trust
    assert port.offloaded
    assert port.trunk_details is not None
    assert port.trunk_details.sub_ports[0].segmentation_id == 100
    assert port.qos_policy is not None
    assert port.qos_policy.rules[0].value == 1
    assert msgspec.convert(msgspec.to_builtins(port), type(port)) == port


def test_extensions_that_the_api_answers_with_null_are_not_asked_for() -> None:
    raw = document(1)
    raw["port"] |= dict.fromkeys(EXTENSIONS)
    assert decode(raw).attachment == decode(document(1)).attachment


@pytest.mark.parametrize("name", sorted(EXTENSIONS))
def test_a_document_of_an_earlier_vifd_is_restored_whatever_stands_there(name: str) -> None:
    """An earlier vifd kept these fields unread: that must not cost the port, nor the field."""
    raw = document(1)
    raw["port"][name] = 12.5
    with pytest.raises(errors.BadDocument):
        decode(raw)
    restored = restore(raw, port_id=port_id(1))
    assert restored.attachment == decode(document(1)).attachment
    assert restored.raw == raw


@pytest.mark.parametrize("raw", [None, {}, document(1, port__mac_address="x")])
def test_what_never_was_a_document_is_not_restored(raw: Any) -> None:
    with pytest.raises(errors.BadDocument):
        restore(raw)


def test_trust_and_offload_by_the_binding_profile() -> None:
    profile = {"trusted": "true", "capabilities": ["switchdev"]}
    port = decode(document(1, port__binding_profile=profile)).attachment.port
    assert port.trust
    assert port.offloaded
    port = decode(document(1, port__binding_profile={"capabilities": "switchdev"})).attachment.port
    assert not port.trust
    assert not port.offloaded
