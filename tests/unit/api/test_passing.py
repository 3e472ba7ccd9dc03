"""``/v1/ports/{id}/passes``: which rule lets a packet pass, or that none does."""

from __future__ import annotations

from typing import Any

import pytest

from unit.api.client import Client, document, uuid

GROUP, OTHER = uuid(0x11), uuid(0x12)
RULE = {"id": uuid(0x21), "direction": "ingress", "protocol": "tcp", "port_range_min": 443,
        "port_range_max": 444, "remote_group_id": OTHER}  # fmt: skip


def plugged(api: Client, **port: Any) -> str:
    """A port; the path of its answers."""
    sent = document(7)
    sent["port"] |= port
    assert api.call("PUT", f"/v1/ports/{sent['port']['id']}", sent).status in (200, 201, 202)
    return f"/v1/ports/{sent['port']['id']}/passes"


def test_the_rule_is_named(api: Client) -> None:
    api.call("PUT", f"/v1/security-groups/{GROUP}", {"rules": [RULE]})
    api.call("PUT", f"/v1/security-groups/{OTHER}", {"members": [{"ip_address": "10.5.0.0/24"}]})
    path = plugged(api, security_groups=[GROUP])
    found = api.call("GET", f"{path}?from=10.5.0.9&port=443").json
    assert (found["passes"], found["rule"], found["group"]) == (True, RULE["id"], GROUP)
    for query in ("from=10.6.0.9&port=443", "from=10.5.0.9&port=445", "to=10.5.0.9&port=443",
                  "from=10.5.0.9&port=443&proto=udp", "from=fd00::9&port=443"):  # fmt: skip
        found = api.call("GET", f"{path}?{query}").json
        assert (found["passes"], found["rule"]) == (False, None), query
        assert GROUP in found["why"]


@pytest.mark.parametrize("protocol", ["dccp", "udplite"])
def test_a_rule_that_lets_nothing_pass_is_said_to(api: Client, protocol: str) -> None:
    """Nobody here sees the ports of these."""
    some = {**RULE, "protocol": protocol, "remote_group_id": None}
    api.call("PUT", f"/v1/security-groups/{GROUP}", {"rules": [some]})
    path = plugged(api, security_groups=[GROUP])
    asked = f"{path}?from=10.5.0.9&port=443&proto={protocol}"
    found = api.call("GET", asked).json
    assert (found["passes"], found["rule"]) == (False, None)
    assert RULE["id"] in found["why"]
    assert "lets nothing pass" in found["why"]
    every = {**some, "port_range_min": 1, "port_range_max": 65535}
    api.call("PUT", f"/v1/security-groups/{GROUP}", {"rules": [every]})
    assert api.call("GET", asked).json["rule"] == RULE["id"]


def test_type_and_code_of_icmp(api: Client) -> None:
    """What is not said is a ping's."""
    ping = {"id": uuid(0x22), "direction": "ingress", "protocol": "icmp", "port_range_min": 8,
            "port_range_max": 0}  # fmt: skip
    ping6 = {"id": uuid(0x23), "direction": "ingress", "ethertype": "IPv6", "protocol": "icmpv6",
             "port_range_min": 128}  # fmt: skip
    api.call("PUT", f"/v1/security-groups/{GROUP}", {"rules": [ping, ping6]})
    path = plugged(api, security_groups=[GROUP])
    asked = {
        "from=10.5.0.9&proto=icmp": True, "from=10.5.0.9&proto=icmp&port=8": True,
        "from=10.5.0.9&proto=1&port=8&code=0": True,
        "from=10.5.0.9&proto=icmp&port=8&code=1": False,
        "from=10.5.0.9&proto=icmp&port=0": False, "from=fd00::9&proto=icmp": True,
        "from=fd00::9&proto=58&port=128&code=7": True, "from=fd00::9&proto=58&port=129": False,
    }  # fmt: skip
    assert {query: api.call("GET", f"{path}?{query}").json["passes"] for query in asked} == asked


def test_what_every_guest_needs_passes(api: Client) -> None:
    path = plugged(api, security_groups=[])
    found = api.call("GET", f"{path}?to=255.255.255.255&proto=udp&port=67&sport=68").json
    assert found["passes"]
    assert "DHCP" in found["why"]
    assert not api.call("GET", f"{path}?to=192.0.2.1&port=80").json["passes"]


def test_what_is_missing_is_said(api: Client) -> None:
    path = plugged(api, security_groups=[GROUP])
    found = api.call("GET", f"{path}?to=192.0.2.1&port=80").json
    assert (found["passes"], found["missing"]) == (False, [f"security group {GROUP}"])
    assert "waits for" in found["why"]


def test_without_groups_nothing_is_refused(api: Client) -> None:
    found = api.call("GET", f"{plugged(api)}?to=192.0.2.1&proto=47").json
    assert (found["passes"], found["rule"]) == (True, None)


@pytest.mark.parametrize("query", [
    "", "to=192.0.2.1&from=192.0.2.1&port=1", "to=nowhere&port=1", "to=192.0.2.1",
    "to=192.0.2.1&port=x", "to=192.0.2.1&proto=icmp&port=256", "to=192.0.2.1&proto=1&code=256",
    "to=192.0.2.1&proto=tcp&port=1&code=1", "to=192.0.2.1&proto=47&code=1",
    "to=192.0.2.1&port=0", "to=192.0.2.1&proto=300", "to=192.0.2.1&proto=x",
    "to=192.0.2.1&port=1&more=1",
])  # fmt: skip
def test_what_makes_no_sense_is_refused(api: Client, query: str) -> None:
    answer = api.call("GET", f"{plugged(api)}?{query}")
    assert (answer.status, answer.field.partition(".")[0]) == (400, "query"), answer.json
