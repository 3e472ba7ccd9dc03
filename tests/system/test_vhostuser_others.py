"""What other programs do to vhost-user ports, on a real Open vSwitch with DPDK: a journal that is
lost or older, numbers that are taken, flows, limits and settings of others. No guest is needed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from system.test_vhostuser import LARGE, World
from unit.docs import document, port_id
from vifd.testing.daemon import Options
from vifd.testing.sandbox import OF_DATAPATH
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("dpdk", "tun")

PORT = port_id(1)
DEVICE = f"vhu{PORT[:11]}"
VLAN = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 7}
INSTANCE = {"id": "00000000-0000-4000-8000-0000000000aa", "flavor_extra_specs": LARGE}
OPTIONS: Options = {
    "engine": {"retry_first": 0.1, "retry_longest": 1, "check_interval": 0},
    "ovs": {"bridge_mappings": "physnet1:br-ex"},
}


class Host(World):
    """A switch with a physical bridge, and a daemon with one port."""

    def begin(self) -> None:
        self.start()
        self.vifd.stop()
        self.ovs.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", OF_DATAPATH)
        self.vifd.configure({**OPTIONS, "vhostuser": {"socket_dir": self.directory / "s"}})
        self.again()
        assert self.put() == 201

    def put(self, number: int = 1, **port: Any) -> int:
        body = document(number, network__segment=VLAN, instance=INSTANCE)
        body = {**body, "plugin": "vhostuser", "port": {**body["port"], **port}}
        status, answer = self.vifd.plug(body)
        assert status < 300, answer
        return status

    def again(self) -> None:
        self.vifd.start()
        self.vifd.ready()

    def explain(self) -> Any:
        return self.vifd.get(f"/v1/ports/{PORT}/explain")

    def sound(self, why: str) -> None:
        """Healthy, with its way out, and ACTIVE."""

        def so() -> bool:
            found = self.explain()
            wanted = found["healthy"] and found["status"] == "ACTIVE"
            facts = {f["fact"] for s in found["steps"] for f in s["facts"]}
            return wanted and "patch" in facts

        until(so, why, told=lambda: self.explain()["sentence"])

    def told(self, step: str, *words: str) -> None:
        def so() -> bool:
            found = self.explain()
            return found["broken"] == step and all(w in found["sentence"] for w in words)

        until(so, f"{step} is named", told=lambda: self.explain()["sentence"])


@pytest.fixture(scope="module")
def world(isolated: None) -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="vo-") as directory:
        made = Host(Path(directory))
        try:
            made.begin()
            yield made
        finally:
            made.close()


@pytest.fixture
def host(world: Host) -> Host:
    world.sound("the port is as wanted")
    return world


def test_a_journal_that_is_lost(host: Host) -> None:
    """The port is taken back from its marks, with its way out, and a plug takes it as it stands."""
    number = host.port(1)["wiring"]["details"]["ofport"]
    host.vifd.stop()
    shutil.rmtree(host.vifd.directory / "state")
    host.again()
    host.put()
    host.sound("it has its way out again")
    assert host.port(1)["wiring"]["details"]["ofport"] == number
    assert host.ovs.vsctl("get", "interface", DEVICE, "ofport").strip() == str(number)


def test_a_journal_that_is_older(host: Host) -> None:
    """A port that is missing in it keeps its flows, explain says so, and a plug takes it over."""
    other = port_id(2)
    backup = host.directory / "backup"
    host.vifd.stop()
    shutil.copytree(host.vifd.directory / "state", backup)
    host.again()
    host.put(2)
    number = host.port(2)["wiring"]["details"]["ofport"]
    host.vifd.stop()
    shutil.rmtree(host.vifd.directory / "state")
    shutil.copytree(backup, host.vifd.directory / "state")
    host.again()
    host.sound("the one that is in it")
    status, found = host.vifd.call("GET", f"/v1/ports/{other}/explain")
    assert status == 404 or not found["healthy"], found
    assert f"in_port={number}" in host.ovs.ofctl("dump-flows", "br-int", f"in_port={number}")
    host.put(2)
    assert host.port(2)["wiring"]["details"]["ofport"] == number
    assert host.vifd.unplug(other)[0] == 204


def test_a_number_that_another_program_took(host: Host) -> None:
    number = host.port(1)["wiring"]["details"]["ofport"]
    host.ovs.vsctl("del-port", DEVICE, "--", "add-port", "br-int", "thief", "--", "set",
                   "interface", "thief", "type=internal", f"ofport_request={number}")  # fmt: skip
    try:
        host.sound("it has another number")
        assert host.port(1)["wiring"]["details"]["ofport"] != number
    finally:
        host.ovs.vsctl("--if-exists", "del-port", "thief")


def test_a_port_made_anew_by_another_program(host: Host) -> None:
    """The same socket and our iface-id, and no mark."""
    path = host.port(1)["vif"]["socket_path"]
    host.ovs.vsctl("del-port", DEVICE, "--", "add-port", "br-int", DEVICE, "--", "set", "interface",
                   DEVICE, "type=dpdkvhostuserclient", f"options:vhost-server-path={path}",
                   f"external-ids:iface-id={PORT}")  # fmt: skip
    host.sound("it is taken back in place")
    assert PORT in host.ovs.vsctl("get", "interface", DEVICE, "external_ids:vifd-port")


Undo = Callable[[Host], None]


def vsctl(*arguments: str) -> Undo:
    return lambda host: void(host.ovs.vsctl(*arguments))


def void(_: object) -> None:
    pass


def flow(text: str) -> Undo:
    def add(host: Host) -> None:
        details = host.port(1)["wiring"]["details"]
        host.ovs.ofctl("add-flow", "br-int", f"cookie=0xbad,{text.format(**details)}")

    return add


def flows_gone(host: Host) -> None:
    host.ovs.ofctl("del-flows", "br-int", "cookie=0xbad/-1")


MIRROR = ("--id=@p", "get", "port", DEVICE, "--", "set", "bridge", "br-int", "mirrors=@m", "--",
          "--id=@m", "create", "mirror", "name=m", "select_all=true", "output_port=@p")  # fmt: skip
CASES: dict[str, tuple[Undo, Undo, str, str]] = {
    "a flow that takes what the guest sends": (
        flow("table=110,priority=60000,in_port={ofport},actions=drop"), flows_gone, "flows", "0xbad"
    ),
    "a flow that takes what is for it": (
        flow("table=160,priority=60000,dl_dst=fa:16:3e:00:00:01,actions=drop"), flows_gone,
        "flows", "0xbad",
    ),
    "a limit": (
        vsctl("set", "interface", DEVICE, "ingress_policing_rate=5"),
        vsctl("set", "interface", DEVICE, "ingress_policing_rate=0"),
        "port", "from the guest at most 5 kbit/s",
    ),
    "an egress policer": (
        vsctl("set", "port", DEVICE, "qos=@q", "--", "--id=@q", "create", "qos",
              "type=egress-policer", "other-config:cir=1000", "other-config:cbs=2048"),
        vsctl("clear", "port", DEVICE, "qos"), "port", "to the guest at most 8 kbit/s",
    ),
    "a mirror": (
        vsctl(*MIRROR), vsctl("clear", "bridge", "br-int", "mirrors"), "switch", DEVICE,
    ),
    "a spanning tree": (
        vsctl("set", "bridge", "br-int", "rstp_enable=true"),
        vsctl("set", "bridge", "br-int", "rstp_enable=false"), "switch", "rstp_enable",
    ),
    "a bound of a flow table": (
        vsctl("set", "bridge", "br-int", "flow_tables:160=@t", "--", "--id=@t", "create",
              "flow_table", "flow_limit=500"),
        vsctl("clear", "bridge", "br-int", "flow_tables"), "switch", "takes 500 flows",
    ),
    "OpenFlow takes nothing from it": (
        lambda host: void(host.ovs.ofctl("mod-port", "br-int", DEVICE, "no-receive",
                                         "-OOpenFlow10")),
        lambda host: void(host.ovs.ofctl("mod-port", "br-int", DEVICE, "receive", "-OOpenFlow10")),
        "port", "NO_RECV",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_others_did_is_named(host: Host, case: str) -> None:
    breaks, undo, step, word = CASES[case]
    try:
        breaks(host)
        host.told(step, word)
    finally:
        undo(host)
    host.sound(f"well after {case}")


@pytest.mark.parametrize("name", ["ovsdb", "vswitchd"])
def test_a_daemon_of_the_switch_that_hangs(host: Host, name: str) -> None:
    """Said within the time of an answer, with the age of what is known."""
    process = getattr(host.ovs, name)
    process.pause()
    try:
        until(lambda: not host.explain()["healthy"], "it is told", told=host.explain)
        found = host.explain()
        assert found["broken"] == "switch", found["sentence"]
        assert not found["asked"] or found["age"] is not None
    finally:
        process.resume()
    host.sound("it goes on")
