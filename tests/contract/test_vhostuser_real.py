"""The vhost-user plugin under the contract, on a private Open vSwitch with DPDK."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

from contract import vhostuser as make
from vifd.testing.contract import PluginContract
from vifd.testing.dpdkovs import DpdkOvs
from vifd.testing.machines import RealMachine
from vifd.testing.wait import until

pytestmark = pytest.mark.needs("dpdk")


@pytest.fixture(scope="module")
def switch():
    """One switch for all tests: each of them counts what it leaves behind."""
    with DpdkOvs() as private:
        yield private


class TestVhostUserOnTheRealThing(PluginContract):
    """QEMU would make the sockets."""

    @pytest.fixture(autouse=True)
    def _sockets(self):
        with tempfile.TemporaryDirectory(prefix="vhu-") as directory:
            self.directory = Path(directory)
            yield
            assert list(self.directory.iterdir()) == []

    @pytest.fixture
    def drivers(self, isolated, switch):
        with RealMachine(switch) as machine:
            yield machine.drivers

    def factory(self, host):
        return make.plugin(host, self.directory)


class TestVhostUserLegacyOnTheRealThing(PluginContract):
    """The switch makes the sockets, in its run directory."""

    @pytest.fixture
    def drivers(self, isolated, switch):
        self.directory = switch.rundir
        with RealMachine(switch) as machine:
            yield machine.drivers
        until(lambda: not list(switch.rundir.glob("vhu*")), "the switch removed its sockets")

    def factory(self, host):
        return make.plugin(host, self.directory, port_type="dpdkvhostuser", socket_mode="0660")

    def test_a_stale_socket_is_cleared_before_the_switch_makes_its_own(self, ledger, switch):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(switch.rundir / "vhu00000001-00"))
        assert not ledger.plug(self.attachment(1))
        assert not ledger.findings()

    def test_a_socket_that_others_hold_is_refused_before_the_switch_tries(self, ledger, switch):
        path = switch.rundir / "vhu00000001-00"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen()
            (error,) = ledger.plug(self.attachment(1)).values()
            assert error.code == "E_PLUG_SOCKET"
            assert "another process holds it" in error.message
            assert path.exists()
        assert not ledger.plug(self.attachment(1))
