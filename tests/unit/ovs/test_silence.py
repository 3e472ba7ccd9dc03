"""What is said of ports whose switch, or its database, gives no answer: three plugins on fakes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from contract import ovn, ovs, vhostuser
from vifd.model import Report
from vifd.plugin import VifPlugin
from vifd.testing.attachments import attachment, port_id
from vifd.testing.dpdk import FakeDpdk
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_ovn.testing import FakeController

STOPPED = "no answer within 3 s: its process is stopped"
BUSY = "no answer within 3 s"


class Scene:
    def __init__(self, plugin: str, directory: Path) -> None:
        self.plugin, self.machine = plugin, FakeMachine()
        made: dict[str, Callable[..., VifPlugin]] = {
            "ovs": ovs.plugin, "ovn": ovn.plugin,
            "vhostuser": lambda host: vhostuser.plugin(host, directory),
        }  # fmt: skip
        if plugin == "vhostuser":
            self.dpdk = FakeDpdk(self.machine.ovsdb, self.machine.tracer)
        if plugin == "ovn":
            self.controller = FakeController(self.machine.ovsdb, self.machine.openflow)
            self.machine.ovsdb.root["external_ids"]["ovn-remote"] = f"unix:{directory}/sb.sock"
        self.ledger = Ledger(self.machine.drivers, made[plugin], patience=0)
        assert not self.ledger.plug(attachment(1))

    def at_rest(self) -> Report:
        item = self.ledger.records[port_id(1)].item()
        item.settled = True
        return self.ledger.plugin.check([item])[port_id(1)]

    def other_datapath(self) -> None:
        ovsdb = self.machine.ovsdb
        (name,) = ovsdb.bridges()
        ovsdb._bridges[name] = replace(ovsdb._bridges[name], datapath_type="system")


@pytest.fixture(params=["ovs", "vhostuser", "ovn"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="vs-") as directory:
        yield Scene(request.param, Path(directory))


def findings(report: Report) -> dict[str, tuple[object, bool]]:
    return {e.fact: (e.have, e.repairable) for e in report.findings}


def test_a_switch_that_is_stopped(scene: Scene) -> None:
    before = findings(scene.at_rest())
    scene.machine.tracer.silent = STOPPED
    report = scene.at_rest()
    found = findings(report)
    have, repairable = found["flows"]
    assert "nothing is forwarded" in str(have)
    assert STOPPED in str(have)
    assert not repairable
    assert report.beyond_repair
    assert report.passing is None
    scene.machine.tracer.silent = ""
    assert findings(scene.at_rest()) == before


def test_a_switch_that_does_not_run(scene: Scene) -> None:
    """Nothing of a port is wrong but that: it is no error, and mends itself when the switch is
    back."""
    before = findings(scene.at_rest())
    scene.machine.openflow.stop()
    report = scene.at_rest()
    assert findings(report).keys() - before.keys() == {"flows"}
    have, repairable = findings(report)["flows"]
    assert "nothing is forwarded" in str(have)
    assert not repairable
    assert report.beyond_repair
    scene.machine.openflow.start()


def test_a_switch_that_is_busy_is_not_said_to_forward_nothing(scene: Scene) -> None:
    scene.machine.tracer.silent = BUSY
    assert findings(scene.at_rest())["flows"] == (f"ovs-vswitchd: {BUSY}", False)


def test_what_the_kernel_knows_may_pass(scene: Scene) -> None:
    if scene.plugin == "vhostuser":
        pytest.skip("its ports are never on the kernel's datapath")
    scene.other_datapath()
    scene.machine.tracer.silent = STOPPED
    assert findings(scene.at_rest())["flows"] == (f"ovs-vswitchd: {STOPPED}", False)


def test_without_its_database_the_main_thread_serves_no_ports(scene: Scene) -> None:
    """Polling threads go on, and so does the kernel."""
    scene.machine.ovsdb.stop()
    report = scene.at_rest()
    found = findings(report)
    assert found["ovsdb.connected"] == (False, False)
    assert report.beyond_repair
    if scene.plugin == "vhostuser":
        assert "flows" not in found
    else:
        assert "only with its database" in str(found["flows"][0])
        scene.other_datapath()
        assert "flows" not in findings(scene.at_rest())


def test_a_change_of_the_row_is_not_repaired_without_the_database(scene: Scene) -> None:
    scene.machine.ovsdb.stop()
    record = scene.ledger.records[port_id(1)]
    assert record.names is not None
    device = record.names.device
    rows = scene.machine.ovsdb._ports
    rows[device] = replace(rows[device], type="internal")
    assert findings(scene.at_rest())["ovsdb.type"] == ("internal", False)


def test_on_the_way_of_a_plug_the_connection_is_only_recorded(scene: Scene) -> None:
    """What was written was read back; it can be proven, and opened, without it."""
    scene.machine.ovsdb.stop()
    report = scene.ledger.check()[port_id(1)]
    (said,) = [e for e in report.evidence if e.fact == "ovsdb.connected"]
    assert (said.have, said.ok) == (False, True)


def test_a_database_that_was_never_read_is_not_empty(scene: Scene) -> None:
    scene.machine.ovsdb.stop()
    scene.machine.ovsdb.never = True
    report = scene.at_rest()
    found = findings(report)
    assert "was never read" in str(found["flows"][0])
    assert not {f for f in found if f.startswith("ovsdb.")} - {"ovsdb.connected"}
    assert report.beyond_repair
    assert report.passing is None


def test_the_pulse(scene: Scene) -> None:
    plugin = scene.ledger.plugin
    assert plugin.pulse(0.1) == []
    scene.machine.tracer.silent = BUSY
    scene.machine.ovsdb.stop()
    assert [e.fact for e in plugin.pulse(0.1)] == ["ovsdb.connected", "flows"]


def test_no_port_waits_for_a_switch_that_is_known_to_hang(scene: Scene) -> None:
    """Not a step is taken; each would wait on its own. The first word is enough to go on."""
    ledger, first, second = scene.ledger, port_id(1), port_id(2)
    scene.machine.tracer.silent = BUSY
    ledger.plugin.pulse(0.1)
    failed = ledger.plug(attachment(2))
    assert failed[second].code == "E_PLUG_BACKEND_DOWN"
    assert BUSY in failed[second].message
    assert "continue (SIGCONT) or restart" in str(failed[second].hint)
    ovsdb = scene.machine.ovsdb
    rows = [row.name for bridge in ovsdb.bridges() for row in ovsdb.ports(bridge)]
    assert not [name for name in rows if second[:8] in name]
    if scene.plugin != "ovn":  # what it asks of others there, its database takes
        for verb in (ledger.deactivate, ledger.unplug):
            assert verb(first)[first].code == "E_PLUG_BACKEND_DOWN"
    scene.machine.tracer.silent = ""
    assert not ledger.plug(attachment(2))
    assert not ledger.unplug(first)


def test_a_busy_switch_that_was_never_silent_is_not_asked_first(scene: Scene) -> None:
    scene.machine.tracer.silent = BUSY
    assert not scene.ledger.plug(attachment(2))
