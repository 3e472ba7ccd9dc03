"""What the running kernel can do for guests' interfaces."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.capabilities.modules import OPTIONS, Modules, State
from vifd.capabilities.tree import Tree, Unreadable
from vifd.safety import limits

_TUNGETFEATURES = 0x800454CF
_IFF_MULTI_QUEUE = 0x0100
#: MAX_TAP_QUEUES of the kernel.
_TAP_QUEUES = 256
_KVM_GET_API_VERSION = 0xAE00
_KVM_API = 12
_KVM_DRIVERS = ("kvm_intel", "kvm_amd", "kvm_hv", "kvm_pvm")

#: Name, module, and what the driver calls it when it is asked.
_DEVICES = (
    (names.BRIDGE, "bridge", "bridge"),
    (names.VLAN, "8021q", "vlan"),
    (names.VXLAN, "vxlan", "vxlan"),
)
_MODULES = (
    (names.MACVTAP, "macvtap"),
    (names.VHOST_NET, "vhost_net"),
    (names.VHOST_VSOCK, "vhost_vsock"),
    (names.VHOST_VDPA, "vhost_vdpa"),
    (names.VFIO, "vfio_pci"),
)
#: Memory encryption: the part of KVM that knows of it, its parameter, and whose processor.
_ENCRYPTION = (
    (names.SEV, "kvm_amd", "sev", "AMD"),
    (names.SEV_ES, "kvm_amd", "sev_es", "AMD"),
    (names.SEV_SNP, "kvm_amd", "sev_snp", "AMD"),
    (names.TDX, "kvm_intel", "tdx", "Intel"),
)

Ask = Callable[[str, int], int]


def _ask(path: str, request: int) -> int:
    """A number that a device answers to an ioctl that changes nothing."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if request == _TUNGETFEATURES:
            return int(struct.unpack("I", fcntl.ioctl(file, request, b"\0" * 4))[0])
        return int(fcntl.ioctl(file, request))
    finally:
        os.close(file)


