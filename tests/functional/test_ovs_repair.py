"""What another program, a crash or the kernel does to a plugged port: found by name, and healed."""

from __future__ import annotations

import pytest

from functional.scene import Scene
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, ipv4, mac
from vifd.testing.guests import TapGuest, assert_reaches
from vifd.testing.injection import Injector
from vifd.testing.wait import until

ONE = attachment(1)
HELLO = f.udp(mac(2), mac(1), ipv4(2), ipv4(1))


@pytest.fixture
def scene(ovs):
    with Scene(ovs) as scene:
        yield scene


@pytest.fixture
def pair(scene):
    """Two plugged ports; the device of the first."""
    scene.plug(ONE, attachment(2))
    assert not scene.findings()
    return scene.device(ONE.id)


def reach(scene) -> None:
    """Frames pass between the two."""
    one, two = scene.guest(ONE.id), scene.guest(attachment(2).id)
    scene.settle()
    assert_reaches(two, one, HELLO)


def links(scene):
    return scene.machine.drivers.links


def test_link_set_down(scene, pair):
    links(scene).set(pair, up=False)
    until(lambda: "ovsdb.admin_state" in scene.findings(), "the switch saw it")
    assert scene.findings(ONE.id)["device.up"] is False
    scene.heal()
    reach(scene)


def test_mtu_changed(scene, pair):
    links(scene).set(pair, mtu=1300)
    assert scene.findings() == {"device.mtu": 1300}
    scene.heal()


def test_mac_changed(scene, pair):
    links(scene).set(pair, mac="02:00:00:00:00:01")
    assert scene.findings() == {"device.mac": "02:00:00:00:00:01"}
    scene.heal()


def test_tag_changed(scene, pair):
    scene.ovs.vsctl("set", "Port", pair, "tag=77")
    until(lambda: scene.findings() == {"ovsdb.tag": 77}, "the tag is found")
    scene.heal()
    reach(scene)


def test_external_ids_changed(scene, pair):
    scene.ovs.vsctl("set", "Interface", pair, "external_ids:iface-id=other")
    until(lambda: "ovsdb.external_ids" in scene.findings(), "the change is found")
    scene.heal()


def test_mtu_request_of_another_program(scene, pair):
    scene.ovs.vsctl("set", "Interface", pair, "mtu_request=1300")
    until(lambda: scene.findings().get("device.mtu") == 1300, "the MTU is found")
    assert not scene.ledger.carry_out([ONE.id])
    # the switch acts on the new request in its own time
    until(lambda: scene.findings() == {}, "the MTU is back")
    scene.ovs.vsctl("set", "Interface", pair, "external_ids:touch=1")  # a further reconfiguration
    assert scene.findings() == {}


def test_port_deleted(scene, pair):
    scene.ovs.vsctl("del-port", pair)
    until(lambda: scene.findings() == {"ovsdb.port": "missing"}, "the loss is found")
    scene.heal()
    reach(scene)


def test_tap_deleted(scene, pair):
    links(scene).delete([pair])
    assert scene.findings()["device"] == "missing"
    scene.heal()
    reach(scene)


def test_tap_made_anew_under_the_port(scene, pair):
    """Looks healthy to everybody else, and passes nothing."""
    record = scene.ledger.records[ONE.id]
    before = links(scene).get([pair])[pair]
    links(scene).delete([pair])
    assert not scene.ledger.plugin.vif(record.attachment, record.wiring).managed
    from vifd.drivers import Tap

    made = links(scene).create_taps([Tap(pair, before.mac, before.mtu, before.alias)])[pair]
    assert made.ifindex != before.ifindex
    assert scene.findings()["device.ifindex"] == made.ifindex
    scene.heal()
    assert record.wiring.details["ifindex"] == made.ifindex
    reach(scene)


def test_a_flow_deleted(scene, pair):
    scene.ovs.ofctl("del-flows", "br-int", f"table=120,in_port={scene.number(ONE.id)}")
    report = scene.ledger.check(ONE.id)[ONE.id]
    (flows, *_) = report.findings
    assert flows.fact == "flows.port"
    assert any("table=120" in text and "10.0.0.1" in text for text in flows.wanted["missing"])
    scene.heal()
    reach(scene)


