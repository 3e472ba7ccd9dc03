"""A guest that libvirt moves between two hosts of vifd while a real Neutron has the bindings of its
port, in the order in which nova makes, activates and removes them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from support.cloud.relay import Relay
from support.cloud.server import Cloud
from support.cloud.vifdhost import PATIENCE
from support.moving.move import migrate
from support.moving.world import GUEST, Mover, MovingHost, World, of_guest
from system.test_migration import GUESTS, reached
from unit.docs import document
from vifd.testing.wait import until

pytestmark = [pytest.mark.needs(name) for name in ("neutron", "module:kombu", "libvirt")]

NAMES = {1: "mover1", 2: "mover2"}
#: One that Neutron gives no network by itself.
VLAN = 99
MAC = str(document(1)["port"]["mac_address"])


class Place(World):
    """Both hosts, which Neutron knows, and a port of it for the guest.

    :ivar port: its id
    """

    def __init__(self, disk: Path, cloud: Cloud) -> None:
        self.cloud = cloud
        super().__init__(disk, "vlan", self._of)
        self.port = ""

    def _of(self, number: int) -> dict[str, Any]:
        return {
            "DEFAULT": {"host": NAMES[number]},
            "ovs": {"bridge_mappings": "physnet2:br-up"},
            "network": {"service": "neutron"},
            "network_neutron": {"transport_url": self.cloud.broker.url, "report_interval": 5},
            # on the first host nobody but the server says that the guest has come
            "migration": {"libvirt": str(number == 2).lower()},
        }

    def up(self) -> None:
        super().up()
        self.third.ovs.vsctl("set", "port", "peer0", f"tag={VLAN}")
        for host in self.hosts:
            self.enter_context(Relay(host.host.pid, self.cloud.broker.port))
        for host in self.hosts:
            until(lambda h=host: self._known(h), "Neutron knows it", PATIENCE)  # type: ignore[misc]

    def _known(self, host: MovingHost) -> bool:
        return bool((self.cloud.agent(NAMES[host.number]) or {}).get("alive"))

    def guest(self) -> None:
        """It runs on the first host, and its port is ACTIVE."""
        self.port = str(self._bound()["id"])
        self.callback(self.cloud.remove, "port", self.port)
        source = self.hosts[0]
        self.use(source)
        self.told(source)
        self.machine = Mover(source.host, 1, self.at(source)["vif"])
        self.third.talk()
        self.start_guest()

    def _bound(self) -> Any:
        given = {
            "provider:network_type": "vlan", "provider:physical_network": "physnet2",
            "provider:segmentation_id": VLAN,
        }  # fmt: skip
        network = str(self.cloud.make("network", name="moving", mtu=1400, **given)["id"])
        self.callback(self.cloud.remove, "network", network)
        self.cloud.make("subnet", network_id=network, cidr="10.0.0.0/24", ip_version=4,
                        enable_dhcp=False, gateway_ip=None)  # fmt: skip
        return self.cloud.make(
            "port", network_id=network, mac_address=MAC, fixed_ips=[{"ip_address": GUEST}],
            device_owner="compute:nova", device_id=of_guest(), security_groups=[self._group()],
            **{"binding:host_id": NAMES[1]},
        )  # fmt: skip

    def _group(self) -> str:
        """Lets in whoever is on the network."""
        made = self.cloud.call("POST", "security-groups", {"security_group": {"name": "moving"}})
        group = str(made["security_group"]["id"])
        self.callback(self.cloud.call, "DELETE", f"security-groups/{group}")
        rule = {"security_group_id": group, "direction": "ingress", "ethertype": "IPv4",
                "remote_ip_prefix": "10.0.0.0/24"}  # fmt: skip
        self.cloud.call("POST", "security-group-rules", {"security_group_rule": rule})
        return group

    # --- what nova does ---

    def use(self, host: MovingHost) -> None:
        """nova plugs the port."""
        body = {"version": "1.0", "instance": {"id": of_guest()}}
        status, answer = host.vifd.call("PUT", f"/v1/ports/{self.port}/instance", body)
        assert status == 202, answer

    def prepare(self, host: MovingHost) -> None:
        """A binding that is not in force, and the port that it is for."""
        body = {"binding": {"host": NAMES[host.number]}}
        made = self.cloud.call("POST", f"ports/{self.port}/bindings", body)["binding"]
        assert (made["status"], made["vif_type"]) == ("INACTIVE", "ovs"), made
        self.use(host)
        self.phase(host, "READY")

    def activate(self, host: MovingHost) -> None:
        self.cloud.call("PUT", f"ports/{self.port}/bindings/{NAMES[host.number]}/activate")

    def leave(self, host: MovingHost) -> None:
        """The binding goes, and nova lets go of the port: nothing of it is left there."""
        self.cloud.call("DELETE", f"ports/{self.port}/bindings/{NAMES[host.number]}")
        host.vifd.call("DELETE", f"/v1/ports/{self.port}/instance")
        until(lambda: self.at(host) is None, "it is forgotten", PATIENCE,
              lambda: host.vifd.log[-3000:])  # fmt: skip

    # --- what came of it ---

    def at(self, host: MovingHost) -> Any:
        """The port as a host has it; None where it has none."""
        status, answer = host.vifd.call("GET", f"/v1/ports/{self.port}")
        return answer if status == 200 else None

    def phase(self, host: MovingHost, *phases: str) -> None:
        until(lambda: (self.at(host) or {}).get("phase") in phases, f"it is {phases}", PATIENCE,
              lambda: (self.at(host), host.vifd.log[-3000:]))  # fmt: skip

    def told(self, host: MovingHost) -> None:
        """Wait until Neutron has it as working on this host."""

        def known() -> tuple[str, str]:
            port = self.cloud.show("port", self.port)
            return port["binding:host_id"], port["status"]

        wanted = (NAMES[host.number], "ACTIVE")
        until(lambda: known() == wanted, f"Neutron has {wanted}", PATIENCE,
              lambda: (known(), host.vifd.log[-3000:]))  # fmt: skip


def test_a_guest_moves_there_and_back(cloud: Cloud) -> None:
    # under TCG guests die now and then when they move
    for _ in range(GUESTS):
        with (
            tempfile.TemporaryDirectory(prefix="lm-") as directory,
            Place(Path(directory), cloud) as place,
        ):
            place.up()
            place.guest()
            if _survives(place):
                return
    pytest.skip(f"{GUESTS} guests died under TCG, one after the other")


def _survives(place: Place) -> bool:
    one, two = place.hosts
    # nova thinks better of it
    place.prepare(two)
    place.leave(two)
    place.phase(one, "LIVE")
    place.told(one)
    return _moved(place, one, two) and _moved(place, two, one)


def _moved(place: Place, source: MovingHost, target: MovingHost) -> bool:
    """One migration; whether the guest lives."""
    place.prepare(target)
    # the server has it as working where the guest is
    place.told(source)
    migrate(source, target)
    if target.number == 2:
        # libvirt has said that the guest is here; the server has not yet
        place.phase(target, "LIVE")
        place.told(source)
    else:
        assert place.at(target)["phase"] == "READY"
    place.activate(target)
    place.phase(target, "LIVE")
    place.phase(source, "QUIESCED")
    place.told(target)
    if not reached(place):
        return False
    place.leave(source)
    place.phase(target, "LIVE")
    place.told(target)
    return True
