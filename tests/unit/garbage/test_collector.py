"""The collector on a fake host, with a real journal, engine and the OVS plugin."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.hypervisor import FakeHypervisor
from support.orphans import Orphans, device, generation
from vifd import errors
from vifd.engine.garbage.collector import Collector
from vifd.engine.garbage.limits import Limits
from vifd.engine.garbage.options import Settings
from vifd.engine.garbage.tracker import State
from vifd.openflow.flow import flow
from vifd.testing.attachments import attachment, port_id
from vifd.testing.machines import FakeMachine
from vifd.testing.running import SETTINGS, Running
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile

GRACE = 60.0
WAIT = 60.0


class Scene:
    """A host with two live ports, and a collector whose clock the test turns."""

    def __init__(self, directory: Path, **settings) -> None:
        self.directory = directory
        self.machine = FakeMachine()
        self.drivers = self.machine.drivers
        patient = replace(SETTINGS, hang=60.0)
        self.running = Running(directory, self.drivers, Profile(OvsPlugin), settings=patient)
        self.running.__enter__()
        self.hypervisor = FakeHypervisor()
        self.now = 1000.0
        self.settings = Settings(grace=GRACE, interval=0.0, limits=Limits(5, 50.0))
        self.settings = replace(self.settings, **settings)
        self.collector = self.make()
        self.dry_run()  # nothing is here: a journal that is new lacks nothing
        for number in (1, 2):
            self.running.submit(attachment(number)).done.result(WAIT)
        self.orphans = Orphans(self.drivers)

    def make(self) -> Collector:
        made = Collector.of(
            self.running.engine, self.running.journal, self.hypervisor, self.settings
        )
        made.clock = lambda: self.now
        made.start()
        return made

    def close(self) -> None:
        self.collector.stop(WAIT)
        self.running.__exit__(None, None, None)

    def dry_run(self, after: float = 0.0):
        self.now += after
        return self.collector.dry_run().result(WAIT)

    def ripen(self) -> None:
        self.dry_run()
        self.dry_run(GRACE)

    def collect(self, ids=None, *, force=False):
        return self.collector.collect(ids, force=force).result(WAIT)

    def undo(self, *ids):
        return self.collector.undo(list(ids) or None).result(WAIT)

    @property
    def rows(self) -> set[str]:
        return {r.name for r in self.drivers.ovsdb.ports("br-int")} - {"br-int"}

    @property
    def taps(self) -> set[str]:
        return {link.name for link in self.drivers.links.marked("")}

    def cookies(self) -> set[int]:
        return {f.cookie for f in self.drivers.openflow.dump("br-int", 0, 0)}


@pytest.fixture
def scene(tmp_path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


LIVE = {f"tap{port_id(n)[:11]}" for n in (1, 2)}


def test_a_clean_host_has_no_garbage(scene):
    found = scene.dry_run()
    assert (found.orphans, found.suspects, found.missing, found.silent) == ([], [], {}, {})
    assert found.doubt == ""


def test_an_orphan_is_listed_then_ripe_then_gone_with_all_that_belongs_to_it(scene, caplog):
    scene.orphans.make([7])
    (seen,) = scene.dry_run().orphans
    assert (seen.id, seen.state, seen.looks) == (f"ovs/{port_id(7)}", State.SEEN, 1)
    assert {o.split(" (")[0].split(" 0x")[0] for o in seen.objects} == {
        f"switch port {device(7)} on br-int", "flows", f"device {device(7)}",
    }  # fmt: skip
    assert "60 s of the grace period are left" in seen.why
    waiting = scene.collect()
    assert not waiting.removed
    assert [w.id for w in waiting.waiting] == [seen.id]
    scene.now += GRACE
    with caplog.at_level(logging.INFO):
        done = scene.collect()
    assert [r.id for r in done.removed] == [seen.id]
    assert not done.failed
    assert scene.rows == scene.taps == LIVE
    assert cookies.port(generation(7), 10_007) not in scene.cookies()
    assert caplog.text.count("garbage-removed: ") == 3
    assert [e.event for e in scene.running.agent.events(0) if e.detail == seen.id] == [
        "orphan-found", "garbage-removed",
    ]  # fmt: skip
    assert scene.dry_run().orphans == []


def test_what_looks_alike_and_bears_no_mark_is_never_listed(scene):
    links, ovsdb, openflow = scene.drivers.links, scene.drivers.ovsdb, scene.drivers.openflow
    scene.machine.links.place(device(8), kind="tun")
    scene.machine.links.place("tapaaaa", kind="tun", alias="nova: vifd:")
    spec = replace(_row("tapforeign"), external_ids={"iface-id": port_id(8), "attached-mac": "x"})
    ovsdb.ensure_ports("br-int", [spec])
    openflow.apply("br-int", add=[flow(0, 5, 0x77 << 56, in_port=9), flow(0, 6, 0, in_port=9)])
    scene.ripen()
    found = scene.dry_run()
    assert (found.orphans, found.suspects) == ([], [])
    assert {device(8), "tapaaaa"} <= scene.taps
    assert links.get([device(8)])
    assert "tapforeign" in scene.rows


def _row(name):
    from vifd.drivers import PortSpec

    return PortSpec(name, ofport=9)


def test_one_that_a_guest_has_open_is_left_alone(scene):
    scene.orphans.make([7])
    scene.machine.links.place(device(7), kind="tun", alias=marks.alias(port_id(7)), carrier=True)
    scene.ripen()
    (held,) = scene.collect().waiting
    assert held.state is State.HELD
    assert "its device is open" in held.why
    assert device(7) in scene.taps & scene.rows


def test_one_that_a_guest_is_defined_with_is_left_alone(scene):
    scene.orphans.make([7])
    scene.hypervisor.define("guest-1", [device(7)], name="web")
    scene.ripen()
    (held,) = scene.collect().waiting
    assert "guest web, which is off, uses it" in held.why
    scene.hypervisor.undefine("guest-1")
    scene.ripen()
    assert scene.collect().removed


def test_one_that_is_opened_between_the_look_and_the_removal_is_left_alone(scene):
    scene.orphans.make([7])
    scene.ripen()
    links = scene.machine.links
    look = scene.collector.surveyor.look

    def opened_after():
        found = look()
        links.place(device(7), kind="tun", alias=marks.alias(port_id(7)), carrier=True)
        return found

    object.__setattr__(scene.collector.surveyor, "look", opened_after)
    done = scene.collect()
    assert not done.removed
    assert {f.error["code"] for f in done.failed} == {"E_GC_CHANGED"}
    assert device(7) in scene.taps & scene.rows
    assert cookies.port(generation(7), 10_007) in scene.cookies()


def test_one_that_is_open_without_a_carrier_is_left_alone(scene):
    """Another program can take the carrier from a guest that runs."""
    scene.orphans.make([7])
    scene.machine.links.held.add(device(7))
    scene.ripen()
    done = scene.collect()
    assert not done.removed
    assert {f.error["code"] for f in done.failed} == {"E_GC_CHANGED"}
    assert all(f"{device(7)} is open" in f.error["message"] for f in done.failed)
    assert device(7) in scene.taps & scene.rows
    assert cookies.port(generation(7), 10_007) in scene.cookies()
    scene.machine.links.held.clear()
    assert scene.collect().removed


def test_a_port_that_is_wanted_meanwhile_is_left_alone(scene):
    scene.orphans.make([7], taps=False, rows=False)
    scene.ripen()
    plugged = scene.running.submit(attachment(7)).done.result(WAIT)
    found = scene.dry_run()
    assert plugged.wiring is not None
    # the flows of its earlier life are all that is still nobody's
    assert all("flows" in text for o in found.orphans for text in o.objects)
    assert device(7) in scene.taps & scene.rows


def test_flows_of_nobody_are_swept_by_their_cookie(scene):
    stale = cookies.port(0x4321, 77)
    scene.drivers.openflow.apply("br-int", add=[flow(0, 5, stale, in_port=77)])
    scene.ripen()
    before = scene.cookies()
    assert scene.collect().removed
    assert scene.cookies() == before - {stale}


def test_more_than_the_limits_need_force(scene):
    scene.orphans.make(range(10, 16))
    scene.ripen()
    found = scene.dry_run()
    assert "at most 5" in found.excess
    with pytest.raises(errors.GarbageLimit) as refused:
        scene.collect()
    assert refused.value.facts["count"] == 6
    assert len(scene.rows) == 8
    ids = [o.id for o in found.orphans]
    assert [r.id for r in scene.collect(ids[:2]).removed] == ids[:2]
    assert len(scene.collect(force=True).removed) == 4
    assert scene.rows == scene.taps == LIVE


def test_an_unknown_orphan_is_refused_by_name(scene):
    with pytest.raises(errors.GarbageUnknown, match="ovs/nothing"):
        scene.collect(["ovs/nothing"])
    with pytest.raises(errors.GarbageUnknown):
        scene.undo()
    with pytest.raises(errors.GarbageUnknown, match="ovs/nothing"):
        scene.undo("ovs/nothing")


def test_a_removed_port_is_put_back_closed_and_kept(scene):
    scene.orphans.make([7])
    ids = scene.drivers.ovsdb.port(device(7)).external_ids
    scene.ripen()
    scene.collect()
    assert [r.id for r in scene.dry_run().removed] == [f"ovs/{port_id(7)}"]
    done = scene.undo()
    assert not done.failed
    (link,) = scene.drivers.links.get([device(7)]).values()
    row = scene.drivers.ovsdb.port(device(7))
    assert (link.mtu, link.alias) == (1450, marks.alias(port_id(7)))
    assert (row.ofport, row.tag, row.external_ids) == (10_007, 4000, ids)
    guard = cookies.port(generation(7), 10_007)
    assert [f.actions for f in scene.drivers.openflow.dump("br-int", guard)] == [b""]
    scene.ripen()
    (kept,) = scene.collect().waiting
    assert kept.state is State.KEPT


def test_what_can_be_put_back_survives_a_restart_and_expires(scene):
    scene.orphans.make([7, 8])
    scene.ripen()
    scene.collect()
    scene.collector.stop(WAIT)
    scene.collector = scene.make()
    assert {r.port for r in scene.dry_run().removed} == {port_id(7), port_id(8)}
    assert scene.undo(f"ovs/{port_id(7)}").restored
    there = scene.collector.undo_store.all()
    scene.collector.wall = lambda: there[0].removed_at + 90_000
    assert scene.dry_run().removed == []


def test_nothing_goes_by_itself_while_a_lost_journal_may_lack_ports(scene):
    scene.orphans.make([7])
    scene.collector.complete.lost()
    scene.ripen()
    assert "the journal was lost" in scene.dry_run().doubt
    with pytest.raises(errors.GarbageIncomplete):
        scene.collect()
    scene.collector._collect_by_itself()
    assert device(7) in scene.rows
    assert scene.collect(force=True).removed
    assert scene.dry_run().doubt == ""


def test_a_host_without_garbage_clears_the_doubt(scene):
    scene.collector.complete.lost()
    assert scene.dry_run().doubt == ""


@pytest.fixture
def automatic(tmp_path) -> Iterator[Scene]:
    made = Scene(tmp_path, limits=Limits(3, 100.0))
    yield made
    made.close()


def by_itself(scene):
    scene.collector.look()
    scene.collector._collect_by_itself()


def test_ripe_orphans_go_by_themselves(automatic):
    automatic.orphans.make([7, 8])
    by_itself(automatic)
    assert len(automatic.rows) == 4
    automatic.now += GRACE
    by_itself(automatic)
    assert automatic.rows == LIVE


def test_too_many_do_not_and_that_is_said_once(automatic, caplog):
    automatic.orphans.make(range(10, 15))
    by_itself(automatic)
    automatic.now += GRACE
    by_itself(automatic)
    by_itself(automatic)
    assert len(automatic.rows) == 7
    events = [e.event for e in automatic.running.agent.events(0)]
    assert events.count("garbage-held-back") == 1
    metrics = automatic.running.agent.metrics().decode()
    assert "vifd_garbage_held_back 5.0" in metrics
    assert "vifd_orphans 5.0" in metrics


def test_when_to_look_next(tmp_path):
    scene = Scene(tmp_path, interval=300.0)
    try:
        scene.collector.stop(WAIT)
        scene.orphans.make([7])
        collector = scene.make()
        collector.stop(WAIT)
        assert collector.tracker.due() in (None, scene.now + GRACE)
        collector.look()
        assert collector.turn() == pytest.approx(GRACE)
    finally:
        scene.close()


def test_what_a_port_lacks_is_repaired(scene):
    name = f"tap{port_id(1)[:11]}"
    row = scene.drivers.ovsdb.port(name)
    record = scene.running.journal.get(port_id(1))
    scene.drivers.ovsdb.delete_ports("br-int", [name])
    found = scene.dry_run()
    assert f"switch port {name} on br-int" in found.missing[port_id(1)]
    from vifd.testing.wait import until

    until(lambda: scene.drivers.ovsdb.port(name) is not None, "the port is back")
    until(lambda: scene.running.journal.get(port_id(1)).phase == record.phase, "the port is live")
    assert scene.drivers.ovsdb.port(name).ofport == row.ofport


def test_a_stray_with_the_id_of_a_port_is_told_and_left_alone(scene):
    alias = marks.alias(port_id(1))
    scene.machine.links.place("tapstray", kind="tun", alias=alias)
    scene.ripen()
    found = scene.dry_run()
    assert found.suspects == ["device tapstray"]
    assert found.orphans == []
    assert not scene.collect().removed
    assert "tapstray" in scene.taps
