"""Adoption on a real switch with the whole daemon: ports that another program plugged change hands
while frames pass, and none is lost."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.stream import Stream
from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.daemon import Vifd
from vifd.testing.guests import TapGuest
from vifd.testing.machines import RealMachine
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_TAP_NO_PI = 0x1002
#: The answers of a vifd that has not heard of the port, or of its number.
NOT_YET = ("E_ADOPT_ABSENT", "E_PLUG_BACKEND_DOWN")


@pytest.fixture
def machine(ovs: PrivateOvs) -> Iterator[RealMachine]:
    with RealMachine(ovs) as made:
        yield made


@pytest.fixture
def foreign(ovs: PrivateOvs) -> Iterator[list[str]]:
    """A bridge as ovs-vsctl makes it, which passes frames by NORMAL; the taps made on it."""
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", OF_DATAPATH)
    made: list[str] = []
    yield made
    present = os.listdir("/sys/class/net")
    for name in made:
        if name in present:
            _tap(name, persist=False)


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path, foreign: list[str]) -> Iterator[Vifd]:
    options = {"engine": {"retry_first": 0.05}, "garbage": {"grace": 0.1, "interval": 0}}
    daemon = Vifd(tmp_path / "v", ovs, options)
    with daemon:
        yield daemon
        daemon.clear()


def _tap(name: str, *, persist: bool) -> None:
    fd = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_NO_PI))
        fcntl.ioctl(fd, _TUNSETPERSIST, int(persist))
    finally:
        os.close(fd)


def plug_by_hand(
    ovs: PrivateOvs, machine: RealMachine, made: list[str], name: str, number: int, *more: str
) -> None:
    """A tap of another program, on the bridge as nova's plugin puts it there."""
    _tap(name, persist=True)
    made.append(name)
    machine.drivers.links.set(name, mac="fe:16:3e:00:00:0" + str(number), mtu=1400, up=True)
    ovs.vsctl(
        "add-port", "br-int", name, *more, "--", "set", "Interface", name,
        f"external_ids:iface-id={port_id(number)}", "external_ids:iface-status=active",
        f"external_ids:attached-mac={mac(number)}", "external_ids:vm-uuid=nova-made-this",
    )  # fmt: skip


def mac(number: int) -> str:
    return str(document(number)["port"]["mac_address"])


def go_on(*streams: Stream) -> None:
    """Frames of each go on arriving."""
    before = [len(stream.arrived) for stream in streams]
    until(
        lambda: all(len(s.arrived) > n + 20 for s, n in zip(streams, before, strict=True)),
        "frames still pass",
    )


def hello(one: int, two: int):
    def make(payload: bytes) -> bytes:
        return frames.udp(mac(one), mac(two), f"10.0.0.{one}", f"10.0.0.{two}", payload=payload)

    return make


def adopt(vifd: Vifd, number: int, doc: dict[str, Any] | None = None) -> tuple[int, Any]:
    """The answer, once vifd has heard of the port: its copy of the database is a moment behind."""

    def answer() -> tuple[int, Any] | None:
        status, port = ask(vifd, number, doc)
        return None if port.get("code") in NOT_YET else (status, port)

    found = until(answer, f"vifd has heard of port {number}")
    assert found
    return found


def ask(vifd: Vifd, number: int, doc: dict[str, Any] | None = None) -> tuple[int, Any]:
    path = f"/v1/ports/{port_id(number)}/adopt?wait=active&timeout=60"
    return vifd.call("POST", path, doc or document(number))


@pytest.fixture(params=[(), ("tag=7",)], ids=["untagged", "tag 7"])
def pair(request, ovs, machine, foreign, vifd) -> Iterator[tuple[TapGuest, TapGuest]]:
    """Two guests on ports of another program, under names of its own, that reach each other."""
    plug_by_hand(ovs, machine, foreign, "tapone", 1, *request.param)
    plug_by_hand(ovs, machine, foreign, "qvotwo", 2, *request.param)
    with TapGuest("tapone") as one, TapGuest("qvotwo") as two:
        ovs.wait_for_carrier("tapone", "qvotwo")
        machine.drivers.links.set("tapone", up=True)
        yield one, two


