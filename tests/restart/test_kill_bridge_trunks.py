"""SIGKILL at every effect of a sub-port that comes, one that its parent disowns, and a parent that
goes, on bridges of the kernel where it has VLAN devices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from functional.trunks.test_daemon import sub_port
from restart.test_kill_trunks import ACTS, Trunk, killed_at_each
from vifd.drivers.bridging import Bridging
from vifd.testing.contract_kill import Scene
from vifd.testing.daemon import Options, Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs
from vifd_linuxbridge.guarding import admitted
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_linuxbridge.testing import Profile as LinuxBridgeProfile
from vifd_linuxbridge.testing import quiet_netfilter

pytestmark = pytest.mark.needs("kernel:8021q")

OPTIONS: Options = {
    "engine": {"retry_first": 0.05, "check_interval": 0},
    "plugins": {"enabled_plugins": "linuxbridge"},
    "linuxbridge": {"serve_local": True},
}


class BridgeTrunk(Trunk):
    """On one network, because bridges are named by how its id begins."""

    def comes(self) -> None:
        self.vifd.plug(sub_port(2, 1))

    def state(self) -> tuple[dict[str, str], bool]:
        """The status of each port, and whether the VLAN comes in."""
        ports = self.vifd.get("/v1/ports")["ports"]
        bridging = Bridging()
        try:
            guards = bridging.guards(["tap00000001-00"])
            there = bridging.get(["sub00000002-00"])
        finally:
            bridging.close()
        comes = any(101 in admitted(program) for program in guards.values())
        assert not comes or there["sub00000002-00"].master is not None
        return {p["id"]: p["status"] for p in ports}, comes


@pytest.fixture
def profile() -> Profile:
    return LinuxBridgeProfile(LinuxBridgePlugin)


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    quiet_netfilter()
    daemon = Vifd(tmp_path / "v", ovs, OPTIONS)
    yield daemon
    daemon.close()


@pytest.mark.parametrize(("act", "when"), ACTS)
def test_killed(
    act: str, when: str, nursery: Nursery, vifd: Vifd, ovs: PrivateOvs, profile: Profile
) -> None:
    killed_at_each(Scene(nursery, vifd, profile), BridgeTrunk(vifd, ovs), act, when)
