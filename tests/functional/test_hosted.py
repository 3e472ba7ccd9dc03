"""Ports that other programs put on the bridge, with the whole daemon on a real switch and a message
bus that is not there: wired, proven and given up, and never written to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from functional.test_adopt import _tap, mac, plug_by_hand
from functional.test_daemon import FAST, flow_ages
from unit.docs import document, port_id
from vifd.testing import frames
from vifd.testing.daemon import Options, Vifd
from vifd.testing.guests import assert_only, assert_reaches, guests
from vifd.testing.machines import RealMachine
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

NAMES = {n: f"theirs{n}" for n in (1, 2, 3)}


def options(bridge: str = "br-int") -> Options:
    """As on a host of Neutron's whose bus is away."""
    return {
        **FAST,
        "network": {"service": "neutron"},
        "network_neutron": {"transport_url": "rabbit://nobody@127.0.0.1:1/", "rpc_timeout": 300},
        "ovs": {"integration_bridge": bridge, "create_bridge": "false", "secure_bridge": "true"},
    }


@pytest.fixture
def machine(ovs: PrivateOvs) -> Iterator[RealMachine]:
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", OF_DATAPATH)
    with RealMachine(ovs) as made:
        yield made
    ovs.vsctl("--if-exists", "del-br", "br-int")


@pytest.fixture
def taps(ovs: PrivateOvs, machine: RealMachine) -> Iterator[list[str]]:
    names: list[str] = []
    yield names
    for name in names:
        ovs.vsctl("--if-exists", "del-port", name)
        _tap(name, persist=False)


@pytest.fixture
def vifd(ovs: PrivateOvs, machine: RealMachine, tmp_path: Path) -> Iterator[Vifd]:
    with Vifd(tmp_path / "v", ovs, options()) as daemon:
        yield daemon


def bind(vifd: Vifd, number: int, **changes: Any) -> None:
    """The network service says that the port is here."""
    said = {k: v for k, v in document(number, **changes).items() if k != "instance"}
    status, answer = vifd.call("PUT", f"/v1/ports/{port_id(number)}/network", said)
    assert status in (200, 201, 202), answer


def put_back(ovs: PrivateOvs, number: int) -> None:
    """The other program adds its device once more."""
    device, port = NAMES[number], f"external_ids:iface-id={port_id(number)}"
    ovs.vsctl("add-port", "br-int", device, "--", "set", "Interface", device, port)


def phase(vifd: Vifd, number: int) -> str:
    _, answer = vifd.call("GET", f"/v1/ports/{port_id(number)}")
    return str(answer.get("phase", ""))


def live(vifd: Vifd, *numbers: int) -> None:
    until(lambda: all(phase(vifd, n) == "LIVE" for n in numbers), "live")


def hello(one: int, two: int) -> bytes:
    return frames.udp(mac(one), mac(two), f"10.0.0.{one}", f"10.0.0.{two}")


def columns(ovs: PrivateOvs, number: int) -> list[str]:
    """What only the program that made the port may write."""
    device = NAMES[number]
    interface = ovs.vsctl("--columns=external_ids,ofport_request,mtu_request", "list",
                          "Interface", device)  # fmt: skip
    port = ovs.vsctl("--columns=tag,trunks,vlan_mode,other_config", "list", "Port", device)
    return [interface, port]


def test_frames_pass_whichever_comes_first(
    ovs: PrivateOvs, machine: RealMachine, vifd: Vifd, taps: list[str]
) -> None:
    bind(vifd, 1)
    plug_by_hand(ovs, machine, taps, NAMES[1], 1)
    plug_by_hand(ovs, machine, taps, NAMES[2], 2)
    plug_by_hand(ovs, machine, taps, NAMES[3], 3)
    before = [columns(ovs, n) for n in (1, 2, 3)]
    live(vifd, 1)
    assert phase(vifd, 2) == "WAITING"
    bind(vifd, 2)
    live(vifd, 2)
    with guests(*NAMES.values(), ovs=ovs) as (one, two, unbound):
        assert_reaches(one, two, hello(1, 2))
        assert_reaches(two, one, hello(2, 1))
        # one that is bound nowhere reaches nobody, and one may not claim to be another
        broadcast = frames.arp_request(mac(3), "10.0.0.3", "10.0.0.2")
        lie = frames.udp(mac(3), mac(2), "10.0.0.1", "10.0.0.2")
        assert_only(two, forbidden=[(unbound, broadcast), (unbound, hello(3, 2)), (one, lie)],
                    allowed=(one, hello(1, 2)))  # fmt: skip
    assert [columns(ovs, n) for n in (1, 2, 3)] == before


def test_a_port_is_begun_once_the_switch_has_it(ovs: PrivateOvs, vifd: Vifd) -> None:
    """Its row is told before its number: who takes it then fails, and waits for its next turn."""
    words: list[str] = []
    for number in range(1, 9):
        bind(vifd, number)
        words += ["--", "add-port", "br-int", f"in{number}", "--", "set", "Interface",
                  f"in{number}", "type=internal",
                  f"external_ids:iface-id={port_id(number)}"]  # fmt: skip
    ovs.vsctl("--no-wait", *words[1:])
    live(vifd, *range(1, 9))
    assert "the switch has not taken it" not in vifd.log


