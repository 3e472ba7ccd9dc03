"""The vhost-user plugin under the contract, on a host of fakes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from contract import vhostuser
from vifd.testing.attachments import attachment, vlan
from vifd.testing.contract import PluginContract
from vifd.testing.dpdk import FakeDpdk
from vifd.testing.machines import FakeMachine


class _OnFakes(PluginContract):
    @pytest.fixture(autouse=True)
    def _sockets(self):
        with tempfile.TemporaryDirectory(prefix="vhu-") as directory:
            self.directory = Path(directory)
            yield
            assert list(self.directory.iterdir()) == []

    @pytest.fixture
    def drivers(self):
        machine = FakeMachine()
        FakeDpdk(machine.ovsdb, machine.tracer)
        return machine.drivers

    def factory(self, host):
        return vhostuser.plugin(host, self.directory)


class TestVhostUserOnFakes(_OnFakes):
    """QEMU makes the sockets."""


class TestVhostUserVlanOnFakes(_OnFakes):
    """The same for ports of a VLAN network with a physical bridge that somebody else made."""

    @pytest.fixture
    def drivers(self):
        machine = FakeMachine()
        FakeDpdk(machine.ovsdb, machine.tracer)
        machine.add_bridge("br-phys")
        return machine.drivers

    def factory(self, host):
        return vhostuser.plugin(host, self.directory, bridge_mappings=["physnet1:br-phys"])

    def attachment(self, number):
        return attachment(number, segment=vlan(101))
