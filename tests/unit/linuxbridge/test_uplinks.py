"""Physical networks and tunnels of the Linux bridge plugin as its probe tells them."""

from __future__ import annotations

import pytest

from contract import linuxbridge as make
from vifd.drivers import BridgePort, VlanSpec, VxlanSpec
from vifd.plugin import Host, Uplink
from vifd.testing.attachments import attachment, vlan
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine

INTERFACE = {"physical_interface_mappings": ["physnet1:eth1"]}
BRIDGE = {"bridge_mappings": ["physnet1:br-ex"]}


@pytest.fixture
def machine():
    return FakeMachine()


def probe(machine, **options):
    return make.plugin(Host(machine.drivers, dict), **options).probe()


def place(machine, name="eth1", *, up=True, carrier=True, **more):
    machine.links.place(name, kind=more.pop("kind", ""), up=up, carrier=carrier, **more)


class TestInterfaces:
    def uplink(self, machine):
        return probe(machine, **INTERFACE).physical_networks["physnet1"]

    def test_up_with_its_mtu(self, machine):
        place(machine, mtu=9000)
        assert self.uplink(machine) == Uplink("eth1", up=True, mtu=9000, devices=("eth1",))

    @pytest.mark.parametrize("state", [{"carrier": False}, {"up": False, "carrier": False}])
    def test_down(self, machine, state):
        place(machine, **state)
        assert self.uplink(machine).up is False
        assert self.uplink(machine).problem == "eth1 is down or has no carrier"

    def test_gone_but_still_waited_for(self, machine):
        gone = self.uplink(machine)
        assert (gone.up, gone.problem) == (False, "eth1 does not exist")
        assert gone.devices == ("eth1",), "its return is an event"

    def test_an_interface_of_the_host_is_up_and_has_its_problem(self, machine):
        place(machine)
        machine.bridging.add_address("eth1", "192.0.2.1/24")
        assert self.uplink(machine).up is True
        assert "has the host's addresses" in self.uplink(machine).problem


class TestBridges:
    def uplink(self, machine):
        return probe(machine, **BRIDGE).physical_networks["physnet1"]

    def test_as_up_as_what_it_leads_out_by(self, machine):
        machine.bridging.add_bridge("br-ex")
        place(machine)
        machine.bridging.enslave([BridgePort("eth1", "br-ex")])
        assert self.uplink(machine) == Uplink("br-ex", up=True, mtu=1500, devices=("br-ex", "eth1"))
        place(machine, carrier=False)
        assert self.uplink(machine).up is False

    def test_a_guests_tap_is_no_way_out(self, machine):
        machine.bridging.add_bridge("br-ex")
        place(machine, "tap1", carrier=False, kind="tun")
        machine.bridging.enslave([BridgePort("tap1", "br-ex")])
        assert self.uplink(machine).up is True

    def test_what_is_no_bridge(self, machine):
        place(machine, "br-ex")
        assert self.uplink(machine).problem == "br-ex is no bridge"


class TestTunnels:
    def test_an_endpoint_with_room_for_the_outer_headers(self, machine):
        place(machine, mtu=1500)
        machine.bridging.add_address("eth1", "192.0.2.1/24")
        found = probe(machine, local_ip="192.0.2.1").tunnels
        assert found == {"vxlan": Uplink("eth1", True, 1450, "192.0.2.1", ("eth1",))}

    def test_an_endpoint_that_is_down(self, machine):
        place(machine, carrier=False)
        machine.bridging.add_address("eth1", "192.0.2.1/24")
        assert probe(machine, local_ip="192.0.2.1").tunnels["vxlan"].up is False

    def test_no_endpoint(self, machine):
        assert probe(machine).tunnels == {}
        assert probe(machine, local_ip="192.0.2.1").tunnels == {}


class TestWaysOutOfOthers:
    """A name or a number that another program's device has."""

    def refusal(self, machine, segment, **options):
        ledger = Ledger(machine.drivers, lambda host: make.plugin(host, **options), patience=0)
        (error,) = ledger.plug(attachment(1, segment=segment)).values()
        assert error.code == "E_PLUG_NAME_CLASH"
        return error

    @pytest.mark.parametrize("name", ["eth1.101", "theirs"])
    def test_a_vlan(self, machine, name):
        place(machine)
        machine.bridging.add_way_out(VlanSpec(name, "", 1500, "eth1", 101))
        error = self.refusal(machine, vlan(101), **INTERFACE)
        assert name in error.message
        assert f"ip link delete {name}" in error.hint
        assert "another VLAN" in error.hint

    @pytest.mark.parametrize("name", ["vxlan-77", "theirs"])
    def test_a_vni(self, machine, name):
        machine.bridging.add_way_out(VxlanSpec(name, "", 1500, 77, "192.0.2.1"))
        segment = {"network_type": "vxlan", "segmentation_id": 77}
        error = self.refusal(machine, segment, local_ip="192.0.2.1", vxlan_remotes=["192.0.2.2"])
        assert name in error.message
        assert f"ip link delete {name}" in error.hint
        assert "another VNI" in error.hint

    def test_the_same_number_elsewhere_is_in_nobodys_way(self, machine):
        place(machine)
        place(machine, "eth2")
        machine.bridging.add_way_out(VlanSpec("theirs", "", 1500, "eth2", 101))
        machine.bridging.add_way_out(VxlanSpec("tunnel", "", 1500, 101, "192.0.2.1"))
        ledger = Ledger(machine.drivers, lambda host: make.plugin(host, **INTERFACE), patience=0)
        assert not ledger.plug(attachment(1, segment=vlan(101)))
