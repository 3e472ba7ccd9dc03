"""The parts of the host that the plugin reads past the drivers: procfs and sysfs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from vifd_vhostuser.processes import Processes
from vifd_vhostuser.sockets import UnixTable


@dataclass
class HostFiles:
    """Where procfs and sysfs are, and what is read there.

    :param proc: procfs
    :param sys: sysfs
    """

    proc: str = "/proc"
    sys: str = "/sys"
    table: UnixTable = field(init=False)
    processes: Processes = field(init=False)

    def __post_init__(self) -> None:
        self.table = UnixTable(self.proc)
        self.processes = Processes(self.proc)

    def hugepages(self) -> dict[str, dict[str, dict[str, int]]]:
        """Large pages by NUMA node and size: how many there are, and how many are free."""
        nodes: dict[str, dict[str, dict[str, int]]] = {}
        for path in sorted(Path(self.sys, "devices/system/node").glob("node*/hugepages/*")):
            counts = {name: _count(path / f"{name}_hugepages") for name in ("nr", "free")}
            nodes.setdefault(path.parts[-3], {})[path.name.removeprefix("hugepages-")] = counts
        return nodes

    def online_cpus(self) -> set[int]:
        """The numbers of the cores that run."""
        try:
            text = Path(self.sys, "devices/system/cpu/online").read_text()
        except OSError:
            return set(range(os.cpu_count() or 1))
        cpus: set[int] = set()
        for part in text.strip().split(","):
            low, _, high = part.partition("-")
            cpus.update(range(int(low), int(high or low) + 1))
        return cpus


def _count(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
