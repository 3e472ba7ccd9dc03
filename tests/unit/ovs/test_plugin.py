"""The OVS plugin on a host of fakes: order of calls, answers, refusals."""

from __future__ import annotations

from functools import partial

import pytest

from contract import ovs
from vifd.errors import BackendError, BridgeMissing, PhysnetUnmapped
from vifd.model import Role, Wiring, decode
from vifd.plugin import Health, Item
from vifd.testing.attachments import attachment, flat, port_id, vlan
from vifd.testing.injection import Injector
from vifd.testing.ledger import Ledger
from vifd.testing.machines import FakeMachine
from vifd_ovs.plugin import OvsPlugin


class Scene:
    def __init__(self, **options):
        self.machine = FakeMachine()
        self.injector = Injector(self.machine.drivers)
        self.ledger = Ledger(
            self.injector.drivers, lambda host: ovs.plugin(host, **options), patience=0
        )
        self.plugin = self.ledger.plugin

    def plug(self, *attachments, **more):
        failed = self.ledger.plug(*attachments, **more)
        assert not failed, failed

    def writes(self, call, *args, **kwargs):
        self.injector.arm()
        call(*args, **kwargs)
        return self.injector.writes


@pytest.fixture
def scene():
    return Scene()


class TestCalls:
    def test_a_batch_plugs_in_one_call_of_each_kind(self, scene):
        scene.plug(attachment(1))
        many = [attachment(n) for n in range(2, 50)]
        assert scene.writes(scene.plug, *many, opened=False) == [
            "openflow.apply",
            "links.create_taps",
            "nft.deafen",
            "ovsdb.ensure_ports",
        ]

    def test_activation_is_one_bundle(self, scene):
        many = [attachment(n) for n in range(1, 20)]
        scene.plug(*many, opened=False)
        assert scene.writes(scene.ledger.activate, *(a.id for a in many)) == ["openflow.apply"]

    @pytest.mark.parametrize("opened", [True, False])
    def test_flows_are_read_before_the_device_and_as_the_last_proof(
        self, scene, opened, monkeypatch
    ):
        scene.plug(attachment(1))
        scene.injector.arm()
        # with the change that makes them, and once more at the end
        made, apply = [], scene.machine.openflow.apply

        def noted(bridge, *, read=(), **changes):
            if read:
                made.append("links.create_taps" in scene.injector.calls)
            return apply(bridge, read=read, **changes)

        monkeypatch.setattr(scene.machine.openflow, "apply", noted)
        scene.plug(*(attachment(n) for n in range(2, 50)), opened=opened)
        calls = scene.injector.calls
        assert made == [False]
        assert calls.count("openflow.read") == 1
        last_write = max(i for i, call in enumerate(calls) if call in scene.injector.writes)
        assert "openflow.read" in calls[last_write:]

    def test_the_frames_of_a_batch_are_traced_in_one_call(self, scene):
        many = [attachment(n) for n in range(1, 10)]
        scene.plug(*many)
        scene.injector.arm()
        scene.ledger.check()
        assert scene.injector.calls.count("tracer.traces") == 1

    def test_closed_is_in_force_when_the_call_returns(self, scene):
        scene.plug(attachment(1))
        # which switch it is, is asked once
        assert not scene.ledger.deactivate(port_id(1))
        assert not scene.ledger.activate(port_id(1))
        scene.injector.arm()
        assert not scene.ledger.deactivate(port_id(1))
        assert scene.injector.calls[-2:] == ["openflow.apply", "tracer.settle"]

    def test_a_switch_that_cannot_tell_is_closed_all_the_same(self, scene):
        scene.plug(attachment(1))
        scene.machine.tracer.fail_next()
        assert not scene.ledger.deactivate(port_id(1))
        assert not scene.ledger.findings()

    def test_unplug_closes_first_and_frees_the_number_last(self, scene):
        scene.plug(*(attachment(n) for n in range(1, 20)))
        assert scene.writes(scene.ledger.unplug) == [
            "openflow.apply",
            "ovsdb.delete_ports",
            "links.delete",
            "nft.undeafen",
            "openflow.apply",
        ]

    def test_who_waits_is_told_once_it_is_closed_and_its_device_gone(self, scene):
        """Before the switch has carried all of it out: clearing up is waited for by nobody."""
        scene.plug(*(attachment(n) for n in range(1, 4)))
        records = [scene.ledger.records[port_id(n)] for n in range(1, 4)]
        told: list[str] = []

        def detached(device: str) -> None:
            assert scene.machine.links.get([device]) == {}
            assert scene.machine.ovsdb.port(device) is None
            told.append(device)
            told.append(scene.injector.calls[-1])

        items = [
            Item(r.attachment, r.names, r.wiring, detached=partial(detached, r.names.device))
            for r in records
        ]
        scene.injector.arm()
        outcomes = scene.ledger.plugin.unplug(items)
        assert all(isinstance(one, Wiring) for one in outcomes.values())
        assert told[::2] == [r.names.device for r in records]
        after = scene.injector.calls[scene.injector.calls.index("links.delete") + 1 :]
        assert "openflow.apply" in after
        assert "openflow.apply" not in told[1::2], "it is told before the last flows go"

    @pytest.mark.parametrize("broken", ["openflow.apply", "ovsdb.delete_ports", "links.delete"])
    def test_nobody_is_told_of_what_stands(self, scene, broken):
        scene.plug(attachment(1), attachment(2))
        scene.injector.arm()
        assert not scene.ledger.unplug(port_id(2))
        at = scene.injector.calls.index(broken)
        record = scene.ledger.records[port_id(1)]
        told: list[int] = []
        item = Item(record.attachment, record.names, record.wiring, detached=lambda: told.append(1))
        scene.injector.arm(at, error=BackendError)
        (outcome,) = scene.ledger.plugin.unplug([item]).values()
        assert not isinstance(outcome, Wiring)
        assert not told

    def test_a_change_of_addresses_touches_flows_and_the_marks(self, scene):
        scene.plug(attachment(1))
        changed = attachment(1, allowed_address_pairs=[{"ip_address": "10.9.0.1"}])
        assert scene.writes(scene.plug, changed) == [
            "openflow.apply",
            "links.create_taps",
            "ovsdb.ensure_ports",
        ]

    def test_the_same_again_changes_nothing(self, scene):
        scene.plug(attachment(1))
        # taps that are as wanted are left alone inside the call
        assert scene.writes(scene.plug, attachment(1)) == ["links.create_taps"]

    def test_a_device_that_was_replaced_costs_two_transactions(self, scene):
        scene.plug(attachment(1))
        device = scene.ledger.records[port_id(1)].names.device
        mark = scene.machine.links.get([device])[device].alias
        scene.machine.links.drop(device)
        scene.machine.links.place(device, kind="tun", alias=mark)
        writes = scene.writes(scene.ledger.carry_out, [port_id(1)])
        assert writes.index("ovsdb.delete_ports") < writes.index("ovsdb.ensure_ports")
        assert not scene.ledger.findings()


