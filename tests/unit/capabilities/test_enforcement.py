"""The enforcement report: one case for each feature, enforced and not."""

from __future__ import annotations

import uuid
from dataclasses import replace

import msgspec
import pytest

from unit.capabilities.asking import NOOP, OVS, VHOST, asking
from vifd.capabilities.enforcement import Level, as_made, report, unenforced, unmet
from vifd.model import QosRule, Segment, Vif
from vifd.policy import owntags
from vifd.testing.attachments import attachment
from vifd_linuxbridge.plugin import LinuxBridgePlugin
from vifd_ovs.plugin import OvsPlugin
from vifd_vhostuser.plugin import VhostUserPlugin

GROUP, TRUNK, SUB = (str(uuid.UUID(int=n)) for n in (7, 8, 9))
MULTIQUEUE = {"hw:vif_multiqueue_enabled": "true"}


def of(wanted, advert=OVS, plugin="ovs", **more):
    return {e.feature: e for e in report(wanted, advert, plugin=plugin, **more)}


def able(*features):
    return replace(OVS, features=OVS.features | set(features))


def qos(**rule):
    return {"qos_policy": {"rules": [rule]}}


def test_a_plain_port():
    entries = of(asking())
    assert list(entries) == ["port_security", "mtu"]
    assert all(e.level is Level.DATAPLANE and e.enforced_by == "ovs" for e in entries.values())
    assert not unenforced(asking(), OVS, plugin="ovs")


def test_a_plugin_that_enforces_nothing_says_so():
    entries = of(asking(), NOOP, "noop")
    assert {e.level for e in entries.values()} == {Level.NONE}
    assert {e.enforced_by for e in entries.values()} == {""}
    assert all("noop" in e.note for e in entries.values())


def test_what_a_host_cannot_enforce_is_not_enforced_there():
    able_ = able("security_groups").on({"security_groups": "the kernel follows no connections"})
    entry = of(asking(security_groups=[GROUP]), able_)["security_groups"]
    assert entry.level is Level.NONE
    assert "the kernel follows no connections" in entry.note
    assert able("mtu").on({}) == able("mtu")


@pytest.mark.parametrize("plugin", [OvsPlugin, VhostUserPlugin, LinuxBridgePlugin])
def test_who_answers_where_a_network_leaves_by_tunnels(plugin):
    segment = {"network_type": "vxlan", "segmentation_id": 7}
    wanted, advert = attachment(1, segment=segment), plugin.describe()
    entry = of(wanted, advert, "p")["arp_responder"]
    assert (entry.enforced_by, entry.level, entry.requested) == ("p", Level.DATAPLANE, True)
    assert "address detection" in entry.note
    off = advert.on({"arp_responder": "it is off"})
    entry = of(wanted, off, "p")["arp_responder"]
    assert (entry.requested, entry.level) == (False, Level.NONE)
    assert "it is off" in entry.note
    assert not unenforced(wanted, off, plugin="p")
    asked = msgspec.structs.replace(wanted, required={"features": ["arp_responder"]})
    assert not unmet(asked, advert, plugin="p")
    (refused,) = unmet(asked, off, plugin="p")
    assert "it is off" in refused.facts["note"]
    assert "arp_responder" not in of(attachment(1), advert, "p")


