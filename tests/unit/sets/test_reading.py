"""Shared sets as they are read: what the Networking API accepts is taken, everything else refused
with the field's path."""

from __future__ import annotations

import pytest

from vifd import errors
from vifd.model.members import effective_members, groups_of, members_of
from vifd.model.setreading import read_rules, read_set
from vifd.model.sets import (
    AddressGroup,
    Forwarding,
    Member,
    SecurityGroup,
    SecurityGroupRule,
    SetKey,
    SetKind,
)
from vifd.testing.attachments import attachment

GROUP, OTHER, NET = (f"{n:08d}-0000-4000-8000-000000000000" for n in (1, 2, 3))
KEY = SetKey(SetKind.SECURITY_GROUP, GROUP)


def rule(**said: object) -> SecurityGroupRule:
    body = {"direction": "ingress", **said}
    group = read_set({"rules": [body]}, KEY)
    assert isinstance(group, SecurityGroup)
    return group.rules[0]


def refused(raw: object, key: SetKey = KEY) -> tuple[str, str]:
    with pytest.raises(errors.BadDocument) as caught:
        read_set(raw, key)
    assert caught.value.code == "E_DOC_INVALID"
    return str(caught.value.facts["field"]), str(caught.value.facts["problem"])


def refused_rule(**said: object) -> tuple[str, str]:
    return refused({"rules": [{"direction": "ingress", **said}]})


def test_a_group_as_the_networking_api_shows_it_is_taken():
    shown = {
        "id": GROUP, "name": "web", "description": "", "stateful": False, "project_id": "p",
        "tenant_id": "p", "created_at": "", "updated_at": "", "revision_number": 3, "tags": [],
        "shared": False,
        "security_group_rules": [{
            "id": OTHER, "project_id": "p", "tenant_id": "p", "security_group_id": GROUP,
            "ethertype": "IPv6", "direction": "egress", "protocol": "tcp", "port_range_min": 443,
            "port_range_max": 443, "remote_ip_prefix": "2001:DB8::1/64", "remote_group_id": None,
            "remote_address_group_id": None, "description": "", "created_at": "",
            "updated_at": "", "revision_number": 0, "normalized_cidr": "2001:db8::/64",
            "belongs_to_default_sg": False, "tags": [],
        }],
    }  # fmt: skip
    group = read_set(shown, KEY)
    assert isinstance(group, SecurityGroup)
    assert (group.name, group.stateful) == ("web", False)
    assert group.rules[0].remote_ip_prefix == "2001:db8::/64"
    assert group.rules[0].ports == (443, 443)
    assert group.rules[0].number == 6


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ({}, None), ({"protocol": None}, None), ({"protocol": "any"}, None),
        ({"protocol": 0}, None), ({"protocol": "TCP"}, 6), ({"protocol": 17}, 17),
        ({"protocol": "132"}, 132), ({"protocol": "vrrp"}, 112), ({"protocol": 255}, 255),
        ({"protocol": "icmp"}, 1), ({"protocol": "icmp", "ethertype": "IPv6"}, 58),
        ({"protocol": 1, "ethertype": "ipv6"}, 58),
        ({"protocol": "icmpv6", "ethertype": "IPv6"}, 58),
        ({"protocol": "ipv6-route", "ethertype": "IPv6"}, 43), ({"protocol": "ipip"}, 4),
    ],
)  # fmt: skip
def test_protocols_by_name_and_number(said, number):
    assert rule(**said).number == number


def test_icmp_type_and_code():
    assert rule(protocol="icmp", port_range_min=8, port_range_max=0).icmp == (8, 0)
    assert rule(protocol="icmp", port_range_min=8).icmp == (8, None)
    assert rule(protocol="icmp").icmp == (None, None)
    assert rule(protocol="icmp", port_range_min=8).ports is None
    assert rule(protocol="udp", port_range_min=1, port_range_max=65535).ports == (1, 65535)


