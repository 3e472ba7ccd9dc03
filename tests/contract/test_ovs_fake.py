"""The OVS plugin under the contract, on a host of fakes."""

from __future__ import annotations

import pytest
from msgspec import convert, structs

from contract import ovs
from vifd.model import QosPolicy
from vifd.testing.attachments import attachment, vlan
from vifd.testing.contract import PluginContract
from vifd.testing.machines import FakeMachine


class TestOvsOnFakes(PluginContract):
    @pytest.fixture
    def drivers(self):
        return FakeMachine().drivers

    def factory(self, host):
        return ovs.plugin(host)


class TestOvsOfTheKernelOnFakes(PluginContract):
    """The same on the kernel's datapath, which takes frames of a tap after the host's guards."""

    @pytest.fixture
    def drivers(self):
        return FakeMachine().drivers

    def factory(self, host):
        return ovs.plugin(host, datapath_type="system")


class TestOvsVlanOnFakes(PluginContract):
    """The same for ports of a VLAN network with a physical bridge that somebody else made."""

    @pytest.fixture
    def drivers(self):
        machine = FakeMachine()
        machine.add_bridge("br-phys")
        return machine.drivers

    def factory(self, host):
        return ovs.plugin(host, bridge_mappings=["physnet1:br-phys"])

    def attachment(self, number):
        return attachment(number, segment=vlan(101))


class TestOvsShapedOnFakes(PluginContract):
    """The same for ports with a QoS policy, of which a change gives another one."""

    @pytest.fixture
    def drivers(self):
        return FakeMachine().drivers

    def factory(self, host):
        return ovs.plugin(host)

    def attachment(self, number):
        return attachment(number, qos_policy=ovs.POLICY)

    def altered(self, wanted):
        other = convert(ovs.OTHER_POLICY, QosPolicy)
        return structs.replace(wanted, port=structs.replace(wanted.port, qos_policy=other))
