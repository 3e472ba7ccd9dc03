"""Which candidate of a host serves a port on a segment, and why none does."""

import json
import re
from pathlib import Path

import pytest

from vifd_neutron.choice import Choice, Refusal, Wanted, best, choose, served_types, wish
from vifd_neutron.details import LIMIT, details, refused
from vifd_neutron.report import Report, read

OVS = {
    "plugin": "ovs", "vif_types": ["ovs"], "vnic_types": ["normal"],
    "network_types": ["local", "flat", "vlan", "vxlan"], "features": ["security_groups"],
}  # fmt: skip
VHOST = {
    "plugin": "vhostuser", "vif_types": ["vhostuser"], "vnic_types": ["normal"],
    "network_types": ["flat", "vlan"], "features": [],
}  # fmt: skip


def report(*candidates: object, **more: object) -> Report:
    told = {
        "bridge_mappings": {"physnet1": "br-a"}, "integration_bridge": "br-x",
        "datapath_type": "netdev", "tunnel_types": ["vxlan"], "tunneling_ip": "192.0.2.1",
        "vifd": {"version": "1", "candidates": list(candidates or (OVS, VHOST))}, **more,
    }  # fmt: skip
    found = read("host1", told)
    assert found is not None
    return found


def wanted(kind: str = "vlan", physnet: str = "physnet1", **more: object) -> Wanted:
    return Wanted("normal", kind, physnet, **more)  # type: ignore[arg-type]


def chosen(port: Wanted, host: Report) -> str:
    found = choose(port, host)
    assert isinstance(found, Choice)
    return found.vif_type


def codes(port: Wanted, host: Report) -> list[str]:
    found = choose(port, host)
    assert isinstance(found, list)
    return [f"{r.candidate}:{r.code}" for r in found]


def test_the_hosts_order_is_the_order():
    assert chosen(wanted(), report(OVS, VHOST)) == "ovs"
    assert chosen(wanted(), report(VHOST, OVS)) == "vhostuser"


def test_whoever_binds_may_name_what_he_can_use():
    assert chosen(wanted(vif_types=("vhostuser", "ovs")), report()) == "vhostuser"
    assert codes(wanted(vif_types=("bridge",)), report()) == [
        "ovs:E_NEG_NO_COMMON_VIF", "vhostuser:E_NEG_NO_COMMON_VIF",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (None, ()), ({}, ()), ({"vif_types": "ovs"}, ("ovs",)), ({"vif_types": 5}, ()),
        ({"vif_types": ["ovs", 5]}, ("ovs",)),
    ],
)  # fmt: skip
def test_a_wish_is_what_somebody_wrote(profile, words):
    assert wish(profile) == words


def test_each_reason_has_its_code():
    host = report(OVS)
    assert codes(wanted(physnet="physnet9"), host) == ["ovs:E_SEG_PHYSNET_UNMAPPED"]
    assert codes(wanted("gre", ""), host) == ["ovs:E_SEG_TYPE_UNSUPPORTED"]
    assert codes(Wanted("direct", "vlan", "physnet1"), host) == ["ovs:E_VNIC_UNSUPPORTED"]
    assert codes(wanted("vxlan", ""), report(OVS, tunneling_ip="")) == ["ovs:E_SEG_PHYSNET_DOWN"]
    narrow = report({**OVS, "mtus": {"physnet1": 1500, "": 1450}})
    assert codes(wanted(mtu=9000), narrow) == ["ovs:E_PLUG_MTU"]
    assert chosen(wanted(mtu=1500), narrow) == "ovs"
    assert codes(wanted("vxlan", "", mtu=1500), narrow) == ["ovs:E_PLUG_MTU"]
    assert codes(wanted(), report(vifd={"candidates": []})) == [":E_PLUGIN_MISSING"]