@dataclass
class Kernel:
    """Devices, modules, and the parts that virtual machines need.

    :param lacking: why the kernel cannot make a kind of device (``bridge``, ``vlan``, ``vxlan``) or
        ``vlan_filtering``; ``None`` where it can
    :param ask: sends an ioctl to a device
    """

    tree: Tree
    lacking: Callable[[str], str | None]
    ask: Ask = _ask
    name: str = "kernel"
    interval: float = 300.0
    modules: Modules = field(init=False)

    def __post_init__(self) -> None:
        self.modules = Modules(self.tree)

    def probe(self, found: Findings) -> None:
        """See :class:`vifd.capabilities.findings.Source`."""
        with found.asking(names.KERNEL):
            release = self.modules.release
            found.judge(names.KERNEL, bool(release) or None, f"Linux {release}", "", release)
        self._arch(found)
        for name, module, kind in _DEVICES:
            with found.asking(name):
                self._device(found, name, module, kind)
        with found.asking(names.VLAN_FILTERING):
            self._vlan_filtering(found)
        for name, module in _MODULES:
            with found.asking(name):
                self._module(found, name, module)
        with found.asking(names.TUN, names.TUN_MULTIQUEUE):
            self._tun(found)
        with found.asking(names.KVM):
            self._kvm(found)
        with found.asking(names.IOMMU):
            self._iommu(found)
        with found.asking(names.CGROUP):
            self._cgroup(found)
        self._encryption(found)

    def _arch(self, found: Findings) -> None:
        machine = os.uname().machine
        if machine in names.ARCH:
            found.has(names.ARCH[machine], f"the processor is {machine}", machine)

    # --- devices ---

    def _device(self, found: Findings, name: str, module: str, kind: str) -> None:
        """Ask the kernel itself, unless the question would have it load a module."""
        state, where = self.modules.state(module)
        if state is State.LOADABLE:
            found.has(name, f"module {module} is {state}: {where}")
            return
        missing = f"a kernel with the module {module} (CONFIG_{OPTIONS[module]})"
        self._asked(found, name, kind, missing)

    def _asked(self, found: Findings, name: str, kind: str, missing: str) -> None:
        reason = self.lacking(kind)
        if reason is not None and "permission" in reason:
            found.unknown(name, reason)
            return
        evidence = reason or f"the kernel was asked for {kind}: it knows it"
        found.judge(name, reason is None, evidence, missing)

    def _vlan_filtering(self, found: Findings) -> None:
        state, where = self.modules.state("bridge")
        if state is State.LOADABLE:
            text = f"module bridge is {state}, so it was not asked: {where}"
            found.unknown(names.VLAN_FILTERING, text)
            return
        missing = "a kernel with CONFIG_BRIDGE_VLAN_FILTERING"
        self._asked(found, names.VLAN_FILTERING, "vlan_filtering", missing)

    def _module(self, found: Findings, name: str, module: str) -> None:
        state, where = self.modules.state(module)
        missing = f"the module {module}: a kernel with CONFIG_{OPTIONS[module]}"
        found.judge(name, state.there, f"module {module}: {state} ({where})", missing)

    def _tun(self, found: Findings) -> None:
        device = "/dev/net/tun"
        if not self.tree.exists(device):
            missing = "the module tun: modprobe tun"
            found.lacks(names.TUN, f"{device} does not exist", missing)
            found.lacks(names.TUN_MULTIQUEUE, f"{device} does not exist", missing)
            return
        features = self.ask(self.tree.path(device), _TUNGETFEATURES)
        evidence = f"{device} answers with features {features:#x}"
        found.has(names.TUN, evidence)
        several = bool(features & _IFF_MULTI_QUEUE)
        missing = "a kernel from 3.8 on"
        found.judge(names.TUN_MULTIQUEUE, several, evidence, missing, _TAP_QUEUES)

    # --- virtual machines ---

    def _kvm(self, found: Findings) -> None:
        present, evidence = self.kvm()
        missing = "virtualisation switched on in the firmware, and the module kvm_intel or kvm_amd"
        found.judge(names.KVM, present, evidence, missing)

    def kvm(self) -> tuple[bool | None, str]:
        """Whether the host's part of KVM is there, and what was seen; ``None`` where this process
        may open nothing more."""
        if not self.tree.exists("/dev/kvm"):
            return False, "/dev/kvm does not exist"
        try:
            version = self.ask(self.tree.path("/dev/kvm"), _KVM_GET_API_VERSION)
        except PermissionError:
            # the daemon is kept from what it does not need; the device is there for those who may
            return self._driver()
        except OSError as error:
            if limit := limits.word(error):
                return None, f"/dev/kvm: {limit}"
            return False, f"/dev/kvm: {error.strerror}"
        return version == _KVM_API, f"/dev/kvm answers with version {version} of its interface"

    def _driver(self) -> tuple[bool, str]:
        loaded = [d for d in _KVM_DRIVERS if self.tree.exists(f"sys/module/{d}")]
        text = "/dev/kvm is there, this daemon may not open it"
        return bool(loaded), f"{text}; driver: {', '.join(loaded) or 'none is loaded'}"

    def _iommu(self, found: Findings) -> None:
        groups = self.tree.names("sys/kernel/iommu_groups")
        evidence = f"/sys/kernel/iommu_groups holds {len(groups)} groups"
        missing = (
            "an IOMMU, switched on in the firmware and on the kernel's command line "
            "(intel_iommu=on or amd_iommu=on)"
        )
        found.judge(names.IOMMU, bool(groups), evidence, missing, len(groups))

    def _cgroup(self, found: Findings) -> None:
        mounts = self.tree.text("proc/self/mounts")
        if mounts is None:
            raise Unreadable("/proc/self/mounts does not exist")
        kinds = [line.split()[2] for line in mounts.splitlines() if len(line.split()) > 2]
        new, old = "cgroup2" in kinds, "cgroup" in kinds
        value = "hybrid" if new and old else 2 if new else 1 if old else None
        evidence = f"/proc/self/mounts has {'cgroup2 ' * new}{'cgroup' * old}".strip()
        missing = "a mounted cgroup file system"
        found.judge(names.CGROUP, new or old, evidence, missing, value)

    def _encryption(self, found: Findings) -> None:
        for name, module, parameter, maker in _ENCRYPTION:
            path = f"sys/module/{module}/parameters/{parameter}"
            with found.asking(name):
                text = self.tree.text(path)
                evidence = f"/{path} is {text!r}" if text else f"/{path} does not exist"
                missing = f"an {maker} processor with it, and {module} with {parameter}=1"
                found.judge(name, text in ("1", "Y", "y"), evidence, missing)
