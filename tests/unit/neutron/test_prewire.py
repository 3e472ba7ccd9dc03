"""Ports of instances that are made as soon as Neutron binds them, and opened once nova plugs."""

from __future__ import annotations

from unit.neutron.scene import Cloud, Node
from unit.neutron.test_driver import active
from vifd.model import Phase, Side
from vifd.model.sides import Said
from vifd.testing.wait import until


def ready(node: Node, port) -> bool:
    record = node.record(port)
    return record is not None and record.phase is Phase.READY and not record.open


def unplug(node: Node, port) -> None:
    node.agent.say(Said(port.id, Side.COMPUTE), "test")


class TestPrewire:
    def test_it_is_ready_and_closed_and_active_once_nova_plugs(self, cloud: Cloud):
        node, network = cloud.node(prewire=True), cloud.vlan()
        port = cloud.neutron.port(network)
        cloud.neutron.bind(port, node.name, ovs_create_tap=True)
        until(lambda: ready(node, port), "made ahead")
        assert node.row(port).external_ids["iface-id"] == port.id
        until(lambda: not node.agent.untold(), "all is told")
        assert not [told for told in cloud.neutron.told if port.id in told[0]], (
            "nova must hear that it came up, after its plug"
        )
        node.compute(port)
        until(lambda: active(port), "active")
        assert node.row(port).external_ids["vm-uuid"] == port.id

    def test_who_is_not_nova_makes_its_ports_itself(self, cloud: Cloud):
        """Neither ports of agents, nor taps that libvirt is to make, nor any where that is not
        asked for."""
        node, plain, network = cloud.node(prewire=True), cloud.node(), cloud.vlan()
        agent = cloud.neutron.port(network, device_owner="network:dhcp")
        cloud.neutron.bind(agent, node.name, ovs_create_tap=True)
        libvirts = cloud.neutron.port(network, node.name)
        unasked = cloud.neutron.port(network)
        cloud.neutron.bind(unasked, plain.name, ovs_create_tap=True)
        first = cloud.neutron.port(network)
        cloud.neutron.bind(first, node.name, ovs_create_tap=True)
        until(lambda: ready(node, first), "one that came later is made")
        until(lambda: node.bound(agent) and node.bound(libvirts) and plain.bound(unasked), "heard")
        found = [node.record(agent), node.record(libvirts), plain.record(unasked)]
        assert found == [None, None, None]
        device = node.plug(agent)
        until(lambda: active(agent), "active by its own row")
        assert node.row(agent).name == device

    def test_a_live_migration_goes_on_when_nova_has_plugged(self, cloud: Cloud):
        """Neutron is told that the port is prepared by who carries it, not by who may."""
        node, network = cloud.node(prewire=True), cloud.vlan()
        port = cloud.neutron.port(network, "source")
        cloud.neutron.bind(port, node.name, active=False, ovs_create_tap=True)
        until(lambda: ready(node, port), "made ahead")
        until(lambda: not node.agent.untold(), "all is told")
        assert not [told for told in cloud.neutron.told if port.id in told[0]]
        node.compute(port)
        until(lambda: [told for told in cloud.neutron.told if port.id in told[0]], "told")
        assert ready(node, port)
        cloud.neutron.activate(port, node.name)
        until(lambda: node.live(port), "open")

    def test_it_goes_with_its_binding_and_with_the_port(self, cloud: Cloud):
        node, network = cloud.node(prewire=True), cloud.vlan()
        unbound, deleted = cloud.neutron.port(network), cloud.neutron.port(network)
        for port in (unbound, deleted):
            cloud.neutron.bind(port, node.name, ovs_create_tap=True)
        until(lambda: ready(node, unbound) and ready(node, deleted), "made ahead")
        cloud.neutron.unbind(unbound, node.name)
        cloud.neutron.delete(deleted)
        until(lambda: not node.record(unbound) and not node.record(deleted), "gone")
        devices = {f"tap{port.id[:11]}" for port in (unbound, deleted)}
        assert not [d for d in devices if node.machine.ovsdb.port(d) or node.machine.links.get(d)]

    def test_what_nova_unplugged_is_not_made_by_the_next_change(self, cloud: Cloud):
        node, network = cloud.node(prewire=True), cloud.vlan()
        port = cloud.neutron.port(network)
        cloud.neutron.bind(port, node.name, ovs_create_tap=True)
        node.compute(port)
        until(lambda: active(port), "active")
        unplug(node, port)
        until(lambda: node.record(port) is None, "gone")
        port.fields["name"] = "another"
        cloud.neutron.changed(port)
        other = cloud.neutron.port(network)
        cloud.neutron.bind(other, node.name, ovs_create_tap=True)
        until(lambda: ready(node, other), "what came later is made")
        assert node.record(port) is None
        node.compute(port)
        until(lambda: active(port), "active again")
