"""A host of the stock agent becomes one of vifd and goes back, under pings between its machines, by
the commands of docs/openstack.md in their order."""

from __future__ import annotations

import re
import tempfile
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
    until(lambda: made[0].reaches(made[1]), "they reach each other", PATIENCE)
    yield made
    for machine in made:
        machine.close()
        cloud.remove("port", machine.port)


def alive(cloud: Cloud) -> bool:
    agent = cloud.agent(HOST)
    return bool(agent and agent["alive"])


def let_ping(cloud: Cloud, group: str) -> None:
    rule: dict[str, Any] = {
        "security_group_id": group, "direction": "ingress", "ethertype": "IPv4",
        "protocol": "icmp", "remote_ip_prefix": "10.7.0.0/22",
    }  # fmt: skip
    cloud.call("POST", "security-group-rules", {"security_group_rule": rule})


def clear_of_stock(ovs: PrivateOvs) -> None:
    """What the stock agent left: its patch ports, then its flows, by their cookies."""
    ovs.vsctl("--if-exists", "del-port", "int-br-phys", "--", "--if-exists", "del-port",
              "phy-br-phys", "--", "--if-exists", "del-port", "patch-tun", "--", "--if-exists",
              "del-br", "br-tun")  # fmt: skip
    for bridge in ("br-int", "br-phys"):
        cookies = set(re.findall(r"cookie=(0x[0-9a-f]+)", ovs.ofctl("dump-flows", bridge)))
        for cookie in sorted(c for c in cookies if not OURS.match(f"cookie={c}")):
            ovs.ofctl("del-flows", bridge, f"cookie={cookie}/-1")


def clear_of_vifd(ovs: PrivateOvs) -> None:
    """What vifd left: its patch ports, then its flows."""
    rows = ovs.vsctl("-f", "csv", "--columns=name,external_ids", "list", "port").splitlines()
    for row in rows:
        if re.search(r"vifd-(patch|tunnel)", row):
            ovs.vsctl("del-port", row.split(",")[0].strip('"'))
    for bridge in ("br-int", "br-phys"):
        ovs.ofctl("del-flows", bridge, "cookie=0x7600000000000000/0xff00000000000000")


def of_vifd(ovs: PrivateOvs) -> set[bool]:
    """Whether flows of the bridge are vifd's."""
    lines = [x for x in ovs.ofctl("dump-flows", "br-int").splitlines() if "cookie=" in x]
    return {bool(OURS.search(line)) for line in lines}


def test_from_the_stock_agent_to_vifd_and_back(both, machines):
    ovs, stock, vifd = both
    there, back = Ping(*machines), Ping(*machines[::-1])
    stock.kill()
    vifd.start()
    vifd.proven([m.port for m in machines])
    clear_of_stock(ovs)
    assert of_vifd(ovs) == {True}
    assert all(one.reaches(two) for one, two in (machines, machines[::-1]))
    vifd.vifd.stop()
    began = len(stock.log)
    stock.start()
    until(lambda: "cleanup stale flows" in stock.log[began:], "it has wired all anew", PATIENCE)
    clear_of_vifd(ovs)
    assert of_vifd(ovs) == {False}
    assert all(one.reaches(two) for one, two in (machines, machines[::-1]))
    counts = [ping.stop() for ping in (there, back)]
    print(f"pings sent and lost: {counts}")
    assert all(sent > 100 and lost <= 1 for sent, lost in counts), counts
