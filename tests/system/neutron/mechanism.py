"""The driver in a real ML2 plugin; runs in Neutron's environment, by ``test_mechanism.py``."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from neutron.tests.unit.plugins.ml2 import test_plugin
from neutron_lib import context
from neutron_lib.api.definitions import portbindings
from neutron_lib.constants import ATTR_NOT_SPECIFIED
from neutron_lib.plugins import directory
from oslo_utils import timeutils

CANDIDATES = [
    {"plugin": "ovs", "vif_types": ["ovs"], "vnic_types": ["normal"],
     "network_types": ["local", "flat", "vlan"], "features": ["security_groups"]},
    {"plugin": "vhostuser", "vif_types": ["vhostuser"], "vnic_types": ["normal"],
     "network_types": ["local", "flat", "vlan"], "features": []},
]  # fmt: skip


def reported(host: str, *, ours: bool = True, **more: Any) -> dict[str, Any]:
    """What an agent's report is like."""
    told = {
        "bridge_mappings": {"physnet1": "br-a"}, "integration_bridge": "br-int", "devices": 0,
        "datapath_type": "netdev", "tunnel_types": [], "tunneling_ip": None, **more,
    }  # fmt: skip
    if ours:
        told.setdefault("vifd", {"version": "0.1.0", "candidates": CANDIDATES})
    return {
        "binary": "neutron-openvswitch-agent", "host": host, "topic": "N/A",
        "agent_type": "Open vSwitch agent", "configurations": told, "start_flag": True,
    }  # fmt: skip


class Case(test_plugin.Ml2PluginV2TestCase):  # type: ignore[misc]
    """Ports on a network of physnet1, with agents that have reported."""

    _mechanism_drivers: ClassVar = ["vifd", "openvswitch"]

    def setUp(self) -> None:
        super().setUp()
        self.admin = context.get_admin_context()
        self.plugin = directory.get_plugin()

    def report(self, host: str, **more: Any) -> None:
        self.plugin.create_or_update_agent(self.admin, reported(host, **more), timeutils.utcnow())

    def bound(self, host: str, physnet: str = "physnet1", profile: Any = None) -> dict[str, Any]:
        given = {
            "provider:network_type": "vlan", "provider:physical_network": physnet,
            "provider:segmentation_id": 100,
        }  # fmt: skip
        with self.network(as_admin=True, arg_list=tuple(given), **given) as network:
            made = {
                "network_id": network["network"]["id"], "tenant_id": "t", "name": "",
                "admin_state_up": True, "device_id": "", "device_owner": "compute:nova",
                "mac_address": ATTR_NOT_SPECIFIED, "fixed_ips": ATTR_NOT_SPECIFIED,
                portbindings.HOST_ID: host, portbindings.VNIC_TYPE: "normal",
                portbindings.PROFILE: profile or {},
            }  # fmt: skip
            port = self.plugin.create_port(self.admin, {"port": made})
        return self.shown(port["id"])

    def shown(self, port_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.plugin.get_port(self.admin, port_id)
        return found


class TestBinding(Case):
    """What a port is bound to, and what is told of it."""

    def test_the_hosts_first_candidate(self) -> None:
        self.report("host1")
        port = self.bound("host1")
        details = port[portbindings.VIF_DETAILS]
        assert port[portbindings.VIF_TYPE] == "ovs"
        # The stock driver leaves it out for a userspace datapath.
        assert details["ovs_create_tap"] is True
        assert details["bound_drivers"] == {"0": "vifd"}

    def test_what_the_profile_accepts(self) -> None:
        self.report("host1")
        port = self.bound("host1", profile={"vif_types": ["vhostuser"]})
        assert port[portbindings.VIF_TYPE] == "vhostuser"
        assert port[portbindings.VIF_DETAILS]["vhostuser_mode"] == "server"

    def test_a_host_without_vifd_is_the_next_drivers(self) -> None:
        self.report("host2", ours=False)
        port = self.bound("host2")
        assert port[portbindings.VIF_TYPE] == "ovs"
        assert port[portbindings.VIF_DETAILS]["bound_drivers"] == {"0": "openvswitch"}

    def test_a_refusal_is_told_to_who_reads_the_port(self) -> None:
        self.report("host1")
        with self.assertLogs("vifd_neutron.driver", logging.WARNING) as logs:
            port = self.bound("host1", physnet="physnet2")
        assert port[portbindings.VIF_TYPE] == "binding_failed"
        told = port[portbindings.VIF_DETAILS]["vifd"]
        assert told["code"] == "E_SEG_PHYSNET_UNMAPPED"
        assert "'physnet2' is not mapped on this host (have physnet1)" in told["message"]
        assert (told["host"], bool(told["next"])) == ("host1", True)
        # ML2 tries ten times.
        assert len(logs.output) == 1
        assert "E_SEG_PHYSNET_UNMAPPED" in logs.output[0]

    def test_a_host_that_is_silent_is_named(self) -> None:
        self.report("host1")
        agent = self.plugin.get_agents(self.admin)[0]
        from neutron.objects import agent as agents

        known = agents.Agent.get_object(self.admin, id=agent["id"])
        known.heartbeat_timestamp = timeutils.utcnow().replace(year=2020)
        known.update()
        port = self.bound("host1")
        assert port[portbindings.VIF_DETAILS]["vifd"]["code"] == "E_PLUGIN_UNHEALTHY"

    def test_a_port_that_can_be_bound_later_loses_its_reason(self) -> None:
        self.report("host1", bridge_mappings={})
        port = self.bound("host1")
        assert port[portbindings.VIF_DETAILS]["vifd"]["code"] == "E_SEG_PHYSNET_UNMAPPED"
        self.report("host1")
        for host in ("", "host1"):
            self.plugin.update_port(self.admin, port["id"], {"port": {portbindings.HOST_ID: host}})
        again = self.shown(port["id"])
        assert again[portbindings.VIF_TYPE] == "ovs"
        assert "vifd" not in again[portbindings.VIF_DETAILS]


class TestAlone(Case):
    """Without the stock driver."""

    _mechanism_drivers: ClassVar = ["vifd"]

    def test_hosts_of_others_are_not_bound(self) -> None:
        self.report("host2", ours=False)
        assert self.bound("host2")[portbindings.VIF_TYPE] == "binding_failed"

    def test_hosts_with_a_segment_are_found(self) -> None:
        self.report("host1")
        self.report("host2", ours=False)
        segment = {
            "network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 5,
            "network_id": "n", "id": "s",
        }  # fmt: skip
        (driver,) = self.plugin.mechanism_manager.ordered_mech_drivers
        found = driver.obj.filter_hosts_with_segment_access(
            self.admin, [segment], ["host1", "host2"], self.plugin.get_agents
        )
        assert found == {"host1"}
