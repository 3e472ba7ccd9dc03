"""The host's inventory against other witnesses: ip, ovs-vsctl, /proc; and changes by event."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from functional.hostfacts import fresh, known, way, well
from vifd.capabilities import names
from vifd.testing.daemon import Vifd
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

EX, EX_FAR = "vex0", "vex1"
LB, LB_FAR = "vlb0", "vlb1"
OPTIONS: dict[str, dict[str, object]] = {
    "ovs": {"bridge_mappings": "physnet1:br-ex,nowhere:br-none"},
    "linuxbridge": {
        "physical_interface_mappings": f"physnet2:{LB}",
        "local_ip": "192.0.2.7",
    },
    # nothing but events may bring news
    "engine": {"check_interval": 0},
}


def ip(*arguments: str) -> str:
    done = subprocess.run(
        ["ip", *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.fixture(scope="module")
def cables(isolated: None) -> Iterator[None]:
    """Two cables, one for each plugin's physical network; the far ends stay here as well."""
    with IPRoute() as netlink:
        for near, far in ((EX, EX_FAR), (LB, LB_FAR)):
            netlink.link("add", ifname=near, kind="veth", peer={"ifname": far})
            for name in (near, far):
                netlink.link("set", index=netlink.link_lookup(ifname=name)[0], state="up")
        netlink.addr(
            "add", index=netlink.link_lookup(ifname=EX_FAR)[0], address="192.0.2.7", prefixlen=24
        )
        yield
        for near in (EX, LB):
            for index in netlink.link_lookup(ifname=near):
                netlink.link("del", index=index)


@pytest.fixture(scope="module")
def bridged(cables: None) -> Iterator[PrivateOvs]:
    with PrivateOvs() as ovs:
        furnish(ovs)
        yield ovs


def furnish(ovs: PrivateOvs) -> None:
    """The bridges of a compute host."""
    ovs.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", OF_DATAPATH)
    ovs.vsctl("add-port", "br-ex", EX)
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", OF_DATAPATH)
    ovs.vsctl("set", "bridge", "br-int", "protocols=OpenFlow13,OpenFlow14", "fail_mode=secure")
    ovs.wait_for_carrier(EX)


@pytest.fixture(scope="module")
def vifd(bridged: PrivateOvs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vifd]:
    with Vifd(tmp_path_factory.mktemp("host") / "v", bridged, OPTIONS) as daemon:
        well(daemon)
        for plugin, physnet in (("ovs", "physnet1"), ("linuxbridge", "physnet2")):
            until(lambda p=plugin, n=physnet: way(daemon, p, n)["up"], f"{physnet} is up")  # type: ignore[misc]
            until(lambda n=physnet: seen(daemon, n, True), f"{physnet} is known")  # type: ignore[misc]
        yield daemon


def members(column: Any) -> set[str]:
    """A set of OVSDB: one member stands for itself."""
    return set(column[1]) if isinstance(column, list) else {column}


