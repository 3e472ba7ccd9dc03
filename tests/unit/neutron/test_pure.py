"""What is reported and told, without a bus."""

from __future__ import annotations

import json
import re

import pytest
from oslo_config import cfg

from vifd.daemon import config
from vifd.daemon.parts import network_service
from vifd.model import decode
from vifd.network.neutron import reporting, translate
from vifd.network.neutron.cache import Cache
from vifd.network.neutron.objects import plain

PORT = "11111111-0000-4000-8000-000000000001"
NETWORK = "22222222-0000-4000-8000-000000000001"
SUBNET = "33333333-0000-4000-8000-000000000001"
SEGMENT = {"id": "44444444-0000-4000-8000-000000000001", "network_type": "vlan",
           "physical_network": "physnet1", "segmentation_id": 7}  # fmt: skip
OPTIONS = reporting.Options("Open vSwitch agent", "neutron-openvswitch-agent")


def port(**changes):
    return {
        "id": PORT, "network_id": NETWORK, "mac_address": "FA-16-3E-00-00-01",
        "admin_state_up": True, "device_owner": "compute:nova", "revision_number": 3,
        "bindings": [{"host": "here", "vif_type": "ovs", "vnic_type": "normal",
                      "status": "ACTIVE", "profile": '{"migrating_to": "there"}'}],
        "binding_levels": [{"host": "here", "level": 0, "segment": SEGMENT},
                           {"host": "there", "level": 0, "segment": {**SEGMENT, "id": "x"}}],
        "fixed_ips": [{"ip_address": "10.0.0.5", "subnet_id": SUBNET}],
        "security_group_ids": ["55555555-0000-4000-8000-000000000001"],
        "security": {"port_security_enabled": True}, **changes,
    }  # fmt: skip


def known(**changes):
    network = {"id": NETWORK, "mtu": 1400, "name": "n", "segments": [SEGMENT], **changes}
    subnet = {"id": SUBNET, "cidr": "10.0.0.0/24", "gateway_ip": None, "enable_dhcp": True}
    return translate.Known({NETWORK: network}, {SUBNET: subnet})


def part(changes, facts):
    body = translate.part(port(**changes), facts, "here")
    assert body is not None
    return body


class TestTranslation:
    def test_the_part_is_a_document_that_is_taken(self):
        body = part({}, known())
        attachment = decode(body).attachment
        assert attachment.mac == "fa:16:3e:00:00:01"
        assert attachment.network.segment.segmentation_id == 7
        assert attachment.port.binding_profile == {"migrating_to": "there"}
        assert attachment.port.security_groups == ["55555555-0000-4000-8000-000000000001"]

    def test_what_the_network_says_of_its_segment_goes_before_the_port(self):
        body = part({}, known(segments=[{**SEGMENT, "segmentation_id": 9}]))
        assert body["network"]["segment"]["segmentation_id"] == 9

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"bindings": []}, "no binding"),
            ({"binding_levels": []}, "no segment"),
            ({"bindings": [{"host": "here", "vif_type": "binding_failed"}]}, "failed"),
            ({"bindings": [{"host": "here", "vif_type": "hw_veb"}]}, "another driver's"),
            ({"network_id": SUBNET}, "its network is not known"),
        ],
    )
    def test_there_is_none(self, changes, why):
        assert translate.part(port(**changes), known(), "here") is None, why

    @pytest.mark.parametrize(
        ("owner", "security", "secured"),
        [
            ("compute:nova", {"port_security_enabled": True}, True),
            ("compute:nova", None, True),
            ("compute:nova", {"port_security_enabled": False}, False),
            ("network:dhcp", {"port_security_enabled": True}, False),
            ("network:router_interface", None, False),
        ],
    )
    def test_ports_of_the_service_are_held_to_nothing(self, owner, security, secured):
        body = part({"device_owner": owner, "security": security}, known())
        assert body["port"]["port_security_enabled"] is secured
        assert ("security_groups" in body["port"]) is secured

    def test_without_groups_none_is_said(self):
        without = translate.Known(known().networks, known().subnets, groups=False)
        body = part({}, without)
        assert "security_groups" not in body["port"]

    def test_an_inactive_binding_is_closed(self):
        bound = {"host": "here", "vif_type": "ovs", "status": "INACTIVE"}
        assert part({"bindings": [bound]}, known())["role"] == "INACTIVE"

    def test_objects_within_objects_are_read(self):
        wire = {
            "versioned_object.name": "Port",
            "versioned_object.data": {
                "id": PORT,
                "fixed_ips": [
                    {
                        "versioned_object.name": "IPAllocation",
                        "versioned_object.data": {"ip_address": "10.0.0.1"},
                    }
                ],
            },
        }
        assert plain(wire)["fixed_ips"][0]["ip_address"] == "10.0.0.1"


