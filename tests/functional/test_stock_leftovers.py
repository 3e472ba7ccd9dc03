"""examples/openstack/stock-leftovers and vifd-leftovers on a switch as neutron-openvswitch-agent
and vifd leave it: what goes, what stays, when nothing does, and the way back."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

SCRIPT = Path(__file__).parents[2] / "examples/openstack/stock-leftovers"
VIFD_SCRIPT = SCRIPT.with_name("vifd-leftovers")
ID = "11111111-2222-3333-4444-555555555555"
#: The agent's, by bridge; vifd's; and somebody's.
COOKIES = {"br-int": 0xA1B2C3D4E5F60718, "br-ex": 0x0B0B, "br-tun": 0x7600, "other": 0}
VIFD = 0x7601000000000001


@pytest.fixture
def host(ovs: PrivateOvs) -> Iterator[PrivateOvs]:
    for bridge in ("br-int", "br-ex", "br-tun"):
        ovs.vsctl("add-br", bridge, "--", "set", "bridge", bridge, OF_DATAPATH,
                  "fail_mode=secure", "protocols=OpenFlow14,OpenFlow15")  # fmt: skip
    patch(ovs, "br-int", "int-br-ex", "br-ex", "phy-br-ex")
    patch(ovs, "br-int", "patch-tun", "br-tun", "patch-int")
    ovs.vsctl("add-port", "br-tun", "vxlan-c0000202", "--", "set", "interface", "vxlan-c0000202",
              "type=vxlan", "options:remote_ip=192.0.2.2", "options:local_ip=192.0.2.1",
              "options:in_key=flow", "options:out_key=flow")  # fmt: skip
    # What vifd has there, by its marks, and a port that it wires.
    patch(ovs, "br-int", "vp-int", "br-ex", "vp-ex", mark="vifd-patch=x")
    ovs.vsctl("add-port", "br-int", "vt", "--", "set", "interface", "vt", "type=vxlan",
              "options:remote_ip=flow", "options:key=flow",
              "external_ids:vifd-tunnel=vxlan/4")  # fmt: skip
    ovs.vsctl("add-port", "br-int", "machine", "--", "set", "interface", "machine",
              "type=internal", f"external_ids:iface-id={ID}")  # fmt: skip
    flow = "table=60,priority=3,ip,nw_dst=192.0.2.7,actions=mod_vlan_vid:4,resubmit(,61)"
    for bridge in ("br-int", "br-ex", "br-tun"):
        ovs.ofctl("add-flow", bridge, f"cookie={COOKIES[bridge]},{flow}")
    ovs.ofctl("add-flow", "br-ex", "cookie=0,priority=0,actions=NORMAL")
    for bridge in ("br-int", "br-ex"):
        ovs.ofctl(
            "add-flow", bridge, f"cookie={VIFD},priority=9,in_port={number(ovs)},actions=drop"
        )
    yield ovs
    for bridge in ("br-int", "br-ex", "br-tun"):
        ovs.vsctl("--if-exists", "del-br", bridge)


def patch(
    ovs: PrivateOvs, one: str, mine: str, two: str, other: str, mark: str = "x=y"
) -> None:  # fmt: skip
    words: list[str] = []
    for bridge, port, peer in ((one, mine, other), (two, other, mine)):
        words += ["--", "add-port", bridge, port, "--", "set", "interface", port, "type=patch"]
        words += [f"options:peer={peer}", f"external_ids:{mark}"]
    ovs.vsctl(*words[1:])


def number(ovs: PrivateOvs) -> str:
    return ovs.vsctl("get", "interface", "machine", "ofport").strip()


def run(ovs: PrivateOvs, *words: str, program: str = str(SCRIPT)) -> tuple[int, str]:
    done = subprocess.run(
        [program, *words], env={**os.environ, **ovs.env}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@contextmanager
def begun(ovs: PrivateOvs, program: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """One that goes on meanwhile."""
    argv, env = [str(program), *words], {**os.environ, **ovs.env}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def state(ovs: PrivateOvs) -> dict[str, list[str]]:
    """What is on the switch: by bridge, its flows, and its ports with their number and options."""
    found: dict[str, list[str]] = {}
    for bridge in sorted(ovs.bridges()):
        lines = ovs.ofctl("dump-flows", bridge, "--no-stats").splitlines()
        found[bridge] = sorted(line for line in lines if line.startswith(" "))
        for port in ovs.vsctl("list-ports", bridge).split():
            found[f"{bridge} {port}"] = [
                ovs.vsctl("get", "interface", port, column).strip()
                for column in ("type", "options", "ofport")
            ]
    return found


def test_it_says_what_would_go_and_changes_nothing(host: PrivateOvs):
    before = state(host)
    code, said = run(host)
    assert (code, state(host)) == (0, before), said
    goes = [line.removeprefix("goes: ") for line in said.splitlines() if line.startswith("goes: ")]
    assert goes == [
        "patch port int-br-ex of br-int", "patch port phy-br-ex of br-ex",
        "patch port patch-tun of br-int", "1 flows of br-int with cookie=0xa1b2c3d4e5f60718",
        "1 flows of br-ex with cookie=0xb0b", "bridge br-tun with 2 ports",
    ]  # fmt: skip
    stays = [line for line in said.splitlines() if line.startswith("stays: ")]
    assert stays == ["stays: 1 flows of br-ex with cookie=0x0"]


def test_it_takes_that_away_and_puts_it_back(host: PrivateOvs, tmp_path: Path):
    before, undo = state(host), tmp_path / "undo"
    code, said = run(host, "--remove", str(undo))
    assert code == 0, said
    after = state(host)
    gone = {"br-int int-br-ex", "br-ex phy-br-ex", "br-int patch-tun", "br-tun",
            "br-tun patch-int", "br-tun vxlan-c0000202"}  # fmt: skip
    assert before.keys() - after.keys() == gone
    for bridge, cookie in (("br-int", "cookie=0xa1b2c3d4e5f60718"), ("br-ex", "cookie=0xb0b")):
        (lost,) = {*before[bridge]} - {*after[bridge]}
        assert cookie in lost
    # Once more finds nothing, and the way back is not overwritten.
    assert "goes:" not in run(host)[1]
    assert run(host, "--remove", str(undo)) == (2, f"{undo} is there already\n")
    code, said = run(host, program=str(undo))
    assert code == 0, said
    assert state(host) == before


def test_nothing_goes_while_a_port_is_not_taken_over(host: PrivateOvs, tmp_path: Path):
    host.ofctl("del-flows", "br-int", f"cookie={VIFD}/-1")
    before = state(host)
    code, said = run(host, "--remove", str(tmp_path / "undo"))
    assert code == 1
    assert f"refused: port machine ({ID}) of br-int is not vifd's" in said
    assert (state(host), (tmp_path / "undo").exists()) == (before, False)


def test_nothing_goes_while_an_agent_steers_the_bridge(host: PrivateOvs, tmp_path: Path):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        target = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        host.vsctl("set-controller", "br-int", target)
        taken, _ = server.accept()
        with closing(taken):
            # OpenFlow 1.4's hello is all that a controller has to say to be one.
            taken.sendall(b"\x05\x00\x00\x08\x00\x00\x00\x01")
            connected = ("--bare", "--columns=is_connected", "list", "controller")
            until(lambda: "true" in host.vsctl(*connected), "it is connected")
            code, said = run(host, "--remove", str(tmp_path / "undo"))
    assert code == 1
    assert f"refused: an agent steers br-int from {target}" in said


@pytest.mark.parametrize("why", ["a port of another program", "vifd has no tunnels"])
def test_nothing_goes_where_tunnels_would_end_in_nothing(
    host: PrivateOvs, tmp_path: Path, why: str
):
    if why.startswith("vifd"):
        host.vsctl("del-port", "vt")
    else:
        host.vsctl(
            "add-port", "br-tun", "probe", "--", "set", "interface", "probe", "type=internal"
        )
    before = state(host)
    code, said = run(host, "--remove", str(tmp_path / "undo"))
    assert code == 1
    assert "refused: br-tun has tunnels" in said
    assert (state(host), (tmp_path / "undo").exists()) == (before, False)


def test_a_tunnel_bridge_without_tunnels_stays_for_others(host: PrivateOvs, tmp_path: Path):
    host.vsctl("del-port", "vxlan-c0000202")
    host.vsctl("add-port", "br-tun", "probe", "--", "set", "interface", "probe", "type=internal")
    before = state(host)
    code, said = run(host, "--remove", str(tmp_path / "undo"))
    assert code == 0, said
    after = state(host)
    assert "stays: br-tun" in said
    assert before.keys() - after.keys() == {"br-int int-br-ex", "br-ex phy-br-ex"}
    assert after["br-tun"] == before["br-tun"]


def test_it_waits_until_a_port_is_taken_over(host: PrivateOvs, tmp_path: Path):
    mine = f"cookie={VIFD},priority=9,in_port={number(host)}"
    host.ofctl("del-flows", "br-int", f"cookie={VIFD}/-1")
    before, undo = state(host), tmp_path / "undo"
    with begun(host, SCRIPT, "--remove", str(undo), "--wait", "120") as running:
        assert running.stdout is not None
        lines = iter(running.stdout.readline, "the way back is written. Start vifd now\n")
        assert "goes: bridge br-tun with 2 ports\n" in list(lines)
        assert state(host) == before
        host.ofctl("add-flow", "br-int", f"{mine},actions=drop")
        said, _ = running.communicate(timeout=120)
    assert (running.returncode, said) == (0, f"done. The way back: sh {undo}\n")
    assert "br-tun" not in state(host)


def test_it_gives_up_when_the_time_is_over(host: PrivateOvs, tmp_path: Path):
    host.ofctl("del-flows", "br-int", f"cookie={VIFD}/-1")
    before = state(host)
    code, said = run(host, "--remove", str(tmp_path / "undo"), "--wait", "1")
    assert code == 1
    assert f"refused: port machine ({ID}) of br-int is not vifd's" in said
    assert (state(host), list(tmp_path.iterdir())) == (before, [])


def test_what_vifd_left_goes_as_well(host: PrivateOvs):
    before = state(host)
    code, said = run(host, program=str(VIFD_SCRIPT))
    assert (code, state(host)) == (0, before), said
    assert sorted(said.splitlines()) == [
        "goes: 1 flows of br-ex", "goes: 1 flows of br-int", "goes: port vp-ex",
        "goes: port vp-int", "goes: port vt",
    ]  # fmt: skip
    code, said = run(host, "--remove", program=str(VIFD_SCRIPT))
    assert code == 0, said
    after = state(host)
    assert before.keys() - after.keys() == {"br-int vp-int", "br-ex vp-ex", "br-int vt"}
    for bridge in ("br-int", "br-ex"):
        (lost,) = {*before[bridge]} - {*after[bridge]}
        assert f"cookie={VIFD:#x}" in lost
    assert after["br-tun"] == before["br-tun"]


def test_it_waits_until_the_agent_has_wired_the_ports(host: PrivateOvs, tmp_path: Path):
    log = tmp_path / "agent.log"
    wired = "iteration:0 - cleanup stale flows. Elapsed:1.000\n"
    log.write_text(f"of an agent that has ended: {wired}")
    before = state(host)
    with begun(host, VIFD_SCRIPT, "--remove", "--wait", str(log), "120") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "Start the agent now\n"
        assert state(host) == before
        with log.open("a") as more:
            more.write(wired)
        said, _ = running.communicate(timeout=120)
    assert (running.returncode, said.splitlines()[-1]) == (0, "done")
    assert "br-int vt" not in state(host)


def test_what_vifd_left_stays_where_no_agent_has_flows(host: PrivateOvs, tmp_path: Path):
    host.ofctl("del-flows", "br-int", f"cookie={COOKIES['br-int']}/-1")
    before = state(host)
    code, said = run(host, "--remove", program=str(VIFD_SCRIPT))
    assert code == 1
    assert "refused: br-int has no flows of an agent" in said
    assert state(host) == before
