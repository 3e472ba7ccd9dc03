"""A real Neutron and a real vifd: what the server is told is so, whatever becomes of either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.cloud.meddler import Meddler
from support.cloud.server import Cloud
from support.cloud.vifdhost import PATIENCE, VifdHost
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")

PORTS = "Port"


@pytest.fixture
def ports(cloud: Cloud, host: VifdHost) -> Iterator[list[str]]:
    """Ports of a test; they go with it, on both sides."""
    made: list[str] = []
    yield made
    for port in made:
        cloud.remove("port", port)
        host.vifd.call("DELETE", f"/v1/ports/{port}/instance")
    until(lambda: not any(map(host.phase, made)), "the ports are gone", PATIENCE)


def test_the_host_reports_its_candidates(cloud: Cloud, host: VifdHost):
    told = cloud.agent("host1")["configurations"]
    assert told["bridge_mappings"] == {"physnet1": "br-phys"}
    assert "ovs" in [c["plugin"] for c in told["vifd"]["candidates"]]
    assert len(json.dumps(told)) <= 4095


def test_a_port_is_bound_by_what_the_host_reports(cloud, host, network, ports):
    ports.append(host.bind(network))
    port = cloud.show("port", ports[0])
    assert port["binding:vif_type"] == "ovs"
    assert port["binding:vif_details"]["bound_drivers"] == {"0": "vifd"}
    assert port["binding:vif_details"]["ovs_create_tap"] is True


def test_a_port_is_active_only_after_its_proof(cloud, host, network, ports):
    first, second = (host.bind(network) for _ in range(2))
    ports += [first, second]
    host.use(first)
    host.told(network, [first], "ACTIVE")
    switch = host.ovs.vswitchd
    switch.pause()
    try:
        host.use(second)
        until(lambda: host.phase(second) not in ("", "WAITING"), "the port is begun", PATIENCE)
        before = cloud.agent("host1")["heartbeat_timestamp"]
        # What the driver had to tell meanwhile was told: it has reported since.
        until(lambda: cloud.agent("host1")["heartbeat_timestamp"] != before, "a report", PATIENCE)
        assert cloud.status(second) != "ACTIVE"
    finally:
        switch.resume()
    host.told(network, [second], "ACTIVE")
    assert host.phase(second) == "LIVE"


def test_a_port_that_compute_lets_go_of_is_down(cloud, host, network, ports):
    ports.append(host.bind(network))
    host.use(ports[0])
    host.told(network, ports, "ACTIVE")
    host.unuse(ports[0])
    host.told(network, ports, "DOWN")
    host.use(ports[0])
    host.told(network, ports, "ACTIVE")


def test_the_bus_is_away_while_ports_are_plugged_and_go(cloud, host, network, ports):
    ports += [host.bind(network) for _ in range(3)]
    kept, gone, late = ports
    host.use(gone)
    host.told(network, [gone], "ACTIVE")
    until(lambda: host.phase(kept) == "WAITING", "the network's part is here", PATIENCE)
    cloud.broker.stop()
    try:
        host.use(kept)
        host.proven([kept])
        host.unuse(gone)
        until(lambda: host.phase(gone) != "LIVE", "the port is unplugged", PATIENCE)
        until(lambda: "attempt 4" in host.vifd.log, "the bus was tried several times", PATIENCE)
        host.vifd.stop()
        host.vifd.start()
        host.vifd.ready()
        assert host.phase(kept) == "LIVE"
    finally:
        cloud.broker.start()
    host.use(late)
    host.told(network, [kept, late], "ACTIVE")
    host.told(network, [gone], "DOWN")


def test_the_bus_hangs_while_ports_are_plugged_and_go(cloud, host, network, ports):
    ports += [host.bind(network) for _ in range(2)]
    kept, gone = ports
    for port in ports:
        host.use(port)
    host.told(network, ports, "ACTIVE")
    host.unuse(kept)
    host.told(network, [kept], "DOWN")
    cloud.broker.pause()
    try:
        host.use(kept)
        host.proven([kept])
        host.unuse(gone)
        until(lambda: host.phase(gone) != "LIVE", "the port is unplugged", PATIENCE)
        until(lambda: "no answer for" in _problem(host), "the status says so", PATIENCE)
    finally:
        cloud.broker.resume()
    host.told(network, [kept], "ACTIVE")
    host.told(network, [gone], "DOWN")
    until(lambda: not _problem(host), "nothing is wrong any more", PATIENCE)


def test_the_server_is_started_anew_while_ports_are_plugged(cloud, host, network, ports):
    ports += [host.bind(network) for _ in range(5)]
    until(lambda: all(host.phase(p) for p in ports), "the network's parts are here", PATIENCE)
    cloud.stop_server()
    try:
        for port in ports:
            host.use(port)
        host.proven(ports)
    finally:
        cloud.start_server()
    host.told(network, ports, "ACTIVE")


def test_the_database_answers_late(cloud, host, network, ports):
    ports += [host.bind(network) for _ in range(5)]
    until(lambda: all(host.phase(p) for p in ports), "the network's parts are here", PATIENCE)
    cloud.database.pause()
    try:
        for port in ports:
            host.use(port)
        host.proven(ports)
    finally:
        cloud.database.resume()
    host.told(network, ports, "ACTIVE")


def test_pushes_that_come_twice_and_in_another_order(cloud, host, network, ports):
    ports.append(host.bind(network, name="none"))
    host.use(ports[0])
    host.told(network, ports, "ACTIVE")
    with Meddler(cloud.broker, PORTS) as meddler:
        for name in ("first", "second", "third"):
            cloud.change("port", ports[0], name=name)
        taken = list(meddler.wait(3))
        meddler.open()
        for message in (taken[2], taken[0], taken[2], taken[1], taken[0]):
            meddler.give(message)
        cloud.change("port", ports[0], name="fourth")
        until(lambda: _name(host, ports[0]) == "fourth", "the newest is in force", PATIENCE)
        for message in (taken[1], taken[2]):
            meddler.give(message)
        # One more that is newer has come after them, so they were read.
        cloud.change("port", ports[0], name="fifth")
        until(lambda: _name(host, ports[0]) == "fifth", "the newest is in force", PATIENCE)
    assert host.phase(ports[0]) == "LIVE"


def test_a_port_that_is_deleted_does_not_come_back_with_an_old_push(cloud, host, network, ports):
    port, other = host.bind(network), host.bind(network)
    ports.append(other)
    with Meddler(cloud.broker, PORTS) as meddler:
        cloud.change("port", port, name="late")
        (late,) = meddler.wait(1)
        meddler.open()
        host.use(port)
        host.proven([port])
        cloud.remove("port", port)
        # Compute has not let go of it: it waits for a network service that knows it.
        until(lambda: host.phase(port) == "WAITING", "the port is unplugged", PATIENCE)
        meddler.give(late)
        cloud.change("port", other, name="after")
        until(lambda: _name(host, other) == "after", "what came after it was read", PATIENCE)
    assert host.phase(port) == "WAITING"
    host.unuse(port)


def test_pushes_that_are_lost_are_made_up_for(cloud, host, network, ports):
    """Nobody tells an agent that it missed one: it is found when the bus was away."""
    ports += [host.bind(network, name="old"), host.bind(network)]
    until(lambda: all(host.phase(p) for p in ports), "the network's parts are here", PATIENCE)
    with Meddler(cloud.broker, PORTS) as meddler:
        cloud.change("port", ports[0], name="new")
        cloud.remove("port", ports[1])
        meddler.wait(2)
        meddler.open()
    cloud.broker.stop()
    cloud.broker.start()
    until(lambda: _name(host, ports[0]) == "new", "the change is known", PATIENCE)
    until(lambda: not host.phase(ports[1]), "the removal is known", PATIENCE)
    del ports[1]


def test_an_unmapped_physical_network_is_told_to_who_reads_the_port(cloud, host):
    given = {"provider:network_type": "vlan", "provider:physical_network": "physnet2"}
    network = cloud.make("network", name="far", **given)["id"]
    port = cloud.show("port", host.bind(network))
    assert port["binding:vif_type"] == "binding_failed"
    told = port["binding:vif_details"]["vifd"]
    assert told["code"] == "E_SEG_PHYSNET_UNMAPPED"
    assert "'physnet2' is not mapped on this host (have physnet1)" in told["message"]
    cloud.remove("port", port["id"])


def test_a_hundred_ports_at_once(host, network):
    """The last: to take them away again takes Neutron a second for each."""
    ports = host.bind_many(network, 100)
    for port in ports:
        host.use(port)
    host.proven(ports)
    host.told(network, ports, "ACTIVE")


def _problem(host: VifdHost) -> str:
    return str(host.vifd.get("/v1/status")["network_problem"] or "")


def _name(host: VifdHost, port_id: str) -> Any:
    answer = host.vifd.call("GET", f"/v1/ports/{port_id}")[1]
    wanted = answer.get("document") or answer.get("attachment") or answer
    return (wanted.get("port") or {}).get("name")
