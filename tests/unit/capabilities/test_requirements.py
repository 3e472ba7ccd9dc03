"""The table: one case for every row, and what a row must not do."""

from __future__ import annotations

from typing import Any

import msgspec
import os_traits
import pytest

from unit.capabilities.asking import asking, needs
from vifd.capabilities import inputs, names, rules
from vifd.capabilities.requirements import needs_of
from vifd.errors import FlavorImageConflict, VifModelUnsupported, ViommuUnsupported

MULTIQUEUE = {"hw:vif_multiqueue_enabled": "true"}
PACKED = {"hw:virtio_packed_ring": "true"}
SEV = {"hw:mem_encryption": "true"}
PAGES = {"hw:mem_page_size": "large"}
Q35 = {"hw_machine_type": "q35"}
E1000 = {"hw_vif_model": "e1000"}
VIRTIO = "COMPUTE_NET_VIF_MODEL_VIRTIO"

#: flavor, image, port → traits that it needs beyond the default device's, parameters
ROWS: list[tuple[Any, Any, Any, set[str], dict[str, Any]]] = [
    # --- the port ---
    ({}, {}, {"vnic_type": "normal"}, set(), {"model": "virtio"}),
    ({}, {}, {"vnic_type": "direct"}, {names.SRIOV, names.VFIO, names.IOMMU},
     {"locked_memory": True}),
    ({}, {}, {"vnic_type": "direct", "hardware_offload_type": "switchdev"},
     {names.SRIOV, names.VFIO, names.IOMMU, names.SWITCHDEV}, {}),
    ({}, {}, {"vnic_type": "direct", "binding_profile": {"capabilities": ["switchdev"]}},
     {names.SRIOV, names.VFIO, names.IOMMU, names.SWITCHDEV}, {}),
    ({}, {}, {"vnic_type": "direct-physical"}, {names.VFIO, names.IOMMU}, {"locked_memory": True}),
    ({}, {}, {"vnic_type": "macvtap"}, {names.SRIOV, names.MACVTAP}, {"model": "virtio"}),
    ({}, {}, {"vnic_type": "vdpa"}, {names.VHOST_VDPA, names.VDPA},
     {"locked_memory": True, "model": "virtio"}),
    ({}, {}, {"vnic_type": "virtio-forwarder"}, {names.VHOST_USER}, {"model": "virtio"}),
    ({}, {}, {"vnic_type": "remote-managed"}, {names.REMOTE_MANAGED, names.VFIO, names.IOMMU},
     {"locked_memory": True}),
    ({}, {}, {"vnic_type": "accelerator-direct"},
     {inputs.ACCELERATORS, names.VFIO, names.IOMMU}, {}),
    ({}, {}, {"vnic_type": "accelerator-direct-physical"},
     {inputs.ACCELERATORS, names.VFIO, names.IOMMU}, {}),
    ({}, {}, {"vnic_type": "baremetal"}, set(), {}),
    ({}, {}, {"vnic_type": "smart-nic"}, set(), {}),
    ({}, {}, {"vnic_type": "direct", "trusted": True},
     {names.SRIOV, names.VFIO, names.IOMMU, names.VF_TRUST}, {"trusted": True}),
    ({}, {}, {"vnic_type": "macvtap", "binding_profile": {"trusted": "true"}},
     {names.SRIOV, names.MACVTAP, names.VF_TRUST}, {"trusted": True}),
    ({}, {}, {"hints": {"openvswitch": {"other_config": {"tx-steering": "hash"}}}}, set(),
     {"hints": {"openvswitch": {"other_config": {"tx-steering": "hash"}}}}),
    # --- memory ---
    (PAGES, {}, {}, set(), {"page_size": "large", "shared_memory": True}),
    ({"hw:mem_page_size": "1GB"}, {}, {}, set(), {"page_size": "1gb", "shared_memory": True}),
    ({"hw:mem_page_size": "any"}, {}, {}, set(), {"page_size": "any", "shared_memory": True}),
    ({"hw:mem_page_size": "small"}, {}, {}, set(), {"page_size": "small"}),
    ({**PAGES, "hw:locked_memory": "true"}, {}, {}, set(), {"locked_memory": True}),
    ({"hw:cpu_realtime": "yes"}, {}, {}, set(), {"locked_memory": True}),
    ({**SEV, "hw:mem_encryption_model": "amd-sev-es"}, Q35, {},
     {"HW_CPU_X86_AMD_SEV_ES", names.machine_type("q35")},
     {"encrypted": True, "locked_memory": True}),
    # --- the device ---
    ({}, E1000, {}, {"COMPUTE_NET_VIF_MODEL_E1000"}, {"model": "e1000"}),
    (MULTIQUEUE, {}, {}, {names.MAX_QUEUES}, {"queues": 4}),
    ({}, {"hw_vif_multiqueue_enabled": "true"}, {}, {names.MAX_QUEUES}, {"queues": 4}),
    (PACKED, {}, {}, {"COMPUTE_NET_VIRTIO_PACKED"}, {"packed_ring": True}),
    ({}, {"hw_virtio_packed_ring": True}, {}, {"COMPUTE_NET_VIRTIO_PACKED"},
     {"packed_ring": True}),
    ({}, Q35, {}, {"CUSTOM_MACHINE_TYPE_Q35"}, {"machine_type": "q35"}),
    ({"hw:viommu_model": "virtio"}, {}, {}, {"COMPUTE_VIOMMU_MODEL_VIRTIO"}, {"viommu": "virtio"}),
    ({}, {"hw_viommu_model": "smmuv3"}, {}, {"COMPUTE_VIOMMU_MODEL_SMMUV3"},
     {"viommu": "smmuv3"}),
    ({"hw:viommu_model": "none"}, {}, {}, set(), {}),
    # --- placement ---
    ({"hw:cpu_policy": "dedicated", "hw:numa_nodes": "2"}, {}, {}, set(),
     {"cpu_policy": "dedicated", "numa_nodes": "2"}),
    ({"hw:pci_numa_affinity_policy": "required"}, {}, {}, set(), {"numa_policy": "required"}),
    ({"hw:pci_numa_affinity_policy": "required"}, {}, {"numa_affinity_policy": "legacy"}, set(),
     {"numa_policy": "legacy"}),
    ({"hw:emulator_threads_policy": "isolate"}, {}, {}, set(), {"emulator_threads": "isolate"}),
    ({"trait:HW_NIC_OFFLOAD_GRO": "required"}, {}, {}, {"HW_NIC_OFFLOAD_GRO"}, {}),
    ({}, {"trait:CUSTOM_FAST": "required"}, {}, {"CUSTOM_FAST"}, {}),
    ({"quota:vif_inbound_average": "1000"}, {}, {}, set(),
     {"quota": {"quota:vif_inbound_average": "1000"}}),
]  # fmt: skip


