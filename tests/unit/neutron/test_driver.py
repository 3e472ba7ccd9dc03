"""A host of Neutron's: what the server says is made, and the server is told what was proven."""

from __future__ import annotations

import math
from typing import Any

from unit.neutron.scene import BRIDGE, Cloud, DullBus
from vifd.drivers import PortSpec
from vifd.network.neutron import following
from vifd.network.neutron.bus import Unanswered
from vifd.network.neutron.objects import SERVED, VERSIONS
from vifd.testing.wait import PATIENCE, until


def active(port) -> bool:
    return port.status == "ACTIVE"


class TestReports:
    def test_the_first_says_so_and_brings_the_versions(self, cloud: Cloud):
        node = cloud.node()
        reports = [r for r in cloud.neutron.reports if r["host"] == node.name]
        assert reports[0]["start_flag"] is True
        assert reports[0]["resource_versions"] == VERSIONS
        until(lambda: len([r for r in cloud.neutron.reports if r["host"] == node.name]) > 1,
              "a second report")  # fmt: skip
        again = [r for r in cloud.neutron.reports if r["host"] == node.name][1]
        assert "start_flag" not in again
        assert again["configurations"]["bridge_mappings"] == {"physnet1": "br-eth"}
        assert again["configurations"]["integration_bridge"] == "br-int"


class TestVersions:
    def spoken(self, cloud: Cloud, node) -> dict[str, str]:
        """What the host said last of the versions that it speaks."""
        said = [r for r in cloud.neutron.reports
                if r["host"] == node.name and "resource_versions" in r]  # fmt: skip
        return said[-1]["resource_versions"]

    def test_a_server_that_does_not_tell_them_is_followed_all_the_same(self, cloud, monkeypatch):
        """A busy one: what was read of it was read again and again, and what it told waited."""
        call = DullBus.call
        asked: list[str] = []

        def busy(bus: Any, topic: str, method: str, version: str, timeout: float, told: Any) -> Any:
            if method == "bulk_pull" and told["version"] == SERVED["Port"][0]:
                asked.append(told["version"])
                raise Unanswered(method)
            return call(bus, topic, method, version, timeout, told)

        monkeypatch.setattr(DullBus, "call", busy)
        node, network = cloud.node(), cloud.vlan()
        port = cloud.neutron.port(network, node.name)
        until(lambda: asked, "the versions were asked for")
        read = cloud.neutron.calls.count("get_ports_by_vnic_type_and_host")
        node.plug(port)
        until(lambda: port.status == "ACTIVE", "the port is active")
        cloud.neutron.delete(port)
        until(lambda: node.record(port) is None, "the port is gone")
        assert cloud.neutron.calls.count("get_ports_by_vnic_type_and_host") == read
        monkeypatch.setattr(DullBus, "call", call)

    def test_without_an_object_to_ask_for_the_oldest_are_spoken(self, cloud: Cloud):
        node = cloud.node()
        assert self.spoken(cloud, node) == VERSIONS

    def test_the_newest_that_the_server_has_are_agreed_on(self, cloud: Cloud):
        network = cloud.vlan()
        port = cloud.neutron.port(network, "host-new")
        node = cloud.node("host-new")
        newest = {kind: SERVED[kind][0] for kind in ("Port", "Network")}
        until(lambda: self.spoken(cloud, node) == {**VERSIONS, **newest}, "the newest are spoken")
        node.plug(port)
        until(lambda: active(port), "active")
        cloud.neutron.resegment(network, 300)
        until(lambda: [f for f in node.flows() if "300" in f], "changes are heard of")

    def test_they_are_agreed_on_once_there_is_an_object(self, cloud: Cloud):
        node = cloud.node()
        port = cloud.neutron.port(cloud.vlan(), node.name)
        newest = {kind: SERVED[kind][0] for kind in ("Port", "Network")}
        until(lambda: self.spoken(cloud, node) == {**VERSIONS, **newest}, "the newest are spoken")
        node.plug(port)
        until(lambda: active(port), "active")

    def test_a_server_that_does_not_know_yet_what_is_spoken(self, cloud: Cloud):
        cloud.neutron.learns = False
        node = cloud.node()
        port = cloud.neutron.port(cloud.vlan(), node.name)
        until(lambda: node.bound(port), "the port is heard of")

    def test_an_older_server_is_spoken_with_in_its_own(self, cloud: Cloud):
        cloud.neutron.has = dict(VERSIONS)
        network = cloud.vlan()
        port = cloud.neutron.port(network, "host-old")
        node = cloud.node("host-old")
        node.plug(port)
        until(lambda: active(port), "active")
        cloud.neutron.resegment(network, 301)
        until(lambda: [f for f in node.flows() if "301" in f], "changes are heard of")
        assert self.spoken(cloud, node) == VERSIONS

    def test_a_server_that_was_upgraded_and_taken_back(self, cloud: Cloud):
        cloud.neutron.has = dict(VERSIONS)
        network = cloud.vlan()
        port = cloud.neutron.port(network, "host-both")
        node = cloud.node("host-both", rpc_timeout=0.5)
        node.plug(port)
        until(lambda: active(port), "active")
        service = node.service._service
        assert service is not None
        for served in ({kind: versions[0] for kind, versions in SERVED.items()}, dict(VERSIONS)):
            cloud.neutron.stop()
            until(lambda: service._lost, "the host has noticed")
            cloud.neutron.has = served
            cloud.neutron.start()
            until(lambda: self.spoken(cloud, node) == cloud.neutron.has, "it is spoken with")
        cloud.neutron.resegment(network, 302)
        until(lambda: [f for f in node.flows() if "302" in f], "changes are heard of")


