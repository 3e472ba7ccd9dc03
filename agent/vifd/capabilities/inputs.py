"""Each input of flavor, image and port, and what it needs of a host; :mod:`.rules` is the table.

Each is a pure function of the attachment. It says :class:`Need`, :class:`Parameter`, a refusal that
holds on every host, or, as text, what was asked for and has no effect.
"""

from __future__ import annotations

from collections.abc import Iterator

from vifd.capabilities import names
from vifd.capabilities.needs import Kind, Need, Parameter
from vifd.errors import FlavorImageConflict, VifError, ViommuUnsupported
from vifd.model import Attachment
from vifd.plugin import guest
from vifd.plugin.guest import asked

Said = Need | Parameter | VifError | str

VIRTIO = "virtio"
#: By the words of ``hw:mem_encryption_model``; without it, any of AMD's will do, as in nova.
SEV_MODELS = {"amd-sev": names.SEV, "amd-sev-es": names.SEV_ES, "amd-sev-snp": names.SEV_SNP}
ENCRYPTION_MODELS = {**SEV_MODELS, "intel-tdx": names.TDX}
ACCELERATORS = "COMPUTE_ACCELERATORS"

#: What a vnic type needs of the host, whoever plugs it. ``baremetal`` and ``smart-nic`` have no
#: device of the hypervisor's; whether a plugin serves them is its own affair.
VNIC_TYPES: dict[str, tuple[tuple[str, ...], ...]] = {
    "normal": (),
    "direct": ((names.SRIOV,), (names.VFIO,), (names.IOMMU,)),
    "direct-physical": ((names.VFIO,), (names.IOMMU,)),
    "macvtap": ((names.SRIOV,), (names.MACVTAP,)),
    "vdpa": ((names.VHOST_VDPA,), (names.VDPA,)),
    "virtio-forwarder": ((names.VHOST_USER,),),
    "remote-managed": ((names.REMOTE_MANAGED,), (names.VFIO,), (names.IOMMU,)),
    "accelerator-direct": ((ACCELERATORS,), (names.VFIO,), (names.IOMMU,)),
    "accelerator-direct-physical": ((ACCELERATORS,), (names.VFIO,), (names.IOMMU,)),
    "baremetal": (),
    "smart-nic": (),
}
#: vnic types whose device is a virtual function of a NIC.
_FUNCTIONS = ("direct", "macvtap", "accelerator-direct")
#: vnic types that QEMU gives the guest as a virtio device, whatever the image says.
_VIRTIO_ONLY = ("vdpa", "virtio-forwarder")


# --- the port -------------------------------------------------------------------------------------


def vnic_type(attachment: Attachment) -> Iterator[Said]:
    kind = attachment.port.vnic_type
    for anyof in VNIC_TYPES.get(kind, ()):
        yield Need(Kind.VNIC, anyof, kind, "port vnic_type")
    if kind in ("vdpa", *guest.PASSTHROUGH):
        # The device reads and writes guest memory by itself, so it must not move.
        yield Parameter("locked_memory", True, f"port vnic_type {kind}")


def offload(attachment: Attachment) -> Iterator[Said]:
    port = attachment.port
    if port.hardware_offload_type not in (None, "", "switchdev"):
        yield f"port hardware_offload_type: {port.hardware_offload_type!r:.64} is not known here"
    if not port.offloaded:
        return
    field = "binding_profile.capabilities"
    source = f"port {'hardware_offload_type' if port.hardware_offload_type else field}"
    if port.vnic_type in ("direct", "vdpa", "remote-managed"):
        yield Need(Kind.SWITCHDEV, (names.SWITCHDEV,), "switchdev", source)
    else:
        yield f"{source} switchdev: a port of vnic_type {port.vnic_type} has no function to offload"


def trusted(attachment: Attachment) -> Iterator[Said]:
    port = attachment.port
    if not port.trust:
        return
    source = "port trusted" if port.trusted else "port binding_profile.trusted"
    if port.vnic_type in _FUNCTIONS:
        yield Parameter("trusted", True, source)
        yield Need(Kind.TRUST, (names.VF_TRUST,), True, source)
    else:
        yield f"{source}: a port of vnic_type {port.vnic_type} has no virtual function"


