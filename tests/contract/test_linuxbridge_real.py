"""The Linux bridge plugin under the contract, on a real kernel."""

from __future__ import annotations

import pytest

from contract import linuxbridge
from vifd.testing import machines
from vifd.testing.attachments import attachment, vlan
from vifd.testing.contract import PluginContract
from vifd.testing.machines import LinuxMachine
from vifd.testing.netns import Namespace, links
from vifd.testing.wait import until
from vifd_linuxbridge.testing import quiet_netfilter, rules


class OnTheRealThing(PluginContract):
    __test__ = False

    @pytest.fixture
    def drivers(self, isolated):
        quiet_netfilter()
        with Namespace("wire") as far, LinuxMachine() as machine:
            far.veth("eth1", "far1")
            nft = machine.drivers.nft
            assert nft is not None
            nft.delete_table("vifd")
            yield machine.drivers
            nft.delete_table("vifd")
        until(lambda: "eth1" not in links(), "the kernel has removed the other end as well")

    def factory(self, host):
        return linuxbridge.plugin(host, physical_interface_mappings=["physnet1:eth1"])

    def residue(self, drivers):
        return machines.residue(drivers, ()) | rules(drivers)


class TestLocal(OnTheRealThing):
    __test__ = True

    def factory(self, host):
        return linuxbridge.plugin(host, serve_local=True)


class TestFlat(linuxbridge.Flat, OnTheRealThing):
    __test__ = True

    def factory(self, host):
        return linuxbridge.plugin(host, bridge_mappings=[], **FLAT)

    def test_probe_is_ready_and_changes_nothing(self, ledger, injector):
        """A kernel without VLAN devices is told of; see the class for VLAN networks."""
        reasons = ledger.plugin.probe().reasons
        assert all("VLAN" in reason for reason in reasons)


class TestLimits(linuxbridge.Limited, TestFlat):
    """Ports with a QoS policy."""


@pytest.mark.needs("bridge_tracking")
class TestSecurityGroups(linuxbridge.Grouped, TestFlat):
    sets = linuxbridge.groups()


FLAT = {"physical_interface_mappings": ["physnet1:eth1"]}


@pytest.mark.needs("kernel:8021q")
class TestVlan(OnTheRealThing):
    __test__ = True

    def attachment(self, number):
        return attachment(number, segment=vlan(101))


@pytest.mark.needs("bridge:vlan_filtering")
class TestVlanAware(OnTheRealThing):
    __test__ = True

    def factory(self, host):
        return linuxbridge.plugin(host, vlan_aware=True, **FLAT)

    def attachment(self, number):
        return attachment(number, segment=vlan(101))


@pytest.mark.needs("kernel:vxlan")
class TestVxlan(OnTheRealThing):
    __test__ = True

    def factory(self, host):
        return linuxbridge.plugin(host, local_ip="127.0.0.1", vxlan_remotes=["127.0.0.2"])

    def attachment(self, number):
        segment = {"network_type": "vxlan", "segmentation_id": 77}
        return attachment(number, segment=segment)
