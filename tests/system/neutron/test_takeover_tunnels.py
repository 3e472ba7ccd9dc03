"""A host of the stock agent becomes one of vifd and goes back under pings over VXLAN to a machine
of another host, also of a connection that nothing but conntrack lets in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.cloud.beside import BRIDGES, ENDPOINTS, Beside
from support.cloud.server import Cloud
from support.cloud.stockagent import StockAgent
from support.cloud.vifdhost import PATIENCE
from support.cloud.walker import Machine, Ping
from support.tunnelswitch import Switch
from system.neutron.test_takeover import (
    STOCK_LEFTOVERS,
    VIFD_LEFTOVERS,
    Course,
    cleared,
    ended,
    of_vifd,
)
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")


@pytest.fixture
def beside(cloud: Cloud) -> Iterator[tuple[Beside, StockAgent]]:
    """Two hosts, and the stock agent for that of vifd's as well; none runs."""
    with tempfile.TemporaryDirectory(prefix="t") as directory, Switch() as ovs:
        found = Beside(Path(directory), cloud, ovs, ("turning", "staying"), populated=True)
        before = StockAgent(Path(directory, "b"), cloud, ovs, "turning", {
            "ovs": {
                "bridge_mappings": "physnet1:br-phys", "local_ip": ENDPOINTS["vifd"],
            },
            "agent": {"tunnel_types": "vxlan", "l2_population": True},
            "securitygroup": {"firewall_driver": "openvswitch"},
        })  # fmt: skip
        try:
            yield found, before
        finally:
            before.kill()
            found.close()


def group(cloud: Cloud, stack: ExitStack, *, pinged: bool) -> str:
    """A group, whose members may be pinged, or may begin connections and nothing else."""
    made = cloud.call("POST", "security-groups", {"security_group": {"name": "g"}})
    found = str(made["security_group"]["id"])
    stack.callback(cloud.call, "DELETE", f"security-groups/{found}")
    if pinged:
        rule = {"security_group_id": found, "direction": "ingress", "ethertype": "IPv4",
                "protocol": "icmp", "remote_ip_prefix": "10.20.9.0/24"}  # fmt: skip
        cloud.call("POST", "security-group-rules", {"security_group_rule": rule})
    return found


def test_over_vxlan_there_and_back(cloud: Cloud, beside: Any, tmp_path: Path):
    hosts, before = beside
    ovs = hosts.ovs
    with ExitStack() as stack:
        before.start()
        hosts.stock.start()
        agents = (before, hosts.stock)
        until(lambda: all("iteration:0 completed" in a.log for a in agents), "ready", PATIENCE)
        network = hosts.network(9, **{"provider:network_type": "vxlan"})
        quiet, open_ = (group(cloud, stack, pinged=p) for p in (False, True))

        def machine(where: str, in_group: str) -> Machine:
            port = cloud.make(
                "port", network_id=network, device_owner="compute:x", device_id="x",
                security_groups=[in_group], **{"binding:host_id": hosts.names[where]},
            )  # fmt: skip
            stack.callback(cloud.remove, "port", port["id"])
            made = Machine(
                ovs, BRIDGES[where], port["id"], f"m{port['id'][:8]}", port["mac_address"],
                port["fixed_ips"][0]["ip_address"],
            )  # fmt: skip
            stack.callback(made.close)
            return made

        caller, called, far = (
            machine("vifd", quiet),
            machine("vifd", open_),
            machine("stock", open_),
        )
        until(lambda: caller.reaches(far), "out", PATIENCE)
        until(lambda: far.reaches(called), "in", PATIENCE)
        assert not far.reaches(caller)
        before.rest(PATIENCE)
        course = Course(Ping(caller, far), Ping(far, called))
        stack.callback(course.close)
        course.step("the stock agent ends")
        before.kill()
        going = cleared(ovs, STOCK_LEFTOVERS, tmp_path / "undo", "--wait", f"{PATIENCE:.0f}")
        stack.callback(going.kill)
        until((tmp_path / "undo.new").exists, "the way back is being written")
        course.step("vifd starts")
        hosts.vifd.start()
        hosts.vifd.proven([caller.port, called.port])
        course.step("vifd has the ports")
        ended(going)
        course.step("what the stock agent left is gone")
        assert of_vifd(ovs) == {True}
        until(lambda: caller.reaches(far) and far.reaches(called), "both go on", PATIENCE)
        assert not far.reaches(caller)
        course.step("vifd ends")
        hosts.vifd.vifd.stop()
        began = len(before.log)
        going = cleared(ovs, VIFD_LEFTOVERS, "--wait", before.home / "agent.log", f"{PATIENCE:.0f}")
        stack.callback(going.kill)
        course.step("the stock agent starts")
        before.start()
        until(lambda: "cleanup stale flows" in before.log[began:], "it has wired anew", PATIENCE)
        course.step("it has wired anew")
        ended(going)
        course.step("what vifd left is gone")
        until(lambda: caller.reaches(far) and far.reaches(called), "both go on", PATIENCE)
        assert of_vifd(ovs) == {False}
        course.step("done")
        counts = course.end()
        assert all(sent > 100 and lost < sent / 4 for sent, lost in counts), counts