def hints(attachment: Attachment) -> Iterator[Said]:
    if attachment.port.hints:
        yield Parameter("hints", attachment.port.hints, "port hints")


# --- memory ---------------------------------------------------------------------------------------


def mem_page_size(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "mem_page_size")
    if wanted.conflict:
        yield wanted.conflict
    if wanted.value is None:
        return
    yield Parameter("page_size", wanted.value, wanted.source)
    if not guest.large_pages(wanted.value):
        return
    yield Parameter("shared_memory", True, wanted.source)
    size = guest.page_size(wanted.value)
    if wanted.value != "any":
        name = names.HUGEPAGES if size is None else names.hugepages(size)
        # Advice: pages can be set aside at any time, and how many are free is the scheduler's part.
        yield Need(Kind.PAGES, (name,), wanted.value, wanted.source, advice=True)


def locked_memory(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "locked_memory")
    if wanted.conflict:
        yield wanted.conflict
    if not wanted.value:
        return
    yield Parameter("locked_memory", True, wanted.source)
    if asked(attachment.instance, "mem_page_size").value is None:
        yield _contradiction(wanted.key, True, "hw:mem_page_size", "memory is locked by its pages")


def mem_encryption(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "mem_encryption")
    model = asked(attachment.instance, "mem_encryption_model")
    yield from (a.conflict for a in (wanted, model) if a.conflict)
    if not wanted.value:
        return
    yield Parameter("encrypted", True, wanted.source)
    yield Parameter("locked_memory", True, f"implied by {wanted.source}")
    anyof = tuple(SEV_MODELS.values())
    if model.value:
        anyof = (ENCRYPTION_MODELS.get(model.value) or names.custom("mem_encryption", model.value),)
    yield Need(Kind.ENCRYPTION, anyof, model.value or True, wanted.source)
    machine = asked(attachment.instance, "machine_type")
    if machine.value and "q35" not in machine.value:
        problem = f"encrypted memory needs a q35 machine, {machine.key} is {machine.value!r}"
        yield _contradiction(wanted.key, True, machine.key, problem)


def spelling(attachment: Attachment) -> Iterator[Said]:
    if attachment.instance is not None:
        yield from guest.misspelt(attachment.instance)


def realtime(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "cpu_realtime")
    if wanted.value:
        yield Parameter("locked_memory", True, f"implied by {wanted.source}")


# --- the device -----------------------------------------------------------------------------------


def vif_model(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "vif_model")
    kind = attachment.port.vnic_type
    if attachment.instance is None:
        return
    if kind in guest.PASSTHROUGH:
        if wanted.value:
            yield f"{wanted.source}: a port of vnic_type {kind} is passed through"
        return
    model = VIRTIO if kind in _VIRTIO_ONLY else guest.model(attachment)
    if kind in _VIRTIO_ONLY and (wrong := guest.wrong_model(attachment, (VIRTIO,))):
        yield wrong
    source = wanted.source or "nova: the default"
    yield Parameter("model", model, source)
    yield Need(Kind.MODEL, (names.vif_model(model),), model, source)


def multiqueue(attachment: Attachment) -> Iterator[Said]:
    instance = attachment.instance
    wanted = asked(instance, "vif_multiqueue_enabled")
    if instance is None or instance.vcpus < 2:
        if wanted.value:
            yield f"{wanted.source}: a guest with one vCPU has one queue"
        return  # a conflict is none either: nova does not look
    if wanted.conflict:
        yield wanted.conflict
    if not wanted.value:
        return
    if attachment.port.vnic_type in guest.PASSTHROUGH or guest.model(attachment) != VIRTIO:
        yield f"{wanted.source}: the device is not virtio"
        return
    yield Parameter("queues", instance.vcpus, wanted.source)
    yield Need(Kind.MULTIQUEUE, (names.MAX_QUEUES,), instance.vcpus, wanted.source)