def test_a_flow_with_our_cookie_that_we_did_not_make(scene, pair):
    cookie = f"{0x7602000000000001:#x}"
    scene.ovs.ofctl("add-flow", "br-int", f"cookie={cookie},table=160,priority=7,actions=NORMAL")
    report = scene.ledger.check(ONE.id)[ONE.id]
    (flows,) = report.findings
    assert flows.fact == "flows.network"
    assert any("priority=7" in text for text in flows.have["not wanted"])
    scene.heal()


def test_all_flows_deleted(scene, pair):
    scene.ovs.ofctl("del-flows", "br-int")
    found = scene.findings()
    assert {"flows.bridge", "flows.port", "flows.network"} <= found.keys()
    scene.heal()
    reach(scene)


def test_a_foreign_flow_above_ours_is_named_and_left_alone(scene, pair):
    scene.ovs.ofctl("add-flow", "br-int", "cookie=0xbad,table=0,priority=5000,udp,actions=drop")
    report = scene.ledger.check(ONE.id)[ONE.id]
    (dhcp,) = report.findings
    assert dhcp.fact == "trace.dhcp"
    assert "a flow that is not ours took it" in dhcp.have
    assert "priority 5000" in dhcp.have
    assert "cookie 0xbad" in dhcp.have
    scene.ledger.patience = 0
    (error,) = scene.ledger.carry_out([ONE.id]).values()
    assert error.code == "E_WIRE_TIMEOUT"
    assert "priority 5000" in error.message
    assert "cookie=0xbad" in scene.ovs.ofctl("dump-flows", "br-int")


def test_vswitchd_killed_and_restarted(scene, pair):
    scene.plug(attachment(3, network=2), attachment(4), opened=False)
    scene.ovs.vswitchd.kill()
    assert "flows" in scene.findings()
    scene.ovs.vswitchd.start()
    until(lambda: "flows.port" in scene.findings(), "the loss of flows is found")
    counting = Injector(scene.machine.drivers)
    scene.ledger.drivers = counting.drivers
    healer = scene.ledger.restart()
    counting.arm()
    until(lambda: not healer.carry_out([ONE.id]), "the port is plugged again")
    assert counting.calls.count("openflow.apply") == 1
    # one bundle brought every port's flows back
    until(lambda: not scene.findings(), "everything is as it was")
    reach(scene)


def test_ovsdb_server_restarted(scene, pair):
    scene.ovs.ovsdb.kill()
    connected = scene.machine.drivers.ovsdb.connected
    until(lambda: not connected(), "the loss of the database is found")
    scene.ovs.ovsdb.start()
    until(lambda: not scene.findings(), "everything is as it was")
    scene.plug_at_last(attachment(3))
    reach(scene)


def test_restart_of_the_daemon_modifies_nothing(scene, pair):
    before = scene.ovs.ofctl("dump-flows", "br-int", "--no-stats")
    counting = Injector(scene.machine.drivers)
    scene.ledger.drivers = counting.drivers
    again = scene.ledger.restart()
    counting.arm()
    assert all(report.clean for report in again.check().values())
    again.plugin.probe()
    assert not again.carry_out([*again.records])
    assert "openflow.apply" not in counting.calls
    assert "ovsdb.ensure_ports" not in counting.calls
    assert "ovsdb.delete_ports" not in counting.calls
    assert scene.ovs.ofctl("dump-flows", "br-int", "--no-stats") == before


def test_flows_of_an_earlier_life_are_swept(scene, pair):
    stale = f"{0x7601_1234_0000_2222:#x}"
    scene.ovs.ofctl("add-flow", "br-int", f"cookie={stale},table=0,in_port=8738,actions=drop")
    scene.ovs.ofctl("add-flow", "br-int", "cookie=0x1,table=7,actions=drop")
    again = scene.ledger.restart()
    assert not again.carry_out([ONE.id])
    flows = scene.ovs.ofctl("dump-flows", "br-int")
    assert stale not in flows
    assert "cookie=0x1," in flows


def test_a_guest_that_runs_keeps_its_device(scene, pair):
    """Healing does not take a healthy tap away under a running guest."""
    guest = scene.enter_context(TapGuest(pair))
    scene.ovs.wait_for_carrier(pair)
    scene.ovs.ofctl("del-flows", "br-int")
    scene.heal()
    scene.settle()
    two = scene.guest(attachment(2).id)
    assert_reaches(two, guest, HELLO)
