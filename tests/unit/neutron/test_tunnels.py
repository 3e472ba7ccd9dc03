"""Where tunnels lead, as Neutron tells it, as shared sets of this host."""

from __future__ import annotations

from typing import Any

import pytest

from support.neutron import oslo_messaging
from unit.neutron.scene import Cloud, Node
from vifd.network.neutron import reporting, tunnels
from vifd.testing.wait import until

HERE, THERE, ELSEWHERE = "192.0.2.1", "192.0.2.2", "192.0.2.3"
MAC, OTHER = "fa:16:3e:00:00:aa", "fa:16:3e:00:00:bb"
FLOOD = [tunnels.FLOOD, "0.0.0.0"]


def host(cloud: Cloud, **given: Any) -> Node:
    return cloud.node(tunnel_types=["vxlan"], local_ip=HERE, **given)


def vxlan(cloud: Cloud, number: int = 7):
    return cloud.neutron.network("vxlan", number=number)


class TestFlooding:
    def test_every_endpoint_of_the_type_but_our_own(self, cloud: Cloud):
        cloud.neutron.tunnels["vxlan"] = {"there": THERE}
        node, network = host(cloud), vxlan(cloud)
        cloud.neutron.port(network, node.name)
        until(lambda: node.behind(network) == {THERE: {}}, "the one that is there")
        assert cloud.neutron.tunnels["vxlan"][node.name] == HERE
        cloud.neutron.cast("q-agent-notifier-tunnel-update", "tunnel_update",
                           tunnel_ip=ELSEWHERE, tunnel_type="vxlan")  # fmt: skip
        until(lambda: node.behind(network) == {THERE: {}, ELSEWHERE: {}}, "one more")
        cloud.neutron.cast("q-agent-notifier-tunnel-delete", "tunnel_delete",
                           tunnel_ip=THERE, tunnel_type="vxlan")  # fmt: skip
        until(lambda: node.behind(network) == {ELSEWHERE: {}}, "and gone")

    def test_a_network_without_ports_here_has_none(self, cloud: Cloud):
        node, network = host(cloud), vxlan(cloud)
        port = cloud.neutron.port(network, node.name)
        until(lambda: node.behind(network) == {}, "known")
        cloud.neutron.delete(port)
        until(lambda: node.behind(network) is None, "not any more")


class TestWhichOfOurs:
    """What other hosts are told of the tunnels of this one."""

    def test_those_of_the_plugin_where_nothing_else_is_said(self, cloud: Cloud):
        cloud.neutron.tunnels["vxlan"] = {"there": THERE}
        node = cloud.node(switch={"local_ip": [HERE], "tunnel_types": ["vxlan"]})
        network = vxlan(cloud)
        cloud.neutron.port(network, node.name)
        until(lambda: node.behind(network) == {THERE: {}}, "the one that is there")
        assert cloud.neutron.tunnels["vxlan"][node.name] == HERE

    def test_a_contradiction_is_told(self, cloud: Cloud, caplog):
        node = cloud.node(tunnel_types=["vxlan"], local_ip=ELSEWHERE,
                          switch={"local_ip": [HERE]})  # fmt: skip
        network = vxlan(cloud)
        cloud.neutron.port(network, node.name)
        until(lambda: node.behind(network) == {}, "known")
        assert f"local_ip is {ELSEWHERE}, that of plugin ovs {HERE}" in caplog.text

    @pytest.mark.parametrize(
        ("types", "local", "found", "amiss"),
        [
            ([], "", (["vxlan", "gre"], HERE), ""),
            (["gre"], "", (["gre"], HERE), ""),
            (["gre"], HERE, (["gre"], HERE), ""),
            ([], "fd00::1", (["vxlan", "gre"], "fd00::1"), ""),
            ([], THERE, (["vxlan", "gre"], THERE), THERE),
            (["gre"], "fd00::1", (["gre"], "fd00::1"), ""),
            (["geneve"], "", (["geneve"], HERE), "geneve"),
            (["vxlan"], THERE, (["vxlan"], THERE), THERE),
        ],
    )
    def test_each_of_the_two_options(self, types, local, found, amiss):
        plugins = [{"name": "ovs", "tunnels": {"vxlan": HERE, "gre": HERE}}]
        said = reporting.Options("type", "binary", tunnel_types=types, local_ip=local)
        told, problem = reporting.tunnelled(said, plugins, "ovs")
        assert (list(told.tunnel_types), told.local_ip) == found
        assert (amiss in problem) if amiss else not problem

    def test_without_tunnels_none_are_told(self):
        said = reporting.Options("type", "binary")
        told, problem = reporting.tunnelled(said, [{"name": "ovs"}], "ovs")
        assert (list(told.tunnel_types), told.local_ip, problem) == ([], "", "")