@pytest.mark.parametrize(
    ("said", "field", "word"),
    [
        ({"direction": "in"}, "direction", "in"),
        ({"ethertype": "ARP"}, "ethertype", "ARP"),
        ({"protocol": "tpc"}, "protocol", "tpc"),
        ({"protocol": 256}, "protocol", "256"),
        ({"protocol": -1}, "protocol", "-1"),
        ({"protocol": True}, "protocol", "bool"),
        ({"protocol": "ipv6-icmp"}, "protocol", "IPv4"),
        ({"protocol": 58}, "protocol", "IPv4"),
        ({"protocol": "44"}, "protocol", "IPv4"),
        ({"port_range_min": 1, "port_range_max": 2}, "protocol", "required"),
        ({"protocol": "gre", "port_range_min": 1, "port_range_max": 2}, "port_range_min", "ports"),
        ({"protocol": "tcp", "port_range_min": 1}, "port_range_max", "required"),
        ({"protocol": "tcp", "port_range_max": 1}, "port_range_min", "required"),
        ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 9}, "port_range_min", "0"),
        ({"protocol": "udp", "port_range_min": 9, "port_range_max": 8}, "port_range_min", "above"),
        ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536},
         "port_range_max", "65535"),
        ({"protocol": "icmp", "port_range_min": 256}, "port_range_min", "255"),
        ({"protocol": "icmp", "port_range_min": 3, "port_range_max": 256}, "port_range_max", "255"),
        ({"protocol": "icmp", "port_range_max": 3}, "port_range_min", "required"),
        ({"remote_ip_prefix": "10.0.0.0/33"}, "remote_ip_prefix", "prefix"),
        ({"remote_ip_prefix": "::/0"}, "remote_ip_prefix", "IPv4"),
        ({"remote_ip_prefix": "10.0.0.0/8", "ethertype": "IPv6"}, "remote_ip_prefix", "IPv6"),
        ({"remote_ip_prefix": "fe80::1%eth0", "ethertype": "IPv6"}, "remote_ip_prefix", "prefix"),
        ({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": OTHER}, "remote_group_id", "beside"),
        ({"remote_address_group_id": OTHER, "remote_group_id": OTHER},
         "remote_address_group_id", "beside"),
        ({"remote_group_id": "x"}, "remote_group_id", "36"),
    ],
)  # fmt: skip
def test_what_the_networking_api_refuses_is_refused(said, field, word):
    where, problem = refused_rule(**said)
    assert where == f"rules[0].{field}"
    assert word in problem


def test_a_misspelt_field_of_a_rule_is_refused():
    """Ignored, it would open every port."""
    where, problem = refused_rule(protocol="tcp", port_range_minimum=22)
    assert where == "rules[0]"
    assert "port_range_minimum" in problem


def test_rules_without_an_id_have_one_of_what_they_say():
    said = {"direction": "ingress", "protocol": "tcp"}
    one, other = (read_rules([said], group, "rules")[0] for group in (GROUP, OTHER))
    assert one == read_rules([dict(said)], GROUP, "rules")[0]
    assert one.id != other.id
    where, problem = refused({"rules": [said, said]})
    assert (where, "twice" in problem) == ("rules[1].id", True)


def test_ids_and_versions_are_held_to_the_path():
    assert refused({"id": OTHER})[0] == "id"
    assert refused([])[0] == "(document)"
    with pytest.raises(errors.UnsupportedVersion):
        read_set({"version": "2.0"}, KEY)
    assert refused({"rules": [], "security_group_rules": [{"direction": "egress"}]})[1]


