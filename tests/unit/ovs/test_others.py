"""What other programs did to ports of every plugin on Open vSwitch: told by each of them."""

from __future__ import annotations

from typing import Any

import pytest

from contract import ovn, ovs, vhostuser
from vifd.drivers import FlowTable, Mirror, Policing
from vifd.testing.attachments import attachment
from vifd.testing.dpdk import FakeDpdk
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_ovn.testing import FakeController

DEVICES = {"ovs": "tap00000001-00", "ovn": "tap00000001-00", "vhostuser": "vhu00000001-00"}


class Scene:
    def __init__(self, plugin, directory):
        self.machine = FakeMachine()
        self.device = DEVICES[plugin]
        prepare = {"ovs": lambda _: None, "ovn": self._of_ovn, "vhostuser": self._of_dpdk}[plugin]
        prepare(directory)
        factory: Any = {
            "ovs": ovs.plugin,
            "ovn": lambda host: ovn.plugin(host, rundir=str(directory), installed_timeout=5),
            "vhostuser": lambda host: vhostuser.plugin(host, directory),
        }[plugin]
        self.ledger = Ledger(self.machine.drivers, factory, patience=0)
        failed = self.ledger.plug(attachment(1))
        assert not failed, failed

    def _of_ovn(self, directory):
        self.controller = FakeController(self.machine.ovsdb, self.machine.openflow)
        self.machine.ovsdb.root["external_ids"]["ovn-remote"] = f"unix:{directory}/sb.sock"

    def _of_dpdk(self, _):
        self.dpdk = FakeDpdk(self.machine.ovsdb, self.machine.tracer)

    def found(self):
        record = self.ledger.records[attachment(1).id]
        report = self.ledger.plugin.check([record.item(thorough=True)])[attachment(1).id]
        return {e.fact: e for e in report.findings}


@pytest.fixture(params=DEVICES)
def scene(request, tmp_path):
    return Scene(request.param, tmp_path)


def test_a_limit(scene):
    scene.machine.ovsdb.change(scene.device, policing=Policing(rate=7))
    found = scene.found()["ovsdb.limits"]
    assert found.have == ["from the guest at most 7 kbit/s (ingress_policing_rate)"]
    assert not found.repairable


@pytest.mark.parametrize(
    ("columns", "fact"),
    [
        ({"mirrors": (Mirror("m", output_vlan=5),)}, "switch.mirrors"),
        ({"stp": True}, "switch.spanning_tree"),
        ({"rstp": True}, "switch.spanning_tree"),
        ({"flow_tables": {0: FlowTable(9)}}, "switch.flow_limits"),
    ],
)
def test_a_setting_of_the_bridge(scene, columns, fact):
    before = scene.found()
    scene.machine.ovsdb.change_bridge("br-int", **columns)
    found = scene.found()
    assert found.keys() - before.keys() == {fact}
    assert not found[fact].repairable


def test_a_tree_that_blocks_the_port(scene):
    scene.machine.ovsdb.change(scene.device, tree_state="Discarding")
    assert scene.found()["ovsdb.spanning_tree"].have == [f"{scene.device}: Discarding"]


@pytest.mark.parametrize("plugin", ["ovs", "ovn"])
@pytest.mark.parametrize("kind", ["bridge", "bond", "team", "vrf"])
def test_a_tap_that_belongs_to_another_device(plugin, kind, tmp_path):
    scene = Scene(plugin, tmp_path)
    scene.machine.links.place(scene.device, kind="tun", within=kind)
    found = scene.found()["device.master"]
    assert (found.have, found.wanted, found.repairable) == (kind, "none", True)
    assert not scene.ledger.plug(attachment(1))
    assert "device.master" not in scene.found()


@pytest.mark.parametrize("plugin", ["ovs", "ovn"])
def test_what_was_put_on_a_tap(plugin, tmp_path):
    scene = Scene(plugin, tmp_path)
    scene.machine.bridging.put_on[scene.device] = ["the macvlan device mv0 stands on it"]
    scene.machine.bridging.limited[scene.device] = ["towards the device at most 8 kbit/s"]
    found = scene.found()
    assert found["device.others"].have == ["the macvlan device mv0 stands on it"]
    assert found["device.limits"].have == ["towards the device at most 8 kbit/s"]
