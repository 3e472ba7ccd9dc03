"""SIGKILL after every effect of the first port whose questions are answered on a bridge of the
kernel, and before every one of a change of what is known and of the last port's end: what comes
before one effect comes after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from functional.tunnels.traffic import segment
from restart.effects import each_effect
from restart.test_kill_tunnels import OWN, address
from vifd.drivers.nft.driver import Nft
from vifd.drivers.nft.objects import ANSWERED
from vifd.model import Attachment
from vifd.testing import attachments
from vifd.testing.contract_kill import Scene
from vifd.testing.daemon import Vifd
from vifd.testing.nursery import Nursery
from vifd.testing.profile import Profile
from vifd.testing.sandbox import PrivateOvs, answers
from vifd.testing.wait import until
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_linuxbridge.testing import Profile as LinuxBridgeProfile
from vifd_linuxbridge.testing import quiet_netfilter

__all__ = ["address"]
pytestmark = pytest.mark.needs("kernel:vxlan")
NET = "vxlan-101"
OLD, NEW = "10.9.0.7", "10.9.0.8"


class Answered(LinuxBridgeProfile):
    """Ports of a VXLAN network."""

    options = {"local_ip": OWN, "arp_responder": True}  # noqa: RUF012 - read only

    def attachment(self, number: int) -> Attachment:
        made = attachments.attachment(number, segment=segment())
        return msgspec.structs.replace(made, plugin="linuxbridge", vif_type="bridge")


@pytest.fixture
def scene(address: None, ovs: PrivateOvs, nursery: Nursery, tmp_path: Path) -> Iterator[Scene]:
    quiet_netfilter()
    profile: Profile = Answered(LinuxBridgePlugin)
    options: dict[str, dict[str, object]] = {
        "engine": {"retry_first": 0.05, "check_interval": 0},
        "linuxbridge": dict(profile.options),
    }
    daemon = Vifd(tmp_path / "v", ovs, options)
    yield Scene(nursery, daemon, profile)
    daemon.close()


def say(scene: Scene, ip: str) -> None:
    """One address elsewhere."""
    network = scene.profile.attachment(1).network.id
    port = {"mac_address": "02:00:00:00:00:07", "ip_addresses": [ip]}
    body = {"endpoints": [{"address": "192.0.2.2", "ports": [port]}]}
    status, answer = scene.vifd.call("PUT", f"/v1/networks/{network}/forwarding", body)
    assert status in (200, 201, 202), answer


def known() -> tuple[list[str], set[str]]:
    """Who asks, and about which addresses there is an answer."""
    nft = Nft()
    try:
        devices, _ = nft.list_answers(ANSWERED)
        return devices, set(nft.answers(ANSWERED, NET) or ())
    finally:
        nft.close()


def silent() -> None:
    assert known() == ([], set())


def test_while_the_first_port_is_plugged(scene: Scene) -> None:
    def then() -> None:
        scene.plug()
        devices, there = known()
        assert (len(devices), there) == (1, {OLD})

    assert each_effect(scene, "after", lambda: say(scene, OLD), scene.plug, then, silent) > 4


def test_while_what_is_known_changes_and_the_last_port_goes(scene: Scene) -> None:
    def prepare() -> None:
        say(scene, OLD)
        scene.plug()

    def act() -> None:
        say(scene, NEW)
        until(lambda: known()[1] == {NEW} or not answers(scene.vifd.socket), "it is told, or died")
        scene.unplug()

    def then() -> None:
        scene.plug()
        devices, there = known()
        assert (len(devices), there) == (1, {NEW})

    assert each_effect(scene, "before", prepare, act, then, silent) > 3