def test_members_are_canonical_and_once():
    members = [
        {"ip_address": "10.0.0.1/32", "mac_address": "FA:16:3E:00:00:01"},
        {"ip_address": "10.0.0.1", "mac_address": "fa:16:3e:00:00:01"},
        {"ip_address": "10.0.1.7/24"},
        {"ip_address": "2001:DB8:0::1"},
    ]
    group = read_set({"members": members}, KEY)
    assert isinstance(group, SecurityGroup)
    assert group.members == (
        Member(ip_address="10.0.0.1", mac_address="fa:16:3e:00:00:01"),
        Member(ip_address="10.0.1.0/24"),
        Member(ip_address="2001:db8::1"),
    )
    assert refused({"members": [{"ip_address": "x1"}]})[0] == "members[0].ip_address"
    bad = {"ip_address": "10.0.0.1", "mac_address": "01:00:5e:00:00:01"}
    assert refused({"members": [bad]})[0] == "members[0].mac_address"


def test_address_groups():
    key = SetKey(SetKind.ADDRESS_GROUP, GROUP)
    group = read_set({"addresses": ["10.0.0.9/8", "::1/128"], "name": "a"}, key)
    assert group == AddressGroup(id=GROUP, name="a", addresses=("10.0.0.0/8", "::1"))
    assert refused({"addresses": ["10.0.0.0/8", "nonsense"]}, key)[0] == "addresses[1]"


def test_forwarding():
    key = SetKey(SetKind.FORWARDING, NET)
    behind = {"mac_address": "FA:16:3e:00:00:01", "ip_addresses": ["10.0.0.1", "2001:DB8::1"]}
    forwarding = read_set(
        {"network_id": NET, "endpoints": [{"address": "192.0.2.1", "ports": [behind]},
                                          {"address": "2001:db8:0::9"}]}, key,
    )  # fmt: skip
    assert isinstance(forwarding, Forwarding)
    assert [e.address for e in forwarding.endpoints] == ["192.0.2.1", "2001:db8::9"]
    assert forwarding.endpoints[0].ports[0].ip_addresses == ("10.0.0.1", "2001:db8::1")
    twice = [{"address": a, "ports": [behind]} for a in ("192.0.2.1", "192.0.2.2")]
    where, problem = refused({"endpoints": twice}, key)
    assert where == "endpoints[1].ports[0].mac_address"
    assert "192.0.2.1" in problem
    for bad in ("224.0.0.1", "0.0.0.0", "127.0.0.1", "10.0.0.0/8", "host"):
        assert refused({"endpoints": [{"address": bad}]}, key)[0] == "endpoints[0].address"
    again = [{"address": "192.0.2.1"}, {"address": "192.0.2.1/32"}]
    assert refused({"endpoints": again}, key)[0] == "endpoints[1].address"


def test_groups_of_a_port_and_its_place_in_them():
    port = attachment(
        1,
        security_groups=[GROUP, {"id": OTHER}, GROUP],
        allowed_address_pairs=[{"ip_address": "10.9.0.1/24"}],
    )
    assert groups_of(port) == (GROUP, OTHER)
    here = members_of(port)
    assert Member(ip_address="10.9.0.0/24", mac_address=port.mac) in here
    group = SecurityGroup(id=GROUP, members=(Member(ip_address="192.0.2.9"), here[0]))
    assert effective_members(group, [port]) == (*group.members, *here[1:])
    stranger = SecurityGroup(id=NET)
    assert effective_members(stranger, [port]) == ()
    assert groups_of(attachment(2)) is None
    assert groups_of(attachment(2, security_groups=[])) == ()
    off = attachment(2, security_groups=[GROUP], port_security_enabled=False)
    assert groups_of(off) is None


def test_a_rule_of_another_group_is_not_taken_into_this_one():
    field, problem = refused_rule(security_group_id=OTHER)
    assert field == "rules[0].security_group_id"
    assert "another group's" in problem
    assert rule(security_group_id=GROUP) == rule(security_group_id=None) == rule()
    with pytest.raises(errors.BadDocument, match=r"add_rules\[0\].security_group_id"):
        read_rules([{"direction": "ingress", "security_group_id": OTHER}], GROUP, "add_rules")
