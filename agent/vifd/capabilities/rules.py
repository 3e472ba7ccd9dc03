"""The table: whose rule each input is, what it needs of a host, and the function that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vifd.capabilities import inputs
from vifd.capabilities.inputs import Said
from vifd.model import Attachment
from vifd.plugin import guest

Derive = Callable[[Attachment], Iterator[Said]]


@dataclass(frozen=True)
class Rule:
    """One row.

    :param name: what it is about
    :param source: whose rule it is, and the input it reads
    :param effect: what it needs of a host, and when it has no effect
    """

    name: str
    source: str
    effect: str
    derive: Derive


def _both(name: str) -> str:
    rule = guest.PROPERTIES[name]
    match rule.precedence:
        case guest.Precedence.FLAVOR:
            return f"nova: flavor extra spec {rule.flavor_key}"
        case guest.Precedence.IMAGE:
            return f"nova: image property {rule.image_key}"
        case _:
            return f"nova: flavor extra spec {rule.flavor_key}, image property {rule.image_key}"


_PORT = "Networking API: port"
#: Evaluated in this order; of two that say the same parameter the first holds.
RULES = (
    Rule(
        "hardware_offload", f"{_PORT} hardware_offload_type, binding:profile capabilities",
        "a NIC in switchdev mode; no effect on a port without a function of a NIC", inputs.offload,
    ),
    Rule(
        "vnic_type", f"{_PORT} binding:vnic_type",
        "what its kind of device needs, see below; a device that reads guest memory by itself "
        "needs it locked", inputs.vnic_type,
    ),
    Rule(
        "mem_page_size", _both("mem_page_size"),
        "large pages, which the host should have set aside (said, not refused); they make the "
        "guest's memory shared, which vhost-user needs", inputs.mem_page_size,
    ),
    Rule(
        "locked_memory", _both("locked_memory"),
        "memory that is not swapped; a contradiction without hw:mem_page_size",
        inputs.locked_memory,
    ),
    Rule(
        "mem_encryption", _both("mem_encryption"),
        "what hw:mem_encryption_model names (AMD SEV, SEV-ES, SEV-SNP, Intel TDX), else any SEV, "
        "and a q35 machine; implies locked memory; a switch in user space cannot serve such guests",
        inputs.mem_encryption,
    ),
    Rule(
        "vif_model", _both("vif_model"),
        "a QEMU that has the model; virtio if not stated; no effect where hardware is passed "
        "through; vhost-user, vdpa and virtio-forwarder are virtio only", inputs.vif_model,
    ),
    Rule(
        "multiqueue", _both("vif_multiqueue_enabled"),
        "more than one queue pair per device; as many as vCPUs, up to what the host gives; no "
        "effect with one vCPU or without virtio", inputs.multiqueue,
    ),
    Rule(
        "packed_ring", _both("virtio_packed_ring"),
        "a QEMU, and for vhost-user a switch, with packed virtqueues; no effect without virtio",
        inputs.packed_ring,
    ),
    Rule(
        "numa", "nova: hw:cpu_policy, hw:numa_nodes and their image properties",
        "nothing by itself; where the guest is confined to nodes and the policy is required, the "
        "switch must poll on one of them", inputs.numa,
    ),
    Rule(
        "numa_policy", f"{_PORT} numa_affinity_policy, else {_both('pci_numa_affinity_policy')}",
        "how strictly that holds: required refuses, the others say", inputs.numa_policy,
    ),
    Rule("machine_type", _both("machine_type"), "a QEMU that has it", inputs.machine_type),
    Rule(
        "viommu", _both("viommu_model"),
        "a QEMU that has it (auto: any); intel needs a q35 machine; for vhost-user a switch that "
        "follows it", inputs.viommu,
    ),
    Rule("emulator_threads", _both("emulator_threads_policy"), "nothing", inputs.emulator_threads),
    Rule("realtime", _both("cpu_realtime"), "locked memory", inputs.realtime),
    Rule(
        "traits", "nova: flavor extra spec and image property trait:*",
        "the trait, looked at again; a forbidden one is said; those of groups (trait1:…) are the "
        "scheduler's", inputs.traits,
    ),
    Rule(
        "required", "the document's required.traits",
        "the traits; one that nothing on the host tells of is refused as well", inputs.required,
    ),
    Rule(
        "spelling", "nova: the properties above that are words or truth values",
        "nothing; a value that is none of them is said", inputs.spelling,
    ),
    Rule(
        "bandwidth", "nova: flavor extra spec quota:vif_*",
        "nothing; the enforcement report says who keeps it", inputs.bandwidth,
    ),
    Rule(
        "trusted", f"{_PORT} trusted, binding:profile trusted",
        "a NIC whose functions can be trusted; no effect on a port without one", inputs.trusted,
    ),
    Rule(
        "hints", f"{_PORT} hints", "nothing; the enforcement report says who follows them",
        inputs.hints,
    ),
)  # fmt: skip