def test_what_was_not_said_is_not_held_against_it():
    short = report({"plugin": "ovs", "vif_types": ["ovs"]})
    assert chosen(wanted(), short) == "ovs"
    assert chosen(wanted("vxlan", ""), short) == "ovs"
    assert codes(wanted("gre", ""), short) == ["ovs:E_SEG_TYPE_UNSUPPORTED"]
    assert served_types(short) == {"local", "flat", "vlan", "vxlan"}


def test_a_tunnel_needs_the_hosts_word_as_well():
    refused = choose(wanted("vxlan", ""), report(OVS, tunnel_types=[]))
    assert isinstance(refused, list)
    assert [r.code for r in refused] == ["E_SEG_TYPE_UNSUPPORTED"]
    assert "add vxlan to tunnel_types in agent.conf of the host" in refused[0].next_step
    never = choose(wanted("gre", ""), report({**OVS, "network_types": ["vlan"]}))
    assert isinstance(never, list)
    assert "tunnel_types" not in never[0].next_step


@pytest.mark.parametrize(
    "said",
    [
        None, [], "x", {}, {"candidates": None}, {"candidates": "ovs"}, {"candidates": [None, 5]},
        {"candidates": [{"plugin": "ovs"}]}, {"candidates": [{"plugin": "", "vif_types": ["ovs"]}]},
        {"candidates": [{"plugin": "x", "vif_types": "ovs", "mtus": 5, "features": {}}]},
    ],
)  # fmt: skip
def test_a_report_that_makes_no_sense_offers_nothing(said):
    found = read("h", {"vifd": said, "bridge_mappings": None, "tunnel_types": "vxlan"})
    assert found is None or (found.candidates, found.mappings) == ((), {})


def test_another_agents_report_is_none_of_ours():
    assert read("h", {"bridge_mappings": {}}) is None


def test_details_of_a_tap_and_of_a_socket():
    host = report(OVS, VHOST, vhostuser_socket_dir="/run/vhu")
    tap, socket = choose(wanted(), host), choose(wanted(vif_types=("vhostuser",)), host)
    assert isinstance(tap, Choice)
    assert isinstance(socket, Choice)
    port = "12345678-90ab-cdef-1234-567890abcdef"
    assert details(tap, host, port, groups=True) == {
        "port_filter": True, "connectivity": "l2", "ovs_hybrid_plug": False,
        "datapath_type": "netdev", "bridge_name": "br-x", "ovs_create_tap": True,
    }  # fmt: skip
    assert details(tap, host, port, groups=False)["port_filter"] is False
    told = details(socket, host, port, groups=True)
    assert told["vhostuser_socket"] == "/run/vhu/vhu12345678-90"
    assert (told["vhostuser_mode"], told["port_filter"]) == ("server", False)
    assert "ovs_create_tap" not in told


def test_the_reason_that_says_most_is_told_first_and_all_fit_the_column():
    far = [Refusal("E_VNIC_UNSUPPORTED", "v" * 2000, "n", f"plugin{n}") for n in range(40)]
    near = Refusal("E_SEG_PHYSNET_UNMAPPED", "m" * 5000, "map it", "ovs")
    assert best([*far, near]) is near
    told = refused("host1", [*far, near])
    assert told["vifd"]["code"] == "E_SEG_PHYSNET_UNMAPPED"
    assert len(json.dumps(told)) <= LIMIT


def test_codes_and_words_are_those_of_vifd():
    import vifd.errors as errors

    known = {
        c.code: c.remediation
        for c in vars(errors).values()
        if isinstance(c, type) and issubclass(c, errors.VifError)
    }
    root = Path(__file__).parents[3] / "integrations/neutron/vifd_neutron"
    used = set(re.findall(r'"(E_[A-Z_]+)"', "".join(p.read_text() for p in root.glob("*.py"))))
    assert used
    assert used <= set(known)
    (refusal,) = choose(wanted(physnet="none"), report(OVS))  # type: ignore[misc]
    assert refusal.next_step == known[refusal.code]
