"""The OVN plugin on a host of fakes: what is OVN's to do, and how it is told."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from contract import ovn, ovs
from vifd.errors import NameClash
from vifd.model import Report, Role
from vifd.plugin import Health
from vifd.testing.attachments import attachment, vlan
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_ovn.marks import GATE, INSTALLED
from vifd_ovn.testing import SETTINGS, FakeController, Southbound, control_socket
from vifd_ovs.bridge.chassis import BRIDGE

DEVICE = "tap00000001-00"


class Scene:
    """A chassis; ``now`` is the time by which OVN's patience is measured."""

    def __init__(self, directory: Path) -> None:
        self.machine = FakeMachine()
        self.controller = FakeController(self.machine.ovsdb, self.machine.openflow)
        self.directory = directory
        self.southbound = Southbound(directory / "sb.sock")
        self.machine.ovsdb.root["external_ids"]["ovn-remote"] = f"unix:{directory}/sb.sock"
        self.socket = control_socket(directory)
        self.now = 0.0
        self.ledger = self.make()

    def make(self) -> Ledger:
        def factory(host):
            plugin = ovn.plugin(host, rundir=str(self.directory), installed_timeout=5)
            plugin._patience._clock = lambda: self.now
            return plugin

        return Ledger(self.machine.drivers, factory, patience=0)

    @property
    def plugin(self):
        return self.ledger.plugin

    @property
    def row(self):
        return self.machine.ovsdb.port(DEVICE)

    def plug(self, number: int = 1, **more) -> None:
        failed = self.ledger.plug(attachment(number), **more)
        assert not failed, failed

    def report(self, number: int = 1) -> Report:
        return self.ledger.check()[attachment(number).id]

    def thorough(self) -> dict[str, object]:
        record = self.ledger.records[attachment(1).id]
        report = self.plugin.check([record.item(thorough=True)])[attachment(1).id]
        return {e.fact: e.have for e in report.findings}

    def bind(self, **columns) -> None:
        self.southbound.rows["Port_Binding"] = [
            {"logical_port": attachment(1).id, "type": "", "up": True,
             "chassis": ["uuid", "c-here"], "options": ["map", []], **columns}
        ]  # fmt: skip
        self.southbound.rows["Chassis"] = [
            {"_uuid": ["uuid", "c-here"], "name": "here"},
            {"_uuid": ["uuid", "c-there"], "name": "there"},
        ]

    def close(self) -> None:
        self.southbound.close()
        self.socket.close()


@pytest.fixture
def scene():
    with tempfile.TemporaryDirectory(prefix="ovn-") as directory:
        made = Scene(Path(directory))
        yield made
        made.close()


def names(report: Report) -> list[str]:
    return [e.fact for e in report.findings]


# --- the gate -------------------------------------------------------------------------------------


def test_a_closed_port_names_no_logical_port_and_has_no_flow(scene: Scene) -> None:
    scene.plug(opened=False)
    assert GATE not in scene.row.external_ids
    assert scene.machine.openflow.flows(BRIDGE) == []
    assert scene.report().clean
    assert scene.report().passing is False


# --- what others did to the row ---


@pytest.mark.parametrize("members", [(), ("eth9",)], ids=["alone", "of a bond"])
def test_an_interface_in_a_port_of_another_program(scene: Scene, members: tuple[str, ...]) -> None:
    scene.plug()
    ovsdb = scene.machine.ovsdb
    row = ovsdb._ports.pop(DEVICE)
    ovsdb._ports["bond0"] = dataclasses.replace(
        row, name="bond0", interfaces=(DEVICE, *members), external_ids={}
    )
    (found,) = [e for e in scene.report().findings if e.fact == "ovsdb.port"]
    assert found.have == f"in port bond0 of bridge {BRIDGE}"
    error = scene.ledger.carry_out([attachment(1).id])[attachment(1).id]
    assert isinstance(error, NameClash)
    assert f"interface {DEVICE} belongs to port bond0 on bridge {BRIDGE}" in error.message
    del ovsdb._ports["bond0"]
    assert not scene.ledger.carry_out([attachment(1).id])
    assert scene.row.bridge == BRIDGE


# --- ports that OVN holds closed itself -----------------------------------------------------------

MIGRATING = {"requested-chassis": "there,here", "activation-strategy": "rarp"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (MIGRATING, True),
        ({**MIGRATING, "requested-chassis": "here,there"}, False),  # the guest runs here
        ({**MIGRATING, "requested-chassis": "there"}, False),
        ({"requested-chassis": "there,here"}, False),  # OVN would send frames to both
        ({**MIGRATING, "requested-chassis": "there,elsewhere"}, False),
        ({**MIGRATING, "requested-chassis": "there,here.example"}, True),  # by its host name
    ],
)
def test_a_binding_that_is_not_active_is_named_where_ovn_holds_it(
    scene: Scene, options: dict[str, str], named: bool
) -> None:
    scene.machine.ovsdb.root["external_ids"] |= {"system-id": "here", "hostname": "here.example"}
    scene.bind(options=["map", list(map(list, options.items()))])
    waiting = replace(attachment(1), role=Role.INACTIVE)
    assert not scene.ledger.plug(waiting, opened=False)
    assert (scene.row.external_ids.get(GATE) == waiting.id) is named
    report = scene.report()
    assert (report.clean, report.passing) == (True, False)
    # Active: the guest spoke, and the network service said so.
    assert not scene.ledger.activate(waiting.id)
    assert scene.row.external_ids[GATE] == waiting.id
    assert scene.report().passing is True
    # Whoever closes it wants it closed.
    assert not scene.ledger.deactivate(waiting.id)
    assert GATE not in scene.row.external_ids
    assert scene.report().clean


