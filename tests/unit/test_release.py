"""Giving ports back on a fake host, with a real journal, engine and the OVS plugin."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import msgspec
import pytest

from unit.docs import document
from unit.machine import Machine
from unit.test_adoption import WAIT, Scene
from vifd import errors
from vifd.drivers import PortSpec
from vifd.engine import Settings
from vifd.model import PortRecord
from vifd.openflow import action as act
from vifd.openflow.flow import flow
from vifd.plugin.guarded import guarded
from vifd.policy.announcing import announcement
from vifd.store import Journal
from vifd.testing.attachments import attachment, mac, port_id
from vifd.testing.plugin import FakeBackend
from vifd.testing.running import Running
from vifd.testing.wait import until
from vifd_ovs.bridge import cookies, marks
from vifd_ovs.bridge.wiring import NOWHERE
from vifd_ovs.plugin import OvsPlugin
from vifd_ovs.testing import Profile

#: Of the documents.
MTU = attachment(1).network.mtu


@pytest.fixture
def scene(tmp_path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    made.drivers.openflow.apply("br-int", add=[flow(0, 0, 0xBAD, [act.normal()])])
    yield made
    made.close()


def release(scene: Scene, number: int = 1, *, force: bool = False) -> Future[PortRecord]:
    return scene.running.agent.releases.give_back(port_id(number), "req", force=force).done


def gone(scene: Scene, number: int = 1) -> None:
    until(lambda: scene.running.journal.get(port_id(number)) is None, "its record is gone")


def test_it_is_as_it_was_before_the_adoption(scene):
    scene.place("theirs", 1, tag=7, alias="not ours", mtu=MTU)
    before = scene.drivers.ovsdb.port("theirs"), scene.drivers.links.get(["theirs"])["theirs"]
    scene.adopt(attachment(1))
    assert scene.drivers.ovsdb.port("theirs") != before[0]
    scene.machine.openflow.sent.clear()
    release(scene).result(WAIT)
    row, link = scene.drivers.ovsdb.port("theirs"), scene.drivers.links.get(["theirs"])["theirs"]
    assert row == before[0]
    # IPv6 stays off on the host's end, where nobody needs it
    assert (link.alias, link.mac, link.ifindex, link.mtu) == (
        "not ours", before[1].mac, before[1].ifindex, before[1].mtu,
    )  # fmt: skip
    assert scene.ours() == set()
    back = ("br-int", announcement(mac(1)), row.ofport, act.normal())
    assert scene.machine.openflow.sent == [back]
    gone(scene)
    names = [e.event for e in scene.running.agent.events(0)]
    assert names[-1] == "released"


def test_an_mtu_that_was_raised_is_not_lowered_again(scene):
    """The guest may have been told of it since: what it sends must go on to pass."""
    scene.place("theirs", 1, mtu=1400)
    scene.drivers.ovsdb.ensure_ports("br-int", [PortSpec("theirs", mtu=1400)])
    scene.adopt(attachment(1))
    release(scene).result(WAIT)
    assert scene.drivers.links.get(["theirs"])["theirs"].mtu == MTU
    assert scene.drivers.ovsdb.port("theirs").mtu_request == MTU


def test_what_the_other_hand_added_meanwhile_stays(scene):
    scene.place("theirs", 1, tag=7)
    scene.adopt(attachment(1))
    scene.drivers.ovsdb.set_external_ids({"theirs": {"added": "since"}})
    release(scene).result(WAIT)
    ids = scene.drivers.ovsdb.port("theirs").external_ids
    assert ids["added"] == "since"
    assert ids["vm-uuid"] == "theirs"
    assert not [key for key in ids if key.startswith("vifd")]


def test_the_network_service_hears_no_down(scene):
    scene.place("theirs", 1)
    scene.adopt(attachment(1))
    release(scene).result(WAIT)
    (last,) = [o for o in scene.running.journal.outbox() if o.port_id == port_id(1)]
    assert (last.status, last.gone) == ("ACTIVE", True)


def test_its_own_frames_are_left_to_others_before_those_for_it(scene):
    """Else a frame for it would be dropped by our guard while the bridges still learn."""
    scene.place("theirs", 1, tag=7)
    scene.adopt(attachment(1))
    seen: list[list[tuple[int, int]]] = []
    apply = scene.machine.openflow.apply

    def watch(bridge, **change):
        reading = apply(bridge, **change)
        found = scene.drivers.openflow.dump(bridge, *cookies.OURS)
        seen.append(sorted((f.table, f.priority) for f in found
                           if f.cookie >> 48 & 0xFF == cookies.Kind.PORT))  # fmt: skip
        return reading

    scene.machine.openflow.apply = watch
    release(scene).result(WAIT)
    assert seen == [[(160, 100)], []]


def test_one_that_vifd_made_stays_unless_forced(scene):
    scene.running.plug(attachment(1))
    name = scene.running.journal.get(port_id(1)).wiring.device
    with pytest.raises(errors.ReleaseUnfit, match="vifd made it"):
        release(scene).result(WAIT)
    record = scene.running.settled(port_id(1))
    assert (record.phase, record.removing) == ("LIVE", False)
    release(scene, force=True).result(WAIT)
    gone(scene)
    assert scene.alias(name) == ""
    assert scene.drivers.ovsdb.port(name).tag == NOWHERE, "not among ports of ours by NORMAL"
    ids = scene.drivers.ovsdb.port(name).external_ids
    assert ids["iface-id"] == port_id(1)
    assert not [key for key in ids if key.startswith("vifd")]


def test_where_nobody_else_passes_its_frames_it_stays(scene):
    scene.place("theirs", 1)
    scene.adopt(attachment(1))
    scene.drivers.openflow.apply("br-int", delete_cookies=[(0xBAD, cookies.EXACT)])
    with pytest.raises(errors.ReleaseUnfit, match="no flow of another program"):
        release(scene).result(WAIT)
    assert scene.running.settled(port_id(1)).open


def test_on_a_bridge_that_vifd_made_it_stays(tmp_path):
    scene = Scene(tmp_path, ours=True)
    scene.place("theirs", 1, tag=7)
    scene.adopt(attachment(1))
    with pytest.raises(errors.ReleaseUnfit, match="bridge br-int was made by vifd"):
        release(scene).result(WAIT)
    release(scene, force=True).result(WAIT)
    row = scene.drivers.ovsdb.port("theirs")
    assert row is not None
    assert row.tag == 7
    scene.close()


def test_an_unplug_overtakes_a_release_that_waits(scene):
    scene.place("theirs", 1)
    scene.adopt(attachment(1))
    away = errors.BackendUnavailable(facts={"backend": "ovsdb", "problem": "away"})
    for _ in range(1000):
        scene.machine.ovsdb.fail_next("ensure_ports", away)
    with pytest.raises(errors.BackendUnavailable):
        release(scene).result(WAIT)
    scene.running.unplug(port_id(1))
    assert scene.drivers.ovsdb.port("theirs") is None
    names = [e.event for e in scene.running.agent.events(0)]
    assert names[-1] == "unplugged"


@pytest.mark.parametrize("guard", [lambda plugin: plugin, guarded])
def test_a_plugin_that_cannot_give_back_says_so(tmp_path, guard):
    """And the port stays as it is: as the daemon calls it, too."""
    machine = Machine(tmp_path, FakeBackend(), Settings())
    machine.boot()
    machine.engine.plugins["fake"] = guard(machine.plugin)  # type: ignore[index]
    machine.plug(document(1))
    with pytest.raises(errors.ReleaseUnsupported) as caught:
        machine.agent.releases.give_back(port_id(1), "req", force=True).done.result(WAIT)
    assert caught.value.code == "E_RELEASE_UNSUPPORTED"
    assert (machine.record(1).phase, machine.record(1).removing) == ("LIVE", False)
    machine.halt()


def test_a_port_that_is_not_there(scene):
    with pytest.raises(errors.PortNotFound):
        release(scene).result(WAIT)


def test_neighbours_of_ours_reach_it_as_one_of_others(scene):
    for number, name in ((1, "one"), (2, "two")):
        scene.place(name, number, tag=7)
    for number in (1, 2):
        scene.adopt(attachment(number))
    number = scene.drivers.ovsdb.port("one").ofport
    release(scene).result(WAIT)
    floods = [f for f in scene.drivers.openflow.dump("br-int", *cookies.OURS)
              if f.table == 160 and f.priority in (40, 50)]  # fmt: skip
    assert floods
    assert all(f"output:{number}" in str(f) for f in floods)


def test_it_is_not_parted_from_ports_that_joined_it(scene):
    """Alone on its VLAN, it got one of ours; a port that was plugged since is there as well."""
    scene.place("theirs", 1, tag=7)
    scene.adopt(attachment(1))
    scene.running.plug(attachment(2))
    with pytest.raises(errors.ReleaseUnfit, match=f"port {port_id(2)} of its network is in"):
        release(scene).result(WAIT)
    scene.running.unplug(port_id(2))
    release(scene).result(WAIT)
    assert scene.drivers.ovsdb.port("theirs").tag == 7


def test_it_waits_for_the_switch_and_is_tried_again(scene):
    scene.place("theirs", 1, tag=7)
    scene.adopt(attachment(1))
    error = errors.BackendUnavailable(facts={"backend": "ovsdb", "problem": "away"})
    scene.machine.ovsdb.fail_next("ensure_ports", error)
    with pytest.raises(errors.BackendUnavailable):
        release(scene).result(WAIT)
    gone(scene)
    assert scene.drivers.ovsdb.port("theirs").tag == 7


def test_an_unplug_that_comes_first_wins(scene):
    scene.place("theirs", 1)
    scene.adopt(attachment(1))
    scene.running.engine.accept(
        {port_id(1): lambda r: r and msgspec.structs.replace(r, removing=True)}
    )
    with pytest.raises(errors.Superseded):
        release(scene).result(WAIT)


@pytest.mark.parametrize("done", ["nothing", "the tap", "the tag", "the row", "some flows"])
def test_killed_in_the_middle_it_goes_on_at_the_next_start(scene, tmp_path, done):
    scene.place("theirs", 1, tag=7, mtu=MTU)
    scene.place("neighbour", 2, tag=7, mtu=MTU)
    row = scene.drivers.ovsdb.port("theirs")
    scene.adopt(attachment(1))
    scene.adopt(attachment(2))
    wanted = port_id(1)
    scene.running.__exit__(None, None, None)
    journal = Journal.open(tmp_path / "journal.db")
    journal.commit(
        {wanted: lambda r: r and msgspec.structs.replace(r, removing=True, released=True)}
    )
    journal.close()
    if done != "nothing":
        index = scene.drivers.links.get(["theirs"])["theirs"].ifindex
        scene.drivers.links.unmark({"theirs": (index, "")})
    if done in ("the tag", "the row", "some flows"):
        scene.drivers.ovsdb.ensure_ports("br-int", [PortSpec("theirs", tag=7, ofport=0)])
    if done in ("the row", "some flows"):
        ids = {k: row.external_ids.get(k)
               for k in scene.drivers.ovsdb.port("theirs").external_ids}  # fmt: skip
        scene.drivers.ovsdb.set_external_ids({"theirs": ids})
    if done == "some flows":
        own = [f for f in scene.drivers.openflow.dump("br-int", *cookies.OURS)
               if f.cookie >> 48 & 0xFF == cookies.Kind.PORT and f.table == 0]  # fmt: skip
        scene.drivers.openflow.apply("br-int", delete=own[:1])
    scene.running = Running(tmp_path, scene.drivers, Profile(OvsPlugin))
    scene.running.__enter__()
    gone(scene)
    assert scene.drivers.ovsdb.port("theirs") == row
    assert scene.alias("theirs") == ""
    assert len(scene.ours()) == 1, "the neighbour's"
    assert scene.running.settled(port_id(2)).open


def test_a_lost_journal_does_not_forget_what_it_was(scene):
    scene.place("theirs", 1, tag=7)
    row = scene.drivers.ovsdb.port("theirs")
    scene.adopt(attachment(1))
    names = marks.wiring_of(scene.drivers.ovsdb.port("theirs"))
    assert names.before is not None
    assert (names.before.tag, names.before.external_ids) == (7, row.external_ids)