#: what is asked for on the port, the feature's name, what an advert says that has it
FEATURES = [
    ({"security_groups": [GROUP]}, "security_groups", "security_groups", [GROUP]),
    ({"security_groups": [{"id": GROUP, "rules": [{"protocol": "tcp"}]}]}, "security_groups",
     "security_groups", [GROUP]),
    (qos(type="bandwidth_limit", max_kbps=1000), "qos.bandwidth_limit.egress",
     "qos.bandwidth_limit.egress", 1000),
    (qos(type="bandwidth_limit", max_kbps=1000, direction="ingress"),
     "qos.bandwidth_limit.ingress", "qos.bandwidth_limit.ingress", 1000),
    (qos(type="packet_rate_limit", max_kpps=10), "qos.packet_rate_limit.egress",
     "qos.packet_rate_limit.egress", 10),
    (qos(type="minimum_bandwidth", min_kbps=5), "qos.minimum_bandwidth.egress",
     "qos.minimum_bandwidth.egress", 5),
    (qos(type="minimum_packet_rate", min_kpps=5, direction="any"), "qos.minimum_packet_rate.any",
     "qos.minimum_packet_rate.any", 5),
    (qos(type="dscp_marking", dscp_mark=46), "qos.dscp_marking.egress",
     "qos.dscp_marking.egress", 46),
    (qos(type="of_tomorrow"), "qos.of_tomorrow.egress", "qos.of_tomorrow.egress", True),
    ({"trunk_details": {"trunk_id": TRUNK,
                        "sub_ports": [{"port_id": SUB, "segmentation_id": 100}]}},
     "trunk", "trunk", [100]),
    ({"trusted": True}, "trusted", "trusted_vf", True),
    ({"hardware_offload_type": "switchdev"}, "hardware_offload", "hardware_offload", "switchdev"),
    ({"hints": {"openvswitch": {}}}, "hints", "hints", {"openvswitch": {}}),
    ({"propagate_uplink_status": True}, "propagate_uplink_status", "propagate_uplink_status",
     True),
]  # fmt: skip


@pytest.mark.parametrize(("port", "feature", "advertised", "requested"), FEATURES)
def test_feature(port, feature, advertised, requested):
    wanted = asking(**port)
    entry = of(wanted)[feature]
    assert entry.requested == requested
    assert (entry.level, entry.enforced_by) == (Level.NONE, "")
    assert entry.note
    (error,) = unenforced(wanted, OVS, plugin="ovs")
    assert error.facts["feature"] == feature
    enforced = of(wanted, able(advertised))[feature]
    assert (enforced.level, enforced.enforced_by) == (Level.DATAPLANE, "ovs")
    assert not unenforced(wanted, able(advertised), plugin="ovs")
    assert feature not in of(asking())


@pytest.mark.parametrize("name", ["vlan_transparent", "qinq"])
def test_network_feature(name):
    wanted = carrying(asking(), name, "vlan")
    assert of(wanted)[name].level is Level.NONE
    assert of(wanted, able(name))[name].level is Level.DATAPLANE


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [("vlan_transparent", "flat", "a VLAN of the physical network"),
     ("qinq", "flat", "a VLAN of the physical network"), ("qinq", "vxlan", "no tag of its own"),
     ("qinq", "local", "no tag of its own")],
)  # fmt: skip
def test_networks_that_carry_no_tags_of_guests(name, kind, text):
    entry = of(carrying(asking(), name, kind), able(name, owntags.BENEATH))[name]
    assert (entry.level, text in entry.note) == (Level.NONE, True), entry


def test_what_would_have_to_be_judged_beneath_two_tags():
    lacking = {owntags.BENEATH: "it looks at one"}
    able_ = replace(able("vlan_transparent"), lacking=lacking)
    grouped = carrying(asking(security_groups=[GROUP]), "vlan_transparent", "vlan")
    sub_port = carrying(asking(device_owner="trunk:subport"), "vlan_transparent", "local")
    for wanted in (grouped, sub_port):
        entry = of(wanted, able_)["vlan_transparent"]
        assert (entry.level, "it looks at one" in entry.note) == (Level.NONE, True), entry
        deep = able("vlan_transparent", owntags.BENEATH)
        assert of(wanted, deep)["vlan_transparent"].level is Level.DATAPLANE
    # nothing is judged of these, or they come in one tag
    for wanted in (
        carrying(asking(port_security_enabled=False, device_owner="trunk:subport"),
                 "vlan_transparent", "vlan"),
        carrying(asking(security_groups=[GROUP]), "vlan_transparent", "vxlan"),
    ):  # fmt: skip
        assert of(wanted, able_)["vlan_transparent"].level is Level.DATAPLANE


def carrying(wanted, feature, kind):
    """A port on a network that carries tags."""
    segment = Segment(kind, "physnet1" if kind in ("flat", "vlan") else None, 101)
    network = msgspec.structs.replace(wanted.network, segment=segment, **{feature: True})
    return msgspec.structs.replace(wanted, network=network)


