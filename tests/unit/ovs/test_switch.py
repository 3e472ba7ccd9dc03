"""One bridge's flows: only differences are sent, everything comes back at once, nobody else's flow
is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vifd.drivers import PortSpec
from vifd.errors import BackendError, BackendUnavailable
from vifd.model import Wiring
from vifd.openflow import action as act
from vifd.openflow.flow import flow
from vifd.openflow.reading import Reading
from vifd.plugin import Entry, Host
from vifd.testing.attachments import attachment
from vifd.testing.injection import Injector
from vifd.testing.machines import FakeMachine
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.ports import Gate, switch_port
from vifd_ovs.bridge.switch import Switch, switch_of
from vifd_ovs.bridge.wiring import OvsWiring

BRIDGE = "br-int"


def names(number, **more):
    values = {"bridge": BRIDGE, "ofport": 5000 + number, "tag": 1, "generation": 9}
    return OvsWiring(**(values | {"plugged": True} | more))


def port(number, *, opened=True, **more):
    return switch_port(attachment(number), names(number, **more), opened=opened)


def entry(number, *, opened=True, **more):
    wiring = Wiring("ovs", "ovs", f"tap{number}", names(number, **more).details())
    return Entry(attachment(number), wiring, opened)


class Scene:
    def __init__(self):
        self.machine = FakeMachine()
        self.machine.ovsdb.ensure_bridge(
            BRIDGE,
            datapath_type="netdev",
            fail_mode="secure",
            protocols=["OpenFlow14"],
            external_ids={"vifd-bridge": "integration"},
        )
        self.injector = Injector(self.machine.drivers)
        self.entries: dict[str, Entry] = {}
        self.host = Host(self.injector.drivers, lambda: self.entries)
        self.switch = Switch(self.host, BRIDGE)

    def restart(self):
        """A new daemon: it remembers nothing."""
        self.switch = Switch(self.host, BRIDGE)

    def put_out(self, number):
        self.entries.pop(attachment(number).id, None)
        self.switch.apply({attachment(number).id: None})

    def put(self, *ports, **more):
        self.injector.arm()
        self.switch.apply({p.id: p for p in ports}, **more)
        return self.injector.calls.count("openflow.apply")

    @property
    def flows(self):
        return {f.key: f for f in self.machine.openflow.flows(BRIDGE)}

    def is_as_wanted(self):
        wanted = {f.key: f for f in self.switch.wanted({}).all()}
        ours = {k: f for k, f in self.flows.items() if cookies.ours(f.cookie)}
        return ours == wanted


@pytest.fixture
def scene():
    return Scene()


def test_a_batch_is_one_bundle(scene):
    assert scene.put(*(port(n) for n in range(1, 20))) == 1
    assert scene.is_as_wanted()


def test_the_same_again_sends_nothing(scene):
    scene.put(port(1), port(2))
    assert scene.put(port(1), port(2)) == 0


def test_a_small_change_sends_the_difference_only(scene):
    scene.put(port(1), port(2), port(3))
    sent = {}

    def spy(bridge, *, add=(), delete=(), delete_cookies=(), read=()):
        sent["add"], sent["delete"] = list(add), list(delete)
        return Reading({}, "")

    scene.machine.openflow.apply = spy
    scene.switch.apply({port(2).id: port(2, opened=False)})
    assert {f.table for f in sent["delete"]} == {0, 160}
    assert {f.cookie for f in sent["delete"]} == {port(2).cookie}
    assert {f.cookie for f in sent["add"]} == {cookies.network(1)}


def asked(scene, monkeypatch):
    """How often the bridge was asked for its flows, counted from now on."""
    count, read = [], scene.machine.openflow.read

    def counted(bridge, cookies_):
        count.append(list(cookies_))
        return read(bridge, cookies_)

    monkeypatch.setattr(scene.machine.openflow, "read", counted)
    return count


def test_what_is_to_be_proven_is_read_in_the_exchange_that_commits(scene, monkeypatch):
    count = asked(scene, monkeypatch)
    scene.switch.apply({port(1).id: port(1)}, proven=True)
    assert len(count) == 1
    assert scene.switch.prove([port(1)]) == {}
    assert len(count) == 1


def test_what_was_read_with_a_change_is_no_proof_of_another(scene, monkeypatch):
    count = asked(scene, monkeypatch)
    scene.switch.apply({port(1).id: port(1)}, proven=True)
    scene.switch.apply({port(2).id: port(2)})
    assert scene.switch.prove([port(1)]) == {}
    assert len(count) == 2


def test_flows_that_were_not_taken_as_sent_are_found_by_what_was_read_with_them(scene, monkeypatch):
    read = scene.machine.openflow.read
    monkeypatch.setattr(
        scene.machine.openflow, "read",
        lambda bridge, cookies_: Reading(
            {c: flows[1:] for c, flows in read(bridge, cookies_).flows.items()}, "normal"
        ),
    )  # fmt: skip
    scene.switch.apply({port(1).id: port(1)}, proven=True)
    assert list(scene.switch.prove([port(1)])) == [port(1).id]


def test_removal_leaves_the_common_flows_only(scene):
    scene.put(port(1), port(2))
    scene.switch.apply({port(1).id: None, port(2).id: None})
    assert {f.cookie for f in scene.flows.values()} == {cookies.BRIDGE}


def test_a_new_generation_on_the_same_number_replaces_the_old(scene):
    scene.put(port(1))
    scene.put(port(1, generation=10))
    assert scene.is_as_wanted()


def test_everything_comes_back_in_one_bundle_after_a_restart_of_the_switch(scene):
    scene.put(*(port(n) for n in range(1, 6)))
    before = scene.flows
    scene.machine.restart_switch()
    assert scene.flows == {}
    assert scene.put(port(1)) == 1
    assert scene.flows == before


def test_sync_after_a_mere_loss_of_the_connection_modifies_nothing(scene):
    scene.put(port(1))
    scene.machine.openflow.drop_connection(BRIDGE)
    scene.injector.arm()
    assert scene.switch.sync() is False
    assert scene.injector.writes == []
    assert "openflow.dump" in scene.injector.calls


def test_a_restarted_daemon_takes_the_ledger_and_modifies_nothing(scene):
    scene.put(port(1), port(2, opened=False))
    scene.entries = {e.attachment.id: e for e in (entry(1), entry(2, opened=False))}
    again = Switch(scene.host, BRIDGE)
    scene.injector.arm()
    assert again.sync() is False
    assert scene.injector.writes == []


def test_a_restarted_daemon_sweeps_what_is_ours_and_not_wanted(scene):
    scene.put(port(1), port(2), port(3, tag=2))
    scene.entries = {attachment(1).id: entry(1)}
    again = Switch(scene.host, BRIDGE)
    assert again.sync() is True
    owners = {port(1).cookie, cookies.network(1), cookies.BRIDGE}
    assert {f.cookie for f in scene.flows.values()} == owners


@pytest.mark.parametrize(
    "knows",
    [
        lambda switch: switch.get(port(1).id) == port(1),
        lambda switch: switch.neighbour(port(2)) == port(1),
        lambda switch: port(1).id in switch.wanted({}).ports,
        lambda switch: switch.foresee({port(1).id: port(1)}) is None and switch.get(port(1).id),
        lambda switch: switch.sweep([port(1).cookie]) == {port(1).cookie},
        lambda switch: switch.probes(port(1)) == [] and switch.get(port(1).id),
    ],
    ids=["get", "neighbour", "wanted", "foresee", "sweep", "probes"],
)
def test_whatever_is_asked_first_a_restarted_daemon_knows_its_ports(scene, knows):
    scene.put(port(1), port(2))
    scene.entries = {e.attachment.id: e for e in (entry(1), entry(2))}
    scene.restart()
    assert knows(scene.switch)


def test_ports_of_a_bridge_that_is_gone_are_forgotten(scene):
    scene.put(port(1), port(2))
    scene.entries = {e.attachment.id: e for e in (entry(1), entry(2))}
    for _ in range(2):
        scene.switch.forget([port(1).id])
        assert scene.switch.get(port(1).id) is None
        assert scene.switch.get(port(2).id) == port(2)
        assert scene.switch.sync() is (_ == 0)
        scene.restart()
    assert port(1).cookie not in {f.cookie for f in scene.flows.values()}


def test_whose_a_cookie_is_follows_the_ports(scene):
    scene.put(port(1))
    assert scene.switch.port_of(port(1).cookie) == port(1)
    assert scene.switch.port_of(port(2).cookie) is None
    scene.put(port(2))
    assert scene.switch.port_of(port(2).cookie) == port(2)
    scene.switch.apply({port(1).id: None})
    assert scene.switch.port_of(port(1).cookie) is None


def test_ports_that_the_ledger_forgot_are_swept_with_their_networks(scene):
    scene.put(port(1), port(2, tag=2))
    scene.entries = {e.attachment.id: e for e in (entry(1), entry(2, tag=2))}
    scene.switch.sync()
    scene.entries.pop(attachment(2).id)
    assert scene.switch.sweep([port(1).cookie, port(2).cookie]) == {port(1).cookie}
    owners = {port(1).cookie, cookies.network(1), cookies.BRIDGE}
    assert {f.cookie for f in scene.flows.values()} == owners
    assert scene.switch.get(port(2).id) is None


def test_only_rows_on_another_vlan_are_written(scene):
    ovsdb = scene.machine.ovsdb
    ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1", tag=1), PortSpec("tap2", tag=4095)])
    before = ovsdb.transactions
    scene.switch.retag({"tap1": 1, "gone": 7})
    assert ovsdb.transactions == before
    scene.switch.retag({"tap1": 1, "tap2": 2, "gone": 7})
    assert [ovsdb.port(name).tag for name in ("tap1", "tap2")] == [1, 2]
    assert ovsdb.port("gone") is None


def test_planned_ports_of_the_ledger_have_no_flows_yet(scene):
    scene.entries = {attachment(1).id: entry(1, plugged=False)}
    scene.switch.sync()
    assert {f.cookie for f in scene.flows.values()} == {cookies.BRIDGE}


def test_ports_of_other_bridges_and_plugins_do_not_count(scene):
    other = Entry(attachment(2), Wiring("x", "x", "eth0", {"n": 1}), open=True)
    scene.entries = {attachment(1).id: entry(1, bridge="br-x"), attachment(2).id: other}
    scene.switch.sync()
    assert {f.cookie for f in scene.flows.values()} == {cookies.BRIDGE}


def test_foreign_flows_stay(scene):
    foreign = [
        flow(0, 7, 0x1234, [act.normal()], in_port=3),
        flow(160, 7, 0, reg6=1),
        flow(9, 1, 0x75 << 56),
    ]
    scene.machine.openflow.install(BRIDGE, *foreign)
    scene.put(port(1))
    scene.switch.apply({port(1).id: None})
    scene.machine.openflow.drop_connection(BRIDGE)
    scene.switch.sync()
    assert all(scene.flows[f.key] == f for f in foreign)


def test_damage_is_repaired_where_a_reread_is_asked_for(scene):
    scene.put(port(1), port(2))
    good = scene.flows
    scene.machine.openflow.wipe(BRIDGE)
    assert scene.put(port(1), port(2)) == 0, "unasked, what was sent is taken to be there"
    assert scene.put(port(1), port(2), reread=[port(1).id, port(2).id]) == 1
    assert scene.flows == good


def test_what_was_read_back_is_compared(scene):
    scene.put(port(1), port(2))
    assert scene.switch.prove([port(1), port(2)]) == {}
    lost = next(f for f in scene.flows.values() if f.cookie == port(1).cookie and f.table == 120)
    scene.machine.openflow.apply(BRIDGE, delete=[lost])
    (failed,) = scene.switch.prove([port(1), port(2)]).items()
    assert failed[0] == port(1).id
    assert failed[1].facts["wanted"] == [str(lost)]


class TestProof:
    """What :meth:`Switch.prove` read stands for one check, while nothing was changed since."""

    @pytest.fixture
    def reads(self, scene):
        """How many flow readings a check makes."""
        scene.put(port(1), port(2))
        cookies_ = {port(1).cookie, cookies.network(1), cookies.BRIDGE}

        def count(*, proven):
            scene.injector.arm()
            found = scene.switch.readback.installed(cookies_, proven=proven)
            assert found.flows.keys() == cookies_
            assert {f for fs in found.flows.values() for f in fs} == {
                f for f in scene.flows.values() if f.cookie in cookies_
            }
            return scene.injector.calls.count("openflow.read")

        scene.switch.prove([port(1)])
        return count

    def test_stands_once(self, reads):
        assert [reads(proven=True), reads(proven=True)] == [0, 1]

    def test_stands_only_for_who_asks(self, reads):
        assert [reads(proven=False), reads(proven=True)] == [1, 0]

    def test_falls_with_any_bundle(self, scene, reads):
        scene.switch.apply({port(2).id: port(2, opened=False)})
        assert reads(proven=True) == 1

    def test_falls_with_what_is_swept(self, scene, reads):
        scene.switch.sweep([port(3).cookie])
        assert reads(proven=True) == 1

    def test_falls_with_the_connection(self, scene, reads):
        scene.machine.openflow.drop_connection(BRIDGE)
        assert reads(proven=True) == 1

    def test_the_bridges_own_flows_are_judged_anew_where_either_changed(self, scene):
        scene.put(port(1))
        judge = scene.switch.readback.bridge_difference
        have = [*scene.switch.readback.installed([cookies.BRIDGE]).flows[cookies.BRIDGE]]
        wanted = scene.switch.wanted({}).bridge_entries()
        less = dict([*wanted.items()][1:])
        assert [bool(judge(*each)) for each in (
            (have, wanted), (have[1:], wanted), ([*have], wanted), (have, less), (have, wanted),
        )] == [False, True, False, True, False]  # fmt: skip

    def test_what_it_lacks_is_read(self, scene, reads):
        scene.injector.arm()
        found = scene.switch.readback.installed({port(1).cookie, port(2).cookie}, proven=True)
        assert set(found.flows[port(2).cookie]) == {
            f for f in scene.flows.values() if f.cookie == port(2).cookie
        }
        assert scene.injector.calls == ["openflow.read"]


class TestForeseen:
    """Flows that are made while others work."""

    def test_they_are_the_flows_of_the_change(self, scene):
        scene.put(port(1, opened=False), port(2))
        scene.switch.foresee({port(1).id: port(1)})
        assert scene.put(port(1)) == 1
        assert scene.is_as_wanted()

    def test_nothing_is_sent(self, scene):
        scene.put(port(1, opened=False), port(2))
        before = scene.flows
        scene.switch.foresee({port(1).id: port(1)})
        assert scene.flows == before
        assert scene.switch.get(port(1).id).gate is Gate.CLOSED

    def test_what_came_in_between_counts(self, scene):
        scene.put(port(1, opened=False), port(2))
        scene.switch.foresee({port(1).id: port(1)})
        scene.put(port(3))
        scene.put(port(1))
        assert scene.is_as_wanted()
        assert scene.switch.get(port(3).id) == port(3)

    def test_another_change_than_the_foreseen_one(self, scene):
        scene.put(port(1, opened=False), port(2))
        scene.switch.foresee({port(1).id: port(1)})
        scene.put(port(1, opened=False), port(2, opened=False))
        assert scene.is_as_wanted()
        assert scene.switch.get(port(1).id).gate is Gate.CLOSED


class TestFailure:
    def test_a_refused_bundle_changes_nothing_and_is_forgotten(self, scene):
        scene.put(port(1))
        before = scene.flows
        scene.machine.openflow.fail_next("apply")
        with pytest.raises(BackendError):
            scene.put(port(2))
        assert scene.flows == before
        assert scene.switch.get(port(2).id) is None
        assert scene.switch.sync() is False

    def test_a_bundle_of_unknown_outcome_is_compared_and_completed(self, scene):
        scene.put(port(1))
        scene.machine.openflow.fail_next("commit")
        scene.put(port(2))
        assert scene.is_as_wanted()

    def test_what_could_not_be_removed_is_swept_later(self, scene):
        scene.put(port(1), port(2))
        scene.machine.openflow.running = False
        with pytest.raises(BackendUnavailable):
            scene.switch.apply({port(1).id: None})
        scene.machine.openflow.running = True
        scene.put(port(2))
        assert port(1).cookie not in {f.cookie for f in scene.flows.values()}

    def test_what_could_not_be_closed_is_closed_later_but_nothing_is_opened(self, scene):
        scene.put(port(1), port(2, opened=False))
        scene.machine.openflow.running = False
        with pytest.raises(BackendUnavailable):
            scene.switch.apply(
                {port(1).id: port(1, opened=False), port(2).id: port(2, opened=True)}
            )
        scene.machine.openflow.running = True
        scene.switch.sync()
        assert scene.switch.get(port(1).id).gate is Gate.CLOSED
        assert scene.switch.get(port(2).id).gate is Gate.CLOSED
        assert scene.is_as_wanted()


def test_guarded_ports_keep_one_flow(scene):
    scene.put(port(1))
    scene.put(replace(port(1), gate=Gate.GUARDED))
    assert sum(f.cookie == port(1).cookie for f in scene.flows.values()) == 1


def test_plugins_share_one_object_per_bridge(scene):
    one = switch_of(scene.host, BRIDGE)
    assert switch_of(Host(scene.injector.drivers, dict), BRIDGE) is one
    assert switch_of(scene.host, "br-other") is not one
    assert switch_of(Host(FakeMachine().drivers, dict), BRIDGE) is not one


def test_a_switch_that_restarts_right_after_a_change_is_compared_anew(scene):
    """The change was carried out, and what carried it out is gone: no answer tells."""
    scene.put(port(1))
    apply = scene.machine.openflow.apply
    times = []

    def once(bridge, **more):
        done = apply(bridge, **more)
        times.append(bridge)
        if len(times) == 1:
            scene.machine.openflow.restart()
        return done

    scene.machine.openflow.apply = once
    scene.entries[attachment(1).id] = entry(1)
    scene.put(port(2))
    assert len(times) == 2
    assert scene.is_as_wanted()


def test_a_switch_that_restarts_again_and_again_is_an_error(scene):
    apply = scene.machine.openflow.apply

    def again(bridge, **more):
        done = apply(bridge, **more)
        scene.machine.openflow.restart()
        return done

    scene.machine.openflow.apply = again
    with pytest.raises(BackendUnavailable, match="again and again"):
        scene.put(port(1))
