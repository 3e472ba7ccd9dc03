"""Restarts of the daemon and of Open vSwitch under ports that are in use: what is touched, what is
lost, and that everything comes back."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import oracle
from support.flowmonitor import FlowMonitor
from support.oracle import Wanted
from support.stream import Stream
from unit.docs import document
from vifd.testing import frames
from vifd.testing.daemon import Options, Vifd
from vifd.testing.guests import guests
from vifd.testing.sandbox import SCHEMA, PrivateOvs, program
from vifd.testing.wait import until

PORTS = 40
WANTED = [Wanted(document(number)) for number in range(1, PORTS + 1)]
FAST: Options = {
    "engine": {"retry_first": 0.05, "retry_longest": 0.5, "check_interval": 0},
    "plugins": {"enabled_plugins": "ovs"},
}


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path) -> Iterator[Vifd]:
    """A daemon; every port is taken away at the end, whatever was done to it and to the switch."""
    with contextlib.closing(Vifd(tmp_path / "v", ovs, FAST)) as daemon:
        yield daemon
        ovs.start()
        daemon.start()
        daemon.ready()
        ids = [p["id"] for p in daemon.get("/v1/ports")["ports"]]
        daemon.call("POST", "/v1/ports:unplug", {"ids": ids})
        # The database may be in the middle of its connection; the daemon tries again by itself.
        until(lambda: not daemon.get("/v1/ports")["ports"], "all ports are gone")


def plug(vifd: Vifd, wanted: list[Wanted]) -> None:
    vifd.start()
    vifd.ready()
    body = {"ports": [w.document for w in wanted]}
    status, answer = vifd.call("POST", "/v1/ports:plug?wait=active&timeout=60", body)
    assert status == 200, answer


@pytest.fixture
def many(vifd: Vifd) -> Vifd:
    plug(vifd, WANTED)
    return vifd


@pytest.fixture
def few(vifd: Vifd) -> Vifd:
    plug(vifd, WANTED[:3])
    return vifd


@contextlib.contextmanager
def talking(ovs: PrivateOvs) -> Iterator[Stream]:
    """A frame every 10 ms between the guests of the first two ports."""
    one, two = WANTED[:2]

    def frame(payload: bytes) -> bytes:
        return frames.udp(one.mac, two.mac, one.ip, two.ip, payload)

    with guests(one.device, two.device, ovs=ovs) as (first, second):
        ovs.revalidated()
        with Stream(first, second, frame) as stream:
            until(lambda: stream.arrived, "frames arrive")
            yield stream


def flows(ovs: PrivateOvs) -> list[str]:
    text = ovs.ofctl("dump-flows", "br-int", "--no-stats")
    return sorted(line.strip() for line in text.splitlines() if "actions=" in line)


def come_back(ovs: PrivateOvs, wanted: list[Wanted]) -> None:
    """Every port is as it shall be, and frames pass to whom they shall."""

    def astray() -> list[str]:
        try:
            return oracle.complaints(ovs, wanted)
        except RuntimeError as error:
            return [str(error)]

    until(lambda: not astray(), "all ports are back", told=astray)
    assert oracle.frames_go_astray(ovs, wanted[:3]) == []


# --- the daemon -----------------------------------------------------------------------------------


def test_a_restart_of_the_daemon_touches_no_flow_and_loses_no_frame(
    ovs: PrivateOvs, many: Vifd
) -> None:
    with talking(ovs) as stream, FlowMonitor(ovs, "br-int") as monitor:
        for end in (many.kill, many.stop):
            end()
            many.start()
            many.ready()
    assert monitor.lines == []
    assert stream.lost == []
    assert len(stream.sent) > 50
    assert oracle.complaints(ovs, WANTED) == []


def test_the_flow_monitor_sees_what_the_daemon_does(ovs: PrivateOvs, few: Vifd) -> None:
    """The test above could not fail without."""
    before = len(oracle.flow_ages(ovs))
    with FlowMonitor(ovs, "br-int") as monitor:
        assert few.plug(WANTED[3].document)[0] == 201
    assert monitor.events["ADDED"] >= len(oracle.flow_ages(ovs)) - before > 0


def test_a_daemon_that_starts_before_the_switch_brings_everything_back(
    ovs: PrivateOvs, few: Vifd
) -> None:
    few.stop()
    ovs.stop()
    few.start()
    few.ready()
    ovs.start()
    come_back(ovs, WANTED[:3])


# --- Open vSwitch ---------------------------------------------------------------------------------


def test_a_killed_vswitchd_gets_all_flows_in_one_bundle(ovs: PrivateOvs, many: Vifd) -> None:
    before = flows(ovs)
    # an attempt that is under way when the switch comes back would make what it needs by itself
    many.configure({"engine": {"retry_first": 300, "retry_longest": 300}})
    assert many.process.process is not None
    many.process.process.send_signal(signal.SIGHUP)
    until(lambda: "configuration read again" in many.log, "the pauses are long")
    ovs.vswitchd.kill()
    until(lambda: "flow connection lost" in many.log, "the loss is noticed while nobody asks")
    until(lambda: _down(many), "every port is told to be down", told=lambda: many.log[-3000:])
    many.process.pause()  # while the switch is told to say everything that it hears
    try:
        ovs.vswitchd.start()
        ovs.appctl("vlog/disable-rate-limit", "vconn")
        ovs.appctl("vlog/set", "vconn:file:dbg")
    finally:
        many.process.resume()
    until(lambda: _or_none(lambda: flows(ovs)) == before, "every flow is back")
    come_back(ovs, WANTED)
    ovs.appctl("vlog/set", "vconn:file:info")
    text = (ovs.rundir / "ovs-vswitchd.log").read_text(errors="replace")
    first, commit, _ = text.partition("type=COMMIT_REQUEST")
    assert commit
    # a check that meets a port whose number is not back yet may repair it by another one
    assert first.count("received: OFPT_BUNDLE_ADD_MESSAGE") >= len(before)


def _down(vifd: Vifd) -> bool:
    """Whether nothing of any port passes, and nobody is at work."""
    ports = vifd.get("/v1/ports")["ports"]
    plugins = {p["name"]: p for p in vifd.get("/v1/plugins")["plugins"]}
    return all(p["status"] == "DOWN" for p in ports) and not plugins["ovs"]["busy"]


def _or_none(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except RuntimeError:
        return None


def test_a_killed_ovsdb_server_disturbs_nobody(ovs: PrivateOvs, few: Vifd) -> None:
    with talking(ovs) as stream, FlowMonitor(ovs, "br-int") as monitor:
        ovs.ovsdb.kill()
        until(lambda: "the switch database is disconnected" in few.log, "it is noticed")
        ovs.ovsdb.start()
        until(lambda: few.plug(WANTED[3].document)[0] in (200, 201), "ports can be plugged")
        until(lambda: _all_live(few, 4), "all ports are proven")
    assert stream.lost == []
    touched = [line for line in monitor.lines if _cookie_of(ovs, WANTED[0]) in line]
    assert touched == []
    come_back(ovs, WANTED[:4])


def _all_live(vifd: Vifd, count: int) -> bool:
    ports = vifd.get("/v1/ports")["ports"]
    return [p["phase"] for p in ports] == ["LIVE"] * count and not any(p["error"] for p in ports)


def _cookie_of(ovs: PrivateOvs, wanted: Wanted) -> str:
    number = ovs.vsctl("get", "Interface", wanted.device, "ofport").strip()
    text = ovs.ofctl("dump-flows", "br-int", f"table=0,in_port={number}")
    return text.split("cookie=")[1].split(",")[0]


@pytest.mark.parametrize("first", ["vswitchd", "ovsdb"])
def test_both_killed(first: str, ovs: PrivateOvs, few: Vifd) -> None:
    daemons = [ovs.vswitchd, ovs.ovsdb]
    for daemon in daemons if first == "vswitchd" else reversed(daemons):
        daemon.kill()
    ovs.start()
    come_back(ovs, WANTED[:3])
    until(lambda: _all_live(few, 3), "all ports are proven")


@pytest.mark.parametrize("running", [True, False])
def test_a_wiped_database_is_built_anew(running: bool, ovs: PrivateOvs, few: Vifd) -> None:
    """Bridge and ports are gone; the journal knows them."""
    if not running:
        few.stop()
    ovs.stop()
    (ovs.rundir / "conf.db").unlink()
    ovs.start()
    few.start()
    come_back(ovs, WANTED[:3])
    until(lambda: _all_live(few, 3), "all ports are proven")
    assert ovs.vsctl("get", "bridge", "br-int", "fail_mode").strip() == "secure"


#: Columns that an older or newer version lacks: none of them is needed to plug a port.
LACKING = [("Interface", "mtu_request"), ("Bridge", "mcast_snooping_enable")]


@pytest.mark.parametrize("running", [True, False])
def test_another_version_of_the_schema(
    running: bool, ovs: PrivateOvs, few: Vifd, tmp_path: Path
) -> None:
    """Open vSwitch is upgraded: columns came, and columns went."""
    schema = json.loads(SCHEMA.read_text())
    for table, column in LACKING:
        del schema["tables"][table]["columns"][column]
    for table in ("Interface", "Port", "Bridge", "Open_vSwitch"):
        schema["tables"][table]["columns"]["of_tomorrow"] = {
            "type": {"key": "string", "min": 0, "max": 1}
        }
    major, minor, _ = map(int, schema["version"].split("."))
    schema["version"] = f"{major}.{minor + 1}.0"
    schema.pop("cksum", None)
    if not running:
        few.stop()
    ovs.stop()
    (tmp_path / "new").write_text(json.dumps(schema))
    convert = [str(program("ovsdb-tool")), "convert", str(ovs.rundir / "conf.db")]
    subprocess.run([*convert, str(tmp_path / "new")], check=True, capture_output=True)
    ovs.start()
    few.start()
    until(lambda: few.plug(WANTED[3].document)[0] in (200, 201), "ports can be plugged")
    until(lambda: _all_live(few, 4), "all ports are proven")
    assert oracle.frames_go_astray(ovs, WANTED[:4]) == []
    few.call("POST", f"/v1/ports/{WANTED[0].id}/check")
    until(lambda: _all_live(few, 4), "all ports are as wanted")
    assert few.unplug(WANTED[3].id)[0] == 204
