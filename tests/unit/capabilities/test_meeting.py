"""Whether a host meets what is needed: one case for each need, met, unmet and unknown."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.capabilities.asking import NOOP, OVS, VHOST, asking, host, needs
from vifd import errors
from vifd.capabilities import names
from vifd.capabilities.inventory import Capability, Inventory
from vifd.capabilities.meeting import meet
from vifd.capabilities.requirements import needs_of
from vifd.plugin import Health, Probe

VIRTIO = names.vif_model("virtio")
MULTIQUEUE = {"hw:vif_multiqueue_enabled": "true"}
HARDWARE = {names.VFIO: 1, names.IOMMU: 1}

#: what is asked for, what the host has, what it lacks, the error where it does
ROWS = [
    ({"image": {"hw_vif_model": "e1000"}}, {}, "COMPUTE_NET_VIF_MODEL_E1000",
     errors.VifModelUnsupported),
    ({}, {}, VIRTIO, errors.VifModelUnsupported),
    ({"flavor": {"hw:virtio_packed_ring": "true"}}, {}, names.VIRTIO_PACKED,
     errors.PackedRingUnsupported),
    ({"image": {"hw_machine_type": "q35"}}, {}, names.machine_type("q35"),
     errors.MachineTypeUnsupported),
    ({"flavor": {"hw:viommu_model": "virtio"}}, {}, names.viommu_model("virtio"),
     errors.ViommuUnsupported),
    ({"flavor": {"hw:mem_encryption": "1", "hw:mem_encryption_model": "amd-sev"}}, {}, names.SEV,
     errors.TraitMissing),
    ({"flavor": {"trait:HW_NIC_OFFLOAD_GRO": "required"}}, {}, "HW_NIC_OFFLOAD_GRO",
     errors.TraitMissing),
    ({"vnic_type": "direct"}, HARDWARE, names.SRIOV, errors.TraitMissing),
    ({"vnic_type": "direct"}, {names.SRIOV: 1, names.VFIO: 1}, names.IOMMU, errors.TraitMissing),
    ({"vnic_type": "direct-physical"}, {names.IOMMU: 1}, names.VFIO, errors.TraitMissing),
    ({"vnic_type": "direct", "hardware_offload_type": "switchdev"}, {**HARDWARE, names.SRIOV: 1},
     names.SWITCHDEV, errors.SwitchdevMissing),
    ({"vnic_type": "direct", "trusted": True}, {**HARDWARE, names.SRIOV: 1}, names.VF_TRUST,
     errors.TraitMissing),
    ({"vnic_type": "macvtap"}, {names.SRIOV: 1}, names.MACVTAP, errors.TraitMissing),
    ({"vnic_type": "vdpa"}, {names.VDPA: 1}, names.VHOST_VDPA, errors.TraitMissing),
    ({"vnic_type": "vdpa"}, {names.VHOST_VDPA: 1}, names.VDPA, errors.TraitMissing),
    ({"vnic_type": "virtio-forwarder"}, {}, names.VHOST_USER, errors.TraitMissing),
    ({"vnic_type": "remote-managed"}, HARDWARE, names.REMOTE_MANAGED, errors.TraitMissing),
    ({"vnic_type": "accelerator-direct"}, HARDWARE, "COMPUTE_ACCELERATORS", errors.TraitMissing),
]  # fmt: skip


def unmet(wanted, inventory, advert=OVS, probe=None, **more):
    return [r for r in meet(wanted, inventory, advert, probe, **more) if not r.met]


def notes(wanted, inventory, advert=OVS, probe=None, **more):
    return [r.note for r in meet(wanted, inventory, advert, probe, **more) if r.note]


@pytest.mark.parametrize(("asked", "has", "name", "error"), ROWS)
def test_row(asked, has, name, error):
    wanted = needs(**asked)
    base = {VIRTIO: 1, **has}
    assert not unmet(wanted, host(**{**base, name: 1}))
    (lacking,) = unmet(wanted, host(**{**base, name: None}))
    assert type(lacking.error) is error
    assert lacking.error.stage == "requirement"
    assert "get one" in lacking.error.message or name in str(lacking.error.facts)
    without = {k: v for k, v in base.items() if k != name}
    assert not unmet(wanted, host(**without)), "what nobody looked for is no reason"
    assert any("could not be found out" in note for note in notes(wanted, host(**without)))


def test_a_conflict_is_refused_on_every_host():
    wanted = needs({"hw:numa_nodes": "2"}, {"hw_numa_nodes": "2"})
    (lacking,) = unmet(wanted, Inventory())
    assert isinstance(lacking.error, errors.FlavorImageConflict)


def test_the_models_that_there_are_are_named():
    (lacking,) = unmet(
        needs(image={"hw_vif_model": "vmxnet3"}),
        host(**{VIRTIO: 1, "COMPUTE_NET_VIF_MODEL_E1000": 1, names.vif_model("vmxnet3"): None}),
    )
    assert lacking.error.facts["have"] == ["virtio", "e1000"]


def test_a_model_that_nova_knows_none_of_is_refused_unless_the_host_has_it():
    wanted = needs(image={"hw_vif_model": "of-tomorrow"})
    (lacking,) = unmet(wanted, Inventory())
    assert isinstance(lacking.error, errors.VifModelUnsupported)
    assert not unmet(wanted, host(**{names.vif_model("of-tomorrow"): 1}))


def test_the_machine_types_that_there_are_are_named():
    (lacking,) = unmet(
        needs(image={"hw_machine_type": "microvm"}),
        host(**{names.machine_type("q35"): 1, names.machine_type("microvm"): None}),
    )
    assert lacking.error.facts["have"] == ["q35"]


def test_any_of_several_is_enough():
    wanted = needs({"hw:mem_encryption": "true"})
    none = {names.SEV: None, names.SEV_ES: None, names.SEV_SNP: None}
    assert unmet(wanted, host(**none))
    assert not unmet(wanted, host(**{**none, names.SEV_ES: 1}))
    assert not unmet(wanted, host(**{names.SEV: None})), "the others are unknown"


# --- queues ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "vif_type", "refused", "note"),
    [
        ({names.MAX_QUEUES: 8}, "", False, ""),
        ({names.MAX_QUEUES: 2}, "", False, "2 of 4 queues"),
        ({names.MAX_QUEUES: 1}, "", True, ""),
        ({names.MAX_QUEUES: None}, "", True, ""),
        ({names.TUN_MULTIQUEUE: None}, "ovs", True, ""),
        ({names.TUN_MULTIQUEUE: 1, names.MAX_QUEUES: 8}, "bridge", True, ""),
        ({names.TUN_MULTIQUEUE: 3, names.MAX_QUEUES: 8}, "tap", False, "3 of 4 queues"),
        ({names.TUN_MULTIQUEUE: None, names.MAX_QUEUES: 8}, "vhostuser", False, ""),
        ({}, "ovs", False, "could not be found out"),
    ],
)
def test_queues(has, vif_type, refused, note):
    wanted = needs(MULTIQUEUE)
    found = unmet(wanted, host(**has), vif_type=vif_type)
    assert bool(found) is refused
    if refused:
        assert isinstance(found[0].error, errors.MultiqueueUnsupported)
        assert found[0].error.facts["wanted"] == 4
        assert found[0].error.facts["have"] == 1
    elif note:
        assert any(note in said for said in notes(wanted, host(**has), vif_type=vif_type))


# --- vhost-user -----------------------------------------------------------------------------------


def test_vhost_user_needs_a_qemu_that_has_it():
    (lacking,) = unmet(needs(), host(**{names.VHOST_USER: None}), VHOST)
    assert isinstance(lacking.error, errors.TraitMissing)
    assert not unmet(needs(), host(**{names.VHOST_USER: None}), OVS)
    both = replace(VHOST, vif_types=("ovs", "vhostuser"))
    assert not unmet(needs(), host(**{names.VHOST_USER: None}), both)
    assert unmet(needs(), host(**{names.VHOST_USER: None}), both, vif_type="vhostuser")


def test_packed_rings_are_the_switchs_affair_too():
    wanted = needs({"hw:virtio_packed_ring": "true"})
    inventory = host(**{names.VIRTIO_PACKED: 1, names.VHOST_USER: 1})
    (lacking,) = unmet(wanted, inventory, VHOST)
    assert isinstance(lacking.error, errors.PackedRingUnsupported)
    able = replace(VHOST, features=VHOST.features | {"packed_ring"})
    assert not unmet(wanted, inventory, able)
    assert not unmet(wanted, inventory, OVS)
    assert not unmet(wanted, inventory, NOOP)


def test_a_switch_in_user_space_serves_virtio_in_memory_that_it_can_read():
    able = host(**{names.VHOST_USER: 1, VIRTIO: 1, names.vif_model("e1000"): 1, names.SEV: 1})
    (lacking,) = unmet(needs(image={"hw_vif_model": "e1000"}), able, VHOST)
    assert isinstance(lacking.error, errors.VifModelUnsupported)
    secret = needs({"hw:mem_encryption": "true"})
    (lacking,) = unmet(secret, able, VHOST)
    assert isinstance(lacking.error, errors.MemoryEncrypted)
    assert not unmet(secret, able, replace(VHOST, features=frozenset({"encrypted_memory"})))
    assert not unmet(secret, able, OVS)


def test_memory_that_may_not_be_shared_is_said():
    backed = Probe(Health.READY, facts={"file_backed_memory": True})
    for wanted, inventory, probe, said in (
        (needs(), host(), None, True),
        (needs({"hw:mem_page_size": "large"}), host(), None, False),
        (needs(), host(**{names.FILE_BACKED_MEMORY: 1}), None, False),
        (needs(), host(), backed, False),
    ):
        found = notes(wanted, inventory, NOOP, probe, vif_type="vhostuser")
        assert any("shared" in note for note in found) is said
        assert not unmet(wanted, inventory, NOOP, probe, vif_type="vhostuser")


# --- NUMA -----------------------------------------------------------------------------------------


def polling(*nodes: int) -> Probe:
    return Probe(Health.READY, facts={"pmd_cores": {str(n): [n] for n in nodes}})


@pytest.mark.parametrize(
    ("policy", "nodes", "serving", "refused"),
    [
        ("required", [1], (0,), True),
        ("required", [0, 1], (0,), False),
        ("preferred", [1], (0,), False),
        ("socket", [1], (0,), False),
        (None, [1], (0,), False),
        ("required", [], (0,), False),
        ("required", [1], (), False),
    ],
)
def test_numa(policy, nodes, serving, refused):
    wanted = needs(numa_nodes=nodes, numa_affinity_policy=policy)
    found = unmet(wanted, Inventory(), VHOST, polling(*serving))
    assert bool(found) is refused
    if refused:
        assert isinstance(found[0].error, errors.NumaMismatch)
        assert (found[0].error.facts["wanted"], found[0].error.facts["have"]) == ([1], [0])
    elif nodes == [1] and serving:
        assert any("NUMA" in n for n in notes(wanted, Inventory(), VHOST, polling(*serving)))


# --- what is said and not refused -----------------------------------------------------------------


def test_large_pages_that_are_not_there_are_said():
    wanted = needs({"hw:mem_page_size": "2MB"})
    lacking = host(**{names.hugepages(2048): None})
    assert not unmet(wanted, lacking)
    assert any("2mb" in note for note in notes(wanted, lacking))


def test_what_has_no_effect_is_said():
    wanted = needs(MULTIQUEUE, vcpus=1)
    assert not unmet(wanted, Inventory())
    assert [n for n in notes(wanted, Inventory()) if n.startswith("no effect: ")]


def test_what_nova_would_not_do_is_said():
    emulated = host(**{names.virt_type("kvm"): None, names.MAX_QUEUES: 8})
    assert any("virt type qemu" in n for n in notes(needs(MULTIQUEUE), emulated))
    assert not any("virt type qemu" in n for n in notes(needs(), emulated))
    backed = host(**{names.FILE_BACKED_MEMORY: 1, names.HUGEPAGES: 1})
    assert any("backed by files" in n for n in notes(needs({"hw:mem_page_size": "large"}), backed))
    assert not any("backed" in n for n in notes(needs({"hw:mem_page_size": "any"}), backed))


def test_a_forbidden_trait_is_said():
    wanted = needs({"trait:CUSTOM_X": "forbidden"})
    assert not unmet(wanted, host(CUSTOM_X=1))
    assert any("CUSTOM_X" in note for note in notes(wanted, host(CUSTOM_X=1)))
    assert not [n for n in notes(wanted, host(CUSTOM_X=None)) if "CUSTOM_X" in n]


def test_what_the_document_insists_on_must_be_told_of():
    """A trait of the scheduler's may be anybody's; one that the document requires is not ignored,
    once the whole host was read."""
    wanted = needs_of(msgspec.structs.replace(asking(), required={"traits": ["CUSTOM_GOLD"]}))
    assert not unmet(wanted, host(**{VIRTIO: 1})), "some of the host is still to be read"
    (refused,) = unmet(wanted, replace(host(**{VIRTIO: 1}), whole=True))
    assert isinstance(refused.error, errors.TraitMissing)
    assert refused.error.facts["wanted"] == "CUSTOM_GOLD"
    asked = Capability("CUSTOM_GOLD", present=None, source="memory")
    unread = replace(host(**{VIRTIO: 1}), whole=True)
    unread = replace(unread, capabilities={**unread.capabilities, "CUSTOM_GOLD": asked})
    assert not unmet(wanted, unread), "somebody knows of it and could not read it"
    scheduled = needs({"trait:CUSTOM_GOLD": "required"})
    assert not unmet(scheduled, replace(host(**{VIRTIO: 1}), whole=True))


@pytest.mark.parametrize(
    ("flavor", "image", "elsewhere"),
    [
        ({}, {"hw_vif_model": "igb"}, True),
        ({}, {"hw_vif_model": "of-tomorrow"}, False),
        ({"hw:viommu_model": "smmuv3"}, {}, True),
        ({"hw:viommu_model": "of-tomorrow"}, {}, False),
        ({"hw:viommu_model": "intel"}, {"hw_machine_type": "pc"}, False),
        ({"hw:mem_encryption": "1", "hw:mem_encryption_model": "intel-tdx"}, {}, True),
        ({"hw:mem_encryption": "1", "hw:mem_encryption_model": "of-tomorrow"}, {}, False),
    ],
)
def test_another_host_helps_where_the_word_is_one_that_nova_knows(flavor, image, elsewhere):
    """A QEMU that lacks a model is this host's; a word that nobody knows is so on every host."""
    lacks = (names.vif_model("igb"), names.viommu_model("smmuv3"), names.TDX)
    found = unmet(needs(flavor, image), host(**{VIRTIO: 1, **dict.fromkeys(lacks)}))
    assert found
    assert [r.error.to_dict()["reschedulable"] for r in found] == [elsewhere] * len(found)


