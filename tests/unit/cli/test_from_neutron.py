"""``vifctl document from-neutron``: what it makes is a document that the daemon reads whole."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from unit.docs import NETWORK, port_id
from unit.test_document_networking import DEVICE, NET, PORT, SUBNET
from vifd.cli import neutron
from vifd.cli.app import Vifctl
from vifd.model import decode, unread_remarks

SUB = {
    "id": SUBNET, "name": "sub", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.254",
    "enable_dhcp": True, "ip_version": 4, "network_id": NETWORK, "allocation_pools": [],
    "segment_id": None,
}  # fmt: skip
POLICY_ID = "0d1e0000-0000-4000-8000-00000000f00d"
POLICY = {
    "id": POLICY_ID, "name": "gold", "shared": False,
    "rules": [{"id": "r", "type": "bandwidth_limit", "max_kbps": 1000, "max_burst_kbps": 0,
               "direction": "egress", "qos_policy_id": POLICY_ID}],
}  # fmt: skip
SERVER = {
    "id": DEVICE, "name": "web", "addresses": {}, "tenant_id": "ab",
    "OS-EXT-SRV-ATTR:instance_name": "instance-00000001",
    "flavor": {"vcpus": 2, "ram": 512, "extra_specs": {"hw:vif_multiqueue_enabled": "true"}},
}  # fmt: skip
IMAGE = {"id": "i", "disk_format": "qcow2", "hw_vif_model": "virtio", "name": "debian"}


def rest() -> list[Any]:
    return copy.deepcopy(
        [{"port": PORT}, {"network": NET}, {"subnets": [SUB]}, {"policy": POLICY},
         {"server": SERVER}, {"image": IMAGE}]
    )  # fmt: skip


def made(values: list[Any], **options: str) -> dict[str, Any]:
    (document,) = neutron.documents(values, role="ACTIVE", **options)
    return document


def test_nothing_of_it_is_unread() -> None:
    values = rest()
    values[0]["port"]["qos_policy_id"] = POLICY_ID
    document = made(values)
    attachment = decode(document).attachment
    assert unread_remarks(document) == []
    assert [ip.ip_address for ip in attachment.fixed_ips] == ["10.0.0.1"]
    assert (attachment.subnets[0].cidr, attachment.network.segment.segmentation_id) == (
        "10.0.0.0/24", 101,
    )  # fmt: skip
    assert attachment.port.vnic_type == "direct"
    assert attachment.port.allowed_address_pairs[0].ip_address == "10.9.0.0/24"
    assert attachment.port.qos_policy is not None
    assert attachment.port.qos_policy.rules[0].value == 1000
    instance = attachment.instance
    assert instance is not None
    assert (instance.name, instance.vcpus) == ("instance-00000001", 2)
    assert instance.flavor_extra_specs == {"hw:vif_multiqueue_enabled": "true"}
    assert instance.image_properties == {"hw_vif_model": "virtio"}


def test_bare_objects_in_one_list_and_any_order() -> None:
    bare = [SERVER, SUB, NET, IMAGE, PORT, POLICY]
    assert made([copy.deepcopy(bare)]) == made(rest())


def test_the_names_of_the_command_line_client() -> None:
    port = {**PORT, "binding_vnic_type": "normal", "binding_profile": {"a": 1}}
    for name in ("binding:vnic_type", "binding:profile"):
        del port[name]
    document = made([port, NET])
    assert document["port"]["vnic_type"] == "normal"
    assert document["port"]["binding_profile"] == {"a": 1}
    assert document["instance"] == {"id": DEVICE}


def test_many_ports() -> None:
    ports = [{**PORT, "id": port_id(n)} for n in (1, 2, 3)]
    found = neutron.documents([{"ports": ports}, {"networks": [NET]}], role="INACTIVE")
    assert [d["port"]["id"] for d in found] == [port_id(n) for n in (1, 2, 3)]
    assert {d["role"] for d in found} == {"INACTIVE"}


def test_the_segment_that_reaches_the_host() -> None:
    net = {k: v for k, v in NET.items() if not k.startswith("provider:")}
    net["segments"] = [
        {"provider:network_type": "vlan", "provider:physical_network": p,
         "provider:segmentation_id": n} for p, n in (("a", 5), ("b", 6))
    ]  # fmt: skip
    with pytest.raises(neutron.Lacking, match="--physical-network"):
        made([PORT, net])
    assert made([PORT, net], physical_network="b")["network"]["segment"]["segmentation_id"] == 6
    with pytest.raises(neutron.Lacking, match="no segment with physical network c"):
        made([PORT, net], physical_network="c")


LACKS = [
    ([], "no port is in the files"),
    ([{"port": PORT}], f"network {NETWORK} of port {port_id(1)} is not in the files"),
    ([{"port": {**PORT, "mac_address": None}}, NET], "mac_address is missing"),
    ([PORT, {k: v for k, v in NET.items() if k[:9] != "provider:"}], "administrators only"),
    ([{**PORT, "qos_policy_id": POLICY_ID}, NET], f"QoS policy {POLICY_ID}"),
    ([3], "is no answer of an API"),
    ([{"x": 1}], "an object with x is no port"),
]


@pytest.mark.parametrize(("values", "said"), LACKS, ids=[s for _, s in LACKS])
def test_what_lacks_is_named(values: list[Any], said: str) -> None:
    with pytest.raises(neutron.Lacking) as caught:
        neutron.documents(copy.deepcopy(values), role="ACTIVE")
    assert said in str(caught.value)


def test_the_command(tmp_path, capsys) -> None:
    files = []
    for number, value in enumerate(rest()):
        files.append(str(tmp_path / f"{number}.json"))
        (tmp_path / f"{number}.json").write_text(json.dumps(value))
    assert Vifctl().run(["document", "from-neutron", *files]) == 0
    document = json.loads(capsys.readouterr().out)
    assert decode(document).id == port_id(1)
    assert Vifctl().run(["document", "from-neutron", files[0]]) == 2
    told = capsys.readouterr()
    assert (told.out, "GET /v2.0/networks/" in told.err) == ("", True)
    assert Vifctl().run(["document", "from-neutron", str(tmp_path / "none")]) == 2


def test_what_it_prints_can_be_plugged(vifctl, backend, tmp_path) -> None:
    file = tmp_path / "all.json"
    file.write_text(json.dumps(rest()))
    done = vifctl("document", "from-neutron", str(file))
    assert (done.code, done.err) == (0, "")
    assert vifctl("port", "plug", "-f", "-", stdin=done.out).code == 0
    assert backend.ports()[0].doc.attachment.fixed_ips[0].ip_address == "10.0.0.1"