class TestPorts:
    def test_a_port_waits_for_both_sides_whichever_comes_first(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        bound_first = cloud.neutron.port(network, node.name)
        until(lambda: node.agent.parts(bound_first.id), "the network's part is here")
        assert node.record(bound_first) is None
        node.compute(bound_first)
        until(lambda: active(bound_first), "active")
        used_first = cloud.neutron.port(network)
        node.compute(used_first)
        cloud.neutron.bind(used_first, node.name)
        until(lambda: active(used_first), "active as well")

    def test_a_port_of_another_host_is_nobodys_here(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        elsewhere = cloud.neutron.port(network, "another")
        here = cloud.neutron.port(network, node.name)
        node.plug(here)
        until(lambda: active(here), "active")
        assert node.agent.parts(elsewhere.id) is None

    def test_bound_before_the_daemon_began(self, cloud: Cloud):
        network = cloud.vlan()
        port = cloud.neutron.port(network, "early")
        node = cloud.node("early")
        node.compute(port)
        until(lambda: active(port), "active")

    def test_a_deleted_port_goes_and_leaves_nothing(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        port = cloud.neutron.port(network, node.name)
        node.plug(port)
        until(lambda: active(port), "active")
        cloud.neutron.delete(port)
        until(lambda: node.record(port) is None, "no record")
        until(lambda: not node.bound(port), "no part of the network")

    def test_another_segmentation_id_is_taken_in_place(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan(100)
        ports = [cloud.neutron.port(network, node.name) for _ in range(3)]
        for port in ports:
            node.plug(port)
        until(lambda: all(map(active, ports)), "active")
        cloud.neutron.resegment(network, 200)
        until(lambda: [f for f in node.flows() if "200" in f], "the new id is in the flows")
        until(lambda: all(map(node.live, ports)), "all live")


class TestHosted:
    def test_a_row_before_and_after_the_binding(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        bound_first = cloud.neutron.port(network, node.name, device_owner="network:dhcp")
        node.plug(bound_first)
        row_first = cloud.neutron.port(network)
        node.plug(row_first)
        until(lambda: node.agent.parts(row_first.id), "its row is seen")
        assert node.record(row_first) is None
        cloud.neutron.bind(row_first, node.name)
        until(lambda: active(bound_first) and active(row_first), "both are active")
        row = node.row(row_first)
        assert not [k for k in row.external_ids if k.startswith("vifd")]
        assert (row.tag, row.ofport_request) == (None, None)

    def test_a_row_whose_device_comes_later_waits_for_no_turn(self, cloud: Cloud):
        """As after a reboot, where rows are there before the guests."""
        node, network = cloud.node(retry=3600.0), cloud.vlan()
        port = cloud.neutron.port(network, node.name)
        ids = {"iface-id": port.id, "attached-mac": port.mac, "iface-status": "active"}
        node.machine.ovsdb.ensure_ports(BRIDGE, [PortSpec("tap1", external_ids=ids)])
        until(lambda: (found := node.record(port)) is not None and found.error, "it has failed")
        node.machine.links.place("tap1", kind="tun")
        until(lambda: active(port), "active")

    def test_a_row_of_which_nothing_was_told_is_asked_for_at_once(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        service = node.service._service
        assert service is not None
        service._looked_at = math.inf  # nobody looks by himself any more
        cloud.neutron.copies = {"push": 0}
        first, *others = [cloud.neutron.port(network, node.name) for _ in range(4)]
        node.plug(first)
        until(lambda: active(first), "asked for")
        for port in others:
            node.plug(port)
        until(lambda: all(map(active, others)), "each of them asked for")

    def test_it_is_asked_for_at_once_also_after_a_reading_that_passed_one_over(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        service = node.service._service
        assert service is not None
        service._looked_at = math.inf
        cloud.neutron.copies = {"push": 0}
        until(lambda: service._synchronised, "everything was read")
        service._next = math.inf
        service._messages.anew.set()
        service.awaited()
        until(service._messages.empty, "it was passed over")
        service._next = 0.0
        until(
            lambda: not service._messages.anew.is_set() and service._synchronised,
            "everything is read",
        )
        port = cloud.neutron.port(network, node.name)
        node.plug(port)
        until(lambda: active(port), "asked for")

    def test_it_goes_with_its_row_and_comes_back_with_it(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        port = cloud.neutron.port(network, node.name)
        device = node.plug(port)
        until(lambda: active(port), "active")
        node.take_off(device)
        until(lambda: node.record(port) is None, "forgotten")
        until(lambda: port.status == "DOWN", "told")
        node.plug(port, "another")
        until(lambda: active(port), "active again")

    def test_a_restart_changes_no_flow_and_tells_nothing_anew(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        ports = [cloud.neutron.port(network, node.name) for _ in range(3)]
        for port in ports:
            node.plug(port)
        until(lambda: all(map(active, ports)), "active")
        before, told = node.flows(), len(cloud.neutron.told)
        node.stop()
        node.start()
        cloud.synchronised(node)
        until(lambda: all(map(node.live, ports)), "all live")
        until(lambda: not node.journal.outbox_size(), "nothing is left to tell")
        assert node.flows() == before
        assert len(cloud.neutron.told) == told


class TestOutages:
    def test_the_server_is_away_while_ports_come_and_go(self, cloud: Cloud):
        node, network = cloud.node(rpc_timeout=0.3), cloud.vlan()
        first = cloud.neutron.port(network, node.name)
        device = node.plug(first)
        until(lambda: active(first), "active")
        cloud.neutron.stop()
        node.take_off(device)
        until(lambda: node.record(first) is None, "removed without the server")
        cloud.neutron.copies = {"push": 0}
        second = cloud.neutron.port(network, node.name)
        node.plug(second)
        cloud.neutron.start()
        until(lambda: active(second), "the new one is active")
        until(lambda: first.status == "DOWN", "the old one is not")

    def test_messages_that_come_twice_or_never(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        cloud.neutron.copies = {"push": 3}
        twice = cloud.neutron.port(network, node.name)
        node.plug(twice)
        until(lambda: active(twice), "active")
        cloud.neutron.copies = {"push": 0}
        lost = cloud.neutron.port(network, node.name)
        node.plug(lost)
        until(lambda: active(lost), "asked for, as somebody here uses it")

    def test_what_is_told_before_a_topic_is_listened_to_again(self, cloud: Cloud):
        """The server answers before every connection is back: what it tells meanwhile is lost."""
        # it answers in time however busy the machine is
        node, network = cloud.node(rpc_timeout=PATIENCE), cloud.vlan()
        kept, gone = (cloud.neutron.port(network, node.name) for _ in range(2))
        for port in (kept, gone):
            node.plug(port)
        until(lambda: active(kept) and active(gone), "active")
        bus = node.service.bus
        bus.deaf, bus.away = ("neutron-vo-Port",), True
        until(node.lost, "the bus is away")
        before = node.read_at()
        bus.away = False
        until(lambda: node.read_at() != before, "what the server has was read")
        other = cloud.neutron.port(network, node.name)
        cloud.neutron.delete(gone)
        node.plug(other)
        until(lambda: active(other), "it goes on with what it is told otherwise")
        assert node.bound(gone)
        bus.deaf = ()
        until(lambda: not node.bound(gone), "what was lost is read")
        assert node.live(kept)

    def test_one_refused_status_costs_itself_only(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        ports = [cloud.neutron.port(network, node.name) for _ in range(4)]
        cloud.neutron.refused = {ports[0].id}
        for port in ports:
            node.plug(port)
        until(lambda: all(map(active, ports[1:])), "the others are active")
        assert not active(ports[0])
        cloud.neutron.refused = set()
        until(lambda: active(ports[0]), "and it is told again")

    def test_a_port_that_makes_no_sense_costs_itself_only(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        bad = [
            cloud.neutron.port(network, node.name, mac_address="none"),
            cloud.neutron.port(network, node.name, fixed_ips=[{"ip_address": "10.0.0.1/8"}]),
            cloud.neutron.port(network, node.name, binding_levels=[{"host": node.name,
                                                                    "level": "x"}]),
        ]  # fmt: skip
        good = cloud.neutron.port(network, node.name)
        for port in (*bad, good):
            node.plug(port)
        until(lambda: active(good), "the good one is active")
        assert not any(map(node.record, bad))

    def test_a_late_message_undoes_nothing(self, cloud: Cloud):
        node, network = cloud.node(), cloud.vlan()
        port = cloud.neutron.port(network, node.name)
        late = cloud.neutron.wire(port)
        device = node.plug(port)
        until(lambda: active(port), "active")
        cloud.neutron.unbind(port, node.name)
        until(lambda: node.record(port) is None, "not bound here any more")
        cloud.neutron.push("Port", [late])
        other = cloud.neutron.port(network, node.name)
        node.plug(other)
        until(lambda: active(other), "what came after it is here")
        assert node.record(port) is None
        assert device in {row.name for row in node.machine.ovsdb.ports("br-int")}


class TestBindings:
    def test_a_migration_here_and_back(self, cloud: Cloud):
        source, target = cloud.node(), cloud.node()
        network = cloud.vlan()
        port = cloud.neutron.port(network, source.name)
        source.compute(port)
        until(lambda: active(port), "active on the source")
        cloud.neutron.bind(port, target.name, active=False)
        target.compute(port)
        until(lambda: target.phase(port) == "READY", "made and closed on the target")
        until(lambda: any(port.id in up for up, _ in cloud.neutron.told[1:]), "told for nova")
        assert source.live(port)
        assert not target.live(port)
        cloud.neutron.activate(port, target.name)
        until(lambda: target.live(port) and active(port), "open on the target")
        until(lambda: not source.is_open(port), "closed on the source")
        assert source.record(port) is not None, "the device stays until compute lets go of it"
        cloud.neutron.activate(port, source.name)
        until(lambda: source.live(port) and active(port), "and back")

    def test_a_binding_that_is_deleted_without_a_word(self, cloud: Cloud, monkeypatch):
        monkeypatch.setattr(following, "AGAIN", 0.2)
        node = cloud.node()
        port = cloud.neutron.port(cloud.vlan())
        cloud.neutron.bind(port, node.name, active=False)
        node.compute(port)
        until(lambda: node.phase(port) == "READY", "it is prepared")
        with cloud.neutron.lock:
            del port.bindings[node.name]
        node.let_go(port)
        until(lambda: not node.bound(port), "nothing of it is left")
