"""SIGKILL at every effect of a sub-port that comes, one that its parent disowns, and a parent that
goes: with the daemon and the request again all is as without the kill."""

from __future__ import annotations

import pytest

from functional.trunks.test_daemon import parent, sub_port
from unit.docs import port_id
from vifd.testing.contract_kill import MOST, KillContract, Scene
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile as OvsProfile

PARENT, CHILD = port_id(1), port_id(2)
#: What each comes to: the status of the ports, and whether the VLAN comes in.
WANTED = {
    "comes": ({PARENT: "ACTIVE", CHILD: "ACTIVE"}, True),
    "disowned": ({PARENT: "ACTIVE", CHILD: "DOWN"}, False),
    "orphaned": ({CHILD: "DOWN"}, False),
}


class Trunk:
    """A parent and a sub-port, and what is asked for of them."""

    def __init__(self, vifd: Vifd, ovs: PrivateOvs) -> None:
        self.vifd, self.ovs = vifd, ovs

    def have(self) -> None:
        self.vifd.plug(parent(1, (2, 101)))

    def comes(self) -> None:
        self.vifd.plug(sub_port(2))

    def disowned(self) -> None:
        self.vifd.plug(parent(1))

    def orphaned(self) -> None:
        self.vifd.unplug(PARENT)

    def gone(self) -> None:
        ids = [CHILD, PARENT]
        self.vifd.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", {"ids": ids})

    def state(self) -> tuple[dict[str, str], bool]:
        """The status of each port, and whether the VLAN comes in."""
        ports = self.vifd.get("/v1/ports")["ports"]
        flows = self.ovs.ofctl("dump-flows", "br-int", "table=0")
        return {p["id"]: p["status"] for p in ports}, "dl_vlan=101" in flows


def killed_at_each(scene: Scene, trunk: Trunk, act: str, when: str) -> None:
    """Interrupt what is asked for at each of its effects, one after the other."""
    ask, wanted = getattr(trunk, act), WANTED[act]

    def prepare() -> None:
        trunk.have()
        if act != "comes":
            trunk.comes()

    with scene.running():
        prepare()
        ask()
        trunk.gone()
    for fatal in range(1, MOST):
        with scene.running():
            prepare()
        killed = scene.interrupt(ask, fatal, when)
        with scene.running():
            ask()
            until(lambda: trunk.state() == wanted, f"{act} after a kill at effect {fatal}",
                  told=trunk.state)  # fmt: skip
            trunk.gone()
            assert trunk.state() == ({}, False)
        if not killed:
            break
    assert fatal > 1, "no effect was interrupted: the test proves nothing"


#: What is tried of each kind: a kill before an effect is nearly one after the effect before it.
ACTS = [("comes", "before"), ("comes", "after"), ("disowned", "after"), ("orphaned", "after")]


class TestTrunkKilled(KillContract):
    @pytest.fixture
    def profile(self) -> Profile:
        return OvsProfile(OvsPlugin)

    test_killed_at_every_effect = None  # type: ignore[assignment]

    @pytest.mark.parametrize(("act", "when"), ACTS)
    def test_killed(
        self, act: str, when: str, nursery: Nursery, vifd: Vifd, ovs: PrivateOvs, profile: Profile
    ) -> None:
        killed_at_each(Scene(nursery, vifd, profile), Trunk(vifd, ovs), act, when)
