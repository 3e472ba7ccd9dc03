"""``vifctl port explain PORT --to ADDRESS``: which rule lets a packet pass, for people, scripts."""

from __future__ import annotations

import json

import pytest

from unit.api.client import document, uuid
from unit.cli.documents import plug

GROUP, RULE = uuid(0x11), uuid(0x21)
PORT = uuid(7)


@pytest.fixture
def port(vifctl, tmp_path):
    """A port that may be asked for HTTPS by one network, and asks nobody."""
    rule = {"id": RULE, "direction": "ingress", "protocol": "tcp", "port_range_min": 443,
            "port_range_max": 443, "remote_ip_prefix": "10.5.0.0/24"}  # fmt: skip
    path = tmp_path / "group.json"
    path.write_text(json.dumps({"name": "web", "rules": [rule]}))
    done = vifctl("sg", "set", GROUP, "--file", str(path))
    assert done.code == 0, done.err
    sent = document(7)
    sent["port"]["security_groups"] = [GROUP]
    plug(vifctl, sent)
    return PORT


def test_the_rule_is_named_and_the_code_is_0(vifctl, port):
    done = vifctl("port", "explain", port, "--from", "10.5.0.9", "--proto", "tcp", "--port", "443")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"passes: rule {RULE} of security group {GROUP}\n"


@pytest.mark.parametrize("packet", [
    ("--from", "10.6.0.9", "--proto", "tcp", "--port", "443"),
    ("--from", "10.5.0.9", "--proto", "udp", "--port", "443"),
    ("--from", "10.5.0.9", "--port", "444"),
    ("--to", "10.5.0.9", "--port", "443"),
    ("--to", "10.5.0.9", "--proto", "icmp", "--port", "8"),
    ("--to", "10.5.0.9", "--proto", "icmp", "--port", "8/0"),
    ("--to", "10.5.0.9", "--proto", "icmp"),
    ("--to", "255.255.255.255", "--proto", "udp", "--port", "67", "--sport", "69"),
])  # fmt: skip
def test_that_none_does_is_said_and_the_code_is_1(vifctl, port, packet):
    done = vifctl("port", "explain", port, *packet)
    assert done.code == 1
    assert done.out.startswith("is refused: no ")
    assert GROUP in done.out


def test_a_source_port_where_it_matters(vifctl, port):
    done = vifctl("port", "explain", port, "--to", "255.255.255.255", "--proto", "udp", "--port",
                  "67", "--sport", "68")  # fmt: skip
    assert done.code == 0
    assert "DHCP" in done.out


def test_scripts_get_what_the_api_answers(vifctl, port):
    done = vifctl("port", "explain", port, "--from", "10.5.0.9", "--port", "443", "-f", "json")
    assert (done.code, done.json["passes"], done.json["rule"]) == (0, True, RULE)
    done = vifctl("port", "explain", port, "--to", "10.5.0.9", "--port", "443", "-f", "value",
                  "-c", "passes")  # fmt: skip
    assert (done.code, done.out) == (1, "False\n")


@pytest.fixture
def beside(vifctl, port):
    """Another port of the host on the same network, to which any address may speak HTTPS."""
    other, rule = uuid(0x12), {"id": uuid(0x22), "direction": "ingress", "protocol": "tcp"}
    rules = [rule, {**rule, "id": uuid(0x23), "direction": "egress", "port_range_min": 443,
                    "port_range_max": 443}]  # fmt: skip
    assert vifctl("sg", "set", other, "--file", "-", stdin=json.dumps({"rules": rules})).code == 0
    sent = document(8)
    sent["port"]["security_groups"] = [other]
    sent["fixed_ips"][0]["ip_address"] = "10.0.0.8"
    plug(vifctl, sent)
    return "10.0.0.8"


def test_a_port_of_this_host_at_the_other_end_judges_as_well(vifctl, port, beside):
    """Both have to let it pass."""
    asked = ("port", "explain", port, "--from", beside, "--port", "443")
    done = vifctl(*asked)
    assert done.code == 1
    first, second = done.out.splitlines()
    assert first.startswith("is refused: no ingress rule")
    assert second.startswith(f"port {uuid(8)} of this host lets it pass: rule {uuid(0x23)}")
    found = vifctl(*asked, "-f", "json").json
    assert (found["passes"], found["peer"]["passes"]) == (False, True)
    done = vifctl("port", "explain", port, "--to", beside, "--port", "443")
    assert done.out.splitlines()[1].startswith(f"port {uuid(8)} of this host lets it pass: rule")
    mine = document(7)["fixed_ips"][0]["ip_address"]
    done = vifctl("port", "explain", uuid(8), "--to", mine, "--port", "443")
    assert done.code == 1
    assert done.out.splitlines()[0].startswith(
        f"is refused by port {PORT} of this host: no ingress"
    )
    assert done.out.splitlines()[1] == (
        f"this port lets it pass: rule {uuid(0x23)} of security group {uuid(0x12)}"
    )
    done = vifctl("port", "explain", uuid(8), "--to", mine, "--port", "80")
    assert done.out.splitlines()[1].startswith(f"port {PORT} of this host refuses it as well: no")


def test_what_both_let_pass_does(vifctl, port, beside):
    mine = document(7)["fixed_ips"][0]["ip_address"]
    rule = {"id": RULE, "direction": "egress", "protocol": "tcp", "port_range_min": 80,
            "port_range_max": 80, "remote_ip_prefix": f"{beside}/32"}  # fmt: skip
    assert vifctl("sg", "set", GROUP, "--file", "-", stdin=json.dumps({"rules": [rule]})).code == 0
    done = vifctl("port", "explain", port, "--to", beside, "--port", "80")
    assert done.code == 0, mine
    assert [line.partition(":")[0] for line in done.out.splitlines()] == [
        "passes", f"port {uuid(8)} of this host lets it pass",
    ]  # fmt: skip


@pytest.mark.parametrize("packet", [
    ("--to", "10.5.0.9", "--from", "10.5.0.9"), ("--to", "nowhere", "--port", "1"),
    ("--to", "10.5.0.9"), ("--to", "10.5.0.9", "--proto", "http"),
    ("--to", "10.5.0.9", "--port", "8/0"), ("--to", "10.5.0.9", "--proto", "icmp", "--port", "8/"),
    ("--to", "10.5.0.9", "--proto", "icmp", "--port", "8/x"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(vifctl, port, packet):
    done = vifctl("port", "explain", port, *packet)
    assert done.code != 0
    assert done.err
    assert not done.out