class TestNames:
    def test_wiring(self, scene):
        names = scene.plugin.name(attachment(1), {})
        assert names.device == f"tap{port_id(1)[:11]}"
        assert names.details["bridge"] == "br-int"
        assert 4096 <= names.details["ofport"] <= 65000
        assert "plugged" not in names.details

    def test_range_of_port_numbers(self):
        scene = Scene(ofport_range="7000-7002")
        scene.plug(*(attachment(n) for n in range(1, 4)))
        numbers = {r.names.details["ofport"] for r in scene.ledger.records.values()}
        assert numbers == {7000, 7001, 7002}
        (error,) = scene.ledger.plug(attachment(4)).values()
        assert "no free port number" in error.message

    def test_networks_have_local_vlans_of_their_own(self, scene):
        scene.plug(attachment(1), attachment(2), attachment(3, network=2))
        tags = [r.names.details["tag"] for r in scene.ledger.records.values()]
        assert tags == [1, 1, 2]


class TestVif:
    def vif(self, scene, wanted):
        return scene.plugin.vif(wanted, scene.plugin.name(wanted, {}))

    def test_is_a_device_that_libvirt_does_not_manage(self, scene):
        vif = self.vif(scene, attachment(1))
        assert (vif.type, vif.managed, vif.model, vif.queues) == ("ethernet", False, "virtio", 1)
        assert vif.device == f"tap{port_id(1)[:11]}"
        assert vif.mtu == 1450

    @pytest.mark.parametrize(
        ("instance", "queues"),
        [
            ({"vcpus": 4}, 1),
            ({"vcpus": 4, "image_properties": {"hw_vif_multiqueue_enabled": "true"}}, 4),
            ({"vcpus": 4, "flavor_extra_specs": {"hw:vif_multiqueue_enabled": True}}, 4),
            ({"vcpus": 1, "image_properties": {"hw_vif_multiqueue_enabled": "true"}}, 1),
            ({"vcpus": 99, "image_properties": {"hw_vif_multiqueue_enabled": "yes"}}, 8),
            ({"vcpus": 4, "image_properties": {"hw_vif_multiqueue_enabled": "false"}}, 1),
            (
                {
                    "vcpus": 4,
                    "image_properties": {
                        "hw_vif_multiqueue_enabled": "true",
                        "hw_vif_model": "e1000",
                    },
                },
                1,
            ),
        ],
    )
    def test_queues(self, scene, instance, queues):
        assert self.vif(scene, attachment(1, instance=instance)).queues == queues

    def test_queues_stay_what_the_device_was_made_for(self, scene):
        names = scene.plugin.name(attachment(1), {})
        later = attachment(
            1, instance={"vcpus": 4, "image_properties": {"hw_vif_multiqueue_enabled": "true"}}
        )
        assert scene.plugin.vif(later, names).queues == 1

    def test_model(self, scene):
        image = {"image_properties": {"hw_vif_model": "e1000"}}
        assert self.vif(scene, attachment(1, instance=image)).model == "e1000"