def test_a_database_that_is_away_keeps_the_port_closed(scene: Scene) -> None:
    scene.southbound.close()
    waiting = replace(attachment(1), role=Role.INACTIVE)
    assert not scene.ledger.plug(waiting, opened=False)
    assert GATE not in scene.row.external_ids
    assert scene.report().clean
    scene.southbound = Southbound(scene.directory / "sb.sock")


def test_an_open_port_is_proven_by_what_ovn_made(scene: Scene) -> None:
    scene.plug()
    assert scene.row.external_ids[GATE] == attachment(1).id
    assert scene.report().clean
    assert scene.report().passing is True


def test_no_flow_and_no_tag_of_ours(scene: Scene) -> None:
    scene.controller.stop()
    scene.plug(opened=False)
    assert scene.machine.openflow.flows(BRIDGE) == []
    assert scene.row.tag is None
    assert scene.row.ofport_request is None


def test_installed_without_a_flow_is_no_proof(scene: Scene) -> None:
    scene.controller.hasty = True
    assert scene.ledger.plug(attachment(1))
    assert scene.row is None or scene.row.external_ids.get(INSTALLED) == "true"


def test_another_program_that_takes_the_id_away_closes_the_port(scene: Scene) -> None:
    scene.plug()
    scene.machine.ovsdb.set_external_ids({DEVICE: {GATE: None}})
    report = scene.report()
    assert "ovn.iface_id" in names(report)
    assert report.passing is False
    scene.plug()
    assert scene.report().clean


# --- ovn-controller is away -----------------------------------------------------------------------


def test_it_has_its_time_and_then_the_port_waits_for_it(scene: Scene) -> None:
    scene.plug()
    scene.controller.stop()
    scene.machine.openflow.wipe(BRIDGE)
    first = scene.report()
    assert names(first) == ["ovn.flows"]
    assert not first.beyond_repair
    scene.now = 6.0
    late = scene.report()
    assert late.beyond_repair
    assert late.passing is False


def test_once_wired_again_it_has_its_time_anew(scene: Scene) -> None:
    scene.plug()
    scene.machine.openflow.wipe(BRIDGE)
    scene.report()
    scene.now = 6.0
    scene.controller._flows.clear()
    scene.controller.start()
    assert scene.report().clean
    scene.machine.openflow.wipe(BRIDGE)
    assert not scene.report().beyond_repair


# --- why ------------------------------------------------------------------------------------------


def test_thorough_and_healthy_says_what_the_southbound_says(scene: Scene) -> None:
    scene.plug()
    scene.bind()
    assert scene.thorough() == {}


def test_no_logical_port(scene: Scene) -> None:
    scene.plug()
    assert scene.thorough()["ovn.logical_port"] == "missing"


def test_another_chassis_was_asked_for(scene: Scene) -> None:
    scene.plug()
    scene.bind(
        chassis=["uuid", "c-there"], options=["map", [["requested-chassis", "there"]]], up=True
    )
    found = scene.thorough()
    assert found["ovn.requested_chassis"] == "there"
    assert found["ovn.chassis"] == "there"


def test_one_of_several_requested_chassis_is_enough(scene: Scene) -> None:
    scene.plug()
    scene.bind(options=["map", [["requested-chassis", "there,here"]]])
    assert scene.thorough() == {}


def test_a_southbound_that_does_not_answer_is_no_finding(scene: Scene) -> None:
    scene.plug()
    scene.machine.ovsdb.root["external_ids"]["ovn-remote"] = "ssl:192.0.2.1:6642"
    assert scene.thorough() == {}


@pytest.mark.parametrize("key", ["ovn-encap-type", "ovn-encap-ip"])
def test_no_encapsulation(scene: Scene, key: str) -> None:
    scene.plug()
    del scene.machine.ovsdb.root["external_ids"][key]
    scene.bind()
    assert scene.thorough() == {"ovn.encapsulation": "missing"}


def test_a_bridge_of_another_name(scene: Scene) -> None:
    scene.plug()
    scene.bind()
    scene.machine.ovsdb.root["external_ids"]["ovn-bridge"] = "br-other"
    assert scene.thorough() == {"ovn.bridge": "br-other"}


