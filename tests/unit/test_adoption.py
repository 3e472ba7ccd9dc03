"""Adoption on a fake host, with a real journal, engine and the OVS plugin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import wait

import msgspec
import pytest

from vifd import errors
from vifd.drivers import PortSpec
from vifd.model import Attachment, PortRecord, decode
from vifd.openflow import action as act
from vifd.policy.announcing import announcement
from vifd.store import Journal
from vifd.testing.attachments import attachment, mac, port_id
from vifd.testing.machines import FakeMachine
from vifd.testing.running import Running
from vifd.testing.wait import until
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile

WAIT = 60.0


class Scene:
    """A host with a bridge.

    :param ours: whether vifd made it
    """

    def __init__(self, directory, *, ours: bool = False) -> None:
        self.directory = directory
        self.machine = FakeMachine()
        self.drivers = self.machine.drivers
        if ours:
            self.drivers.ovsdb.ensure_bridge(
                "br-int", datapath_type="netdev", fail_mode="secure", protocols=["OpenFlow14"],
                external_ids={marks.BRIDGE: "integration"},
            )  # fmt: skip
        else:
            self.machine.add_bridge("br-int")
        self.running = Running(directory, self.drivers, Profile(OvsPlugin))
        self.running.__enter__()

    def close(self) -> None:
        self.running.__exit__(None, None, None)

    def place(self, name: str, number: int, tag: int | None = None, **device) -> None:
        """A port as another program plugs it."""
        settings = {"kind": "tun", "mtu": 1400, "mac": "fe:16:3e:00:00:01", "up": True, **device}
        self.machine.links.place(name, **settings)
        ids = {"iface-id": port_id(number), "attached-mac": mac(number), "vm-uuid": "theirs"}
        self.drivers.ovsdb.ensure_ports("br-int", [PortSpec(name, tag=tag, external_ids=ids)])

    def adopt(self, wanted: Attachment) -> PortRecord:
        doc = decode(msgspec.to_builtins(wanted))
        return self.running.agent.adoption.take_over(doc, "req").done.result(WAIT)

    def alias(self, name: str) -> str:
        (link,) = self.drivers.links.get([name]).values()
        return link.alias

    def ours(self) -> set[int]:
        """The cookies of ports of ours that have flows."""
        flows = self.drivers.openflow.dump("br-int", *cookies.OURS)
        return {f.cookie for f in flows if f.cookie >> 48 & 0xFF == cookies.Kind.PORT}


@pytest.fixture
def scene(tmp_path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def test_the_port_keeps_its_name_number_and_device(scene):
    scene.place("qvo-theirs", 1, tag=7)
    before = scene.drivers.ovsdb.port("qvo-theirs")
    ifindex = scene.drivers.links.get(["qvo-theirs"])["qvo-theirs"].ifindex
    record = scene.adopt(attachment(1))
    assert (record.phase, record.open, record.wiring.device) == ("LIVE", True, "qvo-theirs")
    assert record.report.clean
    row = scene.drivers.ovsdb.port("qvo-theirs")
    assert row.ofport == row.ofport_request == before.ofport
    assert row.external_ids[marks.PORT] == port_id(1)
    assert scene.alias("qvo-theirs") == marks.alias(port_id(1))
    assert record.wiring.details["ifindex"] == ifindex
    assert not record.wiring.details.get("adopted")


def test_a_restart_knows_it(scene, tmp_path):
    scene.place("theirs", 1)
    wiring = scene.adopt(attachment(1)).wiring
    other = Journal.open(tmp_path / "journal.db")
    known = other.get(port_id(1))
    assert known is not None
    assert known.wiring == wiring
    other.close()
    scene.running.unplug(port_id(1))
    assert scene.drivers.ovsdb.port("theirs") is None
    assert scene.machine.links.peek("theirs") is None


def test_with_neighbours_it_keeps_its_vlan_and_alone_it_gets_one_of_ours(scene):
    scene.place("one", 1, tag=7)
    scene.place("two", 2, tag=7)
    first = scene.adopt(attachment(1)).wiring.details
    assert first["port_tag"] == 7
    assert scene.drivers.ovsdb.port("one").tag == 7
    second = scene.adopt(attachment(2)).wiring.details
    assert second["tag"] == first["tag"]
    assert second["port_tag"] == 7, "the network is on that VLAN of the bridge"


def test_a_document_of_its_own_is_adopted_once(scene):
    scene.place("theirs", 1)
    assert scene.adopt(attachment(1)).revision == scene.adopt(attachment(1)).revision
    with pytest.raises(errors.StateConflict):
        scene.adopt(attachment(1, mtu=1500))


def test_who_asks_at_the_same_time_is_answered_too(scene):
    """The second waits on the lane beside the first, and not in its place."""
    scene.place("theirs", 1)
    agent, free = scene.running.agent, threading.Event()
    agent.adoption.engine.lanes["ovs"].urgent("hold", lambda: free.wait(WAIT) and None)
    doc = decode(msgspec.to_builtins(attachment(1)))
    asked = [agent.adoption.take_over(doc, f"req-{n}") for n in range(2)]
    free.set()
    assert asked[0].done.result(WAIT).wiring is not None
    done, late = wait([ticket.done for ticket in asked], WAIT)
    assert len(done) == 2, late


@pytest.mark.parametrize(
    ("device", "wanted", "words"),
    [
        ({"mtu": 9000}, {}, "its MTU is 9000"),
        ({"kind": "veth"}, {}, "it is a veth device"),
        ({"alias": "vifd:other"}, {}, "it bears the mark"),
        ({}, {"mac_address": "fa:16:3e:ff:ff:ff"}, "its attached-mac is"),
    ],
)
def test_what_does_not_fit_is_left_as_it_is(scene, device, wanted, words):
    scene.place("theirs", 1, **device)
    row, alias = scene.drivers.ovsdb.port("theirs"), scene.alias("theirs")
    with pytest.raises(errors.AdoptionUnfit, match=words):
        scene.adopt(attachment(1, **wanted))
    assert scene.drivers.ovsdb.port("theirs") == row
    assert scene.alias("theirs") == alias
    assert scene.ours() == set()
    assert scene.running.journal.get(port_id(1)) is None


def test_one_that_the_switch_does_not_decide_on_is_asked_for_later(scene):
    scene.machine.ovsdb.stop_switch()
    scene.place("theirs", 1)
    with pytest.raises(errors.BackendUnavailable):
        scene.adopt(attachment(1))
    scene.machine.ovsdb.start_switch()
    assert scene.adopt(attachment(1)).phase == "LIVE"


def test_two_with_one_id_are_nobodys(scene):
    scene.place("one", 1)
    scene.place("two", 1)
    with pytest.raises(errors.AdoptionUnfit, match="several ports"):
        scene.adopt(attachment(1))


def test_a_port_that_nobody_plugged(scene):
    with pytest.raises(errors.AdoptionAbsent, match=port_id(1)):
        scene.adopt(attachment(1))


def test_one_that_was_plugged_a_moment_ago_is_found(scene, monkeypatch):
    """The news of it may come after the request."""
    looked = threading.Event()
    claim = scene.running.plugin.claim

    def late(wanted, taken):
        found = claim(wanted, taken)
        if found is None and not looked.is_set():
            scene.place("theirs", 1)
            looked.set()
        return found

    monkeypatch.setattr(scene.running.plugin, "claim", late)
    assert scene.adopt(attachment(1)).phase == "LIVE"
    assert looked.is_set()


def test_one_that_fails_half_way_is_given_back(scene):
    scene.place("theirs", 1, tag=7)
    row = scene.drivers.ovsdb.port("theirs")
    error = errors.BackendError(facts={"backend": "ovsdb", "problem": "no"})
    scene.machine.ovsdb.fail_next("ensure_ports", error)
    with pytest.raises(errors.BackendError):
        scene.adopt(attachment(1))
    until(lambda: scene.running.journal.get(port_id(1)) is None, "its record is gone")
    assert scene.alias("theirs") == ""
    assert scene.ours() == set()
    now = scene.drivers.ovsdb.port("theirs")
    assert (now.tag, now.external_ids, now.ofport) == (row.tag, row.external_ids, row.ofport)
    back = ("br-int", announcement(mac(1)), row.ofport, act.normal())
    assert scene.machine.openflow.sent == [back], "bridges that learn know where it is again"


def test_an_orphan_of_ours_can_be_adopted(scene):
    scene.place("theirs", 1)
    scene.drivers.ovsdb.set_external_ids({"theirs": {marks.PORT: port_id(1)}})
    assert scene.adopt(attachment(1)).phase == "LIVE"


@pytest.mark.parametrize("marked", ["nothing", "the tap", "the tap and the row"])
def test_killed_in_the_middle_it_goes_on_at_the_next_start(scene, tmp_path, marked):
    """The record is on disk before the first effect, and says that the port is open."""
    scene.place("theirs", 1, tag=7)
    scene.place("neighbour", 2, tag=7)
    wanted = attachment(1)
    names = scene.running.plugin.claim(wanted, {})
    scene.running.__exit__(None, None, None)
    journal = Journal.open(tmp_path / "journal.db")
    record = PortRecord(
        doc=decode(msgspec.to_builtins(wanted)),
        plugin="ovs",
        vif_type="ovs",
        names=names,
        open=True,
    )
    journal.commit({wanted.id: lambda _: record})
    journal.close()
    if marked != "nothing":
        ifindex = names.details["ifindex"]
        scene.drivers.links.remark({"theirs": (ifindex, marks.alias(wanted.id))})
    if marked == "the tap and the row":
        scene.drivers.ovsdb.set_external_ids({"theirs": {marks.PORT: wanted.id}})
    number = scene.drivers.ovsdb.port("theirs").ofport
    closed: list[object] = []
    apply = scene.machine.openflow.apply

    def watch(bridge, **change):
        reading = apply(bridge, **change)
        guards = {f.priority for f in scene.drivers.openflow.dump(bridge, *cookies.OURS)
                  if f.table == 0 and f.cookie >> 48 & 0xFF == cookies.Kind.PORT}  # fmt: skip
        if guards == {90}:
            closed.append(change)
        return reading

    scene.machine.openflow.apply = watch
    scene.running = Running(tmp_path, scene.drivers, Profile(OvsPlugin))
    scene.running.__enter__()
    settled = scene.running.settled(wanted.id)
    assert (settled.phase, settled.open) == ("LIVE", True)
    assert closed == [], "its traffic was cut"
    row = scene.drivers.ovsdb.port("theirs")
    assert (row.ofport, row.tag, row.external_ids[marks.PORT]) == (number, 7, wanted.id)