class TestPopulation:
    def test_who_comes_moves_changes_and_goes(self, cloud: Cloud):
        node, network = host(cloud, l2_population=True), vxlan(cloud)
        cloud.neutron.port(network, node.name)
        until(lambda: node.behind(network) == {}, "known")
        cloud.neutron.fdb("add", network, {THERE: [FLOOD, [MAC, "10.0.0.9"]], HERE: [FLOOD]})
        until(lambda: node.behind(network) == {THERE: {MAC: ("10.0.0.9",)}}, "one is there")
        cloud.neutron.fdb("add", network, {ELSEWHERE: [FLOOD, [MAC, "10.0.0.9"]]})
        moved = {THERE: {}, ELSEWHERE: {MAC: ("10.0.0.9",)}}
        until(lambda: node.behind(network) == moved, "it moves")
        change = {network.id: {ELSEWHERE: {"before": [[MAC, "10.0.0.9"]],
                                           "after": [[MAC, "10.0.0.8"]]}}}  # fmt: skip
        cloud.neutron.cast("q-agent-notifier-l2population-update", "update_fdb_entries",
                           fdb_entries={"chg_ip": change})  # fmt: skip
        moved[ELSEWHERE] = {MAC: ("10.0.0.8",)}
        until(lambda: node.behind(network) == moved, "its address changes")
        cloud.neutron.fdb("remove", network, {THERE: [FLOOD], ELSEWHERE: [[MAC, "10.0.0.8"]]})
        until(lambda: node.behind(network) == {ELSEWHERE: {}}, "both go")

    def test_a_network_in_use_is_known_before_its_ports_are(self, cloud: Cloud):
        """As on a host that another agent served: the service tells only once a port works."""
        cloud.neutron.tunnels["vxlan"] = {"there": THERE, "elsewhere": ELSEWHERE}
        network, other = vxlan(cloud), vxlan(cloud, 8)
        far = cloud.neutron.port(network, "there")
        down, idle = cloud.neutron.port(network, "elsewhere"), cloud.neutron.port(other, "there")
        cloud.neutron.port(network)
        far.status = idle.status = "ACTIVE"
        ports = [cloud.neutron.port(n, "here") for n in (network, other)]
        ports[0].status = "ACTIVE"
        node = host(cloud, name="here", l2_population=True)
        assert down.status == "DOWN"
        there = {THERE: {far.mac: (far.address,)}}
        until(lambda: node.behind(network) == there, "who works elsewhere is known")
        until(lambda: node.behind(other) == {}, "nothing works here yet: it is told then")
        cloud.neutron.fdb("remove", network, {THERE: [FLOOD, [far.mac, far.address]]})
        until(lambda: node.behind(network) == {}, "and goes as any other")

    def test_what_is_not_answered_is_no_obstacle(self, cloud: Cloud, monkeypatch, caplog):
        cloud.neutron.tunnels["vxlan"] = {"there": THERE}
        network = vxlan(cloud)
        cloud.neutron.port(network, "here").status = "ACTIVE"
        found = cloud.neutron.found

        def unable(kind: str, **filters: Any) -> Any:
            if "network_id" in filters:
                raise oslo_messaging.RemoteError("ValueError", "no such filter")
            return found(kind, **filters)

        monkeypatch.setattr(cloud.neutron, "found", unable)
        node = host(cloud, name="here", l2_population=True)
        until(lambda: node.behind(network) == {}, "known")
        said = "is not known before its first port works here"
        until(lambda: said in caplog.text, "it is told")

    def test_a_restart_forgets_nothing(self, cloud: Cloud):
        node, network = host(cloud, l2_population=True), vxlan(cloud)
        cloud.neutron.port(network, node.name)
        until(lambda: node.behind(network) == {}, "known")
        cloud.neutron.fdb("add", network, {THERE: [FLOOD, [MAC, "10.0.0.9"]]})
        there = {THERE: {MAC: ("10.0.0.9",)}}
        until(lambda: node.behind(network) == there, "one is there")
        node.stop()
        node.start()
        cloud.synchronised(node)
        assert node.behind(network) == there


class TestTables:
    def test_what_was_asked_for_takes_the_place_of_what_was_known(self):
        told = tunnels.Told({THERE: {MAC: {"10.0.0.9"}}}, {})
        for table in told.tables:
            tunnels.added(table, ELSEWHERE, [FLOOD, [OTHER, "10.0.0.7"]])
        assert told.table == {THERE: {MAC: {"10.0.0.9"}}, ELSEWHERE: {OTHER: {"10.0.0.7"}}}
        assert told.coming == {ELSEWHERE: {OTHER: {"10.0.0.7"}}}

    def test_one_address_of_several_goes(self):
        table: tunnels.Table = {}
        tunnels.added(table, THERE, [[MAC, "10.0.0.9"], [MAC, "2001:db8::9"]])
        tunnels.removed(table, THERE, [[MAC, "10.0.0.9"]])
        assert table == {THERE: {MAC: {"2001:db8::9"}}}
        tunnels.removed(table, ELSEWHERE, [FLOOD])
        tunnels.removed(table, THERE, [FLOOD])
        assert table == {}

    def test_what_is_said_is_what_is_read_back(self):
        network = "22222222-0000-4000-8000-000000000001"
        table: tunnels.Table = {}
        tunnels.added(table, THERE, [FLOOD, [MAC, "10.0.0.9"], [OTHER, "10.0.0.7"]])
        assert tunnels.table_of(tunnels.forwarding(network, table)) == table