@pytest.mark.parametrize(
    "rule",
    [{"type": "minimum_bandwidth", "min_kbps": 5},
     {"type": "minimum_packet_rate", "min_kpps": 5, "direction": "any"}],
)  # fmt: skip
def test_what_placement_counts_is_placed_and_not_enforced(rule):
    wanted = asking(**qos(**rule), binding_profile={"allocation": {"a": "b"}})
    (entry,) = (e for f, e in of(wanted).items() if f.startswith("qos."))
    assert (entry.level, entry.enforced_by) == (Level.PLACEMENT, "placement")
    assert not unenforced(wanted, OVS, plugin="ovs")


def test_port_security_switched_off_is_what_was_asked_for():
    wanted = asking(port_security_enabled=False, allowed_address_pairs=[{"ip_address": "10.0.0.9"}],
                    security_groups=[GROUP])  # fmt: skip
    entries = of(wanted)
    assert not entries["port_security"].requested
    assert "allowed_address_pairs" not in entries
    assert "switched off" in entries["security_groups"].note
    assert [e.facts["feature"] for e in unenforced(wanted, OVS, plugin="ovs")] == [
        "security_groups"
    ]


def test_allowed_address_pairs():
    wanted = asking(allowed_address_pairs=[{"ip_address": "10.0.0.9"}])
    assert of(wanted)["allowed_address_pairs"].requested == 1


def test_groups_on_a_port_without_an_address():
    wanted = asking(security_groups=[GROUP], ip_allocation="none", ips=[])
    assert "no address" in of(wanted)["security_groups"].note


def test_a_port_that_is_down():
    assert of(asking(admin_state_up=False))["admin_state"].level is Level.DATAPLANE


def test_queues():
    assert of(asking(MULTIQUEUE))["multiqueue"].requested == 4
    assert of(asking(MULTIQUEUE), NOOP, "noop")["multiqueue"].level is Level.NONE
    assert "multiqueue" not in of(asking(MULTIQUEUE, vcpus=1))
    other = of(asking(MULTIQUEUE, {"hw_vif_model": "e1000"}))["multiqueue"]
    assert (other.level, "e1000" in other.note) == (Level.NONE, True)


@pytest.mark.parametrize(
    ("queues", "changes", "level"),
    [
        (4, {}, Level.DATAPLANE),
        (8, {}, Level.DATAPLANE),
        (1, {}, Level.NONE),
        # libvirt, or the guest's process, makes these
        (1, {"managed": True}, Level.DATAPLANE),
        (1, {"type": "vhostuser"}, Level.DATAPLANE),
    ],
)
def test_queues_are_those_that_the_device_was_made_with(queues, changes, level):
    vif = Vif(
        **{"type": "ethernet", "device": "tap1", "queues": queues, "managed": False} | changes
    )
    (entry,) = (
        e for e in as_made(report(asking(MULTIQUEUE), OVS, plugin="ovs"), vif)
        if e.feature == "multiqueue"
    )  # fmt: skip
    assert entry.level is level
    assert ("unplug the port" in entry.note) is (level is Level.NONE)
    assert as_made(report(asking(), OVS, plugin="ovs"), None) == [*of(asking()).values()]


def test_the_flavors_bandwidth_is_libvirts_and_not_on_every_interface():
    wanted = asking({"quota:vif_inbound_average": "1000", "quota:cpu_shares": "5"})
    entry = of(wanted)["quota:vif_inbound_average"]
    assert (entry.level, entry.enforced_by) == (Level.DATAPLANE, "libvirt")
    assert "quota:cpu_shares" not in of(wanted)
    entry = of(wanted, VHOST, "vhostuser")["quota:vif_inbound_average"]
    assert (entry.level, entry.enforced_by) == (Level.NONE, "")
    entry = of(wanted, OVS, vif_type="hostdev")["quota:vif_inbound_average"]
    assert "hostdev" in entry.note


def test_every_rule_of_a_policy_has_its_line():
    rules = [{"type": "bandwidth_limit", "max_kbps": 1}, {"type": "dscp_marking", "dscp_mark": 0}]
    entries = of(asking(qos_policy={"rules": rules}))
    assert [f for f in entries if f.startswith("qos.")] == [
        "qos.bandwidth_limit.egress", "qos.dscp_marking.egress",
    ]  # fmt: skip
    assert QosRule("dscp_marking", dscp_mark=0).value == 0
    assert len(unenforced(asking(qos_policy={"rules": rules}), OVS, plugin="ovs")) == 2