class TestAgainstOtherWitnesses:
    def test_the_kernel_and_its_devices(self, vifd):
        found = fresh(vifd)
        assert found[names.KERNEL]["value"] == platform.release()
        for name, kind in ((names.BRIDGE, "bridge"), (names.VXLAN, "vxlan"), (names.VLAN, "vlan")):
            more = {"vxlan": ["id", "7", "dstport", "4789"], "vlan": ["id", "7"]}.get(kind, [])
            link = ["link", LB] if kind == "vlan" else []
            made = subprocess.run(
                ["ip", "link", "add", *link, "name", "vprobe0", "type", kind, *more],
                capture_output=True, timeout=60, check=False,
            )  # fmt: skip
            if made.returncode == 0:
                ip("link", "del", "vprobe0")
            assert found[name]["present"] is (made.returncode == 0), made.stderr

    def test_large_pages(self, vifd):
        meminfo = dict(
            line.split(":") for line in Path("/proc/meminfo").read_text().splitlines()
        )  # fmt: skip
        kib = int(meminfo["Hugepagesize"].split()[0])
        value = fresh(vifd)[names.hugepages(kib)]["value"]
        assert sum(node["total"] for node in value.values()) == int(meminfo["HugePages_Total"])
        assert sum(node["free"] for node in value.values()) == int(meminfo["HugePages_Free"])

    def test_control_groups_and_nodes(self, vifd):
        found = fresh(vifd)
        kinds = {line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
        expected = {"cgroup", "cgroup2"} & kinds
        value = {"hybrid": {"cgroup", "cgroup2"}, 2: {"cgroup2"}, 1: {"cgroup"}, None: set()}
        assert value[found[names.CGROUP]["value"]] == expected
        nodes = {int(n) for n in found[names.NUMA]["value"] or {}}
        there = Path("/sys/devices/system/node").glob("node[0-9]*")
        assert nodes == {int(path.name.removeprefix("node")) for path in there}

    def test_the_switch(self, vifd, bridged):
        found = fresh(vifd)
        shown = json.loads(bridged.vsctl("--format=json", "list", "Open_vSwitch"))
        row = dict(zip(shown["headings"], shown["data"][0], strict=True))
        assert found[names.OVS]["value"] == row["ovs_version"]
        kinds = {c["value"] for n, c in found.items() if n.startswith(names.OVS_INTERFACE_PREFIX)}
        assert kinds == members(row["iface_types"])
        paths = {c["value"] for n, c in found.items() if n.startswith(names.OVS_DATAPATH_PREFIX)}
        assert paths == members(row["datapath_types"])
        assert found[names.OVS_DPDK]["present"] is row["dpdk_initialized"]

    def test_the_datapath(self, vifd, bridged):
        found = fresh(vifd)
        features = bridged.appctl("dpif/show-dp-features", "br-int")
        assert found[names.OVS_CONNTRACK]["present"] is ("CT state: Yes" in features)
        told = bridged.ofctl("meter-features", "br-int")
        most = int(told.split("max_meter:")[1].split()[0])
        assert (found[names.OVS_METERS]["present"], found[names.OVS_METERS]["value"]) == (
            most > 0, most,
        )  # fmt: skip

    @pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="needs QEMU")
    def test_qemu(self, vifd):
        found = fresh(vifd)
        binary = found[names.QEMU]["evidence"].split()[0]

        def said(*arguments: str) -> str:
            done = subprocess.run([binary, *arguments], capture_output=True, text=True, check=True,
                                  timeout=60)  # fmt: skip
            return done.stdout

        assert found[names.QEMU]["value"] in said("--version")
        devices = said("-machine", "none", "-device", "help")
        for word in ("virtio", "e1000", "e1000e", "igb", "rtl8139", "ne2k_pci", "vmxnet3"):
            device = "virtio-net-pci" if word == "virtio" else word
            assert found[names.vif_model(word)]["present"] is (f'name "{device}"' in devices), word
        machines = {line.split()[0] for line in said("-machine", "help").splitlines()[1:]}
        told = {c["value"] for n, c in found.items() if n.startswith(names.MACHINE_TYPE_PREFIX)}
        assert told == machines - {"none"}
        assert found[names.VHOST_USER]["present"] is (
            "vhost-user" in said("-machine", "none", "-netdev", "help")
        )


class TestNetworks:
    def test_links_and_mtus_as_ip_tells_them(self, vifd):
        for plugin, physnet, device in (("ovs", "physnet1", EX), ("linuxbridge", "physnet2", LB)):
            (link,) = json.loads(ip("-json", "link", "show", device))
            found = way(vifd, plugin, physnet)
            assert (found["mtu"], found["up"]) == (link["mtu"], "LOWER_UP" in link["flags"])
            assert device in found["devices"]

    def test_a_tunnel_endpoint_is_where_its_address_is(self, vifd):
        found = vifd.get("/v1/host")["plugins"]["linuxbridge"]["tunnels"]["vxlan"]
        (holder,) = json.loads(ip("-json", "addr", "show", "to", "192.0.2.7"))
        assert (found["device"], found["local_ip"]) == (holder["ifname"], "192.0.2.7")
        assert found["mtu"] == holder["mtu"] - 50
        assert known(vifd)[names.tunnel("vxlan")]["present"] is True

    def test_a_bridge_that_is_not_there(self, vifd):
        assert way(vifd, "ovs", "nowhere")["problem"] == "bridge br-none does not exist"
        assert known(vifd)[names.physnet("nowhere")]["present"] is False
        assert names.physnet("never-heard-of") not in known(vifd)


