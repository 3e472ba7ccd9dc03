"""The Linux bridge plugin under the contract, on a host of fakes."""

from __future__ import annotations

import pytest

from contract import linuxbridge
from vifd.testing import machines
from vifd.testing.attachments import attachment, vlan
from vifd.testing.contract import PluginContract
from vifd.testing.machines import FakeMachine
from vifd_linuxbridge.testing import rules


class OnFakes(PluginContract):
    __test__ = False

    @pytest.fixture
    def drivers(self):
        machine = FakeMachine()
        self.furnish(machine)
        return machine.drivers

    def furnish(self, machine):
        machine.links.place("eth1", kind="", mtu=1500, up=True, carrier=True)
        machine.links.place("eth0", kind="", mtu=1500, up=True, carrier=True)
        machine.bridging.add_address("eth0", "192.0.2.1/24")
        machine.bridging.add_bridge("br-others")

    def factory(self, host):
        return linuxbridge.plugin(host, serve_local=True)

    def residue(self, drivers):
        return machines.residue(drivers, ()) | rules(drivers)


class TestLocal(OnFakes):
    __test__ = True


class TestVlan(OnFakes):
    __test__ = True

    def factory(self, host):
        return linuxbridge.plugin(host, physical_interface_mappings=["physnet1:eth1"])

    def attachment(self, number):
        return attachment(number, segment=vlan(101))


class TestFlat(linuxbridge.Flat, OnFakes):
    __test__ = True

    def factory(self, host):
        return linuxbridge.plugin(host, physical_interface_mappings=["physnet1:eth1"])


class TestLimits(linuxbridge.Limited, TestFlat):
    """Ports with a QoS policy."""


class TestFlatOnTheBridgeOfOthers(linuxbridge.Flat, OnFakes):
    __test__ = True

    def factory(self, host):
        return linuxbridge.plugin(host, bridge_mappings=["physnet1:br-others"])


class TestSecurityGroups(linuxbridge.Grouped, TestFlat):
    sets = linuxbridge.groups()


class TestSecurityGroupsOnAVlanAwareBridge(OnFakes):
    __test__ = True
    sets = linuxbridge.groups()

    def factory(self, host):
        options = {"physical_interface_mappings": ["physnet1:eth1"], "vlan_aware": True}
        return linuxbridge.plugin(host, **options)

    def attachment(self, number):
        return attachment(number, segment=vlan(101), security_groups=[linuxbridge.GROUP])


class TestVlanAware(OnFakes):
    __test__ = True

    def factory(self, host):
        options = {"physical_interface_mappings": ["physnet1:eth1"], "vlan_aware": True}
        return linuxbridge.plugin(host, **options)

    def attachment(self, number):
        return attachment(number, segment=vlan(101))


class TestVxlan(OnFakes):
    __test__ = True

    def factory(self, host):
        return linuxbridge.plugin(host, local_ip="192.0.2.1", vxlan_remotes=["192.0.2.2"])

    def attachment(self, number):
        segment = {"network_type": "vxlan", "segmentation_id": 77}
        return attachment(number, segment=segment)
