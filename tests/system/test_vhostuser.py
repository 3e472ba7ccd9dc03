"""A real guest on a vhost-user port of a real Open vSwitch with DPDK, and what goes wrong there.

The guest pings a guest on a tap of the same network, through the daemon's flows.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from system.echo import EchoGuest
from unit.docs import document, port_id
from vifd.testing.census import Census
from vifd.testing.daemon import Vifd
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.vm import Vm
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("dpdk", "vm", "tun")

LARGE = {"hw:mem_page_size": "large"}
FAST = {"engine": {"retry_first": 0.1, "retry_longest": 1, "check_interval": 1}}


class World:
    """A switch, the daemon, and guests; everything goes when it closes."""

    def __init__(self, directory: Path, **dpdk: Any) -> None:
        self.directory = directory
        self.ovs = DpdkOvs(directory / "ovs", **dpdk)
        self.vifd = Vifd(directory / "v", self.ovs, {
            **FAST, "vhostuser": {"socket_dir": directory / "s"},
        })  # fmt: skip
        self.guests: list[Vm | EchoGuest] = []

    def start(self) -> None:
        self.ovs.start()
        self.vifd.start()
        self.vifd.ready()

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.ovs.close)
            stack.callback(self.vifd.close)
            stack.callback(self._unplug)
            while self.guests:
                stack.callback(self.guests.pop().close)

    def _unplug(self) -> None:
        self.vifd.clear()

    def plug(self, number: int, plugin: str, **changes: Any) -> tuple[int, Any]:
        return self.vifd.plug(document(number, **changes) | {"plugin": plugin})

    def vhost(self, number: int, **changes: Any) -> Any:
        """Plug a vhost-user port that must succeed."""
        status, port = self.plug(number, "vhostuser", instance=_instance(LARGE), **changes)
        assert (status, port.get("phase")) == (201, "LIVE"), port
        return port

    def port(self, number: int) -> Any:
        return self.vifd.get(f"/v1/ports/{port_id(number)}")

    def vm(self, number: int, peer: int, memory: str = "shared") -> Vm:
        """Start the guest of a port."""
        port = self.port(number)
        vm = Vm(
            self.directory / f"vm{number}-{memory}", socket=port["vif"]["socket_path"],
            mac=port["vif"]["mac_address"], address=f"10.0.0.{number}/24", peer=f"10.0.0.{peer}",
            memory=memory,
        )  # fmt: skip
        self.guests.append(vm)
        vm.start()
        return vm

    def echo(self, number: int) -> None:
        """Plug a tap port and start a guest on it that answers."""
        status, port = self.plug(number, "ovs")
        assert status == 201, port
        device, mac = port["vif"]["device"], port["vif"]["mac_address"]
        self.guests.append(EchoGuest(device, mac, f"10.0.0.{number}"))

    def facts(self, number: int) -> dict[str, Any]:
        return {e["fact"]: e["have"] for e in self.port(number)["evidence"]}

    def probed(self) -> dict[str, Any]:
        """What the plugin's last probe found."""
        (facts,) = (p["facts"] for p in self.vifd.get("/v1/plugins")["plugins"]
                    if p["name"] == "vhostuser")  # fmt: skip
        return dict(facts)

    def degraded(self, number: int) -> dict[str, Any]:
        """Wait until the port is degraded; its findings."""
        until(lambda: self.port(number)["phase"] == "DEGRADED", "it is degraded")
        return {e["fact"]: e["have"] for e in self.port(number)["evidence"] if not e["ok"]}


def _instance(flavor: dict[str, str]) -> dict[str, Any]:
    return {"id": "00000000-0000-4000-8000-0000000000aa", "flavor_extra_specs": flavor}


@contextlib.contextmanager
def a_world(**dpdk: Any) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="vw-") as directory:
        made = World(Path(directory), **dpdk)
        try:
            made.start()
            yield made
        finally:
            made.close()


@pytest.fixture
def world(leaks: Census) -> Iterator[World]:
    with a_world() as made:
        yield made


