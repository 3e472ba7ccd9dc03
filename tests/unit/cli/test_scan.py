"""``vifctl adopt --scan``: documents of what is plugged on a host, and what it cannot know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unit.api.client import document, uuid
from vifd.cli import hostscan, switchrows
from vifd.cli.hostscan import Guest, Link
from vifd.cli.scan import cards
from vifd.model import decode

NETWORK = "aaaaaaaa-0000-4000-8000-000000000001"
GUEST = "bbbbbbbb-0000-4000-8000-000000000001"


def row(number: int) -> list[str]:
    return ["uuid", f"{number:08d}-1111-4111-8111-111111111111"]


def answer(*ports: dict[str, Any]) -> dict[str, Any]:
    """What the database says of ports on br-int; each has a device, and more."""
    tables: dict[str, list[Any]] = {"Bridge": [], "Port": [], "Interface": []}
    for number, port in enumerate(ports):
        tables["Interface"].append(
            {"_uuid": row(100 + number), "name": port["device"], "type": "",
             "external_ids": ["map", [list(pair) for pair in port.get("external", {}).items()]]}
        )  # fmt: skip
        tables["Port"].append(
            {"_uuid": row(number), "name": port["device"], "interfaces": row(100 + number),
             "tag": port.get("tag", ["set", []]),
             "other_config": ["map", [list(pair) for pair in port.get("other", {}).items()]]}
        )  # fmt: skip
    members = ["set", [row(n) for n in range(len(ports))]] if len(ports) != 1 else row(0)
    tables["Bridge"].append({"name": "br-int", "ports": members})
    return {"id": "vifctl", "error": None,
            "result": [{"rows": tables[table]} for table in hostscan.TABLES]}  # fmt: skip


def rows(*ports: dict[str, Any]) -> dict[str, Any]:
    return switchrows.read(hostscan.TABLES, answer(*ports))


def tap(number: int, **more: Any) -> dict[str, Any]:
    external = {"iface-id": uuid(number), "attached-mac": f"FA:16:3e:00:00:{number:02x}",
                "vm-uuid": GUEST}  # fmt: skip
    return {"device": f"tap{number}", "external": external, **more}


NOTED = {"net_uuid": NETWORK, "network_type": "vlan", "physical_network": "physnet1",
         "segmentation_id": "101", "tag": "3"}  # fmt: skip


def test_a_port_that_neutrons_agent_noted_has_its_network() -> None:
    found = hostscan.scan(rows(tap(1, tag=3, other=NOTED)), [Link("tap1", 1450)],
                          [Guest(GUEST, "web", "tap1", "fa:16:3e:00:00:01")])  # fmt: skip
    assert found.ports == [{
        "version": "1.0", "role": "ACTIVE",
        "port": {"id": uuid(1), "mac_address": "fa:16:3e:00:00:01", "port_security_enabled": False},
        "network": {"id": NETWORK, "mtu": 1450, "segment": {
            "network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 101}},
        "instance": {"id": GUEST, "name": "web"},
    }]  # fmt: skip
    decode(found.ports[0])
    assert found.places == {uuid(1): "tap1 on br-int"}
    assert len(found.hints) == 1
    assert "without anti-spoofing" in found.hints[0]
    assert uuid(1) in found.hints[0]


def test_ports_of_a_vlan_that_nobody_named_share_a_local_network() -> None:
    found = hostscan.scan(rows(tap(1, tag=3), tap(2, tag=3), tap(3, tag=4)), [], [])
    one, two, three = (doc["network"] for doc in found.ports)
    assert one == two != three
    assert one["segment"] == {"network_type": "local"}
    assert any("each VLAN is a local network" in hint for hint in found.hints)
    for doc in found.ports:
        decode(doc)


def test_what_the_network_service_says_is_taken_whole() -> None:
    whole = document(1)
    known = {uuid(1): whole, uuid(9): document(9)}
    found = hostscan.scan(rows(tap(1, tag=3, other=NOTED)), [], [], known)
    assert found.ports == [whole]
    assert len(found.hints) == 1
    assert "not plugged here" in found.hints[0]
    assert found.hints[0].endswith(uuid(9))


def test_ours_others_and_what_is_no_guests() -> None:
    ours = tap(1)
    ours["external"]["vifd-agent"] = "here"
    no_id = {"device": "patch-tun"}
    ovn = {"device": "p", "external": {"iface-id": "name-of-a-lport"}}
    found = hostscan.scan(rows(ours, no_id, ovn), [], [])
    assert (found.ports, found.ours, found.hints) == ([], 1, [])


def test_without_a_mac_address_a_port_is_left_out_and_said() -> None:
    port = tap(1)
    del port["external"]["attached-mac"]
    found = hostscan.scan(rows(port), [], [])
    assert found.ports == []
    assert "attached-mac" in found.hints[0]
    card = Guest(GUEST, "web", "tap1", "52:54:00:00:00:01")
    by_guest = hostscan.scan(rows(port), [], [card])
    assert by_guest.ports[0]["port"]["mac_address"] == card.mac


def test_two_interfaces_that_name_one_port() -> None:
    twin = {**tap(1), "device": "tap1b"}
    found = hostscan.scan(rows(tap(1), twin), [], [])
    assert len(found.ports) == 1
    assert "tap1b on br-int names it as well as tap1" in found.hints[0]


def test_taps_on_linux_bridges_are_named_with_what_to_do() -> None:
    links = [
        Link("vnet0", 1500, bridge="virbr0", tap=True),
        Link("tapours", 1500, alias="vifd:x", bridge="brq1", tap=True),
        Link("eth0", 1500, bridge="brq1"),
    ]
    found = hostscan.scan(rows(), links, [Guest(GUEST, "web", "vnet0", "52:54:00:00:00:01")])
    assert len(found.hints) == 1
    assert "vnet0 on the Linux bridge virbr0, of guest web," in found.hints[0]


def test_the_cards_of_a_domain() -> None:
    text = f"""<domain><name>web</name><uuid>{GUEST}</uuid><devices>
      <interface type='ethernet'><mac address='52:54:00:00:00:01'/><target dev='tap1'/></interface>
      <interface type='network'><mac address='52:54:00:00:00:02'/></interface>
    </devices></domain>"""
    assert cards(text) == [Guest(GUEST, "web", "tap1", "52:54:00:00:00:01")]


# --- the command ---


def test_a_switch_that_does_not_answer(vifctl, tmp_path: Path) -> None:
    done = vifctl("adopt", "--scan", "--ovsdb", str(tmp_path / "none"))
    assert done.code == 2
    assert "cannot be read" in done.err
    assert "--ovsdb" in done.err
    assert done.out == ""


def test_without_a_file_or_a_scan(vifctl) -> None:
    done = vifctl("adopt", "--all")
    assert done.code == 2
    assert "--scan" in done.err


def test_a_dry_run_changes_nothing(vifctl, served, backend, tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    file.write_text(json.dumps({"ports": [document(1)]}))
    done = vifctl("adopt", "--all", "--dry-run", "-f", str(file), "--format", "json")
    said = json.loads(done.out)[0]
    assert said["port"] == uuid(1)
    assert (said["would be served by"] == "-") == (done.code != 0)
    assert backend.ports() == []
