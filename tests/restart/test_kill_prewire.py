"""SIGKILL before and after every effect by which a port that was made ahead of nova's plug is given
to os-vif, and by which vifd-nova takes it back; then the daemon comes back and it converges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from functional.test_adopt import _tap
from functional.test_hosted import options
from functional.test_sides import compute, instance, network
from restart.effects import each_effect
from unit.docs import document, port_id
from vifd.testing import census
from vifd.testing.contract_kill import Scene
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile

ID = port_id(1)
DEVICE = f"tap{ID[:11]}"
INSTANCE = document(1)["instance"]["id"]


class Ahead(Scene):
    """A port that was made ahead, on a bridge that os-vif uses as well."""

    def __init__(self, nursery: Nursery, vifd: Vifd, ovs: PrivateOvs) -> None:
        super().__init__(nursery, vifd, Profile(OvsPlugin))
        self.path = f"/v1/ports/{ID}"
        self.ovs = ovs

    def make(self) -> None:
        path = f"{self.path}/network?prewire=closed&wait=active&timeout=60"
        status, made = self.vifd.call("PUT", path, network(1))
        assert (status, made["phase"]) == (201, "READY"), made

    def stock(self) -> None:
        """What os-vif writes on a row that is there; until the port is its own, and open."""
        self.ovs.vsctl("set", "Interface", DEVICE, f"external_ids:vm-uuid={INSTANCE}")
        self.theirs()

    def theirs(self) -> None:
        until(lambda: self._is("hosted"), "it is os-vif's", told=lambda: self.vifd.log[-3000:])
        assert "vifd-" not in self.ovs.vsctl("get", "Interface", DEVICE, "external_ids")

    def _is(self, whose: str) -> bool:
        port = self.vifd.get(self.path)
        return port["status"] == "ACTIVE" and (whose == "hosted") is (
            port["document"].get("hosted") is not None
        )

    def left(self) -> None:
        self.make()
        self.stock()

    def take(self) -> None:
        """nova-compute starts, with vifd-nova."""
        path = f"{instance(1)}&owner=nova&take_over=true"
        status, taken = self.vifd.call("PUT", path, compute(1))
        assert (status // 100, taken["phase"]) == (2, "LIVE"), taken

    def taken(self) -> None:
        """It asks again where its call was cut off."""
        self.take()
        until(lambda: self._is("ours"), "it is vifd's", told=lambda: self.vifd.log[-3000:])

    def unplug(self) -> None:
        self.vifd.call("DELETE", f"{self.path}/instance?wait=gone&timeout=60")
        self.vifd.call("DELETE", f"{self.path}/network?wait=gone&timeout=60")
        # as os-vif unplugs its own
        if DEVICE in self.ovs.vsctl("list-ports", "br-int").split():
            _tap(DEVICE, persist=False)
            self.ovs.vsctl("del-port", DEVICE)
        until(lambda: self.vifd.get("/v1/ports")["ports"] == [], "it is forgotten")


@pytest.fixture
def scene(nursery: Nursery, ovs: PrivateOvs, tmp_path: Path) -> Iterator[Ahead]:
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
    made = {**options(), "engine": {"retry_first": 0.05, "check_interval": 0}}
    daemon = Vifd(tmp_path / "v", ovs, made)
    try:
        yield Ahead(nursery, daemon, ovs)
    finally:
        daemon.close()
        ovs.vsctl("--if-exists", "del-br", "br-int")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["given", "taken back"])
def test_killed_at_every_effect(scene: Ahead, what: str, when: str) -> None:
    given = (scene.make, scene.stock, scene.theirs)
    prepare, act, then = given if what == "given" else (scene.left, scene.take, scene.taken)
    with scene.running():
        scene.make()  # what is made for all ports is there before anything is counted
        scene.unplug()
        empty = census.take(scene.ovs)

    def gone() -> None:
        left = census.take(scene.ovs).beyond(empty, processes=False)
        assert left == []

    assert each_effect(scene, when, prepare, act, then, gone) >= 3