def has_mtu(told: Callable[[], dict[str, Any]], mtu: int) -> bool:
    return bool(told()["mtu"] == mtu)


def seen(vifd: Vifd, physnet: str, present: bool) -> bool:
    return known(vifd)[names.physnet(physnet)]["present"] is present


class TestEvents:
    """Nothing is asked for: with the periodic check off, events alone bring the news."""

    @pytest.mark.parametrize(
        ("plugin", "physnet", "far"),
        [("ovs", "physnet1", EX_FAR), ("linuxbridge", "physnet2", LB_FAR)],
    )
    def test_a_cable_that_is_pulled(self, vifd, plugin, physnet, far):
        assert way(vifd, plugin, physnet)["up"] is True
        ip("link", "set", far, "down")
        until(lambda: way(vifd, plugin, physnet)["up"] is False, "the plugin has noticed")
        until(lambda: seen(vifd, physnet, False), "the inventory says so")
        assert "down" in known(vifd)[names.physnet(physnet)]["missing"]
        ip("link", "set", far, "up")
        until(lambda: way(vifd, plugin, physnet)["up"] is True, "the plugin has noticed")
        until(lambda: seen(vifd, physnet, True), "the inventory says so")

    def test_another_mtu(self, vifd):
        for device, plugin, physnet in ((EX, "ovs", "physnet1"), (LB, "linuxbridge", "physnet2")):
            for mtu in (1400, 1500):
                ip("link", "set", device, "mtu", str(mtu))
                told = partial(way, vifd, plugin, physnet)
                until(partial(has_mtu, told, mtu), "it was noticed")

    def test_a_bridge_that_vanishes_and_comes_back(self, vifd, bridged):
        bridged.vsctl("del-br", "br-ex")
        until(lambda: way(vifd, "ovs", "physnet1")["problem"] == "bridge br-ex does not exist",
              "its loss was noticed")  # fmt: skip
        until(lambda: seen(vifd, "physnet1", False), "the inventory says so")
        bridged.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", OF_DATAPATH)
        bridged.vsctl("add-port", "br-ex", EX)
        until(lambda: way(vifd, "ovs", "physnet1")["up"] is True, "its return was noticed")
        until(lambda: seen(vifd, "physnet1", True), "the inventory says so")


def vifctl(vifd: Vifd, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "vifd.cli.main", "--socket", str(vifd.socket), *arguments],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestAnswers:
    def test_operators_read_what_lacks_and_how_to_get_it(self, vifd):
        shown = " ".join(re.split(r"[\s|]+", vifctl(vifd, "host", "show")))
        assert "bridge br-none of physical network nowhere does not exist" in shown
        assert "ovs-vsctl add-br br-none" in shown
        assert "dpdk-init" in shown
        assert "physnet1 by br-ex up, MTU 1500" in shown

    def test_json_has_all_of_it(self, vifd):
        before = vifd.get("/v1/host")["inventory"]["at"]
        found = json.loads(vifctl(vifd, "host", "show", "--refresh", "-f", "json"))
        assert found["inventory"]["at"] > before
        for capability in found["inventory"]["capabilities"]:
            assert capability["evidence"], capability
            assert capability["present"] is not False or capability["missing"], capability
            assert capability["age"] < 60

    def test_it_says_how_long_each_source_took(self, vifd):
        """bench/host.py has the numbers."""
        sources = well(vifd)["inventory"]["sources"]
        assert all(s["milliseconds"] > 0 for s in sources), sources
