"""Shared sets by vifctl: in words, from files, in pieces, and what would change."""

from __future__ import annotations

import json

import pytest

from unit.api.client import uuid
from vifd.cli import setwords

GROUP, OTHER = uuid(0x1111), uuid(0x2222)


@pytest.mark.parametrize(
    ("text", "rule", "again"),
    [
        ("ingress tcp 443 from 10.0.0.0/8",
         {"direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 443,
          "port_range_max": 443, "remote_ip_prefix": "10.0.0.0/8"},
         "ingress ipv4 tcp 443 from 10.0.0.0/8"),
        ("egress", {"direction": "egress", "ethertype": "IPv4"}, "egress ipv4 any"),
        ("Egress ipv6 udp 1-65535 to any",
         {"direction": "egress", "ethertype": "IPv6", "protocol": "udp", "port_range_min": 1,
          "port_range_max": 65535}, "egress ipv6 udp 1-65535"),
        ("ingress icmp 8/0", {"direction": "ingress", "ethertype": "IPv4", "protocol": "icmp",
                              "port_range_min": 8, "port_range_max": 0}, "ingress ipv4 icmp 8/0"),
        ("ingress ipv6-icmp 128 from fe80::/10",
         {"direction": "ingress", "ethertype": "IPv6", "protocol": "ipv6-icmp",
          "port_range_min": 128, "remote_ip_prefix": "fe80::/10"},
         "ingress ipv6 ipv6-icmp 128 from fe80::/10"),
        (f"ingress ipv6 tcp 22 from group {GROUP}",
         {"direction": "ingress", "ethertype": "IPv6", "protocol": "tcp", "port_range_min": 22,
          "port_range_max": 22, "remote_group_id": GROUP},
         f"ingress ipv6 tcp 22 from group {GROUP}"),
        (f"egress 47 to address-group {GROUP}",
         {"direction": "egress", "ethertype": "IPv4", "protocol": "47",
          "remote_address_group_id": GROUP}, f"egress ipv4 47 to address-group {GROUP}"),
    ],
)  # fmt: skip
def test_rules_in_words_and_back(text, rule, again):
    assert setwords.rule(text) == rule
    assert setwords.rule_text(rule) == again
    assert setwords.rule(again.replace(" any", "")) == rule


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "begins with"), ("in tcp", "begins with"), ("ingress tcp 80 to 10.0.0.0/8", "is from"),
        ("ingress tcp http", "PORT"), ("ingress tcp 80-", "PORT"), ("ingress icmp 8-0", "TYPE"),
        ("ingress tcp 80 from", "after"), ("ingress from group x", "an id"),
        ("ingress from 10.0.0.0/8 now", "too much"), ("ingress from 10.0.0.0/99", "no prefix"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_said(text, problem):
    with pytest.raises(ValueError, match=problem):
        setwords.rule(text)


def test_members_and_endpoints_in_words():
    assert setwords.member("10.0.0.1") == {"ip_address": "10.0.0.1"}
    with pytest.raises(ValueError, match="no MAC"):
        setwords.member("10.0.0.1,x")
    with pytest.raises(ValueError, match="no MAC"):
        setwords.endpoint("192.0.2.1=x")
    mac = "fa:16:3e:00:00:01"
    found = setwords.endpoints(["192.0.2.1", f"192.0.2.1={mac},10.0.0.1,::1", "192.0.2.2"])
    port = {"mac_address": mac, "ip_addresses": ["10.0.0.1", "::1"]}
    assert found == [
        {"address": "192.0.2.1", "ports": [port]},
        {"address": "192.0.2.2"},
    ]  # fmt: skip
    assert setwords.lines({"endpoints": found}) == [
        "endpoint 192.0.2.1", f"endpoint 192.0.2.1={mac},10.0.0.1,::1", "endpoint 192.0.2.2",
    ]  # fmt: skip


def test_a_group_from_words_to_its_end(vifctl):
    done = vifctl("sg", "set", GROUP, "--name", "web", "--rule", "ingress tcp 443 from 10.0.0.0/8",
                  "--member", "10.0.0.1,fa:16:3e:00:00:01", "-f", "json")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert (done.json["name"], done.json["owner"]) == ("web", "vifctl")
    assert done.json["rules"][0]["port_range_max"] == 443
    table = vifctl("sg", "show", "web").out
    assert "ingress ipv4 tcp 443 from 10.0.0.0/8" in table
    assert "10.0.0.1,fa:16:3e:00:00:01" in table
    assert "in force" in table
    assert "1 rule, 1 member" in vifctl("sg", "list").out
    added = vifctl("sg", "add", "web", "--rule", "ingress icmp", "--member", "10.0.0.2")
    assert (added.code, added.err) == (0, "")
    shown = vifctl("sg", "show", GROUP[:6], "-f", "json").json
    assert [len(shown[n]) for n in ("rules", "members")] == [2, 2]
    second = shown["rules"][1]["id"][:8]
    gone = vifctl("sg", "remove", "web", "--rule", "ingress tcp 443 from 10.0.0.0/8",
                  "--rule", second, "--member", "10.0.0.2", "-f", "json")  # fmt: skip
    assert (gone.code, gone.err) == (0, "")
    assert (gone.json["rules"], len(gone.json["members"])) == ([], 1)
    assert "gone" in vifctl("sg", "delete", "web").out
    assert vifctl("sg", "show", "web").code == 4


def test_what_would_change_is_shown_and_not_made(vifctl):
    vifctl("sg", "set", GROUP, "--rule", "ingress tcp 22", "--member", "10.0.0.1")
    done = vifctl("sg", "set", GROUP, "--rule", "ingress tcp 80", "--name", "n", "--dry-run")
    assert done.code == 0
    for line in ("- rule ingress ipv4 tcp 22", "+ rule ingress ipv4 tcp 80", "- member 10.0.0.1",
                 "~ name '' -> 'n'"):  # fmt: skip
        assert line in done.out
    done = vifctl("sg", "add", GROUP, "--rule", "egress", "-n", "-f", "json")
    assert done.json["changes"] == ["+ rule egress ipv4 any"]
    done = vifctl("sg", "remove", GROUP, "--rule", "ingress tcp 22", "-n", "-f", "json")
    assert done.json["changes"] == ["- rule ingress ipv4 tcp 22"]
    done = vifctl("sg", "delete", GROUP, "-n")
    assert "- member 10.0.0.1" in done.out
    shown = vifctl("sg", "show", GROUP, "-f", "json").json
    assert (len(shown["rules"]), len(shown["members"]), shown["name"]) == (1, 1, "")


def test_a_group_from_a_file_as_the_networking_api_shows_it(vifctl, tmp_path):
    rule = {"direction": "egress", "ethertype": "IPv6", "description": "", "project_id": "p"}
    body = {"security_group": {"id": GROUP, "name": "a", "security_group_rules": [rule]}}
    file = tmp_path / "group.json"
    file.write_text(json.dumps(body))
    done = vifctl("sg", "set", GROUP, "--file", str(file), "--owner", "me", "-f", "json")
    assert (done.code, done.err) == (0, "")
    assert (done.json["owner"], done.json["rules"][0]["ethertype"]) == ("me", "IPv6")
    bad = {"id": GROUP, "ruels": []}
    done = vifctl("sg", "set", GROUP, "--file", "-", "-f", "json", stdin=json.dumps(bad))
    assert done.code == 1
    assert done.json["code"] == "E_DOC_INVALID"
    assert vifctl("sg", "set", GROUP, "--file", "-", stdin="[]").code == 2


def test_groups_of_addresses_and_networks(vifctl):
    done = vifctl("address-group", "set", GROUP, "--address", "10.0.0.0/8", "--address", "::1")
    assert (done.code, done.err) == (0, "")
    vifctl("address-group", "remove", GROUP, "--address", "::1")
    assert vifctl("address-group", "show", GROUP, "-f", "json").json["addresses"] == ["10.0.0.0/8"]
    mac = "fa:16:3e:00:00:01"
    done = vifctl("network", "add", OTHER, "--endpoint", f"192.0.2.1={mac},10.0.0.1",
                  "--endpoint", "192.0.2.2", "-f", "json")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert done.json["counts"] == {"endpoints": 2, "ports_behind": 1}
    assert f"192.0.2.1={mac},10.0.0.1" in vifctl("network", "show", OTHER).out
    done = vifctl("network", "remove", OTHER, "--endpoint", f"192.0.2.1={mac}", "-f", "json")
    assert done.json["counts"] == {"endpoints": 2}
    assert "2 endpoints" in vifctl("network", "list").out
    assert vifctl("network", "delete", OTHER).code == 0


def test_one_in_use_is_refused_or_goes_later(vifctl):
    vifctl("sg", "set", GROUP)
    vifctl("sg", "set", OTHER, "--rule", f"ingress from group {GROUP}")
    done = vifctl("sg", "delete", GROUP)
    assert done.code == 1
    assert "E_SET_IN_USE" in done.err
    done = vifctl("sg", "delete", GROUP, "--later")
    assert done.code == 0
    assert "going" in done.out
    assert "goes once it is not" in done.err


def test_wrong_usage_is_said(vifctl):
    assert vifctl("sg", "show", "nothing").code == 4
    assert vifctl("sg", "add", GROUP, "--rule", "ingress").code == 4
    vifctl("sg", "set", GROUP)
    assert vifctl("sg", "add", GROUP).code == 2
    assert vifctl("sg", "remove", GROUP).code == 2
    done = vifctl("sg", "set", GROUP, "--rule", "ingress tcp http")
    assert done.code == 2
    assert "a rule is:" in done.err
    done = vifctl("sg", "remove", GROUP, "--rule", "ingress tcp 1")
    assert (done.code, "no rule" in done.err) == (2, True)


def test_names_that_drive_a_terminal_are_shown_plain(vifctl):
    vifctl("sg", "set", GROUP, "--name", "a\x1b[2Jb")
    for verb in (("list",), ("show", GROUP)):
        assert "\x1b" not in vifctl("sg", *verb).out
