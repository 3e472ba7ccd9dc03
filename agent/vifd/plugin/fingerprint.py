"""The fingerprint of what a plugin makes of a port, and the port that it is taken of."""

from __future__ import annotations

import hashlib

from vifd.model import Attachment, decode


def fingerprint(*parts: str) -> str:
    """A short name for a text."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def sample(number: int, *, secured: bool, vlan: bool = False) -> Attachment:
    """A port of no host."""
    segment: dict[str, object] = {"network_type": "local"}
    if vlan:
        segment = {"network_type": "vlan", "physical_network": "p", "segmentation_id": 7}
    pairs = [{"ip_address": "10.9.0.0/24"}, {"ip_address": "fd00::/64"}]
    return decode({
        "version": "1.0",
        "port": {
            "id": f"00000000-0000-4000-8000-{number:012x}",
            "mac_address": f"fa:16:3e:00:00:{number:02x}",
            "port_security_enabled": secured,
            "allowed_address_pairs": pairs,
        },
        "network": {"id": f"00000000-0000-4000-9000-{vlan:012x}", "segment": segment},
        "fixed_ips": [{"ip_address": f"10.0.0.{number}"}, {"ip_address": f"fd00::{number}"}],
    }).attachment  # fmt: skip