class TestCache:
    def test_an_older_one_is_not_taken(self):
        cache = Cache()
        assert cache.put("Port", {"id": "a", "revision_number": 5})
        assert not cache.put("Port", {"id": "a", "revision_number": 4})
        assert cache.put("Port", {"id": "a", "revision_number": 5})

    def test_what_went_elsewhere_comes_back_only_newer(self):
        cache = Cache()
        cache.put("Port", {"id": "a", "revision_number": 5})
        assert cache.leave("Port", {"id": "a", "revision_number": 6})
        assert not cache.put("Port", {"id": "a", "revision_number": 5})
        assert cache.put("Port", {"id": "a", "revision_number": 7})

    def test_what_is_deleted_never_comes_back(self):
        cache = Cache()
        cache.delete("Port", "a")
        assert not cache.put("Port", {"id": "a", "revision_number": 99})


class TestReport:
    def plugins(self, number=1, types=()):
        facts = {"bridge": {"name": "br-int", "datapath_type": "netdev"},
                 "bridge_mappings": {f"physnet{n}": {"bridge": f"br-{n}"} for n in range(number)},
                 "iface_types": list(types), "datapath_types": ["netdev", "system"]}  # fmt: skip
        return [{"name": "ovs", "state": "ready", "facts": facts, "vif_types": ["ovs"],
                 "vnic_types": ["normal"], "network_types": ["vlan"],
                 "features": [f"feature{n}" for n in range(40)]}]  # fmt: skip

    def test_sockets_are_told_only_where_they_are_preferred(self):
        types = ["internal", "dpdkvhostuser", "dpdkvhostuserclient"]
        plugins = self.plugins(types=types)
        told = reporting.configurations(OPTIONS, "here", plugins, "ovs", 0)
        assert told["ovs_capabilities"]["iface_types"] == ["internal"]
        sockets = {"name": "vhostuser", "state": "ready", "facts": {}, "network_types": ["vlan"]}
        told = reporting.configurations(OPTIONS, "here", [sockets, *plugins], "ovs", 0)
        assert told["ovs_capabilities"]["iface_types"] == types

    @pytest.mark.parametrize("number", [1, 20, 45])
    def test_it_fits_the_database_whatever_there_is(self, number):
        types = [f"interface-type-{n}" for n in range(60)]
        plugins = self.plugins(number, types)
        state = reporting.state(OPTIONS, "here", plugins, "ovs", 3)
        text = json.dumps(state["configurations"])
        assert len(text) <= reporting.LIMIT
        assert len(state["configurations"]["bridge_mappings"]) == number

    def test_bandwidths_are_read_as_the_service_wants_them(self):
        assert reporting.bandwidths(["br-eth:100:", "br-1::5"]) == {
            "br-eth": {"egress": 100, "ingress": None}, "br-1": {"egress": None, "ingress": 5},
        }  # fmt: skip
        with pytest.raises(ValueError, match="br-eth:1"):
            reporting.bandwidths(["br-eth:1"])

    @pytest.mark.parametrize(("option", "value", "said"), [
        ("resource_provider_bandwidths", "br-eth:many:1", "'br-eth:many:1' is no bridge:egress"),
        ("resource_provider_bandwidths", "br-eth:1:1,br-eth:2:2", "names its bridge once more"),
        ("resource_provider_inventory_defaults", "min_unit:few", "min_unit: 'few' is no number"),
        ("tunnel_types", "vxlan,stt", "stt"),
        ("report_interval", "nan", "nan is no time"),
        ("rpc_timeout", "soon", "'soon'"),
        ("local_ip", "10.0.0.256", "'10.0.0.256' is no IP address"),
    ])  # fmt: skip
    def test_an_option_that_makes_no_sense_is_said_before_anything_begins(
        self, tmp_path, option, value, said
    ):
        path = tmp_path / "agent.conf"
        path.write_text(f"[network]\nservice = neutron\n[network_neutron]\n{option} = {value}\n")
        with pytest.raises(cfg.Error, match=re.escape(said)) as found:
            network_service(config.load(["--config-file", str(path)], cfg.ConfigOpts()))
        assert option in str(found.value)

    def test_a_switch_that_does_not_answer_is_not_reported(self):
        assert reporting.unusable(self.plugins(), "ovs") == ""
        gone = {"name": "ovs", "state": "unavailable", "reasons": ["no switch"]}
        assert reporting.unusable([gone], "ovs") == "plugin ovs is unavailable: no switch"
        assert reporting.unusable([], "ovs") == "plugin ovs is not there"


@pytest.mark.parametrize(("owner", "own", "wanted"), [
    ("compute:nova", None, ["net"]), ("compute:nova", "own", ["own"]),
    ("network:dhcp", None, []), ("network:dhcp", "own", ["own"]), (None, None, ["net"]),
])  # fmt: skip
def test_a_network_s_policy_holds_for_guests(owner, own, wanted):
    port = {"qos_policy_id": own, "qos_network_policy_id": "net", "device_owner": owner,
            "network_id": "n"}  # fmt: skip
    assert translate.needs(port, {})[2] == wanted
    # What the port said when it was read counts until its network is known.
    known = {"n": {"id": "n", "qos_policy_id": "net"}}
    assert translate.needs({**port, "qos_network_policy_id": None}, known)[2] == wanted
    nothing = {"n": {"id": "n", "qos_policy_id": None}}
    assert translate.needs(port, nothing)[2] == ([own] if own else [])