def test_the_controller_does_not_run(scene: Scene) -> None:
    scene.plug()
    scene.bind()
    scene.socket.close()
    scene.socket = control_socket(scene.directory, "not connected")
    assert scene.thorough() == {"ovn.controller": "not connected"}


# --- the host -------------------------------------------------------------------------------------


def test_a_chassis_is_ready(scene: Scene) -> None:
    probe = scene.plugin.probe()
    assert probe.health is Health.READY, probe.reasons
    assert probe.tunnels["geneve"].local_ip == SETTINGS["ovn-encap-ip"]


def test_plugins_with_flows_of_their_own_keep_off_its_bridge(scene: Scene) -> None:
    probe = Ledger(scene.machine.drivers, ovs.plugin, patience=0).plugin.probe()
    assert probe.health is Health.UNAVAILABLE
    assert "the plugin ovn" in probe.reasons[0]


def test_a_host_that_is_no_chassis(scene: Scene) -> None:
    scene.machine.ovsdb.root["external_ids"] = {}
    probe = scene.plugin.probe()
    assert probe.health is Health.UNAVAILABLE
    assert "ovn-remote" in probe.reasons[0]


def test_a_physical_network_by_ovns_mappings(scene: Scene) -> None:
    scene.machine.ovsdb.root["external_ids"]["ovn-bridge-mappings"] = "physnet1:br-ex"
    probe = scene.plugin.probe()
    assert probe.health is Health.DEGRADED
    assert "br-ex does not exist" in probe.reasons[0]
    needs = {r.name: r.met for r in scene.plugin.requires(attachment(1, segment=vlan(7)))}
    assert needs["physical_network"]


@pytest.mark.parametrize(
    ("mapped", "words"),
    [
        ("physnet1:br-int", "leads to br-int, which is the integration bridge"),
        ("physnet1:br-ex,physnet2:br-ex", "br-ex is given to physnet1 and to physnet2"),
        ("physnet1:br-ex, physnet1:br-two", "physnet1:br-ex and physnet1:br-two map one physical"),
    ],
    ids=["integration-bridge", "two-names", "two-bridges"],
)
def test_mappings_that_make_no_sense_are_refused(scene: Scene, mapped: str, words: str) -> None:
    scene.machine.ovsdb.root["external_ids"]["ovn-bridge-mappings"] = mapped
    scene.machine.ovsdb.ensure_bridge(
        "br-ex", datapath_type="system", fail_mode="standalone", protocols=(), external_ids={}
    )
    (error,) = unmet(scene, attachment(1, segment=vlan(101)))
    assert error.code == "E_SEG_PHYSNET_DOWN"
    assert words in error.message
    assert "ovn-bridge-mappings=" in error.hint
    probe = scene.plugin.probe()
    assert probe.health is Health.DEGRADED
    assert any(words in reason for reason in probe.reasons)


def test_what_ovn_was_not_told_is_refused_with_its_own_words(scene: Scene) -> None:
    (error,) = unmet(scene, attachment(1, segment=vlan(101)))
    assert error.code == "E_SEG_PHYSNET_UNMAPPED"
    assert "ovn-bridge-mappings=" in error.hint
    scene.machine.ovsdb.root["external_ids"] |= {
        "ovn-encap-type": "geneve", "ovn-encap-ip": "192.0.2.1",
    }  # fmt: skip
    tunnelled = {"network_type": "vxlan", "segmentation_id": 7}
    (error,) = unmet(scene, attachment(1, segment=tunnelled))
    assert error.code == "E_SEG_TYPE_UNSUPPORTED"
    assert "external_ids:ovn-encap-type=geneve,vxlan" in error.hint
    assert unmet(scene, attachment(1, segment={**tunnelled, "network_type": "geneve"})) == []


def unmet(scene: Scene, wanted) -> list:
    return [r.error for r in scene.plugin.requires(wanted) if not r.met]


# --- taking over and giving back ------------------------------------------------------------------


def plugged_by_nova(scene: Scene):
    """As os-vif leaves it."""
    from vifd.drivers import PortSpec, Tap

    port = attachment(1)
    scene.machine.links.create_taps([Tap(DEVICE, port.mac, port.network.mtu, "vifd:none")])
    index = scene.machine.links.get([DEVICE])[DEVICE].ifindex
    scene.machine.links.unmark({DEVICE: (index, "")})
    ids = {GATE: port.id, "attached-mac": port.mac, "vm-uuid": "some", "iface-status": "active"}
    scene.machine.ovsdb.ensure_ports(BRIDGE, [PortSpec(DEVICE, external_ids=ids)])
    return port, index


def test_a_running_port_is_taken_over_without_a_change_that_ovn_sees(scene: Scene) -> None:
    port, index = plugged_by_nova(scene)
    flows = scene.machine.openflow.flows(BRIDGE)
    made = scene.plugin.claim(port, {})
    assert made is not None
    assert made.details["ifindex"] == index
    assert scene.machine.openflow.flows(BRIDGE) == flows


def test_nothing_to_claim(scene: Scene) -> None:
    assert scene.plugin.claim(attachment(1), {}) is None
