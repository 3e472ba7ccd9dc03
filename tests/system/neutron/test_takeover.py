"""A host of the stock agent becomes one of vifd and goes back, under pings between its machines, by
the commands of docs/openstack.md in their order."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cloud.server import Cloud
from support.cloud.stockagent import StockAgent
from support.cloud.vifdhost import PATIENCE, VifdHost
from support.cloud.walker import Machine, Ping
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")

HOST = "both"
EXAMPLES = Path(__file__).parents[3] / "examples/openstack"
STOCK_LEFTOVERS, VIFD_LEFTOVERS = EXAMPLES / "stock-leftovers", EXAMPLES / "vifd-leftovers"
OURS = re.compile(r"cookie=0x76[0-9a-f]{14}\b")


@pytest.fixture
def both(cloud: Cloud) -> Iterator[tuple[PrivateOvs, StockAgent, VifdHost]]:
    """One host, and both agents for it, neither of which runs."""
    with tempfile.TemporaryDirectory(prefix="b") as directory, PrivateOvs() as ovs:
        given: dict[str, dict[str, object]] = {
            "network_neutron": {"rpc_timeout": 60},
            "ovs": {"create_bridge": "false"},
        }
        vifd = VifdHost(Path(directory, "v"), cloud, ovs, HOST, given)
        stock = StockAgent(Path(directory, "s"), cloud, ovs, HOST, {
            "ovs": {"bridge_mappings": "physnet1:br-phys"},
            "securitygroup": {"firewall_driver": "openvswitch"},
        })  # fmt: skip
        try:
            yield ovs, stock, vifd
        finally:
            stock.kill()
            vifd.close()


@pytest.fixture
def machines(
    cloud: Cloud, network: str, both: tuple[PrivateOvs, StockAgent, VifdHost]
) -> Iterator[list[Machine]]:
    """Two of them, which the stock agent has wired."""
    ovs, stock, _ = both
    stock.start()
    until(lambda: "iteration:0 completed" in stock.log, "the stock agent is ready", PATIENCE)
    until(lambda: alive(cloud), "it is known", PATIENCE)
    wish = {"device_owner": "compute:x", "device_id": "x", "binding:host_id": HOST}
    ports = [cloud.make("port", network_id=network, **wish) for _ in range(2)]
    made = []
    for number, port in enumerate(ports):
        address = port["fixed_ips"][0]["ip_address"]
        made.append(
            Machine(ovs, "br-int", port["id"], f"m{number}", port["mac_address"], address, 22)
        )
    let_ping(cloud, ports[0]["security_groups"][0])
    until(lambda: made[0].reaches(made[1]), "one reaches the other", PATIENCE)
    until(lambda: made[1].reaches(made[0]), "and the other way round", PATIENCE)
    stock.rest(PATIENCE)
    yield made
    for machine in made:
        machine.close()
        cloud.remove("port", machine.port)


class Course:
    """What was done, when, and where pings got lost between."""

    def __init__(self, *pings: Ping) -> None:
        self._pings = pings
        self._steps: list[tuple[float, str]] = []

    def close(self) -> None:
        """End the pings where the test did not come so far."""
        for ping in self._pings:
            ping.close()

    def step(self, what: str) -> None:
        self._steps.append((time.time(), what))

    def end(self) -> list[tuple[int, int]]:
        """By ping, how many were sent and lost; all of it is printed."""
        counts = [ping.stop() for ping in self._pings]
        lost = [(at, f"lost: {n}") for n, ping in enumerate(self._pings) for at in ping.lost]
        lines = sorted([*self._steps, *lost])
        print("\n".join(f"{at - lines[0][0]:7.2f} {what}" for at, what in lines))
        print(f"pings sent and lost: {counts}")
        return counts


def alive(cloud: Cloud) -> bool:
    agent = cloud.agent(HOST)
    return bool(agent and agent["alive"])


def let_ping(cloud: Cloud, group: str) -> None:
    rule: dict[str, Any] = {
        "security_group_id": group, "direction": "ingress", "ethertype": "IPv4",
        "protocol": "icmp", "remote_ip_prefix": "10.7.0.0/22",
    }  # fmt: skip
    cloud.call("POST", "security-group-rules", {"security_group_rule": rule})


def cleared(ovs: PrivateOvs, program: Path, *words: str | Path) -> subprocess.Popen[str]:
    """A program of the documentation that takes away what an agent left."""
    argv = [program, "--remove", *words]
    env = {**os.environ, **ovs.env}
    return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)  # fmt: skip


def ended(program: subprocess.Popen[str]) -> None:
    said, _ = program.communicate(timeout=PATIENCE)
    print(said)
    assert program.returncode == 0, said


def of_vifd(ovs: PrivateOvs) -> set[bool]:
    """Whether flows of the bridge are vifd's."""
    lines = [x for x in ovs.ofctl("dump-flows", "br-int").splitlines() if "cookie=" in x]
    return {bool(OURS.search(line)) for line in lines}


def test_from_the_stock_agent_to_vifd_and_back(both, machines, tmp_path, request):
    ovs, stock, vifd = both
    course = Course(Ping(*machines), Ping(*machines[::-1]))
    request.addfinalizer(course.close)
    course.step("the stock agent ends")
    stock.kill()
    course.step("vifd starts")
    vifd.start()
    vifd.proven([m.port for m in machines])
    course.step("what the stock agent left goes")
    ended(cleared(ovs, STOCK_LEFTOVERS, tmp_path / "undo"))
    assert of_vifd(ovs) == {True}
    assert all(one.reaches(two) for one, two in (machines, machines[::-1]))
    course.step("vifd ends")
    vifd.vifd.stop()
    began = len(stock.log)
    course.step("the stock agent starts")
    stock.start()
    until(lambda: "cleanup stale flows" in stock.log[began:], "it has wired all anew", PATIENCE)
    course.step("what vifd left goes")
    ended(cleared(ovs, VIFD_LEFTOVERS))
    course.step("done")
    assert of_vifd(ovs) == {False}
    assert all(one.reaches(two) for one, two in (machines, machines[::-1]))
    counts = course.end()
    # One at each turn: what was asked by the flows of the one is answered into those of the other,
    # in whose zone of conntrack an answer begins nothing.
    assert all(sent > 100 and lost <= 2 for sent, lost in counts), counts