def packed_ring(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "virtio_packed_ring")
    if wanted.conflict:
        yield wanted.conflict
    if not wanted.value:
        return
    if attachment.port.vnic_type in guest.PASSTHROUGH or guest.model(attachment) != VIRTIO:
        yield f"{wanted.source}: the device is not virtio"
        return
    yield Parameter("packed_ring", True, wanted.source)
    yield Need(Kind.PACKED, (names.VIRTIO_PACKED,), wanted.key, wanted.source)


def machine_type(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "machine_type")
    if wanted.value:
        yield Parameter("machine_type", wanted.value, wanted.source)
        name = names.machine_type(wanted.value)
        yield Need(Kind.MACHINE, (name,), wanted.value, wanted.source)


def viommu(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "viommu_model")
    if wanted.conflict:
        yield wanted.conflict
    if wanted.value in (None, "none"):
        return
    yield Parameter("viommu", wanted.value, wanted.source)
    every = tuple(names.VIOMMU_MODELS.values())
    anyof = every if wanted.value == "auto" else (names.viommu_model(wanted.value),)
    yield Need(Kind.VIOMMU, anyof, wanted.value, wanted.source)
    machine = asked(attachment.instance, "machine_type").value
    if wanted.value == "intel" and machine and "q35" not in machine:
        problem = f"it needs a q35 machine, hw_machine_type is {machine!r}"
        facts = {"wanted": wanted.value, "problem": problem, "have": []}
        yield ViommuUnsupported(facts=facts, reschedulable=False)


# --- placement ------------------------------------------------------------------------------------


def numa(attachment: Attachment) -> Iterator[Said]:
    for name in ("cpu_policy", "numa_nodes"):
        wanted = asked(attachment.instance, name)
        if wanted.conflict:
            yield wanted.conflict
        if wanted.value is not None:
            yield Parameter(name, wanted.value, wanted.source)
    instance = attachment.instance
    if instance is not None and instance.numa_nodes:
        yield Parameter("host_nodes", tuple(instance.numa_nodes), "instance numa_nodes")


def numa_policy(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "pci_numa_affinity_policy")
    if attachment.port.numa_affinity_policy:
        policy = attachment.port.numa_affinity_policy
        yield Parameter("numa_policy", policy, "port numa_affinity_policy")
        return
    if wanted.conflict:
        yield wanted.conflict
    if wanted.value:
        yield Parameter("numa_policy", wanted.value, wanted.source)


def emulator_threads(attachment: Attachment) -> Iterator[Said]:
    wanted = asked(attachment.instance, "emulator_threads_policy")
    if wanted.value:
        yield Parameter("emulator_threads", wanted.value, wanted.source)


def traits(attachment: Attachment) -> Iterator[Said]:
    """``trait:NAME`` without a group speaks of the host; groups speak of its parts."""
    if attachment.instance is None:
        return
    for place, properties in (
        ("flavor extra spec", attachment.instance.flavor_extra_specs),
        ("image property", attachment.instance.image_properties),
    ):
        for key, value in properties.items():
            if key.startswith("trait:") and value in ("required", "forbidden"):
                name, forbidden = key.removeprefix("trait:"), value == "forbidden"
                if not names.TRAIT.fullmatch(name):
                    yield f"{place} {key[:64]!r}: that is no name of a trait"
                    continue
                yield Need(Kind.TRAIT, (name,), name, f"{place} {key}", forbidden=forbidden)


def required(attachment: Attachment) -> Iterator[Said]:
    for name in attachment.required_traits:
        yield Need(Kind.TRAIT, (name,), name, "document required.traits", strict=True)


def bandwidth(attachment: Attachment) -> Iterator[Said]:
    if attachment.instance is None:
        return
    specs = attachment.instance.flavor_extra_specs
    if quota := {k: v for k, v in specs.items() if k.startswith("quota:vif_")}:
        yield Parameter("quota", quota, "flavor extra spec quota:vif_*")


def _contradiction(key: str, value: object, other: str, problem: str) -> FlavorImageConflict:
    facts = {"property": key, "value": value, "other": other, "problem": problem}
    return FlavorImageConflict(f"{key} cannot be without {other}: {problem}", facts=facts)
