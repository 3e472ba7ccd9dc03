"""What Open vSwitch, QEMU, libvirt and the plugins say of themselves."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vifd.capabilities import names
from vifd.capabilities.findings import Findings
from vifd.capabilities.inventory import Inventory
from vifd.capabilities.probes.networks import Networks
from vifd.capabilities.probes.ovs import OpenVswitch
from vifd.capabilities.probes.qemu import Guests
from vifd.capabilities.qmp import Interrogator, Qemu, read
from vifd.capabilities.tree import Unreadable
from vifd.errors import BackendUnavailable
from vifd.plugin import Advert, Health, Probe, Uplink
from vifd.testing.machines import FakeMachine
from vifd.testing.openflow import MAX_METERS
from vifd.testing.wait import until

FEATURES = "Masked set action: Yes\nCT state: {}\nCT zone: Yes\n"


def inventory(source):
    found = Findings(source.name, 1.0)
    source.probe(found)
    return Inventory(found.capabilities, 1.0, found.complete)


class TestSwitch:
    @pytest.fixture
    def machine(self):
        machine = FakeMachine()
        machine.tracer.commands["dpif/show-dp-features"] = lambda bridge: FEATURES.format("Yes")
        return machine

    def look(self, machine, *bridges):
        return inventory(
            OpenVswitch(machine.ovsdb, machine.openflow, machine.tracer, lambda: bridges)
        )

    def test_versions_and_kinds(self, machine):
        found = self.look(machine)
        assert found.get(names.OVS).value == "3.1.0"
        assert found.has(names.ovs_datapath("netdev"))
        assert found.has(names.ovs_interface("internal"))
        assert found.lacks(names.ovs_interface("dpdkvhostuserclient"))

    def test_a_switch_that_is_not_reached(self, machine):
        machine.ovsdb.stop()
        found = self.look(machine)
        assert found.lacks(names.OVS)
        assert "install openvswitch-switch" in found.get(names.OVS).missing
        assert found.get(names.ovs_interface("internal")).present is None

    def test_dpdk(self, machine):
        assert self.look(machine).lacks(names.OVS_DPDK)
        assert "dpdk-init is not set" in self.look(machine).get(names.OVS_DPDK).evidence
        machine.ovsdb.root = {"dpdk_initialized": True, "dpdk_version": "DPDK 22.11.1"}
        assert self.look(machine).get(names.OVS_DPDK).value == "DPDK 22.11.1"

    def test_lists_that_an_old_switch_does_not_give_are_unknown(self, machine):
        machine.ovsdb.root = {"iface_types": [], "datapath_types": []}
        assert self.look(machine).get(names.ovs_datapath("netdev")).present is None

    def test_the_datapath_is_asked_through_an_integration_bridge(self, machine):
        found = self.look(machine, "br-int")
        assert found.get(names.OVS_CONNTRACK).present is None
        assert "none is there" in found.get(names.OVS_CONNTRACK).evidence
        machine.add_bridge("br-int")
        found = self.look(machine, "br-none", "br-int")
        assert found.has(names.OVS_CONNTRACK)
        assert found.get(names.OVS_METERS).value == MAX_METERS

    @pytest.mark.parametrize(
        ("answer", "present"),
        [(FEATURES.format("No"), False), ("CT state: Yes\nCT zone: No\n", False), ("?", None)],
    )
    def test_a_datapath_that_tracks_nothing_or_does_not_tell(self, machine, answer, present):
        machine.add_bridge("br-int")
        machine.tracer.commands["dpif/show-dp-features"] = lambda bridge: answer
        assert self.look(machine, "br-int").get(names.OVS_CONNTRACK).present is present

    def test_a_switch_that_does_not_answer_leaves_the_rest(self, machine):
        def hangs(bridge):
            raise BackendUnavailable(facts={"backend": "x", "problem": "no answer in time"})

        machine.add_bridge("br-int")
        machine.tracer.commands["dpif/show-dp-features"] = hangs
        found = self.look(machine, "br-int")
        assert found.has(names.OVS)
        assert found.get(names.OVS_CONNTRACK).present is None
        assert "no answer in time" in found.get(names.OVS_CONNTRACK).evidence


QEMU = Qemu(
    version="8.2.0",
    types=frozenset({"virtio-net-pci", "igb", "intel-iommu", "memory-backend-memfd", "tcg-accel",
                     "kvm-accel"}),
    machines=frozenset({"none", "q35", "pc-q35-8.2"}),
    netdevs=frozenset({"tap", "hubport", "vhost-user"}),
    virtio_net=frozenset({"packed", "mq"}),
)  # fmt: skip


class TestGuests:
    def look(self, qemu=QEMU, *, facts=None, kvm=True, find="", **more):
        ask = qemu if callable(qemu) else lambda binary: qemu
        return inventory(
            Guests(lambda: facts or {}, more.pop("emulator", ""), lambda: (kvm, "seen"), ask,
                   lambda: find or __file__)
        )  # fmt: skip

    def test_what_the_binary_tells(self):
        found = self.look()
        assert found.get(names.QEMU).value == "8.2.0"
        assert {w for w in names.VIF_MODELS if found.has(names.vif_model(w))} == {"virtio", "igb"}
        assert {w for w in names.VIOMMU_MODELS if found.has(names.viommu_model(w))} == {
            "intel", "auto",
        }  # fmt: skip
        assert found.has(names.machine_type("pc-q35-8.2"))
        assert found.lacks(names.machine_type("pc-q35-9.0"))
        assert found.lacks(names.machine_type("none"))
        assert (found.has(names.VHOST_USER), found.has(names.VDPA)) == (True, False)
        assert found.has(names.VIRTIO_PACKED)
        assert found.has(names.MEMFD)
        assert found.get(names.MAX_QUEUES).value == 256

    def test_models_that_nobody_has_heard_of_are_absent(self):
        assert self.look().lacks(names.vif_model("ne3000"))

    def test_what_it_does_not_tell_is_unknown(self):
        found = self.look(Qemu("1.0"))
        for name in (names.VHOST_USER, names.VIRTIO_PACKED, names.MAX_QUEUES):
            assert found.get(name).present is None, name

    def test_kvm_takes_both_the_binary_and_the_kernel(self):
        assert self.look().has(names.virt_type("kvm"))
        assert self.look(kvm=False).lacks(names.virt_type("kvm"))
        assert self.look(kvm=False).has(names.virt_type("qemu"))
        assert self.look().lacks(names.virt_type("xen"))

    def test_libvirt_is_believed_before_the_binary(self):
        facts = {
            "connected": True,
            "libvirt_version": "9.0.0",
            "virt_types": ["qemu"],
            "machine_types": ["pc-9.9"],
            "domains": [{"problem": "?"}, {"emulator": __file__}],
        }
        found = self.look(facts=facts, find="/nowhere")
        assert found.get(names.LIBVIRT).value == "9.0.0"
        assert found.lacks(names.virt_type("kvm"))
        assert found.has(names.machine_type("pc-9.9"))
        assert __file__ in found.get(names.QEMU).evidence

    def test_an_operator_is_believed_before_libvirt(self, tmp_path):
        binary = tmp_path / "qemu"
        binary.write_text("")
        facts = {"domains": [{"emulator": __file__}]}
        assert str(binary) in self.look(facts=facts, emulator=str(binary)).get(names.QEMU).evidence

    def test_no_libvirt_and_no_qemu(self):
        found = inventory(Guests(dict, "", lambda: (True, ""), lambda b: QEMU, str))
        assert found.lacks(names.LIBVIRT)
        assert found.lacks(names.QEMU)
        assert found.get(names.vif_model("virtio")).present is None

    def test_a_binary_that_does_not_answer(self):
        def hangs(binary):
            raise Unreadable(f"{binary} gave no answer in 10 s")

        found = self.look(hangs)
        assert found.get(names.QEMU).present is None
        assert "no answer" in found.get(names.vif_model("virtio")).evidence
        assert found.get(names.machine_type("q35")).present is None

    def test_a_binary_that_is_gone(self):
        assert self.look(find="/nowhere/qemu").get(names.QEMU).present is None

    def test_a_binary_is_asked_once_until_it_is_another(self, tmp_path):
        binary = tmp_path / "qemu"
        binary.write_text("one")
        asked = []

        def ask(path):
            asked.append(path)
            return QEMU

        source = Guests(dict, str(binary), lambda: (True, ""), ask)
        inventory(source)
        inventory(source)
        assert len(asked) == 1
        binary.write_text("another")
        os.utime(binary, (1, 1))
        inventory(source)
        assert len(asked) == 2


ANSWERS: list[dict[str, Any]] = [
    {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 1}, "package": "x"}}},
    {"return": {}, "id": "qmp_capabilities"},
    {"event": "WHATEVER", "data": {}},
    {"return": [{"name": "igb"}], "id": "qom-list-types"},
    {"return": [{"name": "pc-7.2", "alias": "pc"}, {"name": "none"}], "id": "query-machines"},
    {"return": [{"name": "packed", "type": "bool"}], "id": "device-list-properties"},
    {"return": [
        {"meta-type": "object", "name": "0"},
        {"meta-type": "enum", "values": ["tap", "other"]},
        {"meta-type": "enum", "values": ["tap", "hubport", "vhost-user"]},
    ], "id": "query-qmp-schema"},
    {"return": {}, "id": "quit"},
]  # fmt: skip


def output(answers):
    return "\n".join(json.dumps(answer) for answer in answers)


class TestQmp:
    def test_answers(self):
        assert read(output(ANSWERS)) == Qemu(
            "7.2.1", frozenset({"igb"}), frozenset({"pc-7.2", "pc", "none"}),
            frozenset({"tap", "hubport", "vhost-user"}), frozenset({"packed"}),
        )  # fmt: skip

    def test_a_binary_without_that_device_tells_the_rest(self):
        error = {"error": {"class": "DeviceNotFound"}, "id": "device-list-properties"}
        told = read(output([a for a in ANSWERS if a.get("id") != error["id"]] + [error]))
        assert told.virtio_net == frozenset()
        assert told.types == frozenset({"igb"})

    @pytest.mark.parametrize("text", ["", "no json", "[]", "{}", '{"QMP": 3}', output(ANSWERS[1:])])
    def test_nonsense_is_refused(self, text):
        with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
            read(text)

    def script(self, tmp_path: Path, text: str) -> str:
        path = tmp_path / "qemu"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def test_a_binary_that_hangs_is_ended(self, tmp_path):
        with pytest.raises(Unreadable, match=r"gave no answer in 0\.2 s"):
            Interrogator(0.2)(self.script(tmp_path, "exec sleep 60"))

    def test_one_that_runs_is_ended_when_the_end_has_come(self, tmp_path):
        told = tmp_path / "pid"
        script = self.script(tmp_path, f"echo $$ > {told}.new; mv {told}.new {told}; exec sleep 60")
        ask = Interrogator(30)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(ask, script)
            until(told.exists, "it runs")
            ask.stop()
            until(asking.done, "it was ended")
        assert isinstance(asking.exception(), Unreadable)
        with pytest.raises(ProcessLookupError):
            os.kill(int(told.read_text()), 0)

    def test_a_binary_that_refuses_says_why(self, tmp_path):
        with pytest.raises(Unreadable, match=r"exit code 1.*no such accelerator"):
            Interrogator()(self.script(tmp_path, "echo no such accelerator >&2; exit 1"))

    def test_one_that_knows_no_split_memory_is_asked_again_without(self, tmp_path):
        answers = tmp_path / "answers"
        answers.write_text(output(ANSWERS))
        script = f'case "$*" in *split-wx*) exit 1;; esac; cat >/dev/null; cat {answers}'
        assert Interrogator()(self.script(tmp_path, script)).version == "7.2.1"

    def test_one_that_cannot_be_started(self, tmp_path):
        with pytest.raises(Unreadable, match="cannot be started"):
            Interrogator()(str(tmp_path))


UP = Uplink("br-ex", up=True, mtu=9000, devices=("eth1",))
DOWN = Uplink("eth2", up=False, mtu=1500, problem="eth2 is down")


class TestNetworks:
    ADVERTS = {"ovs": Advert(("ovs",)), "lb": Advert(("bridge",), vnic_types=("normal", "macvtap"))}  # noqa: RUF012

    def look(self, **probes):
        return inventory(Networks(lambda: probes, lambda: self.ADVERTS))

    def test_a_network_is_there_while_one_plugin_reaches_it(self):
        found = self.look(
            ovs=Probe(Health.READY, physical_networks={"physnet-1": UP}),
            lb=Probe(Health.READY, physical_networks={"physnet-1": DOWN, "other": DOWN}),
        )
        one = found.get("CUSTOM_PHYSNET_PHYSNET_1")
        assert one.present is True
        assert one.value["ovs"] == {"device": "br-ex", "up": True, "mtu": 9000, "devices": ["eth1"]}
        assert one.value["lb"]["problem"] == "eth2 is down"
        assert found.lacks("CUSTOM_PHYSNET_OTHER")
        assert found.get("CUSTOM_PHYSNET_OTHER").missing == "eth2 is down"
        assert found.lacks("CUSTOM_PHYSNET_NEVER_HEARD_OF")

    def test_tunnels(self):
        way = Uplink("eth1", True, 1450, "192.0.2.1", ("eth1",))
        found = self.look(ovs=Probe(Health.READY), lb=Probe(Health.READY, tunnels={"vxlan": way}))
        assert found.get(names.tunnel("vxlan")).value["lb"]["local_ip"] == "192.0.2.1"
        assert found.lacks(names.tunnel("geneve"))

    def test_vnic_types_go_with_the_health_of_who_serves_them(self):
        found = self.look(ovs=Probe(Health.DEGRADED), lb=Probe(Health.UNAVAILABLE))
        assert found.get(names.vnic_type("normal")).value == ["ovs"]
        assert found.lacks(names.vnic_type("macvtap"))
        assert found.lacks(names.vnic_type("virtio-forwarder"))

    def test_who_is_taken_on_request_only_makes_no_promise(self):
        advert = {"noop": Advert(("noop",), vnic_types=("direct",), on_request=True)}
        found = inventory(Networks(lambda: {"noop": Probe(Health.READY)}, lambda: advert))
        assert found.lacks(names.vnic_type("direct"))

    def test_before_all_have_answered_absent_is_not_said(self):
        found = self.look(ovs=Probe(Health.READY))
        assert found.get("CUSTOM_PHYSNET_OTHER").present is None

    def test_memory_that_the_hypervisor_shares_anyway(self):
        assert self.look().get(names.FILE_BACKED_MEMORY).present is None
        facts = {"file_backed_memory": True}
        found = self.look(ovs=Probe(Health.READY, facts=facts))
        assert found.has(names.FILE_BACKED_MEMORY)
        found = self.look(ovs=Probe(Health.READY, facts={"file_backed_memory": False}))
        assert found.lacks(names.FILE_BACKED_MEMORY)
