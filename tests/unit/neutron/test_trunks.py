"""Trunks as the service tells of them: sub-ports come, go and follow their parent."""

from __future__ import annotations

import math
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from support.neutron import Network, Port, Trunk
from unit.neutron.scene import Cloud, Node
from vifd.model import Status
from vifd.network.neutron import service, trunks
from vifd.testing.wait import PATIENCE, until


def parent_of(cloud: Cloud, node: Node, network: Network | None = None) -> Port:
    """A port that is used here."""
    port = cloud.neutron.port(network or cloud.vlan(), node.name)
    node.compute(port)
    until(lambda: port.status == "ACTIVE", "the parent is active")
    return port


def carried(node: Node, vlan: int) -> bool:
    """Whether frames with a tag are let in by some parent's device."""
    return any(f"dl_vlan={vlan}" in flow and "in_port" in flow and "goto" in flow
               for flow in node.flows() if "table=0" in flow)  # fmt: skip


def works(trunk: Trunk, *ports: Port) -> bool:
    return trunk.status == "ACTIVE" and all(port.status == "ACTIVE" for port in ports)


def test_sub_ports_come_and_go(cloud: Cloud):
    node = cloud.node()
    parent, network = parent_of(cloud, node), cloud.vlan(200)
    trunk = cloud.neutron.trunk(parent)
    one, two = cloud.neutron.port(network), cloud.neutron.port(cloud.vlan(201))
    cloud.neutron.join(trunk, one, 31)
    until(lambda: works(trunk, one), "it is bound, made, and told",
          told=lambda: (trunk, one, node.flows()))  # fmt: skip
    assert carried(node, 31)
    cloud.neutron.join(trunk, two, 32)
    until(lambda: works(trunk, one, two), "another one")
    cloud.neutron.part(trunk, one)
    until(lambda: node.record(one) is None, "its binding stays here, and it is gone")
    until(lambda: trunk.status == "ACTIVE", "what is left works")
    assert (carried(node, 31), carried(node, 32)) == (False, True)
    # with another tag
    cloud.neutron.join(trunk, one, 33)
    until(lambda: carried(node, 33) and works(trunk, one, two), "it is back")


def test_a_trunk_that_was_there_before_and_a_restart_without_a_change(cloud: Cloud):
    neutron = cloud.neutron
    parent = neutron.port(cloud.vlan(), "host-trunk")
    trunk, sub = neutron.trunk(parent), neutron.port(cloud.vlan(200))
    neutron.join(trunk, sub, 31)
    node = cloud.node("host-trunk")
    node.compute(parent)
    until(lambda: works(trunk, parent, sub), "all of it works")
    flows = node.flows()
    node.stop()
    node.start()
    cloud.synchronised(node)
    assert node.flows() == flows
    # one that joined while nobody listened
    node.stop()
    late = neutron.port(cloud.vlan(201))
    neutron.join(trunk, late, 32)
    node.start()
    until(lambda: works(trunk, parent, sub, late), "it is found", told=lambda: (trunk, late))
    assert flows < node.flows()


def test_a_trunk_that_is_deleted_leaves_its_parent(cloud: Cloud):
    node = cloud.node()
    parent, sub = parent_of(cloud, node), cloud.neutron.port(cloud.vlan(200))
    before = node.flows()
    trunk = cloud.neutron.trunk(parent)
    cloud.neutron.join(trunk, sub, 31)
    until(lambda: works(trunk, sub), "it works")
    cloud.neutron.end(trunk)
    until(lambda: node.record(sub) is None, "the sub-port is gone")
    until(lambda: node.flows() == before, "and nothing of it is left")
    assert parent.status == "ACTIVE"


