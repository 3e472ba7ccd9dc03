"""The OVN plugin under the contract, on a host of fakes with an ovn-controller."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from contract import ovn
from vifd.testing.contract import PluginContract
from vifd.testing.machines import FakeMachine
from vifd_ovn.testing import FakeController, control_socket


class TestOvnOnFakes(PluginContract):
    @pytest.fixture
    def rundir(self):
        with tempfile.TemporaryDirectory(prefix="ovn-") as directory:
            socket = control_socket(Path(directory))
            yield directory
            socket.close()

    @pytest.fixture
    def drivers(self, rundir):
        machine = FakeMachine()
        FakeController(machine.ovsdb, machine.openflow)
        self.rundir = rundir
        return machine.drivers

    def factory(self, host):
        return ovn.plugin(host, rundir=self.rundir, installed_timeout=60)
