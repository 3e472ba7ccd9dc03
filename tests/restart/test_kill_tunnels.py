"""SIGKILL before and after every effect of the first port of a network with tunnels, which makes
the tunnel, and of a change of who is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from functional.tunnels.traffic import segment
from restart.effects import each_effect
from support.tunnelswitch import Switch
from vifd.model import Attachment
from vifd.testing import attachments
from vifd.testing.census import Census
from vifd.testing.contract_kill import MOST, Scene
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs, answers
from vifd.testing.wait import until
from vifd_ovs.bridge.overlay import Kind, port_name
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile as OvsProfile

OWN, NEW = "192.0.2.1", "192.0.2.9"
TUNNEL = port_name("br-int", Kind("vxlan", 4))


class OvsTunnels(OvsProfile):
    """Ports of a VXLAN network."""

    options = {"datapath_type": "netdev", "local_ip": OWN}  # noqa: RUF012 - read only

    def attachment(self, number: int) -> Attachment:
        made = attachments.attachment(number, segment=segment())
        wish = {"plugin": self.cls.plugin_name, "vif_type": "ovs"}
        return msgspec.structs.replace(made, **wish)


@pytest.fixture
def address(leaks: Census) -> Iterator[None]:
    """The host has the address that tunnels leave from."""
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        (index,) = netlink.link_lookup(ifname="lo")
        netlink.addr("add", index=index, address=OWN, prefixlen=24)
        yield
        netlink.addr("del", index=index, address=OWN, prefixlen=24)


@pytest.fixture
def ovs(address: None) -> Iterator[PrivateOvs]:
    """A switch that knows the routes of its host."""
    with Switch() as private:
        yield private


class Tunnelled:
    """A daemon with the options of a profile, beside the switch of this module."""

    @pytest.fixture
    def vifd(self, ovs: PrivateOvs, profile: Profile, tmp_path: Path) -> Iterator[Vifd]:
        options = {"engine": {"retry_first": 0.05, "check_interval": 0}, "ovs": profile.options}
        daemon = Vifd(tmp_path / "v", ovs, options)
        yield daemon
        daemon.close()


class TestOvsTunnelsKilled(Tunnelled):
    @pytest.fixture
    def profile(self) -> Profile:
        return OvsTunnels(OvsPlugin)

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_while_the_tunnel_is_made(
        self, when: str, nursery: Nursery, vifd: Vifd, ovs: PrivateOvs, profile: Profile
    ) -> None:
        scene = Scene(nursery, vifd, profile)
        with scene.running():
            scene.plug()
            scene.unplug()
        for fatal in range(1, MOST):
            ovs.vsctl("del-port", "br-int", TUNNEL)
            killed = scene.interrupt(scene.plug, fatal, when)
            with scene.running():
                scene.converge(f"the first port converges after a kill at effect {fatal}")
                if killed:
                    assert vifd.get(scene.path)["status"] == "ACTIVE"
                assert "error" not in ovs.vsctl("show")
                assert TUNNEL in ovs.vsctl("list-ports", "br-int").split()
                scene.unplug()
            if not killed:
                break
        assert fatal > 2, "no effect was interrupted: the test proves nothing"

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_while_forwarding_changes(
        self, when: str, nursery: Nursery, vifd: Vifd, ovs: PrivateOvs, profile: Profile
    ) -> None:
        scene = Scene(nursery, vifd, profile)
        path = f"/v1/networks/{profile.attachment(1).network.id}/forwarding"

        def say(*hosts: str) -> None:
            endpoints = [{"address": h} for h in hosts]
            status, answer = vifd.call("PUT", path, {"endpoints": endpoints})
            assert status in (200, 201, 202), answer

        def known() -> bool:
            return f"set_field:{NEW}->tun_dst" in ovs.ofctl("dump-flows", "br-int")

        def change() -> None:
            say("192.0.2.2", NEW)
            until(lambda: known() or not answers(vifd.socket), "the new endpoint is there, or died")

        def prepare() -> None:
            say("192.0.2.2")
            scene.plug()
            until(lambda: not known(), "it is not there yet")

        def then() -> None:
            until(known, "the new endpoint is there")
            assert vifd.get(scene.path)["status"] == "ACTIVE"

        assert each_effect(scene, when, prepare, change, then) > 0