class TestRequirements:
    def unmet(self, scene, wanted):
        return [r.error for r in scene.plugin.requires(wanted) if not r.met]

    def test_local_needs_nothing(self, scene):
        assert self.unmet(scene, attachment(1)) == []

    def test_unmapped(self):
        scene = Scene(bridge_mappings=["other:br-o"])
        (error,) = self.unmet(scene, attachment(1, segment=flat()))
        assert isinstance(error, PhysnetUnmapped)
        assert error.facts == {"wanted": "physnet1", "have": ["other"]}

    def test_bridge_missing(self):
        scene = Scene(bridge_mappings=["physnet1:br-phys"])
        (error,) = self.unmet(scene, attachment(1, segment=vlan(101)))
        assert isinstance(error, BridgeMissing)
        scene.machine.add_bridge("br-phys")
        assert self.unmet(scene, attachment(1, segment=vlan(101))) == []

    def test_mtu_of_the_uplink(self):
        scene = Scene(bridge_mappings=["physnet1:br-phys"])
        scene.machine.add_bridge("br-phys")
        scene.machine.links.place("eth0", mtu=1400)
        from vifd.drivers import PortSpec

        scene.machine.ovsdb.ensure_ports("br-phys", [PortSpec("eth0")])
        scene.plugin.probe()
        (error,) = self.unmet(scene, attachment(1, segment=vlan(101)))
        assert error.facts == {"wanted": 1450, "have": 1400, "bottleneck": "eth0"}


class TestProbe:
    def test_ready_before_the_bridge_is_made(self, scene):
        probe = scene.plugin.probe()
        assert probe.health is Health.READY
        assert probe.facts["bridge"] == {"name": "br-int", "exists": False}

    def test_unavailable_without_a_database(self, scene):
        scene.machine.ovsdb.stop()
        probe = scene.plugin.probe()
        assert probe.health is Health.UNAVAILABLE
        assert "database" in probe.reasons[0]

    def test_unavailable_where_no_tap_can_be_made(self, scene):
        scene.machine.links.no_taps = "/dev/net/tun cannot be opened"
        probe = scene.plugin.probe()
        assert (probe.health, probe.reasons) == (
            Health.UNAVAILABLE, ["/dev/net/tun cannot be opened"]
        )  # fmt: skip

    def test_unavailable_without_the_control_socket(self, scene):
        scene.machine.tracer.silent = "no such file"
        probe = scene.plugin.probe()
        assert probe.health is Health.UNAVAILABLE
        assert "control socket: no such file" in probe.reasons[0]
        scene.machine.tracer.silent = ""
        assert scene.plugin.probe().health is Health.READY

    def test_unavailable_without_a_switch(self, scene):
        scene.plug(attachment(1))
        scene.machine.openflow.stop()
        probe = scene.plugin.probe()
        assert probe.health is Health.UNAVAILABLE
        assert "flow tables of bridge br-int" in probe.reasons[0]

    def test_degraded_without_a_physical_bridge(self):
        scene = Scene(bridge_mappings=["physnet1:br-phys"])
        probe = scene.plugin.probe()
        assert probe.health is Health.DEGRADED
        (reason,) = probe.reasons
        assert reason.startswith("bridge br-phys of physical network physnet1 does not exist: ")

    def test_a_datapath_that_the_switch_lacks(self, monkeypatch):
        scene = Scene(datapath_type="system")
        facts = scene.machine.ovsdb.facts()
        less = {**facts, "datapath_types": ["netdev"]}
        monkeypatch.setattr(scene.machine.ovsdb, "facts", lambda: less)
        assert "has no datapath 'system'" in scene.plugin.probe().reasons[0]