@pytest.mark.parametrize(("flavor", "image", "port", "traits", "parameters"), ROWS)
def test_row(flavor, image, port, traits, parameters):
    found = needs(flavor, image, **port)
    assert set(found.traits) - {VIRTIO} == traits
    assert {name: found.value(name) for name in parameters} == parameters
    assert not found.conflicts
    assert all(n.source for n in found.needs)
    assert all(p.source for p in found.parameters.values())


def test_traits_that_the_document_requires():
    wanted = msgspec.structs.replace(asking(), required={"traits": ["CUSTOM_GOLD"]})
    assert "CUSTOM_GOLD" in needs_of(wanted).traits


def test_every_rule_has_a_row():
    """Each rule says something in at least one case, so that none is dead."""
    spoken = {"required", "spelling"}  # see above, and below
    for flavor, image, port, _traits, _parameters in ROWS:
        wanted = asking(flavor, image, **port)
        spoken |= {rule.name for rule in rules.RULES if list(rule.derive(wanted))}
    assert spoken == {rule.name for rule in rules.RULES}


def test_every_vnic_type_of_the_networking_api_is_there():
    assert set(inputs.VNIC_TYPES) == {
        "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder",
        "smart-nic", "vdpa", "accelerator-direct", "accelerator-direct-physical", "remote-managed",
    }  # fmt: skip
    assert not needs(vnic_type="of-tomorrow").conflicts


@pytest.mark.parametrize(
    "word",
    ["virtio", "e1000", "e1000e", "igb", "vmxnet3", "rtl8139", "ne2k_pci", "pcnet", "spapr-vlan",
     "lan9118"],
)  # fmt: skip
def test_every_model_of_nova_has_its_trait(word):
    (trait,) = needs(image={"hw_vif_model": word}).traits
    assert trait.startswith("COMPUTE_NET_VIF_MODEL_")
    assert trait in os_traits.get_traits()


def test_every_name_is_in_the_catalogue_or_custom():
    catalogue = set(os_traits.get_traits())
    used = set()
    for flavor, image, port, _traits, _parameters in ROWS:
        for need in needs(flavor, image, **port).needs:
            used |= set(need.anyof)
    used |= {name for row in inputs.VNIC_TYPES.values() for anyof in row for name in anyof}
    used |= set(inputs.SEV_MODELS.values()) | set(names.VIF_MODELS.values())
    used |= set(names.VIOMMU_MODELS.values())
    odd = {name for name in used if not os_traits.is_custom(name) and name not in catalogue}
    assert not odd
    assert len(used) > 25


# --- conflicts ------------------------------------------------------------------------------------