def vifctl(vifd: Vifd, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vifd.cli.main", "--socket", str(vifd.socket), *arguments],
        capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip


def test_a_file_that_is_made_by_looking(ovs, vifd, pair, tmp_path):
    """Nobody writes a document: the host is scanned, tried, and its ports taken over."""
    one, two = pair
    file = str(tmp_path / "ports.json")
    with Stream(one, two, hello(1, 2)) as there, Stream(two, one, hello(2, 1)) as back:
        until(lambda: len(there.arrived) > 20 and len(back.arrived) > 20, "frames pass")
        made = vifctl(vifd, "adopt", "--scan", "-o", file, "--ovsdb", ovs.db)
        assert made.returncode == 0, made.stderr
        assert "2 ports to take over, 0 are vifd's already" in made.stderr
        assert "without anti-spoofing" in made.stderr
        tried = vifctl(vifd, "adopt", "--all", "--dry-run", "-f", file, "--format", "json")
        assert tried.returncode == 0, tried.stdout + tried.stderr
        assert [p["would be served by"] for p in json.loads(tried.stdout)] == ["ovs/ovs"] * 2
        assert vifd.get("/v1/ports")["ports"] == []
        until(lambda: vifctl(vifd, "adopt", "--all", "-f", file).returncode == 0, "all are taken")
        go_on(there, back)
    assert there.lost == back.lost == []
    ports = vifd.get("/v1/ports")["ports"]
    assert sorted(p["device"] for p in ports) == ["qvotwo", "tapone"]
    assert {p["status"] for p in ports} == {"ACTIVE"}
    again = vifctl(vifd, "adopt", "--scan", "--ovsdb", ovs.db)
    assert json.loads(again.stdout) == {"ports": []}
    assert "2 are vifd's already" in again.stderr


def test_no_frame_is_lost(ovs, machine, vifd, pair):
    """First one, while the other is still another program's; then the other."""
    one, two = pair
    ofports = [ovs.vsctl("get", "Interface", name, "ofport") for name in ("tapone", "qvotwo")]
    with Stream(one, two, hello(1, 2)) as there, Stream(two, one, hello(2, 1)) as back:
        until(lambda: len(there.arrived) > 20 and len(back.arrived) > 20, "frames pass")
        for number, name in ((1, "tapone"), (2, "qvotwo")):
            status, port = adopt(vifd, number)
            assert (status, port.get("phase"), port.get("device")) == (201, "LIVE", name), port
            assert port["findings"] == []
            go_on(there, back)
    assert there.lost == back.lost == []
    assert ofports == [ovs.vsctl("get", "Interface", n, "ofport") for n in ("tapone", "qvotwo")]
    link = machine.drivers.links.get(["tapone"])["tapone"]
    assert link.alias == f"vifd:{port_id(1)}"
    assert port_id(1) in ovs.vsctl("get", "Interface", "tapone", "external_ids:vifd-port")
    assert vifd.get("/v1/garbage")["orphans"] == []


def neutron(ovs: PrivateOvs) -> None:
    """A physical bridge, and the VLAN translation of an L2 agent: 7 here is 101 there."""
    ovs.vsctl("add-br", "br-phys", "--", "set", "bridge", "br-phys", OF_DATAPATH)
    for bridge, name, peer in (("br-int", "int-nn", "phy-nn"), ("br-phys", "phy-nn", "int-nn")):
        ovs.vsctl("add-port", bridge, name, "--", "set", "Interface", name, "type=patch",
                  f"options:peer={peer}")  # fmt: skip
    for bridge, port, here, there in (("br-int", "int-nn", 101, 7), ("br-phys", "phy-nn", 7, 101)):
        number = ovs.vsctl("get", "Interface", port, "ofport").strip()
        ovs.ofctl("add-flow", bridge, f"table=0,priority=4,in_port={number},dl_vlan={here},"
                  f"actions=mod_vlan_vid:{there},NORMAL")  # fmt: skip
        ovs.ofctl("add-flow", bridge, f"table=0,priority=2,in_port={number},actions=drop")


@pytest.fixture
def mapped(ovs, machine, foreign, vifd) -> Iterator[tuple[TapGuest, TapGuest]]:
    """Two guests in the VLAN of an L2 agent; its physical bridge is one of ours as well."""
    neutron(ovs)
    vifd.configure({"ovs": {"bridge_mappings": "physnet1:br-phys"}})
    vifd.stop()
    vifd.start()
    vifd.ready()
    for name, number in (("tapone", 1), ("taptwo", 2)):
        plug_by_hand(ovs, machine, foreign, name, number, "tag=7")
    with TapGuest("tapone") as one, TapGuest("taptwo") as two:
        ovs.wait_for_carrier("tapone", "taptwo")
        yield one, two


def on_physnet(number: int) -> dict[str, Any]:
    doc = document(number)
    doc["network"]["segment"] = {
        "network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 101,
    }  # fmt: skip
    return doc


def test_no_frame_is_lost_where_networks_meet_on_a_physical_bridge(mapped, vifd):
    """With an L2 agent beside it: the port leaves the agent's VLAN for one of ours, and both meet
    on the physical bridge. A frame may come twice meanwhile, as on any network that learns anew."""
    one, two = mapped
    with Stream(one, two, hello(1, 2)) as there, Stream(two, one, hello(2, 1)) as back:
        until(lambda: len(there.arrived) > 20 and len(back.arrived) > 20, "frames pass")
        for number in (1, 2):
            status, port = adopt(vifd, number, on_physnet(number))
            assert (status, port.get("phase")) == (201, "LIVE"), port.get("message")
            go_on(there, back)
    assert there.lost == back.lost == []


def test_a_guest_that_only_listens_is_reached_all_the_same(ovs, mapped, vifd):
    """The physical bridge has learned that its MAC is behind the agent's patch port, and hears
    nothing else from the guest."""
    one, two = mapped

    def everybody(text: bytes) -> bytes:
        return frames.udp(mac(1), frames.BROADCAST, "10.0.0.1", "10.0.0.255", payload=text)

    reaches(one, two, everybody)
    until(lambda: mac(1) in ovs.appctl("fdb/show", "br-phys"), "the physical bridge has learned it")
    with Stream(two, one, hello(2, 1)) as back:
        until(lambda: len(back.arrived) > 20, "frames pass")
        status, port = adopt(vifd, 1, on_physnet(1))
        assert (status, port.get("phase")) == (201, "LIVE"), port.get("message")
        go_on(back)
    assert back.lost == []


def test_an_adopted_port_is_a_port_like_any_other(ovs, machine, vifd, pair):
    one, two = pair
    assert adopt(vifd, 1)[0] == 201
    assert adopt(vifd, 1)[0] in (200, 201)
    # one that is plugged meanwhile is on the same VLAN, and all three reach each other
    status, _ = vifd.plug(document(3))
    assert status == 201
    name = f"tap{port_id(3)[:11]}"
    with TapGuest(name) as three:
        ovs.wait_for_carrier(name)
        for sender, receiver, a, b in ((one, three, 1, 3), (three, two, 3, 2), (two, three, 2, 3)):
            reaches(sender, receiver, hello(a, b))
    # drift
    ovs.ofctl("del-flows", "br-int", "table=110,in_port=1")
    ovs.vsctl("set", "Port", "tapone", "tag=77")
    until(lambda: not vifd.call("POST", f"/v1/ports/{port_id(1)}/check")[1]["findings"], "repaired")
    reaches(one, two, hello(1, 2))
    reaches(two, one, hello(2, 1))
    # closed means closed, also for those that are not ours
    assert vifd.call("POST", f"/v1/ports/{port_id(1)}/deactivate?wait=inactive")[0] == 200
    one.drain()
    two.send(hello(2, 1)(b"closed"))
    assert vifd.call("POST", f"/v1/ports/{port_id(1)}/activate?wait=active")[0] == 200
    reaches(two, one, hello(2, 1), unwanted=b"closed")
    # a restart changes nothing
    before = flows(ovs)
    vifd.stop()
    vifd.start()
    vifd.ready()
    assert flows(ovs) == before
    status, _ = vifd.unplug(port_id(1))
    assert status == 204
    assert "tapone" not in ovs.vsctl("list-ports", "br-int").split()
    assert "tapone" not in os.listdir("/sys/class/net")
    assert "qvotwo" in ovs.vsctl("list-ports", "br-int").split()


def flows(ovs: PrivateOvs) -> list[str]:
    return sorted(ovs.ofctl("dump-flows", "br-int", "--no-stats").splitlines())


def reaches(sender: TapGuest, receiver: TapGuest, make, unwanted: bytes = b"-") -> None:
    """Frames pass, at the latest once the switch has forgotten what it learned."""
    receiver.drain()

    def arrives() -> bool:
        sender.send(make(b"reach me"))
        got = receiver.drain()
        assert not any(unwanted in frame for frame in got)
        return any(b"reach me" in frame for frame in got)

    until(arrives, f"{receiver.name} hears {sender.name}")


def findings(answer: tuple[int, Any]) -> tuple[int, str, str]:
    status, error = answer
    return status, error["code"], error["message"]


def test_what_cannot_be_taken_over_is_refused_and_left_as_it_is(ovs, machine, vifd, foreign):
    plug_by_hand(ovs, machine, foreign, "tapone", 1)
    with TapGuest("tapone"):
        before = state(ovs)
        large = document(1)
        large["network"]["mtu"] = 1300
        assert "its MTU is 1400" in findings(adopt(vifd, 1, large))[2]
        other = document(1)
        other["port"]["mac_address"] = "fa:16:3e:99:99:99"
        assert findings(adopt(vifd, 1, other))[:2] == (409, "E_ADOPT_UNFIT")
        assert findings(ask(vifd, 5))[:2] == (404, "E_ADOPT_ABSENT")
        assert state(ovs) == before
        assert vifd.get("/v1/ports")["ports"] == []


def test_one_whose_proof_fails_is_given_back(ovs, machine, vifd, foreign):
    """A flow of others above ours takes its frames: vifd could not answer for it."""
    vifd.configure({"engine": {"verify_timeout": 0.5}})
    vifd.process.process.send_signal(1)
    plug_by_hand(ovs, machine, foreign, "tapone", 1, "tag=7")
    ovs.ofctl("add-flow", "br-int", "cookie=0xbad,table=0,priority=5000,actions=NORMAL")
    with TapGuest("tapone"):
        ovs.wait_for_carrier("tapone")
        before = state(ovs)
        status, code, message = findings(adopt(vifd, 1))
        assert (status, code) == (504, "E_WIRE_TIMEOUT")
        assert "a flow that is not ours took it" in message
        until(lambda: vifd.get("/v1/ports")["ports"] == [], "its record is gone")
        until(lambda: state(ovs) == before, "it is as it was")
        assert machine.drivers.links.get(["tapone"])["tapone"].alias == ""
        assert vifd.get("/v1/garbage")["orphans"] == []


def state(ovs: PrivateOvs) -> tuple[str, str, str]:
    """What decides about the port's frames, and who others think it is."""
    ids = ovs.vsctl("get", "Interface", "tapone", "external_ids")
    entry = ovs.ofctl("dump-flows", "br-int", "--no-stats", "table=0").splitlines()
    # by what vifd itself asks the switch, no frame comes in
    held = [flow for flow in entry if "in_port=CONTROLLER" not in flow]
    return ids, ovs.vsctl("get", "Port", "tapone", "tag"), "\n".join(held)