def test_a_guest_pings_and_pings_again_after_the_switch_was_killed(world: World) -> None:
    port = world.vhost(1)
    assert (port["vif"]["type"], port["vif"]["socket_mode"]) == ("vhostuser", "server")
    assert world.facts(1)["guest"] == "waiting for guest"
    world.echo(2)
    vm = world.vm(1, peer=2)
    until(lambda: vm.answers >= 2, "the guest's pings are answered")
    until(lambda: world.facts(1).get("vhost.link_state") == "up", "the check sees it")
    assert world.facts(1)["guest.memory"].startswith("shared, 96 MiB")
    assert world.port(1)["phase"] == "LIVE"

    world.ovs.vswitchd.kill()
    before = vm.answers
    world.ovs.start()
    until(lambda: vm.answers >= before + 2, "the guest's pings are answered again")
    until(lambda: world.port(1)["phase"] == "LIVE", "the port is proven again")


def test_a_guest_with_private_memory_is_refused_before_anything_is_made(world: World) -> None:
    for flavor in ({}, {"hw:mem_page_size": "small"}):
        status, error = world.plug(3, "vhostuser", instance=_instance(flavor))
        assert (status, error["code"]) == (409, "E_CAP_SHARED_MEMORY")
        assert not error["reschedulable"]
    assert world.vifd.get("/v1/ports")["ports"] == []
    assert world.ovs.bridges() == []
    assert not list((world.directory / "s").glob("*"))


def test_a_guest_that_must_be_near_is_refused_where_no_thread_polls_near_it(world: World) -> None:
    world.vhost(1)
    until(lambda: world.probed()["pmd_cores"], "a thread polls, and the probe has seen it")
    far = {**_instance(LARGE), "numa_nodes": [63]}
    status, error = world.plug(9, "vhostuser", instance=far, port__numa_affinity_policy="required")
    assert (status, error["code"]) == (409, "E_CAP_NUMA"), error
    assert (error["facts"]["wanted"], error["facts"]["have"]) == ([63], [0])
    status, port = world.plug(9, "vhostuser", instance=far)
    assert status == 201, port


@pytest.mark.parametrize("memory", ["private", "anonymous"])
def test_a_guest_that_runs_with_private_memory_all_the_same(world: World, memory: str) -> None:
    number = 4 if memory == "private" else 5
    world.vhost(number)
    vm = world.vm(number, peer=2, memory=memory)
    findings = world.degraded(number)
    assert findings["guest.memory"].startswith(f"{memory}, 96 MiB")
    until(lambda: vm.up, "the guest has booted")
    assert vm.answers == 0
    assert world.degraded(number)["guest.memory"].startswith(memory)
    vm.close()
    world.guests.remove(vm)
    until(lambda: world.port(number)["phase"] == "LIVE", "it waits for a better guest")
    assert world.facts(number)["guest"] == "waiting for guest"


def test_a_switch_without_memory_for_packets_is_not_offered(leaks: Census) -> None:
    """It would take every port without an error, and pass nothing."""
    with a_world(memory=40) as world:
        plugins = {p["name"]: p for p in world.vifd.get("/v1/plugins")["plugins"]}
        assert plugins["vhostuser"]["state"] == "unavailable"
        assert "packet buffers" in " ".join(plugins["vhostuser"]["reasons"])
        status, error = world.plug(6, "vhostuser", instance=_instance(LARGE))
        assert (status, error["code"]) == (503, "E_PLUGIN_UNHEALTHY")


def test_a_guest_that_gets_no_memory_for_its_packets_is_found(leaks: Census) -> None:
    """Open vSwitch says of such a port: no error, a valid number, "connected". DPDK's memory
    would do for a pool, but not for the one that the switch insists on."""
    with a_world(memory=300) as world:
        world.vhost(6)
        world.vm(6, peer=2)
        findings = world.degraded(6)
        assert "no DPDK memory" in findings["vhost.buffers"]
        row = world.ovs.vsctl("get", "Interface", "vhu00000006-00", "error", "ofport")
        assert row.split()[0] == "[]"
        assert int(row.split()[1]) > 0
