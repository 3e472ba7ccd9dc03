"""The oldest release that is supported: bound, proven, ACTIVE, and spoken with in its versions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cloud import places
from support.cloud.server import Cloud
from support.cloud.vifdhost import PATIENCE, VifdHost
from vifd.testing import sandbox
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")


@pytest.fixture
def old(isolated: None) -> Iterator[Cloud]:
    if lacking := places.lacking(places.OLD):
        pytest.skip(lacking)
    with tempfile.TemporaryDirectory(prefix="old") as directory:
        found = Cloud(Path(directory), port=9697, shift=100, venv=places.OLD)
        try:
            found.start()
            yield found
        finally:
            found.stop()


def topics(cloud: Cloud) -> set[str]:
    """The topics of objects that some agent listens to."""
    queues = cloud.broker.ctl("list_queues", "name").split()
    return {q.rsplit("_fanout_", 1)[0] for q in queues if q.startswith("neutron-vo-")}


def vlan(cloud: Cloud) -> str:
    given = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    network = str(cloud.make("network", name="n", **given)["id"])
    cloud.make("subnet", network_id=network, cidr="10.9.0.0/24", ip_version=4, enable_dhcp=False)
    return network


def test_neutron_27_is_spoken_with_in_its_own_versions(old: Cloud):
    with tempfile.TemporaryDirectory(prefix="v") as directory, sandbox.PrivateOvs() as ovs:
        host = VifdHost(Path(directory, "v"), old, ovs, "host27")
        try:
            host.start()
            network = vlan(old)
            ports = host.bind_many(network, 3)
            for port in ports:
                host.use(port)
            host.told(network, ports, "ACTIVE")
            old.change("port", ports[0], name="named")
            until(lambda: _name(host, ports[0]) == "named", "a change is heard of", PATIENCE)
            assert {"neutron-vo-Port-1.10", "neutron-vo-Network-1.2"} <= topics(old)
            assert not {"neutron-vo-Port-1.11", "neutron-vo-Network-1.3"} & topics(old)
            host.unuse(ports[0])
            host.told(network, ports[:1], "DOWN")
        finally:
            host.close()


def test_the_present_release_is_spoken_with_in_its_newest(
    cloud: Cloud, host: VifdHost, network: str
):
    port = host.bind(network)
    try:
        host.use(port)
        host.told(network, [port], "ACTIVE")
        newest = {"neutron-vo-Port-1.11", "neutron-vo-Network-1.3"}
        until(lambda: newest <= topics(cloud), "the newest versions are listened to", PATIENCE)
        cloud.change("port", port, name="newest")
        until(lambda: _name(host, port) == "newest", "a change is heard of", PATIENCE)
    finally:
        cloud.remove("port", port)
        host.unuse(port)


def _name(host: VifdHost, port_id: str) -> str:
    answer = host.vifd.call("GET", f"/v1/ports/{port_id}")[1]
    return str((answer.get("document") or {}).get("port", {}).get("name"))
