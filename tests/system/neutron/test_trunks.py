"""Trunks of a real Neutron: their sub-ports are bound to the parent's host, come and go while the
parent is in use, and the trunk's status is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from support.cloud.server import Cloud
from support.cloud.vifdhost import PATIENCE, VifdHost
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("neutron", "module:kombu")


class Trunk:
    """A trunk whose parent is in use on a host."""

    def __init__(self, cloud: Cloud, host: VifdHost, network: str, *sub_ports: dict[str, Any]):
        self.cloud, self.host = cloud, host
        self.parent = str(cloud.make("port", network_id=network)["id"])
        wanted = {"port_id": self.parent, "sub_ports": list(sub_ports)}
        self.id = str(cloud.call("POST", "trunks", {"trunk": wanted})["trunk"]["id"])
        # one that is bound already becomes no parent: Neutron's own rule
        self.bind(host.name, device_id="guest", device_owner="compute:nova")
        host.use(self.parent)

    def bind(self, host: str, **fields: str) -> None:
        self.cloud.change("port", self.parent, **{"binding:host_id": host, **fields})

    def change(self, verb: str, *sub_ports: dict[str, Any]) -> None:
        body = {"sub_ports": list(sub_ports)}
        self.cloud.call("PUT", f"trunks/{self.id}/{verb}_subports", body)

    def works(self, *sub_ports: str) -> None:
        """Wait until Neutron has trunk, parent and sub-ports as ACTIVE."""
        ports = (self.parent, *sub_ports)

        def state() -> dict[str, str]:
            found = {"trunk": self.cloud.call("GET", f"trunks/{self.id}")["trunk"]["status"]}
            return found | {port: self.cloud.status(port) for port in ports}

        until(lambda: set(state().values()) == {"ACTIVE"}, "the trunk works", PATIENCE,
              lambda: (state(), self.host.vifd.log[-5000:]))  # fmt: skip

    def carries(self, vlan: int) -> bool:
        """Whether a VLAN of the parent's device is let in."""
        flows = self.host.ovs.ofctl("dump-flows", "br-int", "table=0")
        return f"dl_vlan={vlan} actions=" in flows

    def close(self) -> None:
        self.host.unuse(self.parent)
        self.bind("", device_id="", device_owner="")
        self.cloud.call("DELETE", f"trunks/{self.id}")
        self.cloud.remove("port", self.parent)


def sub(port: str, vlan: int) -> dict[str, Any]:
    return {"port_id": port, "segmentation_type": "vlan", "segmentation_id": vlan}


@pytest.fixture
def ports(cloud: Cloud, network: str) -> Iterator[list[str]]:
    """Two that nobody uses."""
    made = [str(cloud.make("port", network_id=network)["id"]) for _ in range(2)]
    yield made
    for port in made:
        cloud.remove("port", port)


def test_sub_ports_are_bound_here_and_come_and_go(
    cloud: Cloud, host: VifdHost, network: str, ports: list[str]
) -> None:
    one, two = ports
    with contextlib.closing(Trunk(cloud, host, network, sub(one, 31))) as trunk:
        trunk.works(one)
        assert trunk.carries(31)
        assert cloud.show("port", one)["binding:host_id"] == host.name
        trunk.change("add", sub(two, 32))
        trunk.works(one, two)
        assert trunk.carries(32)
        trunk.change("remove", sub(one, 31))
        until(lambda: host.phase(one) == "", "it is gone from here", PATIENCE)
        trunk.works(two)
        assert not trunk.carries(31)
        host.vifd.stop()
        host.vifd.start()
        host.vifd.ready()
        trunk.works(two)
        assert trunk.carries(32)
    until(lambda: host.phase(two) == "", "it goes with its parent", PATIENCE)
