"""A host's files in a directory of the test's: procfs, sysfs, ``/dev``, the list of modules."""

from __future__ import annotations

import gzip
from pathlib import Path

from vifd.capabilities.tree import Tree

RELEASE = "6.1.0-test"
_NODES = "sys/devices/system/node"
_PCI = "sys/devices/pci0000:00"


class HostTree:
    """Builds the tree; what a test does not put there is absent.

    :param root: an empty directory
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = Tree(root)
        self.file("proc/sys/kernel/osrelease", RELEASE)
        self.file("proc/self/mounts", "proc /proc proc rw 0 0")

    def file(self, path: str, content: str | bytes | int) -> None:
        """Put a file there, or replace it."""
        where = self.root / path
        where.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else f"{content}\n".encode()
        where.write_bytes(data)

    def unreadable(self, path: str) -> None:
        """Let something be there that nobody can read, root included."""
        where = self.root / path
        where.unlink(missing_ok=True)
        where.mkdir(parents=True)

    def link(self, path: str, target: str) -> None:
        """Put a link to another place of the tree there."""
        where = self.root / path
        where.parent.mkdir(parents=True, exist_ok=True)
        (self.root / target).mkdir(parents=True, exist_ok=True)
        where.symlink_to(self.root / target)

    # --- kernel ---

    def load(self, *modules: str) -> None:
        """Modules that are loaded."""
        for name in modules:
            (self.root / "sys/module" / name).mkdir(parents=True, exist_ok=True)

    def modules(self, *loadable: str, builtin: tuple[str, ...] = ()) -> None:
        """The lists of modules: those that can be loaded, and those that are built in."""
        directory = f"lib/modules/{RELEASE}"
        paths = "\n".join(f"kernel/net/{name}.ko.xz: kernel/net/other.ko" for name in loadable)
        self.file(f"{directory}/modules.dep", paths)
        built = "\n".join(f"kernel/net/{name}.ko" for name in builtin)
        self.file(f"{directory}/modules.builtin", built)

    def config(self, *, packed: bool = False, **options: str) -> None:
        """The configuration that the kernel was built with, ``CONFIG_`` left out."""
        lines = [f"CONFIG_{name}={value}" for name, value in options.items()]
        text = "\n".join(["# CONFIG_NOTHING is not set", *lines])
        if packed:
            self.file("proc/config.gz", gzip.compress(text.encode()))
        else:
            self.file(f"boot/config-{RELEASE}", text)

    def mounts(self, *kinds: str) -> None:
        """File systems that are mounted, by their types."""
        lines = [f"{kind} /mnt/{n} {kind} rw 0 0" for n, kind in enumerate(kinds)]
        self.file("proc/self/mounts", "\n".join(lines))

    def iommu_groups(self, count: int) -> None:
        """So many groups of the IOMMU."""
        for number in range(count):
            (self.root / f"sys/kernel/iommu_groups/{number}").mkdir(parents=True)

    # --- memory ---

    def node(self, number: int, cpus: str) -> None:
        """A NUMA node."""
        self.file(f"{_NODES}/node{number}/cpulist", cpus)

    def pages(self, kib: int, total: int, free: int, node: int | None = 0) -> None:
        """Large pages of a size; of no node on a kernel without NUMA."""
        place = "sys/kernel/mm/hugepages" if node is None else f"{_NODES}/node{node}/hugepages"
        self.file(f"{place}/hugepages-{kib}kB/nr_hugepages", total)
        self.file(f"{place}/hugepages-{kib}kB/free_hugepages", free)

    # --- network cards ---

    def card(
        self, name: str, pci: str, *, driver: str = "ixgbe", node: int = -1, queues: int = 1,
        vfs_total: int | None = None, vfs: int = 0, vf_driver: str = "", switch_id: str = "",
    ) -> None:  # fmt: skip
        """A network card with its interface."""
        device = f"{_PCI}/{pci}"
        self.link(f"sys/class/net/{name}/device", device)
        self.link(f"{device}/driver", f"sys/bus/pci/drivers/{driver}")
        self.file(f"{device}/numa_node", node)
        for number in range(queues):
            (self.root / f"sys/class/net/{name}/queues/rx-{number}").mkdir(parents=True)
        if switch_id:
            self.file(f"sys/class/net/{name}/phys_switch_id", switch_id)
        if vfs_total is not None:
            self.file(f"{device}/sriov_totalvfs", vfs_total)
            self.file(f"{device}/sriov_numvfs", vfs)
        for number in range(vfs):
            function = f"{_PCI}/{pci[:-1]}{number + 1}"
            self.link(f"{device}/virtfn{number}", function)
            if vf_driver:
                self.link(f"{function}/driver", f"sys/bus/pci/drivers/{vf_driver}")

    def software(self, name: str) -> None:
        """An interface that no card stands behind."""
        (self.root / "sys/class/net" / name).mkdir(parents=True)
