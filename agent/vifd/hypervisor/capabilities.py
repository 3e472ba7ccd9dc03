"""What libvirt says of itself and of QEMU, as facts of the host. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vifd.hypervisor.definition import Element, attribute, parse, text_of

#: Network cards that QEMU emulates, by processor. libvirt does not list them.
_MODELS = {
    "x86_64": ("virtio", "virtio-transitional", "virtio-non-transitional", "e1000", "e1000e",
               "rtl8139", "pcnet", "ne2k_pci", "vmxnet3"),
    "aarch64": ("virtio", "virtio-transitional", "virtio-non-transitional", "e1000", "e1000e",
                "rtl8139", "usb-net"),
    "s390x": ("virtio",),
    "ppc64le": ("virtio", "virtio-transitional", "virtio-non-transitional", "e1000", "rtl8139",
                "spapr-vlan"),
}  # fmt: skip
#: From this QEMU on there is a model of Intel's igb.
_IGB = 8_000_000


def version(number: int) -> str:
    """libvirt's way of writing versions: ``9000000`` is 9.0.0."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def host(text: str) -> dict[str, Any]:
    """Facts from the ``<capabilities>`` of a connection: the host's processor, and for it the kinds
    of virtualisation and the machine types.

    :raises vifd.hypervisor.definition.BadXml: it cannot be read
    """
    root = parse(text)
    arch = text_of(root, "./host/cpu/arch")
    virt_types: set[str] = set()
    machines: set[str] = set()
    for guest in root.iterfind("./guest"):
        if text_of(guest, "os_type") != "hvm" or attribute(guest, "arch", "name") != arch:
            continue
        virt_types |= {d.get("type", "") for d in guest.iterfind("./arch/domain")}
        for machine in guest.iterfind("./arch//machine"):
            machines |= {(machine.text or "").strip(), machine.get("canonical", "")}
    return {
        "arch": arch,
        "virt_types": sorted(virt_types - {""}),
        "machine_types": sorted(machines - {""}),
        "iommu": attribute(root, "./host/iommu", "support") == "yes",
        "numa_nodes": len(root.findall("./host/topology/cells/cell")),
    }


def machine(text: str) -> dict[str, Any]:
    """Facts from ``<domainCapabilities>`` of one machine type and kind of virtualisation.

    What this version of libvirt does not tell is left out.

    :raises vifd.hypervisor.definition.BadXml: it cannot be read
    """
    root = parse(text)
    facts: dict[str, Any] = {
        "machine": text_of(root, "machine"),
        "virt_type": text_of(root, "domain"),
        "emulator": text_of(root, "path"),
        "max_vcpus": int(attribute(root, "vcpu", "max") or 0),
    }
    backing = _enum(root, "./memoryBacking", "sourceType")
    if backing:
        facts["memory_backing"] = backing
    interface = _enum(root, "./devices/interface", "backendType")
    if interface:
        facts["interface_backends"] = interface
    for element in root.iterfind("./features/*"):
        facts.setdefault("features", {})[element.tag] = element.get("supported") == "yes"
    return facts


def _enum(root: Element, path: str, name: str) -> list[str]:
    values = root.iterfind(f"{path}/enum[@name='{name}']/value")
    return sorted((value.text or "").strip() for value in values)


def models(arch: str, qemu: int) -> Sequence[str]:
    """The models of network cards that this QEMU has.

    :param qemu: its version as libvirt writes it, 0 where unknown
    """
    known = _MODELS.get(arch, ("virtio",))
    return (*known, "igb") if qemu >= _IGB and arch == "x86_64" else known
