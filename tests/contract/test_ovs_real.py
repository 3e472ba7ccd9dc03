"""The OVS plugin under the contract, on a real kernel and a private Open vSwitch."""

from __future__ import annotations

import pytest

from contract import ovs as make
from vifd.testing import sandbox
from vifd.testing.attachments import attachment, vlan
from vifd.testing.contract import PluginContract
from vifd.testing.machines import RealMachine
from vifd.testing.sandbox import OF_DATAPATH


@pytest.fixture(scope="module")
def switch():
    """One switch for all tests: each of them counts what it leaves behind."""
    lacking = sandbox.missing()
    if lacking:
        pytest.fail(f"not installed: {', '.join(lacking)}")
    with sandbox.PrivateOvs() as private:
        yield private


class TestOvsOnTheRealThing(PluginContract):
    @pytest.fixture
    def drivers(self, isolated, switch):
        with RealMachine(switch) as machine:
            yield machine.drivers

    def factory(self, host):
        return make.plugin(host)


class TestOvsVlanOnTheRealThing(PluginContract):
    """The same for ports of a VLAN network with a physical bridge that somebody else made."""

    @pytest.fixture
    def drivers(self, isolated, switch):
        switch.vsctl(
            "--may-exist", "add-br", "br-phys", "--", "set", "Bridge", "br-phys",
            OF_DATAPATH,
        )  # fmt: skip
        with RealMachine(switch) as machine:
            yield machine.drivers

    def factory(self, host):
        return make.plugin(host, bridge_mappings=["physnet1:br-phys"])

    def attachment(self, number):
        return attachment(number, segment=vlan(101))