CONFLICTS = [
    ({"hw:mem_page_size": "small"}, {"hw_mem_page_size": "large"}, "mem_page_size"),
    ({}, {"hw_mem_page_size": "large"}, "mem_page_size"),
    ({**PAGES, "hw:locked_memory": "true"}, {"hw_locked_memory": "false"}, "locked_memory"),
    (SEV, {"hw_mem_encryption": "false"}, "mem_encryption"),
    ({**SEV, "hw:mem_encryption_model": "amd-sev"}, {"hw_mem_encryption_model": "amd-sev-es"},
     "mem_encryption_model"),
    (MULTIQUEUE, {"hw_vif_multiqueue_enabled": "no"}, "vif_multiqueue_enabled"),
    (PACKED, {"hw_virtio_packed_ring": "no"}, "virtio_packed_ring"),
    ({"hw:cpu_policy": "shared"}, {"hw_cpu_policy": "dedicated"}, "cpu_policy"),
    ({"hw:numa_nodes": "1"}, {"hw_numa_nodes": "1"}, "numa_nodes"),
    ({"hw:pci_numa_affinity_policy": "required"}, {"hw_pci_numa_affinity_policy": "legacy"},
     "pci_numa_affinity_policy"),
    ({"hw:viommu_model": "intel"}, {"hw_viommu_model": "auto"}, "viommu_model"),
]  # fmt: skip


@pytest.mark.parametrize(("flavor", "image", "name"), CONFLICTS)
def test_conflict(flavor, image, name):
    (error,) = needs(flavor, image).conflicts
    assert isinstance(error, FlavorImageConflict)
    assert error.facts["flavor_property"] == f"hw:{name}"
    assert error.port
    assert error.stage == "requirement"
    assert not [c for c in needs(flavor, None).conflicts if name in c.message]


def test_locked_memory_needs_a_page_size():
    (error,) = needs({"hw:locked_memory": "true"}).conflicts
    assert error.code == "E_CAP_FLAVOR_IMAGE_CONFLICT"
    assert "hw:mem_page_size" in error.message
    assert not needs({"hw:locked_memory": "false"}).conflicts


def test_encrypted_memory_needs_q35():
    (error,) = needs(SEV, {"hw_machine_type": "pc"}).conflicts
    assert "q35" in error.message
    assert not needs(SEV, {"hw_machine_type": "pc-q35-8.0"}).conflicts
    assert not needs(SEV).conflicts


def test_an_intel_iommu_needs_q35():
    (error,) = needs({"hw:viommu_model": "intel"}, {"hw_machine_type": "pc"}).conflicts
    assert isinstance(error, ViommuUnsupported)
    assert not needs({"hw:viommu_model": "virtio"}, {"hw_machine_type": "pc"}).conflicts


@pytest.mark.parametrize("kind", ["vdpa", "virtio-forwarder"])
def test_some_vnic_types_are_virtio_only(kind):
    (error,) = needs(image=E1000, vnic_type=kind).conflicts
    assert isinstance(error, VifModelUnsupported)


def test_a_conflict_of_queues_does_not_matter_with_one_vcpu():
    found = needs(MULTIQUEUE, {"hw_vif_multiqueue_enabled": "no"}, vcpus=1)
    assert not found.conflicts
    assert found.queues == 1


def test_the_ports_numa_policy_goes_before_a_conflict_of_the_others():
    flavor, image = CONFLICTS[9][:2]
    found = needs(flavor, image, numa_affinity_policy="preferred")
    assert not found.conflicts
    assert found.numa_policy == "preferred"


# --- what has no effect ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flavor", "image", "more"),
    [
        (MULTIQUEUE, {}, {"vcpus": 1}),
        (MULTIQUEUE, E1000, {}),
        (MULTIQUEUE, {}, {"vnic_type": "direct"}),
        (PACKED, E1000, {}),
        (PACKED, {}, {"vnic_type": "direct-physical"}),
        ({}, E1000, {"vnic_type": "direct"}),
        ({}, {}, {"trusted": True}),
        ({}, {}, {"hardware_offload_type": "switchdev"}),
    ],
)
def test_what_has_no_effect_is_said(flavor, image, more):
    found = needs(flavor, image, **more)
    assert found.ignored
    assert found.queues == 1
    assert not found.packed_ring
    assert not found.trusted


@pytest.mark.parametrize("value", ["false", "0", "no", ""])
def test_switched_off_is_nothing(value):
    found = needs({"hw:vif_multiqueue_enabled": value, "hw:virtio_packed_ring": value,
                   "hw:mem_encryption": value, "hw:locked_memory": value,
                   "hw:cpu_realtime": value})  # fmt: skip
    assert found.traits == [VIRTIO]
    assert not found.ignored
    assert not found.locked_memory


