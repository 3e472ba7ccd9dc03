"""A private Open vSwitch with DPDK, on a machine without any hardware for it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from vifd.testing.sandbox import DPDK, LIMIT, PrivateOvs
from vifd.testing.wait import PATIENCE, until

#: DPDK in ordinary memory: no huge pages, no devices, polling threads that sleep, and no file below
#: /var/run/dpdk: a second DPDK on the machine would end over that.
EXTRA = "--no-shconf --legacy-mem --no-huge --no-pci -m"
#: MiB; with less the pool of packet buffers fails at times.
MEMORY = 1536


def lacking() -> str | None:
    """Why none can run here, or ``None``."""
    if not DPDK.exists():
        return f"{DPDK} is not installed (package openvswitch-switch-dpdk)"
    if not list(Path("/usr/lib").glob("*/dpdk/pmds-*/librte_mempool_ring.so*")):
        return "DPDK has no ring mempool (package librte-mempool-ring23)"
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:") and int(line.split()[1]) < 2_500_000:
            return "less than 2.5 GB of memory is free, and DPDK takes 1.5 GB"
    return None


class DpdkOvs(PrivateOvs):
    """An Open vSwitch of one's own whose switch has DPDK.

    :param memory: MiB that DPDK gets; with 40 it starts, and has no room for packets
    :param config: more of ``other_config``
    """

    def __init__(
        self, directory: Path | str | None = None, *, memory: int = MEMORY,
        config: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.config = {
            "dpdk-init": "true",
            "dpdk-extra": f"{EXTRA} {memory}",
            "pmd-maxsleep": "500",
            **(config or {}),
        }
        super().__init__(directory)

    def start(self) -> None:
        """Start what does not run, and wait until the database says that the switch has DPDK.

        It answers before that, and without it nobody gives it a port.
        """
        super().start()
        until(lambda: self.vswitchd.pid is None or self._initialized(), "the switch has DPDK")
        if self.vswitchd.pid is None:
            text = self.vswitchd.log.read_text(errors="replace")
            raise RuntimeError(f"ovs-vswitchd ended at its start:\n{text[-2000:]}")

    def _initialized(self) -> bool:
        have = self.vsctl("--no-wait", "get", "Open_vSwitch", ".", "dpdk_initialized")
        return have.strip() == "true"

    def _binary(self, name: str) -> str:
        """The daemon names its sockets after what it was called as."""
        if name != "ovs-vswitchd":
            return super()._binary(name)
        self.rundir.mkdir(parents=True, exist_ok=True)
        link = self.rundir / name
        if not link.is_symlink():
            link.symlink_to(DPDK)
        return str(link)

    def _configure(self) -> None:
        values = [f'other_config:{name}="{value}"' for name, value in self.config.items()]
        argv = ["ovs-vsctl", f"--db={self.db}", f"--timeout={LIMIT}", "--no-wait", "--", "init"]
        argv += ["--", "set", "Open_vSwitch", ".", *values]
        subprocess.run(argv, env=self.env, check=True, capture_output=True, timeout=PATIENCE + 10)
