"""What a plug meets that it may not touch, and what an unplug does not find."""

from __future__ import annotations

import pytest

from functional.scene import Scene
from vifd.errors import BackendError, BridgeMissing, DuplicateAddress, MtuTooLarge, NameClash
from vifd.model import Wiring
from vifd.plugin import Health, Item
from vifd.testing import census
from vifd.testing.attachments import attachment, mac, vlan
from vifd.testing.netns import links
from vifd.testing.wait import until

ONE = attachment(1)


@pytest.fixture
def scene(ovs):
    with Scene(ovs) as scene:
        yield scene


def add_bridge(ovs, name: str, **columns: str) -> None:
    settings = {"datapath_type": "netdev", **columns}
    ovs.vsctl(
        "add-br", name, "--", "set", "Bridge", name, *(f"{k}={v}" for k, v in settings.items())
    )


def make_tap(name: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        netlink.link("add", ifname=name, kind="tuntap", mode="tap")


def remove_link(name: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        netlink.link("del", index=netlink.link_lookup(ifname=name)[0])


def test_device_of_another_program(scene):
    """It is refused, left alone, and nothing of the port stays."""
    scene.plug(attachment(2))
    name = f"tap{ONE.id[:11]}"
    make_tap(name)
    before = census.take(scene.ovs)
    error = scene.refused(ONE)
    assert isinstance(error, NameClash)
    assert error.stage == "device"
    assert census.take(scene.ovs).beyond(before) == []
    assert name in links()
    remove_link(name)
    scene.plug(ONE)


def test_switch_port_of_another_program(scene):
    scene.plug(attachment(2))
    name = f"tap{ONE.id[:11]}"
    scene.ovs.vsctl("add-port", "br-int", name, "--", "set", "Interface", name, "type=internal")
    before = census.take(scene.ovs)
    error = scene.refused(ONE)
    assert isinstance(error, NameClash)
    assert census.take(scene.ovs).beyond(before) == []
    assert name in scene.ovs.vsctl("list-ports", "br-int")
    scene.ovs.vsctl("del-port", name)
    until(lambda: not scene.machine.drivers.ovsdb.port(name), "the replica knows")
    scene.plug(ONE)


@pytest.mark.parametrize("members", [(), ("other",)], ids=["alone", "of a bond"])
def test_interface_in_a_port_of_another_program(scene, members):
    """Its own port is gone; the database has each interface once."""
    scene.plug(ONE, attachment(2))
    name = scene.device(ONE.id)
    inner = [w for m in members for w in ("--", "set", "Interface", m, "type=internal")]
    with_name = ["--", f"--id=@{name}", "create", "Interface", f"name={name}"]
    made = ["add-bond", "br-int", "bond0", name, *members, *inner] if members else [
        *with_name[1:], "--", "--id=@p", "create", "Port", "name=bond0", f"interfaces=@{name}",
        "--", "add", "Bridge", "br-int", "ports", "@p",
    ]  # fmt: skip
    scene.ovs.vsctl("del-port", name)
    scene.ovs.vsctl(*made)
    ovsdb = scene.machine.drivers.ovsdb
    until(lambda: ovsdb.port_with(name) and ovsdb.port(name) is None, "the replica knows")
    assert scene.findings()["ovsdb.port"] == "in port bond0 of bridge br-int"
    failed = scene.ledger.carry_out([*scene.ledger.records])
    assert list(failed) == [ONE.id]
    error = failed[ONE.id]
    assert isinstance(error, NameClash)
    assert f"interface {name} belongs to port bond0 on bridge br-int" in error.message
    hint = error.hint.partition("`")[2].partition("`")[0]
    assert hint.startswith("ovs-vsctl ")
    scene.ovs.vsctl(*hint.removeprefix("ovs-vsctl ").split())
    until(lambda: ovsdb.port_with(name) is None, "the replica knows")
    scene.heal()
    scene.ovs.vsctl("--if-exists", "del-port", "bond0")


def test_one_refused_port_costs_the_others_nothing(scene):
    make_tap(f"tap{ONE.id[:11]}")
    failed = scene.ledger.plug(ONE, *(attachment(n) for n in (2, 3)))
    assert list(failed) == [ONE.id]
    del scene.ledger.records[ONE.id]
    assert not scene.findings()
    remove_link(f"tap{ONE.id[:11]}")


def test_number_taken_between_name_and_plug(scene):
    scene.plug(attachment(2))
    names = scene.ledger.plugin.name(ONE, scene.ledger.entries())
    number = names.details["ofport"]
    scene.ovs.vsctl(
        "add-port", "br-int", "foreign", "--", "set", "Interface", "foreign", "type=internal",
        f"ofport_request={number}",
    )  # fmt: skip
    until(lambda: scene.machine.drivers.ovsdb.port("foreign"), "the replica shows it")
    before = census.take(scene.ovs)
    item = Item(ONE, names)
    error = scene.ledger.plugin.plug([item])[ONE.id]
    assert isinstance(error, NameClash)
    assert error.facts["name"] == number
    assert error.facts["have"] == "port foreign"
    assert item.undo.run() == []
    assert census.take(scene.ovs).beyond(before) == []
    # a new name avoids it
    again = scene.ledger.plugin.name(ONE, scene.ledger.entries())
    assert again.details["ofport"] != number
    scene.plug(ONE)


def test_tag_of_a_foreign_port_is_avoided(scene):
    scene.plug(attachment(9, network=9))
    scene.ovs.vsctl(
        "add-port", "br-int", "foreign", "tag=2", "--", "set", "Interface", "foreign",
        "type=internal",
    )  # fmt: skip
    until(lambda: scene.machine.drivers.ovsdb.port("foreign"), "the replica shows it")
    scene.plug(ONE)
    assert scene.ledger.records[ONE.id].names.details["tag"] == 3


def test_same_mac_on_the_network(scene):
    scene.plug(ONE)
    error = scene.refused(attachment(2, mac_address=mac(1)))
    assert isinstance(error, DuplicateAddress)
    assert error.facts["other"] == ONE.id


class TestBridge:
    def test_missing_and_not_to_be_made(self, ovs):
        with Scene(ovs, create_bridge=False) as scene:
            before = census.take(ovs)
            probe = scene.ledger.plugin.probe()
            assert probe.health is Health.UNAVAILABLE
            assert "create_bridge is false" in probe.reasons[0]
            error = scene.refused(ONE)
            assert isinstance(error, BridgeMissing)
            assert error.facts == {"bridge": "br-int"}
            assert census.take(ovs).beyond(before) == []

    def test_made_as_configured(self, scene):
        scene.plug(ONE)
        row = scene.ovs.vsctl("--columns=datapath_type,fail_mode,protocols", "list", "Bridge")
        assert "netdev" in row
        assert "secure" in row
        assert "OpenFlow14" in row

    def test_of_others_is_not_rewritten(self, ovs):
        add_bridge(ovs, "br-int", **{"external_ids:owner": "somebody"})
        ovs.ofctl("add-flow", "br-int", "cookie=0x5,table=0,priority=1,actions=NORMAL")
        columns = "--columns=datapath_type,fail_mode,protocols,external_ids,other_config"
        before = ovs.vsctl(columns, "list", "Bridge", "br-int")
        with Scene(ovs) as scene:
            probe = scene.ledger.plugin.probe()
            assert probe.health is Health.DEGRADED
            assert "standalone" in probe.reasons[0]
            scene.plug(ONE)
            assert not scene.findings()
            flows = ovs.ofctl("dump-flows", "br-int")
            assert "cookie=0x5," in flows
            assert any("priority=0" in x and "=NORMAL" in x for x in flows.splitlines())
        assert ovs.vsctl(columns, "list", "Bridge", "br-int") == before
        assert "cookie=0x5," in ovs.ofctl("dump-flows", "br-int")

    def test_that_lacks_openflow_14_gets_it_added(self, ovs):
        add_bridge(ovs, "br-int", protocols="OpenFlow10,OpenFlow13", fail_mode="secure")
        with Scene(ovs) as scene:
            assert scene.ledger.plugin.probe().health is Health.READY
            # the switch listens anew when it is to speak another version
            scene.plug_at_last(ONE)
            assert not scene.findings()
            row = ovs.vsctl("get", "Bridge", "br-int", "protocols")
            assert row.strip() == "[OpenFlow10, OpenFlow13, OpenFlow14]"

    def test_deleted_under_the_ports(self, scene):
        scene.plug(ONE)
        scene.ovs.vsctl("del-br", "br-int")
        until(lambda: "ovsdb.port" in scene.findings(), "the loss is found")
        scene.heal()

    def test_deleted_before_unplug(self, scene):
        scene.plug(ONE)
        name = scene.device(ONE.id)
        scene.ovs.vsctl("del-br", "br-int")
        until(lambda: not scene.machine.drivers.ovsdb.bridge("br-int"), "the replica knows")
        assert not scene.ledger.unplug()
        assert name not in links()


class TestUnplug:
    def test_of_what_others_removed(self, scene):
        scene.plug(ONE, attachment(2))
        scene.ovs.vsctl("del-port", scene.device(ONE.id))
        scene.machine.drivers.links.delete([scene.device(ONE.id)])
        scene.ovs.ofctl("del-flows", "br-int")
        assert not scene.ledger.unplug()

    def test_spares_what_took_the_name_meanwhile(self, scene):
        scene.plug(attachment(2), ONE)
        name = scene.device(ONE.id)
        scene.ovs.vsctl("del-port", name)
        scene.machine.drivers.links.delete([name])
        make_tap(name)
        assert not scene.ledger.unplug(ONE.id)
        assert name in links()
        remove_link(name)

    def test_follows_the_port_to_another_bridge(self, scene):
        scene.plug(ONE)
        name = scene.device(ONE.id)
        add_bridge(scene.ovs, "br-else")
        scene.ovs.vsctl(
            "del-port", name, "--", "add-port", "br-else", name, "--", "set", "Interface", name,
            f"external_ids:vifd-port={ONE.id}",
        )  # fmt: skip
        replica = scene.machine.drivers.ovsdb
        until(lambda: getattr(replica.port(name), "bridge", "") == "br-else", "it moved")
        assert scene.findings()["ovsdb.bridge"] == "br-else"
        assert not scene.ledger.unplug()
        assert scene.ovs.vsctl("list-ports", "br-else") == ""

    def test_while_the_switch_is_down_says_so_and_works_later(self, scene):
        scene.plug(ONE)
        scene.ovs.vswitchd.kill()
        (error,) = scene.ledger.unplug().values()
        assert isinstance(error, BackendError)
        assert error.retryable
        scene.ovs.vswitchd.start()
        until(lambda: not scene.ledger.unplug(), "it is removed")


def test_ovs_down_at_the_first_plug_and_up_later(scene):
    scene.plug(attachment(2))
    scene.ovs.vswitchd.kill()
    error = scene.refused(ONE)
    assert isinstance(error, BackendError)
    assert error.retryable
    scene.ovs.vswitchd.start()
    until(lambda: not scene.ledger.plug(ONE), "it is plugged")
    assert not scene.findings(ONE.id)


def test_names_that_make_no_sense(scene):
    scene.plug(attachment(2))
    names = Wiring("ovs", "ovs", "a-name-of-more-than-15", {})
    error = scene.ledger.plugin.plug([Item(ONE, names)])[ONE.id]
    assert error.stage == "names"
    good = scene.ledger.plugin.name(ONE, scene.ledger.entries())
    long = Wiring("ovs", "ovs", "tap-of-sixteen-c", good.details)
    item = Item(ONE, long)
    error = scene.ledger.plugin.plug([item])[ONE.id]
    assert error.stage == "device"
    assert item.undo.run() == []
    assert not scene.findings()


def test_mtu_beyond_the_uplink(ovs, far):
    add_bridge(ovs, "br-phys")
    far.veth("eth-phys", "wire", mtu=1400)
    ovs.vsctl("add-port", "br-phys", "eth-phys")
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        until(
            lambda: [r.mtu for r in scene.machine.drivers.ovsdb.ports("br-phys") if r.mtu == 1400],
            "its MTU",
        )
        probe = scene.ledger.plugin.probe()
        assert probe.facts["bridge_mappings"]["physnet1"]["mtu"] == 1400
        unmet = [
            r for r in scene.ledger.plugin.requires(attachment(1, segment=vlan(101))) if not r.met
        ]
        (requirement,) = unmet
        assert isinstance(requirement.error, MtuTooLarge)
        assert requirement.error.facts["bottleneck"] == "eth-phys"
        good = scene.ledger.plugin.requires(attachment(1, segment=vlan(101), mtu=1400))
        assert all(r.met for r in good)
    ovs.vsctl("del-port", "br-phys", "eth-phys")