def test_a_sub_port_that_is_one_no_more_gets_a_device(cloud: Cloud):
    node = cloud.node()
    parent, sub = parent_of(cloud, node), cloud.neutron.port(cloud.vlan(200))
    trunk = cloud.neutron.trunk(parent)
    cloud.neutron.join(trunk, sub, 31)
    until(lambda: works(trunk, sub), "it works")
    cloud.neutron.part(trunk, sub)
    until(lambda: node.record(sub) is None, "it is gone")
    sub.owner = "compute:nova"
    cloud.neutron.changed(sub)
    node.compute(sub)
    until(lambda: node.live(sub), "it is a port as any other")
    assert node.row(sub).external_ids["iface-id"] == sub.id


def test_sub_ports_follow_their_parent_to_another_host(cloud: Cloud):
    here, there = cloud.node(), cloud.node()
    parent, sub = parent_of(cloud, here), cloud.neutron.port(cloud.vlan(200))
    trunk = cloud.neutron.trunk(parent)
    cloud.neutron.join(trunk, sub, 31)
    until(lambda: works(trunk, sub), "it works here")
    there.compute(parent)
    cloud.neutron.bind(parent, there.name, active=False)
    until(lambda: there.phase(parent) == "READY", "the parent is prepared there")
    # until it moves, its guest is here
    assert here.live(sub)
    assert there.record(sub) is None
    cloud.neutron.activate(parent, there.name)
    until(lambda: there.live(sub) and here.record(sub) is None, "the sub-port is there")
    until(lambda: works(trunk, parent, sub), "and all of it works")
    assert carried(there, 31)
    assert not carried(here, 31)


def test_a_sub_port_does_not_wait_for_the_next_look(cloud: Cloud, monkeypatch):
    node = cloud.node()
    parent, sub = parent_of(cloud, node), cloud.neutron.port(cloud.vlan(200))
    monkeypatch.setattr(service, "LOOK", math.inf)
    trunk = cloud.neutron.trunk(parent)
    cloud.neutron.join(trunk, sub, 31)
    until(lambda: works(trunk, sub), "it is bound, made, and told", told=lambda: (trunk, sub))


@pytest.mark.parametrize("active", [True, False])
def test_of_a_trunk_the_host_has_the_word_where_its_parent_is_in_force(monkeypatch, active):
    """Its port there may be on record as working for a while longer."""
    told: list[tuple[str, str]] = []
    server: Any = SimpleNamespace(trunk_status=lambda *said: told.append(said))
    monkeypatch.setattr(trunks, "status_of", lambda _record: Status.ACTIVE)
    known = trunks.Trunks(server)
    known.parents = {"p": {"id": "t", "status": "DOWN", "sub_ports": []}}
    binding = {"host": "h", "status": "ACTIVE" if active else "INACTIVE", "vif_type": "ovs"}
    records: Any = {"p": object()}
    known.tell(records, {"p": {"id": "p", "bindings": [binding]}}, "h")
    assert told == ([("t", "ACTIVE")] if active else [])


def test_whether_many_ports_are_parents_is_asked_at_once(cloud: Cloud, monkeypatch):
    """As long as messages wait, so that a burst of ports does not wait for an answer on each."""
    node, network = cloud.node(rpc_timeout=PATIENCE), cloud.vlan()
    monkeypatch.setattr(service, "LOOK", math.inf)
    asked: list[list[str]] = []
    held, call = threading.Event(), node.service.bus.call

    def counted(topic: str, method: str, version: str, timeout: float, arguments: Any) -> Any:
        if method == "bulk_pull" and arguments["resource_type"] == "Trunk":
            asked.append(arguments["filter_kwargs"]["port_id"])
            assert held.wait(PATIENCE)
        return call(topic, method, version, timeout, arguments)

    monkeypatch.setattr(node.service.bus, "call", counted)
    first = cloud.neutron.port(network, node.name)
    until(lambda: asked == [[first.id]], "one is asked about")
    ports = [cloud.neutron.port(network, node.name) for _ in range(10)]
    every = {port.id for port in ports}
    until(lambda: every <= node.waiting(), "what is told of each of the others waits")
    held.set()
    until(lambda: len(asked) > 1, "the others are asked about")
    assert every <= {*asked[1]}
    until(lambda: all(map(node.bound, ports)), "what is told of them is here")
