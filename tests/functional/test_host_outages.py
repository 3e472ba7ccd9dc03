"""The inventory while something of the host is away, or does not answer."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from functional.hostfacts import known, refreshed, troubles
from unit.docs import NETWORK, document, port_id
from vifd.capabilities import names
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

#: Nothing but events may bring news.
EVENTS_ONLY: dict[str, dict[str, object]] = {"engine": {"check_interval": 0}}


def test_a_switch_that_goes_away(ovs: PrivateOvs, tmp_path: Path) -> None:
    with Vifd(tmp_path / "v", ovs, EVENTS_ONLY) as vifd:
        vifd.ready()
        until(lambda: names.OVS in known(vifd), "the switch was seen")
        ovs.stop()
        until(lambda: known(vifd)[names.OVS]["present"] is False, "its loss was noticed")
        ovs.start()
        until(lambda: known(vifd)[names.OVS]["present"] is True, "its return was noticed")


def test_a_probe_that_hangs_costs_its_own_facts(ovs: PrivateOvs, tmp_path: Path) -> None:
    """QEMU never answers."""
    emulator = tmp_path / "qemu"
    emulator.write_text("#!/bin/sh\necho $$ > $0.pid; exec sleep 600\n")
    emulator.chmod(0o755)
    options = {"capabilities": {"emulator": emulator}}
    with Vifd(tmp_path / "v", ovs, options) as vifd:
        vifd.ready()
        until(lambda: names.OVS in known(vifd), "the switch was seen")
        assert names.QEMU not in known(vifd)
        status, answer = vifd.plug(document(1))
        assert status == 201, f"ports are plugged meanwhile: {answer}"
        vifd.call("DELETE", f"/v1/ports/{port_id(1)}?wait=gone")
        hangs = {"hypervisor": "its probe hangs"}

        def alone() -> bool:
            return {k: v for k, v in troubles(refreshed(vifd)).items() if v} == hangs

        until(alone, "that is said, and of this source alone")
    pid = int((tmp_path / "qemu.pid").read_text())
    until(lambda: not psutil.pid_exists(pid), "it has ended with the daemon")


_ASKS = "import sys; from vifd.capabilities.qmp import Interrogator; Interrogator()(sys.argv[1])"


def test_a_daemon_killed_while_it_asks_leaves_no_qemu() -> None:
    emulator = shutil.which("qemu-system-x86_64")
    if emulator is None:
        pytest.skip("QEMU: qemu-system-x86_64 is not installed")
    asking = subprocess.Popen([sys.executable, "-c", _ASKS, emulator])
    try:
        started = until(lambda: psutil.Process(asking.pid).children(), "QEMU was started")
    finally:
        asking.kill()
        asking.wait()
    _, left = psutil.wait_procs(started, timeout=60)
    for process in left:
        process.kill()
    assert not left, "it came to its end by itself"


def capabilities(vifd: Vifd) -> set[str]:
    """The names of what is known of the host."""
    return {found["name"] for found in vifd.get("/v1/host")["inventory"]["capabilities"]}


def test_a_daemon_that_may_open_nothing_says_nothing_of_its_ports(
    ovs: PrivateOvs, tmp_path: Path
) -> None:
    """It cannot look at them, and they stand: not one is told to be broken."""
    bridged = document(2, plugin="linuxbridge", network__id=f"{port_id(2)[:8]}{NETWORK[8:]}")
    with Vifd(tmp_path / "v", ovs, {"engine": {"check_interval": 1}}) as vifd:
        assert [vifd.plug(each)[0] for each in (document(1), bridged)] == [201, 201]
        known = capabilities(vifd)
        last = vifd.get("/v1/ports")["ports"]
        assert vifd.process.pid is not None
        most = resource.prlimit(vifd.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(vifd.process.pid, resource.RLIMIT_NOFILE, (3, most[1]))
        until(lambda: all(f"plugin {name} cannot be looked at" in vifd.log
                          for name in ("ovs", "linuxbridge")), "it wants to look at them",
              told=lambda: vifd.log)  # fmt: skip
        resource.prlimit(vifd.process.pid, resource.RLIMIT_NOFILE, most)
        assert "vifd has 3 of 3 descriptors open: raise LimitNOFILE=" in vifd.log
        found = vifd.get("/v1/ports")["ports"]
        assert [p["status"] for p in found] == ["ACTIVE", "ACTIVE"]
        assert [p["revision"] for p in found] == [p["revision"] for p in last], vifd.log
        # a plugin that could not look either is asked again
        until(lambda: capabilities(vifd) == known, "the same is known of the host",
              told=lambda: capabilities(vifd) ^ known)  # fmt: skip
        assert "repairing it" not in vifd.log
        for number in (1, 2):
            assert vifd.unplug(port_id(number))[0] == 204
