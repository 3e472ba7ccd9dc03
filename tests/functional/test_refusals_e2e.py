"""Refusals from end to end: a whole host, its API, and ``vifctl`` as people run it.

Each cause has its own code, the facts that show it and a hint, whichever way one asks; and nothing
of a port that was refused is on the host.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from unit.docs import document, port_id
from vifd.capabilities import names
from vifd.testing import census
from vifd.testing.daemon import Vifd
from vifd.testing.netns import Namespace
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import until

SUBNET, HERE, THERE = (str(uuid.UUID(int=n)) for n in (7, 8, 9))
LIMIT = {"rules": [{"type": "minimum_bandwidth", "min_kbps": 1000}]}
VIRTIO = names.vif_model("virtio")
QUEUES = {"hw:vif_multiqueue_enabled": "true"}
#: A port that is there already.
NEIGHBOUR = document(1)


def vlan(physnet: str, **more: Any) -> dict[str, Any]:
    segment = {"network_type": "vlan", "physical_network": physnet, "segmentation_id": 7}
    return {"network__segment": {**segment, **more}}


def guest(flavor: dict[str, Any] | None = None, image: dict[str, Any] | None = None) -> Any:
    instance = document(2)["instance"]
    properties = {"flavor_extra_specs": flavor or {}, "image_properties": image or {}}
    return {"instance": {**instance, "vcpus": 4, **properties}}


ROUTED = {
    **vlan("physnet1", id=HERE),
    "fixed_ips": [{"ip_address": "10.0.0.2", "subnet_id": SUBNET}],
    "subnets": [{"id": SUBNET, "cidr": "10.0.0.0/24", "segment_id": THERE}],
}


@dataclass(frozen=True)
class Case:
    """What is asked for, and the refusal: code, HTTP status, some of the facts."""

    name: str
    wanted: dict[str, Any]
    code: str
    status: int
    facts: dict[str, Any]
    retryable: bool = False
    reschedulable: bool = True


CASES = [
    Case("physical network unmapped", vlan("physnet9"), "E_SEG_PHYSNET_UNMAPPED", 409,
         {"wanted": "physnet9", "have": ["physnet1", "physnet2"]}),
    Case("physical network down", vlan("physnet2"), "E_SEG_PHYSNET_DOWN", 503,
         {"wanted": "physnet2", "device": "br-dark"}, retryable=True),
    Case("MTU too large", {**vlan("physnet1"), "network__mtu": 9000}, "E_PLUG_MTU", 409,
         {"wanted": 9000, "have": 1500, "bottleneck": "eth-lit"}),
    Case("network type", {"network__segment": {"network_type": "vxlan", "segmentation_id": 7}},
         "E_SEG_TYPE_UNSUPPORTED", 409, {"wanted": "vxlan"}),
    Case("vnic type", {"port__vnic_type": "direct"}, "E_VNIC_UNSUPPORTED", 409,
         {"wanted": "direct", "have": ["normal"]}),
    Case("fixed IP of another segment", ROUTED, "E_IP_WRONG_SEGMENT", 409,
         {"address": "10.0.0.2", "wanted": THERE, "have": HERE}),
    Case("deferred address", {"port__ip_allocation": "deferred", "fixed_ips": []},
         "E_IP_DEFERRED_UNRESOLVED", 409, {}, retryable=True, reschedulable=False),
    Case("duplicate MAC", {"port__mac_address": NEIGHBOUR["port"]["mac_address"]},
         "E_IP_DUPLICATE", 409, {"kind": "MAC", "other": port_id(1)}),
    Case("duplicate IP", {"fixed_ips": NEIGHBOUR["fixed_ips"]}, "E_IP_DUPLICATE", 409,
         {"kind": "IP", "other": port_id(1)}),
    Case("device model", guest(image={"hw_vif_model": "of-tomorrow"}), "E_CAP_VIF_MODEL", 409,
         {"wanted": "of-tomorrow"}, reschedulable=False),
    Case("several queues", guest(QUEUES), "E_CAP_MULTIQUEUE", 409, {"wanted": 4, "have": 1}),
    Case("flavor against image", guest(QUEUES, {"hw_vif_multiqueue_enabled": "false"}),
         "E_CAP_FLAVOR_IMAGE_CONFLICT", 400,
         {"flavor_property": "hw:vif_multiqueue_enabled"}, reschedulable=False),
    Case("feature that the document requires", {"required": {"features": ["trusted"]}},
         "E_FEATURE_UNENFORCED", 409, {"feature": "trusted", "plugin": "ovs"}),
    Case("feature that nothing enforces", {"port__qos_policy": LIMIT},
         "E_FEATURE_UNENFORCED", 409,
         {"feature": "qos.minimum_bandwidth.egress", "plugin": "ovs"}),
]  # fmt: skip


@dataclass
class Host:
    """A daemon with one port on a switch that has a lit and a dark way out."""

    vifd: Vifd
    ovs: PrivateOvs

    def vifctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "vifd.cli.main", "--socket", str(self.vifd.socket)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        return subprocess.run(
            [*argv, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def offer(self, wanted: dict[str, Any]) -> tuple[int, Any]:
        return self.vifd.call("POST", "/v1/offers", {"attachment": wanted})

    @property
    def known(self) -> dict[str, bool | None]:
        """By name, whether the host has a capability; ``None`` where that was not found out."""
        inventory = self.vifd.get("/v1/host")["inventory"]
        return {c["name"]: c["present"] for c in inventory["capabilities"]}


def uplink(ovs: PrivateOvs, bridge: str, device: str) -> None:
    ovs.vsctl(
        "add-br", bridge, "--", "set", "Bridge", bridge, OF_DATAPATH,
        "--", "add-port", bridge, device,
    )  # fmt: skip


@pytest.fixture
def host(ovs: PrivateOvs, far: Namespace, tmp_path: Path) -> Iterator[Host]:
    far.veth("eth-lit", "lit")
    far.veth("eth-dark", "dark")
    far.run(_down, "dark")
    uplink(ovs, "br-lit", "eth-lit")
    uplink(ovs, "br-dark", "eth-dark")
    options: dict[str, dict[str, object]] = {
        "ovs": {"bridge_mappings": "physnet1:br-lit,physnet2:br-dark", "max_queues": 1},
        "negotiation": {"unenforced": "refuse"},
    }
    with Vifd(tmp_path / "v", ovs, options) as vifd:
        seen = {"physnet1": (True, 1500), "physnet2": (False, 1500)}
        until(lambda: _uplinks(vifd) == seen, "the daemon has seen the links",
              told=lambda: _uplinks(vifd))  # fmt: skip
        status, answer = vifd.plug(NEIGHBOUR)
        assert status == 201, answer
        yield Host(vifd, ovs)
        assert vifd.unplug(NEIGHBOUR["port"]["id"])[0] == 204


def _down(device: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as netlink:
        netlink.link("set", index=netlink.link_lookup(ifname=device)[0], state="down")


def _uplinks(vifd: Vifd) -> dict[str, tuple[bool | None, int | None]]:
    """Of each physical network whether its way out is up, and its MTU, as the plugin knows them."""
    networks = vifd.get("/v1/host")["plugins"]["ovs"]["physical_networks"]
    return {name: (n["up"], n["mtu"]) for name, n in networks.items()}


def wanted(case: Case, number: int = 2, **more: Any) -> dict[str, Any]:
    return {**document(number, **case.wanted), **more}


def refusal(error: dict[str, Any], case: Case) -> dict[str, Any]:
    """The refusal of the plugin ``ovs`` in an error that may carry several."""
    if error["code"] == case.code:
        return error
    assert error["code"] == "E_NEG_NO_COMMON_VIF", error
    (found,) = (c for c in error["candidates"] if c["code"] == case.code and _ovs(c))
    return dict(found)


def _ovs(error: dict[str, Any]) -> bool:
    return bool(error["facts"].get("plugin", "ovs") == "ovs")


def judge(error: dict[str, Any], case: Case) -> None:
    """The error says what it must say."""
    assert error["code"] == case.code, error
    assert {k: error["facts"].get(k) for k in case.facts} == case.facts
    assert error["message"]
    assert error["remediation"]
    assert error["port"] == port_id(2)
    assert (error["retryable"], error["reschedulable"]) == (case.retryable, case.reschedulable)


def test_each_cause_has_its_code(host: Host) -> None:
    before = census.take(host.ovs)
    for case in CASES:
        status, error = host.vifd.plug(wanted(case, plugin="ovs"))
        judge(error, case)
        assert status == case.status, case.name
        status, error = host.vifd.plug(wanted(case))
        assert status in (case.status, 409), case.name
        refusal(error, case)
        status, error = host.offer(wanted(case, plugin="ovs"))
        assert (status, error["code"]) == (409, "E_NEG_NO_COMMON_VIF")
        assert error["facts"]["reason_code"] == case.code, error
        judge(refusal(error, case), case)
    assert [p["id"] for p in host.vifd.get("/v1/ports")["ports"]] == [port_id(1)]
    assert census.take(host.ovs).beyond(before, processes=False) == []


def test_vifctl_says_the_same(host: Host, tmp_path: Path) -> None:
    """A file with one port for each cause, for programs and for people."""
    ports = [wanted(case, plugin="ovs") for case in CASES]
    for number, (case, port) in enumerate(zip(CASES, ports, strict=True), start=2):
        port["port"]["id"] = port_id(number)
        assert case.code
    file = tmp_path / "ports.json"
    file.write_text(json.dumps(ports))
    done = host.vifctl("port", "plug", "-f", str(file), "--format", "json")
    assert done.returncode == 1, done.stderr
    found = {item["id"]: item["error"] for item in json.loads(done.stdout)}
    assert [found[port_id(n)]["code"] for n in range(2, len(CASES) + 2)] == [
        case.code for case in CASES
    ]
    for case, port in zip(CASES, ports, strict=True):
        assert found[port["port"]["id"]]["facts"].items() >= case.facts.items(), case.name
    file.write_text(json.dumps(ports[0]))
    done = host.vifctl("port", "plug", "-f", str(file))
    assert done.returncode == 1
    for words in ("E_SEG_PHYSNET_UNMAPPED", "physnet9", "bridge_mappings", "another host: yes"):
        assert words in done.stderr


def test_a_plugged_port_is_not_changed_into_what_cannot_be(host: Host) -> None:
    """In place or not, and within one call: the checks are those of a new port."""
    first, second, other = (document(n, **vlan("physnet1")) for n in (2, 3, 4))
    assert host.vifd.plug(first)[0] == 201
    for changes, code in (
        ({"network__mtu": 9000}, "E_PLUG_MTU"),
        ({"fixed_ips": NEIGHBOUR["fixed_ips"]}, "E_IP_DUPLICATE"),
        ({k: ROUTED[k] for k in ("fixed_ips", "subnets", "network__segment")},
         "E_IP_WRONG_SEGMENT"),
        ({"port__qos_policy": LIMIT}, "E_FEATURE_UNENFORCED"),
        (guest(QUEUES), "E_CAP_MULTIQUEUE"),
    ):  # fmt: skip
        status, error = host.vifd.plug(document(2, **{**vlan("physnet1"), **changes}))
        assert error.get("code") == code, error
        assert host.vifd.get(f"/v1/ports/{port_id(2)}")["document"] == first
    assert host.vifd.plug(document(2, **vlan("physnet1"), network__mtu=1400))[0] == 200
    # two ports of one call with one address: the first has it
    second["fixed_ips"] = other["fixed_ips"] = [{"ip_address": "10.0.0.77"}]
    call = "/v1/ports:plug?wait=active&timeout=60"
    status, answer = host.vifd.call("POST", call, {"ports": [second, other]})
    assert status == 207
    assert [item["status"] for item in answer["ports"]] == [201, 409], answer
    assert answer["ports"][1]["error"]["code"] in ("E_IP_DUPLICATE", "E_NEG_NO_COMMON_VIF")
    ids = {"ids": [port_id(2), port_id(3)]}
    assert host.vifd.call("POST", "/v1/ports:unplug?wait=gone&timeout=60", ids)[0] == 200


def test_what_the_real_qemu_lacks(ovs: PrivateOvs, tmp_path: Path) -> None:
    """The inventory of this machine, whatever it is, decides."""
    with Vifd(tmp_path / "v", ovs) as vifd:
        host = Host(vifd, ovs)
        until(lambda: host.known.get(VIRTIO) is not None or host.known.get(names.QEMU) is False,
              "QEMU was asked")  # fmt: skip
        known = host.known
        if not known.get(names.QEMU):
            pytest.skip("needs QEMU: it is not installed")
        lacking = [word for word, trait in names.VIF_MODELS.items() if known.get(trait) is False]
        iommus = [w for w, trait in names.VIOMMU_MODELS.items() if known.get(trait) is False]
        assert lacking
        assert iommus
        missing = names.vif_model(lacking[0])
        for flavor, image, code, facts in (
            ({}, {"hw_vif_model": lacking[0]}, "E_CAP_VIF_MODEL", {"wanted": lacking[0]}),
            ({}, {"hw_machine_type": "of-tomorrow"}, "E_CAP_MACHINE_TYPE",
             {"wanted": "of-tomorrow"}),
            ({"hw:viommu_model": iommus[0]}, {}, "E_CAP_VIOMMU", {"wanted": iommus[0]}),
            ({f"trait:{missing}": "required"}, {}, "E_CAP_TRAIT", {"wanted": missing}),
        ):  # fmt: skip
            status, error = vifd.plug(document(2, plugin="ovs", **guest(flavor, image)))
            assert (status, error["code"]) == (409, code), error
            assert error["facts"].items() >= facts.items()
            assert error["facts"]["problem"] or error["facts"]["have"]
        if known.get(names.SWITCHDEV) is False:
            offloaded = {"port__vnic_type": "direct", "port__hardware_offload_type": "switchdev"}
            status, error = vifd.plug(document(2, plugin="noop", vif_type="noop", **offloaded))
            assert (status, error["code"]) == (409, "E_VNIC_NO_SWITCHDEV"), error
        sent = document(2, plugin="ovs", **guest({}, {"hw_vif_model": "virtio"}))
        status, offer = host.offer(sent)
        assert (status, offer["requires"]) == (200, [VIRTIO])
        assert vifd.plug(sent)[0] == 201
        assert vifd.unplug(port_id(2))[0] == 204


def test_what_the_report_says_where_it_does_not_refuse(ovs: PrivateOvs, tmp_path: Path) -> None:
    """By default a feature that nothing enforces is reported, and the port is plugged."""
    with Vifd(tmp_path / "v", ovs) as vifd:
        sent = document(2, port__qos_policy=LIMIT)
        status, port = vifd.plug(sent)
        assert status == 201, port
        found = {e["feature"]: e for e in vifd.get(f"/v1/ports/{port_id(2)}")["enforcement"]}
        assert (found["port_security"]["level"], found["port_security"]["enforced_by"]) == (
            "dataplane", "ovs",
        )  # fmt: skip
        assert found["qos.minimum_bandwidth.egress"]["level"] == "none"
        shown = Host(vifd, ovs).vifctl("port", "show", port_id(2)).stdout
        assert "✗ qos.minimum_bandwidth.egress" in shown
        # what is only reported may change on a plugged port
        more = {"type": "dscp_marking", "dscp_mark": 10}
        changed = {"rules": [*LIMIT["rules"], more]}
        status, port = vifd.plug(document(2, port__qos_policy=changed))
        assert status == 200, port
        features = [entry["feature"] for entry in port["enforcement"]]
        assert "qos.dscp_marking.egress" in features
        assert vifd.unplug(port_id(2))[0] == 204
