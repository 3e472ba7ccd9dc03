"""Real nova code, an unprivileged process, the shim, the daemon and a real switch; no services.

One process of nova serves all tests, as nova-compute serves all instances.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import nova
from support.nova import Compute
from unit.docs import document, port_id
from vifd.testing import sandbox
from vifd.testing.daemon import Vifd
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("nova")

NOBODY = 65534
OPTIONS: dict[str, dict[str, object]] = {
    "engine": {"retry_first": 0.05},
    "api": {"socket_mode": "0666", "compute_uids": NOBODY},
}
VHOST = {
    "vhostuser_ovs_plug": True, "vhostuser_socket": "/run/vhu", "vhostuser_mode": "server",
}  # fmt: skip


class Scene:
    """A switch, a daemon, and nova beside them."""

    def __init__(self, directory: Path, ovs: sandbox.PrivateOvs) -> None:
        directory.chmod(0o755)
        self.directory, self.ovs = directory, ovs
        self.vifd = Vifd(directory / "v", ovs, OPTIONS)
        (directory / "v").chmod(0o755)
        self.conf = nova.config(directory, self.vifd.socket)
        self.up()
        self.compute = Compute(self.conf, "unprivileged")

    def up(self) -> None:
        self.vifd.start()
        self.vifd.ready()

    def bind(self, number: int = 1, **changes: Any) -> None:
        """The network service binds a port to this host."""
        body = {k: v for k, v in document(number, **changes).items() if k != "instance"}
        if body["role"] is None:
            del body["role"]
        status, answer = self.vifd.call("PUT", f"/v1/ports/{port_id(number)}/network", body)
        assert status == 202, answer

    def port(self, number: int = 1) -> Any:
        return self.vifd.call("GET", f"/v1/ports/{port_id(number)}")[1]

    def plugged(self, number: int = 1, **more: Any) -> Any:
        answer = self.compute.ask("plug", number, **more)
        assert "error" not in answer, answer
        return self.port(number)

    def unused(self, number: int = 1) -> None:
        """Wait until all is cleared away of a port that nova unplugged: of it is left what the
        network service says."""
        until(lambda: self.port(number)["phase"] == "WAITING", "it is gone")
        assert self.port(number)["waits"] == [
            "waits for compute: no instance uses the port on this host yet"
        ]

    def clean(self) -> None:
        self.up()
        self.vifd.clear()

    def close(self) -> None:
        self.compute.close()
        self.vifd.close()


@pytest.fixture(scope="module")
def made(isolated: None) -> Iterator[Scene]:
    with (
        tempfile.TemporaryDirectory(prefix="vn-", dir="/tmp") as directory,
        sandbox.PrivateOvs() as ovs,
    ):
        scene = Scene(Path(directory), ovs)
        try:
            yield scene
        finally:
            scene.close()


@pytest.fixture
def scene(made: Scene) -> Iterator[Scene]:
    yield made
    made.clean()


def test_nova_has_no_privilege_and_vifd_answers_in_the_place_of_ovs(scene: Scene) -> None:
    hello = scene.compute.hello
    assert hello["uid"] == NOBODY
    assert int(hello["capabilities"], 16) == 0
    assert hello["os_vif"]["ovs"] == "StandIn"
    assert hello["os_vif"]["noop"] != "StandIn"


def test_plug_repeat_and_unplug(scene: Scene) -> None:
    scene.bind()
    port = scene.plugged()
    assert (port["phase"], port["device"]) == ("LIVE", f"tap{port_id(1)[:11]}")
    assert port["parts"]["compute"]["owner"] == "nova"
    xml = scene.compute.ask("xml")["xml"]
    assert f'<target dev="{port["device"]}" managed="no"/>' in xml
    assert scene.plugged()["revision"] == port["revision"], "a port that stands costs nothing"
    for _ in range(2):
        assert "error" not in scene.compute.ask("unplug")
        assert port["device"] not in os.listdir("/sys/class/net"), "as stock's: it is gone"
        assert port["device"] not in scene.ovs.vsctl("list-ports", "br-int").split()
    scene.unused()
    scene.plugged()
    assert "error" not in scene.compute.ask("unplug")
    assert scene.plugged()["phase"] == "LIVE", "at once, as for a hard reboot"


def test_what_the_network_service_said_outlives_novas_start(scene: Scene) -> None:
    pairs = [{"ip_address": "10.9.9.9"}]
    scene.bind(port__allowed_address_pairs=pairs)
    scene.plugged()
    assert scene.plugged()["document"]["port"]["allowed_address_pairs"] == pairs


def test_several_queues(scene: Scene) -> None:
    scene.bind()
    port = scene.plugged(vcpus=4, extra_specs={"hw:vif_multiqueue_enabled": "true"})
    assert port["vif"]["queues"] > 1
    assert port["phase"] == "LIVE"


def test_what_was_made_ahead_is_opened_by_novas_plug_and_goes_with_its_unplug(
    scene: Scene,
) -> None:
    for number in (1, 2, 3):
        path = f"/v1/ports/{port_id(number)}/network?prewire=closed&wait=active&timeout=60"
        body = {k: v for k, v in document(number).items() if k != "instance"}
        assert scene.vifd.call("PUT", path, body)[1]["phase"] == "READY"
    device = scene.port()["device"]
    index = socket.if_nametoindex(device)
    port = scene.plugged()
    assert (port["phase"], port["device"]) == ("LIVE", device)
    assert socket.if_nametoindex(device) == index
    several = scene.plugged(2, vcpus=4, extra_specs={"hw:vif_multiqueue_enabled": "true"})
    assert (several["phase"], several["vif"]["queues"] > 1) == ("LIVE", True), "made otherwise"
    assert "error" not in scene.compute.ask("unplug", 3), "as after a build that failed"
    scene.unused(3)


def test_nova_waits_for_the_network_service(scene: Scene) -> None:
    scene.compute.tell("plug")
    until(lambda: scene.port().get("phase") == "WAITING", "nova said its part")
    scene.bind()
    assert "error" not in scene.compute.heard()
    assert scene.port()["phase"] == "LIVE"


def test_a_daemon_that_is_away_comes_back_in_time(scene: Scene) -> None:
    scene.bind()
    scene.vifd.stop()
    scene.compute.tell("plug")
    scene.up()
    assert "error" not in scene.compute.heard()
    assert scene.port()["phase"] == "LIVE"


def test_a_daemon_that_is_killed_in_the_middle_is_asked_again(scene: Scene) -> None:
    scene.compute.tell("plug")
    until(lambda: scene.port().get("phase") == "WAITING", "nova said its part")
    scene.vifd.kill()
    scene.up()
    scene.bind()
    assert "error" not in scene.compute.heard()
    assert scene.port()["phase"] == "LIVE"


def test_an_unplug_while_the_daemon_is_away_is_said_later(scene: Scene) -> None:
    scene.bind(1)
    scene.bind(2)
    scene.plugged(1)
    scene.vifd.stop()
    assert "error" not in scene.compute.ask("unplug", 1)
    scene.up()
    assert scene.port(1)["phase"] == "LIVE"
    scene.plugged(2)
    assert scene.port(1)["phase"] in ("UNPLUGGING", "WAITING")
    scene.unused(1)


def test_a_refusal_reaches_nova_with_code_next_step_and_nothing_is_left(scene: Scene) -> None:
    segment = {
        "network_type": "vlan", "physical_network": "nowhere", "segmentation_id": 7,
    }  # fmt: skip
    scene.bind(network__segment=segment)
    answer = scene.compute.ask("plug")
    assert answer["error"] == "InternalError"
    assert "E_SEG_PHYSNET_UNMAPPED" in answer["text"]
    assert "bridge_mappings" in answer["text"]
    assert set(scene.port()["parts"]) == {"network"}


def test_a_vhost_user_port_on_a_host_that_cannot(scene: Scene) -> None:
    scene.bind()
    answer = scene.compute.ask("plug", type="vhostuser", details=VHOST)
    assert answer["error"] == "InternalError"
    assert "vifd: E_" in answer["text"]
    assert "Next: " in answer["text"]


def test_the_plug_before_a_live_migration_opens_nothing(scene: Scene) -> None:
    scene.bind(role=None, port__binding_profile={"migrating_to": "here"})
    port = scene.plugged()
    assert (port["phase"], port["status"]) == ("READY", "DOWN")


def test_what_vifd_does_not_plug_stays_with_os_vif(scene: Scene) -> None:
    details = {"vhostuser_socket": "/run/vhu", "vhostuser_mode": "server"}
    assert "error" not in scene.compute.ask("plug", type="vhostuser", details=details)
    assert scene.port()["code"] == "E_STATE_NOT_FOUND"
    answer = scene.compute.ask("plug", details={"ovs_hybrid_plug": True, "port_filter": True})
    assert "vifd" not in answer.get("text", "")
    assert scene.port()["code"] == "E_STATE_NOT_FOUND"


def test_novas_start_plugs_everything_again_and_changes_nothing(scene: Scene) -> None:
    numbers, before = range(1, 101), scene.vifd.log.count(" plugged tap")
    for number in numbers:
        scene.bind(number)
        scene.plugged(number)
    # a check that meets a late carrier event may write a record; nothing is plugged anew
    # the line of a plug follows its answer
    logged = lambda: scene.vifd.log.count(" plugged tap")  # noqa: E731 - a count
    until(lambda: logged() >= before + len(numbers), "all is in the log")
    made = logged()
    devices = {n: socket.if_nametoindex(scene.port(n)["device"]) for n in numbers}
    for number in numbers:
        scene.plugged(number)
    assert {n: socket.if_nametoindex(scene.port(n)["device"]) for n in numbers} == devices
    assert logged() == made


def test_without_the_option_nothing_is_taken_over_and_vifd_is_not_needed(scene: Scene) -> None:
    other = scene.directory / "other"
    other.mkdir()
    with Compute(nova.config(other, scene.vifd.socket, take_over="")) as plain:
        assert plain.hello["os_vif"]["ovs"] == "OvsPlugin"


def test_the_oldest_os_vif(scene: Scene) -> None:
    """Its objects know no create_tap: libvirt makes the tap, and os-vif keeps the port."""
    other = scene.directory / "oldest"
    other.mkdir()
    with Compute(nova.config(other, scene.vifd.socket), path=[nova.OLDEST]) as old:
        assert old.hello["os_vif"]["ovs"] == "StandIn"
        scene.bind()
        answer = old.ask("plug", type="vhostuser", details=VHOST)
        assert "vifd: E_" in answer["text"]


#: What lies beside the newest, and the first numbers of the versions that then run.
OLDER = {
    "the oldest nova": ([nova.OLDEST_NOVA], "33", "5"),
    "both": ([nova.OLDEST_NOVA, nova.OLDEST], "33", "3"),
}


@pytest.mark.parametrize("name", OLDER)
def test_older_releases(scene: Scene, name: str) -> None:
    path, wanted, os_vif = OLDER[name]
    other = scene.directory / name.replace(" ", "-")
    other.mkdir()
    with Compute(nova.config(other, scene.vifd.socket), "unprivileged", path=path) as old:
        assert old.hello["versions"]["nova"].split(".")[0] == wanted
        assert old.hello["versions"]["os-vif"].split(".")[0] == os_vif
        assert old.hello["os_vif"]["ovs"] == "StandIn"
        assert int(old.hello["capabilities"], 16) == 0
        scene.bind()
        if os_vif == "3":
            # no create_tap in its objects: libvirt makes the tap, and os-vif keeps the port
            assert "vifd: E_" in old.ask("plug", type="vhostuser", details=VHOST)["text"]
            return
        for _ in range(2):
            assert "error" not in old.ask("plug")
        port = scene.port()
        assert (port["phase"], port["parts"]["compute"]["owner"]) == ("LIVE", "nova")
        assert f'dev="{port["device"]}" managed="no"' in old.ask("xml")["xml"]
        assert "error" not in old.ask("unplug")
    scene.unused()


def test_a_linux_bridge_stays_with_os_vif(scene: Scene) -> None:
    """Up to nova 33, where libvirt makes the tap; nova 34 and os-vif 5.3 know no Linux bridge."""
    other = scene.directory / "bridge"
    other.mkdir()
    conf = nova.config(other, scene.vifd.socket, take_over="ovs,linux_bridge")
    with Compute(conf, "unprivileged", path=[nova.OLDEST_NOVA, nova.OLDEST]) as old:
        assert old.hello["os_vif"]["linux_bridge"] == "StandIn"
        xml = old.ask("xml", type="bridge", details={})["xml"]
        assert '<interface type="bridge">' in xml
        assert "managed" not in xml
        answer = old.ask("plug", type="bridge", details={})
        assert "vifd" not in answer.get("text", "")
        assert scene.port()["code"] == "E_STATE_NOT_FOUND"
    assert "no longer supported" in scene.compute.ask("plug", type="bridge", details={})["text"]


def test_evacuated_while_the_host_was_away(scene: Scene) -> None:
    """The instance runs elsewhere when the host comes back with its port as it was: what the
    network service takes away closes it, nova's start unplugs it, and its address is free."""
    scene.bind(1)
    scene.plugged(1)
    scene.vifd.kill()
    scene.up()
    assert scene.port(1)["phase"] == "LIVE", "nobody could tell this host"
    status, _ = scene.vifd.call("DELETE", f"/v1/ports/{port_id(1)}/network")
    assert status in (202, 204)
    until(lambda: scene.port(1)["phase"] == "WAITING", "what is bound elsewhere is not here")
    assert "error" not in scene.compute.ask("unplug", 1)
    until(lambda: scene.port(1).get("code") == "E_STATE_NOT_FOUND", "its record is gone")
    mac = document(1)["port"]["mac_address"]
    addresses = document(1)["fixed_ips"]
    scene.bind(2, port__mac_address=mac, fixed_ips=addresses)
    assert scene.plugged(2, mac=mac)["phase"] == "LIVE"


def test_what_an_operator_can_look_at_before_the_switch(scene: Scene) -> None:
    def check(conf: Path) -> tuple[int, Any]:
        argv = [str(nova.PYTHON), "-W", "ignore", "-m", "vifd_nova.check", str(conf)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, json.loads(done.stdout)

    code, found = check(scene.conf)
    assert (code, found["taken_over"], found["problems"]) == (0, ["ovs"], [])
    assert found["vifd"]["ready"]
    other = scene.directory / "check"
    other.mkdir()
    code, found = check(nova.config(other, other / "none", take_over="ovs,nothing"))
    assert code == 1
    assert any("nothing" in p for p in found["problems"])
    assert any("systemctl status vifd" in p for p in found["problems"])