class TestCheck:
    def test_evidence_follows_the_path_of_a_frame(self):
        scene = Scene(bridge_mappings=["physnet1:br-phys"])
        scene.machine.add_bridge("br-phys")
        scene.plug(attachment(1, segment=vlan(101)))
        (report,) = scene.ledger.check().values()
        groups = list(dict.fromkeys(e.fact.split(".")[0] for e in report.evidence))
        assert groups == ["device", "ovsdb", "patch", "switch", "flows", "trace"]
        facts = {e.fact for e in report.evidence}
        assert {"trace.dhcp", "trace.arp", "trace.spoofed"} <= facts
        assert report.passing is True

    def test_without_deep_there_are_no_traces(self, scene):
        scene.plug(attachment(1))
        (report,) = scene.ledger.check(deep=False).values()
        assert not [e for e in report.evidence if e.fact.startswith("trace")]

    def test_a_port_without_ipv4_is_proven_by_neighbour_discovery(self, scene):
        scene.plug(attachment(1, ips=["fd00::1"]), attachment(2, ips=[]))
        for report in scene.ledger.check().values():
            assert report.clean
            assert "trace.neighbor_solicitation" in {e.fact for e in report.evidence}

    @pytest.mark.parametrize(
        "port",
        [
            {"port_security_enabled": False},
            {"admin_state_up": False},
            {"allowed_address_pairs": [{"ip_address": "0.0.0.0/0"}, {"ip_address": "::/0"}]},
            {"mac_address": "02:00:76:69:66:64"},
        ],
    )
    def test_every_kind_of_port_is_proven(self, scene, port):
        scene.plug(attachment(1, **port), attachment(2))
        assert not scene.ledger.findings()

    def test_a_trace_that_fails_is_a_finding(self, scene):
        scene.plug(attachment(1))
        scene.machine.tracer.fail_next()
        assert "no trace" in scene.ledger.findings()["trace.dhcp"]

    def test_flows_that_cannot_be_read_are_a_finding_and_leave_it_open_whether_it_passes(
        self, scene
    ):
        scene.plug(attachment(1))
        scene.machine.openflow.stop()
        (report,) = scene.ledger.check().values()
        assert "flows" in {e.fact for e in report.findings}
        assert report.passing is None

    def test_a_port_found_closed_is_said_to_be(self, scene):
        scene.plug(attachment(1))
        scene.machine.restart_switch()
        (report,) = scene.ledger.check().values()
        assert report.passing is False


class TestObserve:
    def test_the_document_and_the_role_come_back(self, scene):
        scene.plug(attachment(1), attachment(2))
        assert not scene.ledger.deactivate(port_id(2))
        found = {o.port_id: decode(o.document).attachment for o in scene.plugin.observe()}
        assert found[port_id(1)].port == attachment(1).port
        assert found[port_id(1)].role is Role.ACTIVE
        assert found[port_id(2)].role is Role.INACTIVE

    def test_ports_of_another_plugin_are_not_ours(self, scene):
        scene.plug(attachment(1))
        row = scene.machine.ovsdb.ports("br-int")[-1]
        scene.machine.ovsdb.change(
            row.name, external_ids={**row.external_ids, "vifd-plugin": "other"}
        )
        scene.machine.links.drop(row.name)
        assert scene.plugin.observe() == []

    def test_a_lone_device_is_found(self, scene):
        scene.plug(attachment(1))
        scene.machine.ovsdb.delete_ports("br-int", [f"tap{port_id(1)[:11]}"])
        (observed,) = scene.plugin.observe()
        assert observed.port_id == port_id(1)
        assert observed.document is None


def test_patch_ports_lead_both_ways_and_are_shut_for_others():
    scene = Scene(bridge_mappings=["physnet1:br-phys"])
    scene.machine.add_bridge("br-phys")
    scene.plug(attachment(1, segment=vlan(101)))
    near = [r for r in scene.machine.ovsdb.ports("br-int") if r.type == "patch"]
    far = [r for r in scene.machine.ovsdb.ports("br-phys") if r.type == "patch"]
    assert near[0].options == {"peer": far[0].name}
    assert far[0].options == {"peer": near[0].name}
    assert near[0].tag == 4095
    assert far[0].tag is None


def test_every_path_that_may_change_in_place_exists():
    """A misspelt path would silently demand an unplug."""
    import msgspec

    def fields(struct, path):
        head, _, rest = path.partition(".")
        info = {f.name: f.type for f in msgspec.structs.fields(struct)}
        assert head in info, path
        if rest:
            kinds = getattr(info[head], "__args__", (info[head],))
            struct = next(k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct))
            fields(struct, rest)

    from vifd.model import Attachment

    for path in OvsPlugin.describe().in_place:
        fields(Attachment, path)


def test_a_lost_answer_of_the_database_is_undone(scene):
    scene.plug(attachment(9))
    lost = BackendError(facts={"backend": "ovsdb", "problem": "no answer"})
    scene.machine.ovsdb.fail_next("ensure_ports", lost, after=True)
    (error,) = scene.ledger.plug(attachment(1)).values()
    assert error.stage == "ovsdb"
    assert f"tap{port_id(1)[:11]}" not in scene.machine.links.names
    assert scene.machine.ovsdb.port(f"tap{port_id(1)[:11]}") is None
