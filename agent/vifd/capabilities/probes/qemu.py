"""QEMU and libvirt: how guests are run here, and the devices that they can have."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.capabilities.qmp import Interrogator, Qemu
from vifd.capabilities.tree import Unreadable

#: By the word of ``hw_vif_model``, the types of QEMU of which one is enough.
_MODELS = {
    "virtio": ("virtio-net-pci", "virtio-net-device", "virtio-net-ccw"),
    "e1000": ("e1000",),
    "e1000e": ("e1000e",),
    "igb": ("igb",),
    "rtl8139": ("rtl8139",),
    "ne2k_pci": ("ne2k_pci",),
    "pcnet": ("pcnet",),
    "vmxnet3": ("vmxnet3",),
    "spapr-vlan": ("spapr-vlan",),
    "lan9118": ("lan9118",),
}
_VIOMMU = {"intel": "intel-iommu", "smmuv3": "arm-smmuv3", "virtio": "virtio-iommu-pci"}
#: Of other hypervisors than those that libvirt runs with QEMU here.
_FOREIGN = {"netfront": "Xen", "vmxnet": "VMware"}
_PLACES = ("/usr/bin", "/usr/libexec", "/usr/local/bin")
#: Queue pairs of one interface that libvirt and the kernel's taps take.
MAX_QUEUES = 256

_ARCH = {"x86_64": "x86_64", "aarch64": "aarch64", "ppc64le": "ppc64", "s390x": "s390x"}


def find_binary() -> str:
    """The emulator for this host's own processor, where distributions put it; else empty."""
    arch = _ARCH.get(os.uname().machine, os.uname().machine)
    path = os.pathsep.join(_PLACES)
    for name in (f"qemu-system-{arch}", "qemu-kvm"):
        found = shutil.which(name, path=path)
        if found:
            return found
    return ""


