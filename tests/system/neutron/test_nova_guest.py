"""Guests of a real libvirt that nova's own code plugs, on ports of a real Neutron that were made
ahead of it: booted, given another card while they run, and gone."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import nova
from support.cloud.relay import Relay
from support.cloud.server import Cloud
from support.cloud.vifdhost import PATIENCE
from support.nova import Compute
from system.nova.test_guest import Guest
from vifd.testing.bootable import Host
from vifd.testing.sandbox import OF_DATAPATH
from vifd.testing.wait import until

pytestmark = [pytest.mark.needs(name) for name in ("neutron", "module:kombu", "nova", "libvirt")]

HOST = "compute9"


class World:
    """A host, a network, and nova's code on the host."""

    def __init__(self, cloud: Cloud, host: Host, compute: Compute, network: str) -> None:
        self.cloud, self.host, self.compute, self.network = cloud, host, compute, network

    def port(self, number: int) -> Any:
        """A port for a guest of that number, bound to the host."""
        port = self.cloud.make(
            "port", network_id=self.network, device_owner="compute:nova",
            device_id=f"00000000-0000-4000-8000-{number:012x}",
            fixed_ips=[{"ip_address": f"10.0.0.{number}"}], **{"binding:host_id": HOST},
        )  # fmt: skip
        assert port["binding:vif_type"] == "ovs", port["binding:vif_details"]
        until(lambda: self.phase(port) == "READY", "it is made ahead", PATIENCE,
              lambda: self.host.vifd.log[-3000:])  # fmt: skip
        assert self.cloud.status(port["id"]) != "ACTIVE", "nova is to hear that it comes up"
        return port

    def phase(self, port: Any) -> str:
        found = self.host.vifd.call("GET", f"/v1/ports/{port['id']}")[1]
        return str(found.get("phase", ""))

    def ask(self, do: str, port: Any) -> dict[str, Any]:
        """nova does something with a port, by what its binding says."""
        answer = self.compute.ask(
            do, port=port["id"], mac=port["mac_address"], network=self.network,
            mtu=self.cloud.show("network", self.network)["mtu"], instance=port["device_id"],
            type=port["binding:vif_type"], details=port["binding:vif_details"],
        )  # fmt: skip
        assert "error" not in answer, answer
        return answer

    def plugged(self, port: Any) -> str:
        """Plug it, and wait until Neutron knows; the interface as nova writes it."""
        self.ask("plug", port)
        self.told(port, "ACTIVE")
        return str(self.ask("xml", port)["xml"])

    def told(self, port: Any, status: str) -> None:
        until(
            lambda: self.cloud.status(port["id"]) == status, f"Neutron has {status}", PATIENCE,
            lambda: self.host.vifd.log[-3000:],
        )  # fmt: skip

    def guest(self, number: int, peer: int, port: Any) -> Guest:
        interface = self.plugged(port)
        made = Guest(self.host, number, peer, self.vif(port))
        made.interface = interface
        return made

    def vif(self, port: Any) -> Any:
        return self.host.vifd.get(f"/v1/ports/{port['id']}")["vif"]


@pytest.fixture
def world(cloud: Cloud) -> Iterator[World]:
    vlan = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    network = str(cloud.make("network", name="guests", **vlan)["id"])
    # The guests have the first addresses.
    cloud.make("subnet", network_id=network, cidr="10.0.0.0/24", ip_version=4, enable_dhcp=False,
               gateway_ip=None)  # fmt: skip
    options: dict[str, dict[str, object]] = {
        "DEFAULT": {"host": HOST},
        "api": {"socket_mode": "0666", "compute_uids": 65534},
        "ovs": {"bridge_mappings": "physnet1:br-phys"},
        "network": {"service": "neutron"},
        "network_neutron": {
            "transport_url": cloud.broker.url,
            "report_interval": 5,
            "prewire": True,
        },
    }
    with (
        tempfile.TemporaryDirectory(prefix="ng-", dir="/tmp") as disk,
        contextlib.ExitStack() as stack,
    ):
        Path(disk).chmod(0o755)
        host = stack.enter_context(Host(Path(disk), options))
        (host.disk / "v").chmod(0o755)
        host.ovs.start()
        host.ovs.vsctl("add-br", "br-phys", "--", "set", "bridge", "br-phys", OF_DATAPATH)
        stack.enter_context(Relay(host.pid, cloud.broker.port))
        host.vifd.start()
        host.vifd.ready()
        until(
            lambda: (cloud.agent(HOST) or {}).get("alive"), "Neutron knows the host", PATIENCE,
            lambda: host.vifd.log[-3000:],
        )  # fmt: skip
        host.libvirtd.start()
        conf = nova.config(host.disk, host.vifd.socket)
        compute = Compute(conf, "unprivileged", before=tuple(host.enter))
        stack.enter_context(compute)
        yield World(cloud, host, compute, network)


def test_guests_boot_get_another_card_and_go(world: World) -> None:
    with contextlib.closing(world.host.connection()) as libvirt:
        ports = {number: world.port(number) for number in (1, 2)}
        guests = {n: world.guest(n, 3 - n, ports[n]) for n in ports}
        domains: dict[int, Any] = {}
        for number, guest in guests.items():
            domains[number] = guest.define(libvirt)
            domains[number].create()
        for guest in guests.values():
            guest.answered()

        # A card is taken out while the guest runs, and its port is deleted with it ...
        first = ports[1]
        domains[1].detachDevice(guests[1].interface)
        until(lambda: first["mac_address"] not in domains[1].XMLDesc(), "the card is out", PATIENCE)
        world.ask("unplug", first)
        world.told(first, "DOWN")
        world.cloud.remove("port", first["id"])
        # ... and another is put in, which the guest gives the same address.
        ports[1] = world.port(1)
        domains[1].attachDevice(world.plugged(ports[1]))
        for guest in guests.values():
            guest.answered()

        for number, domain in domains.items():
            domain.destroy()
            domain.undefine()
            world.ask("unplug", ports[number])
            world.told(ports[number], "DOWN")
            world.cloud.remove("port", ports[number]["id"])
        until(
            lambda: not world.host.vifd.get("/v1/ports")["ports"], "nothing of the ports is left",
            PATIENCE,
        )  # fmt: skip
