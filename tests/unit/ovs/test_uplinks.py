"""Physical networks of the OVS plugins as their probes tell them."""

from __future__ import annotations

import pytest

from contract import ovs, vhostuser
from vifd.drivers import PortSpec
from vifd.plugin import Host, Uplink, VifPlugin
from vifd.testing.machines import FakeMachine

MAPPED = {"bridge_mappings": ["physnet1:br-ex"]}


@pytest.fixture(params=["ovs", "vhostuser"])
def host(request, tmp_path):
    """A machine, and a call that probes the plugin on it."""
    machine = FakeMachine()
    host = Host(machine.drivers, dict)
    plugin: VifPlugin = ovs.plugin(host, **MAPPED)
    if request.param == "vhostuser":
        plugin = vhostuser.plugin(host, socket_dir=tmp_path, **MAPPED)
    return machine, lambda: plugin.probe().physical_networks["physnet1"]


def uplink(machine, name="eth1", *, up=True, mtu=1500):
    machine.links.place(name, kind="", up=up, carrier=up, mtu=mtu)
    machine.ovsdb.ensure_ports("br-ex", [PortSpec(name)])


def test_mapped_up_with_the_mtu_of_the_device_that_leads_out(host):
    machine, probe = host
    machine.add_bridge("br-ex")
    uplink(machine, mtu=9000)
    assert probe() == Uplink("br-ex", up=True, mtu=9000, devices=("eth1",))


def test_a_link_that_goes_down_and_comes_back(host):
    machine, probe = host
    machine.add_bridge("br-ex")
    uplink(machine)
    machine.links.place("eth1", kind="", up=True, carrier=False)
    down = probe()
    assert down.up is False
    assert "eth1: its link is down" in down.problem
    machine.links.place("eth1", kind="", up=True, carrier=True)
    assert probe().up is True


def test_one_of_two_links_is_enough_and_the_smaller_mtu_counts(host):
    machine, probe = host
    machine.add_bridge("br-ex")
    uplink(machine, "eth1", mtu=9000)
    uplink(machine, "eth2", up=False, mtu=1400)
    assert probe() == Uplink("br-ex", up=True, mtu=1400, devices=("eth1", "eth2"))


def test_a_device_that_the_switch_cannot_open_is_down_and_named(host):
    machine, probe = host
    machine.add_bridge("br-ex")
    machine.ovsdb.ensure_ports("br-ex", [PortSpec("eth9")])
    assert probe().up is False
    assert "eth9: could not open network device" in probe().problem


def test_a_bridge_that_leads_nowhere_is_not_called_down(host):
    machine, probe = host
    machine.add_bridge("br-ex")
    machine.ovsdb.ensure_ports("br-ex", [PortSpec("patch1", type="patch")])
    assert probe().up is None
    assert probe().problem == "bridge br-ex has no port that leads out of the host"


def test_a_bridge_that_vanishes(host):
    machine, probe = host
    machine.add_bridge("br-ex")
    uplink(machine)
    machine.ovsdb.delete_bridge("br-ex")
    assert probe() == Uplink("br-ex", up=False, problem="bridge br-ex does not exist")


def test_without_the_database_nothing_is_known(host):
    machine, probe = host
    machine.add_bridge("br-ex")
    uplink(machine)
    machine.ovsdb.stop()
    assert (probe().device, probe().up, probe().mtu) == ("br-ex", None, None)


def test_what_is_mapped_and_is_no_bridge_is_called_what_it_is():
    machine = FakeMachine()
    plugin = ovs.plugin(Host(machine.drivers, dict), **MAPPED)

    def said() -> str:
        (text,) = (reason for reason in plugin.probe().reasons if "physnet1" in reason)
        return text

    assert "does not exist: ovs-vsctl add-br br-ex" in said()
    machine.links.place("br-ex", kind="", up=True)
    assert "br-ex, which is an interface of this host and no bridge" in said()
    machine.links.place("br-ex", kind="bridge", up=True)
    assert "br-ex, which is a bridge of the kernel" in said()
    assert "add-port br-ex br-ex" not in said()
    machine.add_bridge("br-int")
    machine.ovsdb.ensure_ports("br-int", [PortSpec("br-ex")])
    assert "a port of br-int, the integration bridge" in said()
    assert "map br-int" not in said(), "which is refused"
    machine.ovsdb.delete_ports("br-int", ["br-ex"])
    machine.add_bridge("br-other")
    machine.ovsdb.ensure_ports("br-other", [PortSpec("br-ex")])
    assert "is a port of bridge br-other and no bridge: map br-other" in said()
