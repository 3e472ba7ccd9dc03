"""SIGKILL before and after every effect of the first port with security groups on a network with
tunnels, and of a change of rules and members."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from restart.effects import each_effect
from restart.test_kill_tunnels import OvsTunnels, Tunnelled, address, ovs
from vifd.model import Attachment
from vifd.testing.contract_kill import Scene
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs, answers
from vifd.testing.wait import until
from vifd_ovs.plugin import OvsPlugin

__all__ = ["address", "ovs"]
GROUP = "11111111-0000-4000-8000-000000000001"
PATH = f"/v1/security-groups/{GROUP}"
RULES, LOGGED = 182, 190
LOG = "/v1/logs/44444444-0000-4000-8000-000000000001"


class OvsGroups(OvsTunnels):
    """Ports of a VXLAN network in a security group."""

    def attachment(self, number: int) -> Attachment:
        made = super().attachment(number)
        return msgspec.structs.replace(
            made, port=msgspec.structs.replace(made.port, security_groups=[GROUP])
        )


def rule(port: int, **more: Any) -> dict[str, Any]:
    return {"id": f"22222222-0000-4000-8000-{port:012}", "direction": "ingress",
            "protocol": "udp", "port_range_min": port, "port_range_max": port, **more}  # fmt: skip


def say(vifd: Vifd, port: int, *members: str) -> None:
    """A rule for everybody, one for the group's own members, and those."""
    rules = [rule(port), rule(99, remote_group_id=GROUP)]
    said = {"name": "g", "rules": rules, "members": [{"ip_address": ip} for ip in members]}
    status, answer = vifd.call("PUT", PATH, said)
    assert status in (200, 201, 202), answer


class TestOvsGroupsKilled(Tunnelled):
    @pytest.fixture
    def profile(self) -> Profile:
        return OvsGroups(OvsPlugin)

    @pytest.fixture
    def scene(self, nursery: Nursery, vifd: Vifd, profile: Profile) -> Scene:
        return Scene(nursery, vifd, profile)

    def rules(self, ovs: PrivateOvs) -> str:
        return ovs.ofctl("dump-flows", "br-int", f"table={RULES}")

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_while_the_first_port_is_plugged(
        self, when: str, scene: Scene, vifd: Vifd, ovs: PrivateOvs
    ) -> None:
        with scene.running():
            say(vifd, 53, "10.9.0.1", "fd09::1")
            scene.plug()
            scene.unplug()
            assert "ct_tp_dst=53" not in self.rules(ovs)

        def then() -> None:
            assert vifd.get(scene.path)["status"] == "ACTIVE"
            found = self.rules(ovs)
            assert "ct_tp_dst=53" in found
            assert "ct_nw_src=10.9.0.1" in found

        def gone() -> None:
            assert "ct_tp_dst" not in self.rules(ovs)

        assert each_effect(scene, when, lambda: None, scene.plug, then, gone) > 1

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_while_rules_and_members_change(
        self, when: str, scene: Scene, vifd: Vifd, ovs: PrivateOvs
    ) -> None:
        def changed() -> bool:
            found = self.rules(ovs)
            there = "ct_tp_dst=54" in found and "ct_nw_src=10.9.0.2" in found
            return there and "ct_tp_dst=53" not in found and "ct_nw_src=10.9.0.1" not in found

        def change() -> None:
            say(vifd, 54, "10.9.0.2")
            until(lambda: changed() or not answers(vifd.socket), "the change is there, or died")

        def prepare() -> None:
            say(vifd, 53, "10.9.0.1")
            scene.plug()
            until(lambda: not changed(), "the change is not there yet")

        def then() -> None:
            until(changed, "the change is there")
            assert vifd.get(scene.path)["status"] == "ACTIVE"

        assert each_effect(scene, when, prepare, change, then) > 0

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_while_a_port_joins(self, when: str, scene: Scene, vifd: Vifd, ovs: PrivateOvs) -> None:
        """A port that had no groups comes into one, of which it is a member then."""
        joined = scene.document
        bare = {**joined, "port": {k: v for k, v in joined["port"].items()
                                   if k != "security_groups"}}  # fmt: skip
        own = str(joined["fixed_ips"][0]["ip_address"])

        def held() -> bool:
            found = self.rules(ovs)
            return "ct_tp_dst=53" in found and f"ct_nw_src={own}" in found

        def join() -> None:
            vifd.call("PUT", f"{scene.path}?wait=active&timeout=60", joined)
            until(lambda: held() or not answers(vifd.socket), "it is in its group, or died")

        def prepare() -> None:
            say(vifd, 53, "10.9.0.1")
            scene.document = bare
            scene.plug()
            assert not held()

        def then() -> None:
            until(held, "it is in its group")
            assert vifd.get(scene.path)["status"] == "ACTIVE"

        def gone() -> None:
            assert "ct_tp_dst" not in self.rules(ovs)

        assert each_effect(scene, when, prepare, join, then, gone) > 0

    @pytest.mark.parametrize(("when", "comes"), [("after", True), ("before", False)])
    def test_while_a_log_comes_or_goes(
        self, when: str, scene: Scene, vifd: Vifd, ovs: PrivateOvs, *, comes: bool
    ) -> None:
        def logged() -> bool:
            return "controller" in ovs.ofctl("dump-flows", "br-int", f"table={LOGGED}").lower()

        def log(*, enabled: bool) -> None:
            status, answer = vifd.call("PUT", LOG, {"enabled": enabled})
            assert status in (200, 201, 202), answer

        def settled() -> bool:
            return logged() is comes

        def prepare() -> None:
            say(vifd, 53)
            log(enabled=not comes)
            scene.plug()
            until(lambda: not settled(), "it is as before")

        def act() -> None:
            log(enabled=comes)
            until(lambda: settled() or not answers(vifd.socket), "it is logged or not, or died")

        def then() -> None:
            until(settled, "it is logged, or not")
            assert vifd.get(scene.path)["status"] == "ACTIVE"

        def gone() -> None:
            until(lambda: "actions" not in ovs.ofctl("dump-flows", "br-int", f"table={LOGGED}"),
                  "nothing of the log is left")  # fmt: skip

        assert each_effect(scene, when, prepare, act, then, gone) > 0