@pytest.mark.parametrize(
    ("flavor", "image", "key"),
    [
        ({"hw:vif_multiqueue_enabled": "ture"}, {}, "hw:vif_multiqueue_enabled"),
        ({}, {"hw_virtio_packed_ring": "2"}, "hw_virtio_packed_ring"),
        ({"hw:mem_page_size": "banana"}, {}, "hw:mem_page_size"),
        ({"hw:mem_page_size": "0"}, {}, "hw:mem_page_size"),
        ({"hw:mem_page_size": "large"}, {"hw_mem_page_size": "9" * 300}, "hw_mem_page_size"),
        ({"hw:pci_numa_affinity_policy": "strict"}, {}, "hw:pci_numa_affinity_policy"),
        ({"hw:cpu_policy": ["dedicated"]}, {}, "hw:cpu_policy"),
    ],
)
def test_a_value_that_nova_does_not_know_is_said_and_has_no_effect(flavor, image, key):
    found = needs(flavor, image)
    (said,) = found.ignored
    assert key in said
    assert "is none of" in said
    assert len(said) < 200
    assert not found.conflicts
    assert found.traits == [VIRTIO]
    assert (found.queues, found.packed_ring) == (1, False)


@pytest.mark.parametrize("value", ["2MB", "1 GiB", "2048", "4", "small", "ANY", "", None])
def test_sizes_of_pages_are_understood(value):
    assert not needs({"hw:mem_page_size": value}).ignored


def test_what_is_not_read_is_not_spelt_either():
    assert not needs({"hw:vif_model": "x"}, {"hw_cpu_realtime": "x"}).ignored


@pytest.mark.parametrize("name", ["", "lower", "A B", "X" * 256, "CUSTOM_\u00c4"])
def test_what_is_no_name_of_a_trait_is_said(name):
    found = needs({f"trait:{name}": "required"})
    assert found.traits == [VIRTIO]
    assert "no name of a trait" in found.ignored[0]


def test_an_offload_of_another_kind_is_said():
    found = needs(hardware_offload_type="of-tomorrow")
    assert "of-tomorrow" in found.ignored[0]
    assert not needs(hardware_offload_type="").ignored


def test_a_device_model_is_read_as_nova_reads_it():
    """Its case does not matter: nova has it in lower case before it looks."""
    found = needs(MULTIQUEUE, {"hw_vif_model": "VirtIO"})
    assert (found.model, found.queues) == ("virtio", 4)


def test_a_value_of_any_length_is_told_in_few_words():
    (need,) = needs(image={"hw_vif_model": "x" * 100_000}).needs
    assert len(need.wanted) == 255


def test_traits_of_groups_are_no_traits_of_the_host():
    assert needs({"trait1:CUSTOM_X": "required", "trait:CUSTOM_Y": "sometimes"}).traits == [VIRTIO]
    found = needs({"trait:CUSTOM_X": "forbidden"})
    assert found.traits == [VIRTIO]
    assert [n.anyof for n in found.needs if n.forbidden] == [("CUSTOM_X",)]


def test_large_pages_are_advice():
    """Pages can be set aside at any time; how many are free is the scheduler's part."""
    (pages,) = (n for n in needs({"hw:mem_page_size": "2MB"}).needs if n.kind == "hugepages")
    assert pages.advice
    assert pages.anyof == (names.hugepages(2048),)
    assert not [n for n in needs({"hw:mem_page_size": "any"}).needs if n.kind == "hugepages"]


def test_encryption_of_no_model_may_be_any():
    (sev,) = (n for n in needs(SEV).needs if n.kind == "mem_encryption")
    assert set(sev.anyof) == set(inputs.SEV_MODELS.values())


def test_a_model_of_encryption_is_no_other():
    """One that is not known is nobody's, and not any that the host happens to have."""
    (tdx,) = (n for n in needs({**SEV, "hw:mem_encryption_model": "intel-tdx"}).needs
              if n.kind == "mem_encryption")  # fmt: skip
    assert tdx.anyof == ("HW_CPU_X86_INTEL_TDX",)
    (odd,) = (n for n in needs({**SEV, "hw:mem_encryption_model": "of-tomorrow"}).needs
              if n.kind == "mem_encryption")  # fmt: skip
    assert not set(odd.anyof) & {*inputs.ENCRYPTION_MODELS.values()}


def test_auto_is_any_iommu():
    (need,) = (n for n in needs({"hw:viommu_model": "auto"}).needs if n.kind == "viommu")
    assert "COMPUTE_VIOMMU_MODEL_INTEL" in need.anyof


def test_of_a_guest_that_is_not_named_nothing_is_known():
    bare = msgspec.structs.replace(asking(), instance=None)
    found = needs_of(bare)
    assert (found.needs, found.parameters, found.conflicts) == ((), {}, ())