def test_a_restart_without_the_bus_changes_no_flow(
    ovs: PrivateOvs, machine: RealMachine, vifd: Vifd, taps: list[str]
) -> None:
    for number in (1, 2):
        plug_by_hand(ovs, machine, taps, NAMES[number], number)
        bind(vifd, number)
    live(vifd, 1, 2)
    with guests(NAMES[1], NAMES[2], ovs=ovs) as (one, two):
        assert_reaches(one, two, hello(1, 2))
        before = flow_ages(ovs)
        for end in (vifd.stop, vifd.kill):
            end()
            assert_reaches(one, two, hello(1, 2))
            vifd.start()
            vifd.ready()
            live(vifd, 1, 2)
            assert_reaches(two, one, hello(2, 1))
            after = flow_ages(ovs)
            assert after.keys() == before.keys()
            assert all(after[flow] >= before[flow] for flow in before)


def test_a_port_goes_with_its_row(
    ovs: PrivateOvs, machine: RealMachine, vifd: Vifd, taps: list[str]
) -> None:
    for number in (1, 2):
        plug_by_hand(ovs, machine, taps, NAMES[number], number)
        bind(vifd, number)
    live(vifd, 1, 2)
    ovs.vsctl("del-port", NAMES[1])
    until(lambda: phase(vifd, 1) == "WAITING", "it waits for a port again")
    live(vifd, 2)
    put_back(ovs, 1)
    live(vifd, 1)
    with guests(NAMES[1], NAMES[2], ovs=ovs) as (one, two):
        assert_reaches(one, two, hello(1, 2))


def test_what_the_service_takes_away_is_closed_and_stands(
    ovs: PrivateOvs, machine: RealMachine, vifd: Vifd, taps: list[str]
) -> None:
    for number in (1, 2, 3):
        plug_by_hand(ovs, machine, taps, NAMES[number], number)
        bind(vifd, number)
    live(vifd, 1, 2, 3)
    vifd.call("DELETE", f"/v1/ports/{port_id(1)}/network")
    until(lambda: phase(vifd, 1) == "WAITING", "it waits for the service")
    assert NAMES[1] in ovs.vsctl("list-ports", "br-int")
    with guests(*NAMES.values(), ovs=ovs) as (gone, two, three):
        assert_only(two, forbidden=[(gone, hello(1, 2))], allowed=(three, hello(3, 2)))


def test_the_bridge_is_deleted_under_the_daemon(
    ovs: PrivateOvs, machine: RealMachine, vifd: Vifd, taps: list[str]
) -> None:
    plug_by_hand(ovs, machine, taps, NAMES[1], 1)
    bind(vifd, 1)
    live(vifd, 1)
    ovs.vsctl("del-br", "br-int")
    until(lambda: phase(vifd, 1) == "WAITING", "the port went with it")
    assert vifd.get("/v1/status")["live"]
    ovs.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", OF_DATAPATH)
    put_back(ovs, 1)
    live(vifd, 1)


def test_it_ends_at_once_though_the_bus_is_away(vifd: Vifd) -> None:
    until(lambda: "Connection refused" in vifd.log, "it has tried")
    vifd.stop()  # which has less patience than a call that waits for its answer
    assert "stopped" in vifd.log


def test_two_daemons_on_one_switch_leave_each_other_alone(
    ovs: PrivateOvs, machine: RealMachine, vifd: Vifd, taps: list[str], tmp_path: Path
) -> None:
    ovs.vsctl("add-br", "br-two", "--", "set", "bridge", "br-two", OF_DATAPATH)
    for name in ("br-eth", "br-eth2"):
        ovs.vsctl("add-br", name, "--", "set", "bridge", name, OF_DATAPATH)
    plug_by_hand(ovs, machine, taps, NAMES[1], 1)
    bind(vifd, 1)
    live(vifd, 1)
    other = {**options("br-two"), "garbage": {"grace": 0, "interval": 1}}
    other["ovs"] = {**other["ovs"], "bridge_mappings": "physnet1:br-eth2"}
    with Vifd(tmp_path / "w", ovs, other) as second:
        ovs.vsctl("add-port", "br-two", "far", "--", "set", "Interface", "far", "type=internal",
                  f"external_ids:iface-id={port_id(2)}")  # fmt: skip
        segment = {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 5}
        bind(second, 2, network__segment=segment)
        live(second, 2)
        assert phase(second, 1) == ""
        for daemon, foreign in ((vifd, "br-two"), (second, "br-int")):
            answer = daemon.call("GET", "/v1/garbage")[1]
            found = [o for o in answer["orphans"] if foreign in str(o) or "phy-" in str(o)]
            assert not found
        second.kill()
        answer = vifd.call("GET", "/v1/garbage")[1]
        assert not [o for o in answer["orphans"] if "br-two" in str(o) or "phy-" in str(o)]
        second.start()
        live(second, 2)
    live(vifd, 1)
    ovs.vsctl("del-br", "br-two", "--", "del-br", "br-eth", "--", "del-br", "br-eth2")


def test_one_whose_frames_nobody_else_passes_is_given_back_by_force_alone(
    ovs: PrivateOvs, machine: RealMachine, vifd: Vifd, taps: list[str]
) -> None:
    bind(vifd, 1)
    plug_by_hand(ovs, machine, taps, NAMES[1], 1)
    live(vifd, 1)
    ovs.ofctl("del-flows", "br-int", "cookie=0/-1,table=0")
    path = f"/v1/ports/{port_id(1)}/release?wait=gone&timeout=60"
    status, answer = vifd.call("POST", path, {})
    assert (status, answer["code"]) == (409, "E_RELEASE_UNFIT")
    assert "no flow of another program" in answer["message"]
    assert phase(vifd, 1) == "LIVE"
    assert vifd.call("POST", path, {"force": True})[0] == 204
