"""Logs of security groups on a whole host: lines, their limits, restarts, switching off."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import bridgeoracle, oracle
from unit.docs import document, port_id
from vifd.testing import frames as f
from vifd.testing.daemon import Options, UnixConnection, Vifd
from vifd.testing.guests import TapGuest, guests
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until
from vifd_linuxbridge.testing import quiet_netfilter

RATE, BURST = 20, 10
GROUP, LOG = "5e75000a-0000-4000-8000-000000000000", "10600001-0000-4000-8000-000000000000"
PORTS = [port_id(1), port_id(2)]
DEVICES = [f"tap{port[:11]}" for port in PORTS]
MACS = [str(document(n)["port"]["mac_address"]) for n in (1, 2)]
RULE = "5e75000b-0000-4000-8000-000000000000"
RULES = [{"id": RULE, "direction": "egress", "protocol": "udp",
          "port_range_min": 53, "port_range_max": 53}]  # fmt: skip


def options(directory: Path, plugin: str) -> Options:
    return {
        "plugins": {"enabled_plugins": plugin},
        "packet_log": {"file": directory / "packets.log", "rate": RATE, "burst": BURST},
        "linuxbridge": {"serve_local": True},
    }


@pytest.fixture(params=[
    "ovs", pytest.param("linuxbridge", marks=pytest.mark.needs("bridge_tracking")),
])  # fmt: skip
def plugin(request: pytest.FixtureRequest) -> str:
    """Who serves the ports."""
    return str(request.param)


@pytest.fixture
def vifd(ovs: PrivateOvs, tmp_path: Path, plugin: str) -> Iterator[Vifd]:
    if plugin == "linuxbridge":
        quiet_netfilter()
    with Vifd(tmp_path / "v", ovs, options(tmp_path, plugin)) as daemon:
        daemon.call("PUT", f"/v1/security-groups/{GROUP}?wait=applied", {"rules": RULES})
        for number, groups in ((1, [GROUP]), (2, None)):
            raw = document(number)
            raw["port"]["security_groups"] = groups
            status, answer = daemon.plug(raw)
            assert status == 201, answer
        yield daemon
        daemon.clear()


@pytest.fixture
def pair(ovs: PrivateOvs, vifd: Vifd, plugin: str) -> Iterator[tuple[TapGuest, TapGuest]]:
    with guests(*DEVICES, ovs=ovs if plugin == "ovs" else None) as (one, other):
        if plugin != "ovs":
            bridgeoracle.forwards(*DEVICES)
        yield one, other


def lines(vifd: Vifd) -> list[dict[str, str]]:
    """The lines that were written, as their fields."""
    text = (vifd.directory.parent / "packets.log").read_text()
    return [dict(word.split("=", 1) for word in line.split()[1:]) for line in text.splitlines()]


def want(vifd: Vifd, **said: Any) -> dict[str, Any]:
    status, answer = vifd.call("PUT", f"/v1/logs/{LOG}?wait=applied", said)
    assert status in (200, 201), answer
    return dict(answer)


def udp(port: int, sport: int = 4000) -> bytes:
    # longer than what is padded: a bridge that follows connections takes the padding off
    return f.udp(MACS[0], MACS[1], "10.0.0.1", "10.0.0.2", b"vifd" * 16, sport=sport, dport=port)


def test_a_line_says_who_what_and_by_which_rule(
    vifd: Vifd, pair: tuple[TapGuest, TapGuest], plugin: str
) -> None:
    log = want(vifd, name="all", event="ALL", resource_id=GROUP)
    pair[0].send(udp(53))
    pair[0].send(udp(54))
    until(lambda: len(lines(vifd)) == 2, "two lines", told=lambda: lines(vifd))
    accepted, dropped = sorted(lines(vifd), key=lambda line: line["action"])
    common = {
        "direction": "egress", "port": PORTS[0], "instance": document(1)["instance"]["id"],
        "protocol": "udp", "src": "10.0.0.1", "dst": "10.0.0.2", "sport": "4000",
        "length": str(len(udp(53))), "log": LOG, "request": log["request_id"],
    }  # fmt: skip
    assert accepted == {**common, "action": "ACCEPT", "dport": "53", "rule": RULE, "group": GROUP}
    assert dropped == {**common, "action": "DROP", "dport": "54", "rule": "-", "group": "-"}
    port = vifd.get(f"/v1/ports/{PORTS[0]}")
    (told,) = [e for e in port["enforcement"] if e["feature"] == "security_group_log"]
    assert (told["requested"], told["enforced_by"]) == ([LOG], plugin)
    written = 'vifd_logged_packets_total{result="written"} 2.0'
    until(lambda: written in metrics(vifd), "both are counted")


def metrics(vifd: Vifd) -> str:
    connection = UnixConnection(vifd.socket)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_a_flood_keeps_to_the_limit_and_what_is_missing_is_told(
    vifd: Vifd, pair: tuple[TapGuest, TapGuest]
) -> None:
    want(vifd, event="DROP", target_id=PORTS[0])
    began = time.monotonic()
    for number in range(2000):
        pair[0].send(udp(1000 + number))
    # a busy machine loses frames before its switch sees them; what that refused is written or told,
    # which is done every ten seconds, and a flood may last longer than to the first time
    until(lambda: 3 * BURST < counted(vifd) == sum(told(vifd)), "each is written or told", 120.0,
          told=lambda: (counted(vifd), told(vifd)))  # fmt: skip
    took = time.monotonic() - began
    written, missing = told(vifd)
    assert 1 <= written <= BURST + RATE * took
    assert missing >= 1


def told(vifd: Vifd) -> tuple[int, int]:
    """How many packets were written down, and of how many more it was told."""
    found = lines(vifd)
    missing = sum(int(x["count"]) for x in found if x["action"] == "LIMITED")
    return sum(x["action"] == "DROP" for x in found), missing


def counted(vifd: Vifd) -> int:
    found = vifd.get(f"/v1/ports/{PORTS[0]}/counters")
    return int(found["sent"]["refused"]["no_rule"]["packets"])


def test_after_a_restart_with_a_kill_and_switched_off(
    vifd: Vifd, pair: tuple[TapGuest, TapGuest], ovs: PrivateOvs, plugin: str
) -> None:
    def ages() -> dict[str, float]:
        return oracle.flow_ages(ovs) if plugin == "ovs" else {}

    before = bridgeoracle.state(), ages()
    want(vifd, event="DROP")
    flows, rest = ages(), bridgeoracle.state()
    assert (rest, flows) != before
    vifd.kill()
    vifd.start()
    vifd.ready()
    until(lambda: vifd.get(f"/v1/ports/{PORTS[0]}")["phase"] == "LIVE", "it is proven")
    assert oracle.touched_flows(flows, ages()) == []
    assert bridgeoracle.state() == rest
    pair[0].send(udp(55))
    until(lambda: [x["dport"] for x in lines(vifd)] == ["55"], "a line", told=lambda: lines(vifd))
    status, answer = vifd.call("PATCH", f"/v1/logs/{LOG}?wait=applied", {"enabled": False})
    assert (status, answer["enabled"]) == (200, False)
    assert plugin != "ovs" or "controller" not in ovs.ofctl("dump-flows", "br-int")
    assert "log prefix" not in bridgeoracle.rules()
    status, _ = vifd.call("DELETE", f"/v1/logs/{LOG}?wait=applied")
    assert status == 204
