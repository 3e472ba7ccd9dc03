"""Attachment documents to begin with: complete, small, and plugged by a test as they are.

``examples/`` holds the same documents as files; a test holds them equal.
"""

from __future__ import annotations

import copy
from typing import Any

Sample = dict[str, Any]

_LOCAL: Sample = {"network_type": "local"}
_NETWORK = "0d1e0000-0000-4000-8000-000000000001"
_SUBNET = "0d1e0000-0000-4000-8000-000000000002"


def _document(number: int, name: str, segment: Sample, **port: Any) -> Sample:
    return {
        "version": "1.0",
        "role": "ACTIVE",
        "port": {
            "id": f"{number:08x}-5eed-4000-8000-{number:012x}",
            "name": name,
            "mac_address": f"fa:16:3e:5e:ed:{number:02x}",
            **port,
        },
        "network": {"id": _NETWORK, "mtu": 1450, "segment": segment},
        "fixed_ips": [{"ip_address": f"192.0.2.{number}", "subnet_id": _SUBNET}],
        "subnets": [{"id": _SUBNET, "cidr": "192.0.2.0/24", "gateway_ip": "192.0.2.254"}],
        "instance": {"id": f"{number:08x}-0000-4000-8000-00000000feed", "name": f"guest-{number}"},
    }


def _vlan() -> Sample:
    return {"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 101}


def _networking_api() -> Sample:
    """As the Networking API writes a port and its network."""
    made = _document(8, "pasted", {})
    port, network = made["port"], made["network"]
    port |= {
        "network_id": _NETWORK, "admin_state_up": True, "port_security_enabled": True,
        "fixed_ips": made.pop("fixed_ips"), "allowed_address_pairs": [],
        "binding:vnic_type": "normal", "binding:profile": {}, "device_owner": "compute:nova",
        "device_id": made["instance"]["id"],
    }  # fmt: skip
    del network["segment"]
    network |= {"provider:network_type": "local"}
    return made


def _trunk() -> list[Sample]:
    """A guest with two more networks over its one card: the parent, and each sub-port by itself."""
    subs = []
    for number, tag in ((11, 301), (12, 302)):
        made = _document(number, f"vlan-{tag}", _LOCAL, device_owner="trunk:subport")
        made["network"]["id"] = f"0d1e0{number:03x}-0000-4000-8000-{number:012x}"
        made["fixed_ips"] = [{"ip_address": f"192.0.2.{number}"}]
        del made["instance"], made["subnets"]
        subs.append((tag, made))
    named = [{"port_id": s["port"]["id"], "segmentation_id": tag, "segmentation_type": "vlan"}
             for tag, s in subs]  # fmt: skip
    trunk = {"trunk_id": "0000000a-5eed-4000-8000-0000000000ff", "sub_ports": named}
    return [_document(10, "trunk", _LOCAL, trunk_details=trunk), *(made for _, made in subs)]


_LIMITS = [
    {"type": "bandwidth_limit", "direction": "egress", "max_kbps": 10000, "max_burst_kbps": 8000},
    {"type": "bandwidth_limit", "direction": "ingress", "max_kbps": 20000},
    {"type": "packet_rate_limit", "direction": "egress", "max_kpps": 5},
    {"type": "dscp_marking", "dscp_mark": 26},
]
_PAIRS = [
    {"ip_address": "192.0.2.100"},
    {"ip_address": "198.51.100.0/24", "mac_address": "00:00:5e:00:01:0a"},
]
#: By name, what each is for and the documents, one or several.
SAMPLES: dict[str, tuple[str, list[Sample]]] = {
    "local": (
        "the smallest whole port: a network of this host alone, nothing to set up",
        [_document(1, "web", _LOCAL)],
    ),
    "two": (
        "two guests of one network, for a first ping",
        [_document(2, "left", _LOCAL), _document(3, "right", _LOCAL)],
    ),
    "vlan": (
        "a VLAN of a physical network; needs bridge_mappings = physnet1:BRIDGE in agent.conf",
        [_document(4, "tagged", _vlan())],
    ),
    "flat": (
        "an untagged physical network; needs bridge_mappings as well",
        [_document(5, "untagged", {"network_type": "flat", "physical_network": "physnet1"})],
    ),
    "pairs": (
        "more addresses than its own: one, and a prefix with the MAC of a VRRP group",
        [_document(6, "router", _LOCAL, allowed_address_pairs=_PAIRS)],
    ),
    "open": (
        "without port security: the guest may send whatever it likes",
        [_document(7, "appliance", _LOCAL, port_security_enabled=False)],
    ),
    "limited": (
        "a QoS policy: bandwidth both ways, packets, and a DSCP mark",
        [_document(9, "limited", _LOCAL, qos_policy={"rules": _LIMITS})],
    ),
    "trunk": (
        "a VLAN-aware guest: a parent whose card carries two more networks, and its sub-ports",
        _trunk(),
    ),
    "networking-api": (
        "a port and a network pasted from the Networking API: fixed_ips in the port, binding:*, "
        "provider:*",
        [_networking_api()],
    ),
}


def sample(name: str) -> Sample:
    """The file of a name: a document, or several under ``ports``."""
    documents = copy.deepcopy(SAMPLES[name][1])
    return documents[0] if len(documents) == 1 else {"ports": documents}