@dataclass
class Guests:
    """What the hypervisor says, and what its QEMU says itself. Both are in memory as a rule, so it
    is read often: libvirt tells nobody when it has gone, or has read its capabilities.

    :param facts: of :meth:`vifd.hypervisor.Hypervisor.facts`; from memory
    :param emulator: the binary that an operator named; without one the one that libvirt names is
        taken, or the one that is installed
    :param kvm: whether KVM can be used, and what was seen
    """

    facts: Callable[[], dict[str, Any]]
    emulator: str
    kvm: Callable[[], tuple[bool | None, str]]
    ask: Callable[[str], Qemu] = field(default_factory=Interrogator)
    find: Callable[[], str] = find_binary
    name: str = "hypervisor"
    interval: float = 5.0
    _known: tuple[tuple[str, int, int], Qemu] | None = field(default=None, init=False)

    def probe(self, found: Findings) -> None:
        """See :class:`vifd.capabilities.findings.Source`."""
        facts = self.facts()
        self._libvirt(found, facts)
        binary = self.emulator or _emulator(facts) or self.find()
        if not binary:
            missing = "QEMU: install qemu-system-x86 or qemu-kvm"
            found.lacks(names.QEMU, f"no emulator in {', '.join(_PLACES)}", missing)
            return
        asked = (names.QEMU, names.VHOST_USER, names.VDPA, names.MEMFD, names.VIRTIO_PACKED)
        with found.asking(*asked, *names.VIF_MODELS.values(), *names.VIOMMU_MODELS.values()):
            self._qemu(found, binary, self._interrogate(binary), facts)

    def stop(self) -> None:
        """See :class:`vifd.capabilities.findings.Stoppable`."""
        if isinstance(self.ask, Interrogator):
            self.ask.stop()

    def _interrogate(self, binary: str) -> Qemu:
        """The answer of this very file, which is asked once."""
        try:
            stat = os.stat(binary)
        except OSError as error:
            raise Unreadable(f"{binary}: {error.strerror}") from error
        identity = (os.path.realpath(binary), stat.st_mtime_ns, stat.st_size)
        if self._known is None or self._known[0] != identity:
            self._known = (identity, self.ask(binary))
        return self._known[1]

    def _libvirt(self, found: Findings, facts: dict[str, Any]) -> None:
        if facts.get("connected"):
            version = facts.get("libvirt_version")
            uri = facts.get("uri") or "the connection"
            found.has(names.LIBVIRT, f"{uri} tells version {version}", version)
            found.has(names.ATTACH_INTERFACE, f"libvirt {version} attaches interfaces")
            return
        problem = facts.get("problem") or "no hypervisor is configured"
        missing = "libvirt: install and start it, and the extra 'libvirt' of vifd; see [libvirt]"
        found.lacks(names.LIBVIRT, str(problem), missing)

    def _qemu(self, found: Findings, binary: str, qemu: Qemu, facts: dict[str, Any]) -> None:
        found.has(names.QEMU, f"{binary} tells version {qemu.version}", qemu.version)
        self._models(found, binary, qemu)
        self._viommu(found, binary, qemu)
        self._machines(found, binary, qemu.machines | set(facts.get("machine_types") or ()))
        self._virt_types(found, binary, qemu, facts)
        self._backends(found, binary, qemu)

    def _models(self, found: Findings, binary: str, qemu: Qemu) -> None:
        for word, types in _MODELS.items():
            present = not qemu.types.isdisjoint(types)
            evidence = f"{binary} {'has' if present else 'has no'} {types[0]}"
            missing = f"a QEMU that is built with {types[0]}"
            found.judge(names.vif_model(word), present, evidence, missing)
        for word, owner in _FOREIGN.items():
            found.lacks(names.vif_model(word), f"a device of {owner}", f"a host with {owner}")
        found.whole(names.CUSTOM_VIF_MODEL_PREFIX, f"{binary} was asked for its devices", "")

    def _viommu(self, found: Findings, binary: str, qemu: Qemu) -> None:
        there = {word: kind in qemu.types for word, kind in _VIOMMU.items()}
        for word, present in there.items():
            kind = _VIOMMU[word]
            evidence = f"{binary} {'has' if present else 'has no'} {kind}"
            missing = f"a QEMU that is built with {kind}"
            found.judge(names.viommu_model(word), present, evidence, missing)
        which = ", ".join(word for word, present in there.items() if present)
        missing = "a QEMU with a virtual IOMMU"
        found.judge(names.VIOMMU_MODELS["auto"], bool(which), which or "none of them", missing)

    def _machines(self, found: Findings, binary: str, machines: Iterable[str]) -> None:
        for machine in sorted(set(machines) - {"none"}):
            found.has(names.machine_type(machine), f"machine types of {binary}", machine)
        missing = f"a QEMU with that machine type; {binary} -machine help lists those it has"
        found.whole(names.MACHINE_TYPE_PREFIX, f"machine types of {binary}", missing)

    def _virt_types(self, found: Findings, binary: str, qemu: Qemu, facts: dict[str, Any]) -> None:
        told = facts.get("virt_types")
        usable, seen = self.kvm()
        kvm = "kvm" in told if told else usable and "kvm-accel" in qemu.types
        tcg = "qemu" in told if told else "tcg-accel" in qemu.types
        source = "libvirt's capabilities" if told else f"accelerators of {binary}"
        missing = "see CUSTOM_KVM, and a QEMU that is built with KVM"
        found.judge(names.virt_type("kvm"), kvm, f"{source}; {seen}", missing)
        found.judge(names.virt_type("qemu"), tcg, source, "a QEMU that is built with TCG")
        found.whole(names.VIRT_TYPE_PREFIX, source, "another hypervisor")

    def _backends(self, found: Findings, binary: str, qemu: Qemu) -> None:
        kinds = f"network backends of {binary}: {', '.join(sorted(qemu.netdevs)) or 'not told'}"
        for name, kind in ((names.VHOST_USER, "vhost-user"), (names.VDPA, "vhost-vdpa")):
            present = kind in qemu.netdevs if qemu.netdevs else None
            found.judge(name, present, kinds, f"a QEMU that is built with {kind}")
        memfd = "memory-backend-memfd" in qemu.types
        evidence = f"{binary} {'has' if memfd else 'has no'} memory-backend-memfd"
        found.judge(names.MEMFD, memfd, evidence, "QEMU 2.12 or later")
        packed = "packed" in qemu.virtio_net if qemu.virtio_net else None
        evidence = f"virtio-net-pci of {binary} {'has' if packed else 'has no'} property packed"
        found.judge(names.VIRTIO_PACKED, packed, evidence, "QEMU 4.2 or later")
        several = "mq" in qemu.virtio_net if qemu.virtio_net else None
        evidence = f"virtio-net-pci of {binary} {'has' if several else 'has no'} property mq"
        found.judge(names.MAX_QUEUES, several, evidence, "QEMU 1.4 or later", MAX_QUEUES)


def _emulator(facts: dict[str, Any]) -> str:
    """The binary that libvirt starts guests with."""
    domains = facts.get("domains") or ()
    return next((str(d["emulator"]) for d in domains if d.get("emulator")), "")