# --- properties -----------------------------------------------------------------------------------

_FLAVORS = st.fixed_dictionaries(
    {},
    optional={
        "hw:vif_multiqueue_enabled": st.sampled_from(["true", "false"]),
        "hw:virtio_packed_ring": st.just("true"),
        "hw:mem_encryption": st.just("true"),
        "hw:mem_page_size": st.sampled_from(["large", "any", "small", "2MB"]),
        "hw:viommu_model": st.sampled_from(["auto", "intel", "virtio"]),
        "trait:HW_NIC_OFFLOAD_GRO": st.sampled_from(["required", "forbidden"]),
    },
)
_IMAGES = st.fixed_dictionaries(
    {},
    optional={
        "hw_vif_model": st.sampled_from(["virtio", "e1000", "igb", "odd"]),
        "hw_machine_type": st.sampled_from(["q35", "pc"]),
        "hw_vif_multiqueue_enabled": st.sampled_from(["true", "false"]),
    },
)
_NAMES = [
    VIRTIO, "COMPUTE_NET_VIF_MODEL_E1000", "CUSTOM_VIF_MODEL_ODD", names.VIRTIO_PACKED, names.SEV,
    names.HUGEPAGES, names.hugepages(2048), names.FILE_BACKED_MEMORY, names.VHOST_USER,
    names.MAX_QUEUES, names.TUN_MULTIQUEUE, names.SRIOV, names.VFIO, names.IOMMU, names.SWITCHDEV,
    names.machine_type("q35"), names.viommu_model("intel"), "HW_NIC_OFFLOAD_GRO",
]  # fmt: skip
_CAPABILITIES = st.dictionaries(st.sampled_from(_NAMES), st.sampled_from([True, False]))


@given(
    flavor=_FLAVORS,
    image=_IMAGES,
    kind=st.sampled_from(["normal", "direct", "vdpa", "macvtap"]),
    known=_CAPABILITIES,
    added=st.sampled_from(_NAMES),
    advert=st.sampled_from([OVS, VHOST, NOOP]),
)
def test_a_capability_more_never_costs_a_candidate(flavor, image, kind, known, added, advert):
    wanted = needs(flavor, image, vnic_type=kind)
    have = {name: Capability(name, present, 8 if present else None)
            for name, present in known.items()}  # fmt: skip
    more = {**have, added: Capability(added, True, 8)}
    before = {r.name for r in unmet(wanted, Inventory(have), advert)}
    after = {r.name for r in unmet(wanted, Inventory(more), advert)}
    assert after <= before


@given(flavor=_FLAVORS, image=_IMAGES, known=_CAPABILITIES)
def test_what_is_unmet_has_its_error_and_what_is_met_has_none(flavor, image, known):
    have = {name: Capability(name, present) for name, present in known.items()}
    for requirement in meet(needs(flavor, image), Inventory(have), OVS):
        assert (requirement.error is None) is requirement.met
        assert requirement.name
