"""vifd-nova takes over what another program has plugged on a host of Neutron's, where that is found
and served as that program's."""

from __future__ import annotations

import pytest

from support.neutron import Port
from unit.neutron.scene import BRIDGE, Cloud, Node
from unit.neutron.test_driver import active
from unit.neutron.test_prewire_auto import bound, theirs
from vifd import errors
from vifd.drivers import PortSpec
from vifd.engine.ticket import Ticket
from vifd.model import Side
from vifd.model.sides import Said
from vifd.testing.wait import until
from vifd_ovs.bridge import cookies, marks

WAIT = 60.0


def tap(node: Node, port: Port) -> str:
    """os-vif makes tap and row by itself."""
    name = f"tap{port.id[:11]}"
    node.machine.links.place(name, kind="tun", mtu=1450, mac="fe:16:3e:00:00:01", up=True)
    ids = {"iface-id": port.id, "attached-mac": port.mac, "iface-status": "active",
           "vm-uuid": port.id}  # fmt: skip
    node.machine.ovsdb.ensure_ports(BRIDGE, [PortSpec(name, external_ids=ids)])
    return name


def unplugged(node: Node, port: Port) -> Ticket:
    return node.agent.say(Said(port.id, Side.COMPUTE), "test")


def port_cookies(node: Node) -> set[int]:
    flows = node.machine.openflow.dump(BRIDGE, *cookies.OURS)
    return {f.cookie for f in flows if f.cookie >> 48 & 0xFF == cookies.Kind.PORT}


def test_a_tap_is_vifds_from_then_on_as_it_stands_and_goes_with_novas_unplug(cloud: Cloud) -> None:
    node, network = cloud.node(), cloud.vlan()
    port = bound(cloud, node, network)
    device = tap(node, port)
    until(lambda: theirs(node, port) and active(port), "os-vif's")
    number, (cookie,) = node.row(port).ofport, port_cookies(node)
    (link,) = node.machine.links.get([device]).values()
    record = node.compute(port, "nova", taking=True).done.result(WAIT)
    assert record.doc.attachment.hosted is None
    assert (record.phase.value, record.open) == ("LIVE", True)
    row = node.row(port)
    assert (row.ofport, row.external_ids[marks.PORT]) == (number, port.id)
    (taken,) = node.machine.links.get([device]).values()
    assert (taken.ifindex, taken.alias) == (link.ifindex, marks.alias(port.id))
    assert len(port_cookies(node)) == 1, "one hand's flows"
    assert cookie not in port_cookies(node)
    parts = node.agent.parts(port.id)
    assert parts is not None
    assert (parts.hosted, parts.taking) == (None, True)
    node.hosting.look()
    assert not node.hosting._told
    again = node.compute(port, "nova", taking=True).done.result(WAIT)
    assert again.wiring == record.wiring
    unplugged(node, port).done.exception(WAIT)
    until(lambda: node.record(port) is None, "gone")
    assert node.machine.ovsdb.port(device) is None
    assert not node.machine.links.get([device])


def test_what_cannot_be_taken_over_is_served_as_before_and_stays_after_the_unplug(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    node, network = cloud.node(), cloud.vlan()
    port = bound(cloud, node, network)
    device = node.plug(port)
    until(lambda: theirs(node, port) and active(port), "another program's")
    record = node.compute(port, "nova", taking=True).done.result(WAIT)
    assert (record.phase.value, record.doc.attachment.instance_id) == ("LIVE", port.id)
    assert record.doc.attachment.hosted is not None
    assert "it stays the other program's" in caplog.text
    assert "only taps can be adopted" in caplog.text
    failed = unplugged(node, port).done.exception(WAIT)
    assert isinstance(failed, errors.PortNotFound), "of compute nothing is left, and nobody waits"

    def unused() -> bool:
        record = node.record(port)
        return record is not None and not record.doc.attachment.instance_id

    until(lambda: node.live(port) and unused(), "as before")
    assert node.machine.ovsdb.port(device) is not None
    parts = node.agent.parts(port.id)
    assert parts is not None
    assert (parts.compute, parts.hosted is None) == (None, False)
