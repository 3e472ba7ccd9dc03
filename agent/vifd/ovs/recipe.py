"""A fingerprint of the flows that ports get: another one where a new version makes others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from vifd.model import Attachment, decode
from vifd.openflow.flow import Flow
from vifd.ovs.ports import switch_port
from vifd.ovs.target import Target
from vifd.ovs.wiring import OvsWiring

_PATCH = "uplink"


def recipe(*settings: object) -> str:
    """The fingerprint of ports on Open vSwitch.

    :param settings: options that decide how ports are made as well
    """
    return fingerprint(*sorted(map(str, _flows())), *map(repr, settings))


def fingerprint(*parts: str) -> str:
    """A short name for a text."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _flows() -> Iterable[Flow]:
    """The flows of a small host with one port of each kind."""
    kinds = [(secured, vlan, opened) for secured in (True, False) for vlan in (True, False)
             for opened in (True, False)]  # fmt: skip
    ports = {}
    for number, (secured, vlan, opened) in enumerate(kinds, 1):
        attachment = sample(number, secured=secured, vlan=vlan)
        segment = attachment.network.segment
        wiring = OvsWiring(
            bridge="br", ofport=number, tag=1 + vlan, generation=1,
            network_type=segment.network_type, physical_network=segment.physical_network,
            segmentation_id=segment.segmentation_id, patch=_PATCH if vlan else "", plugged=True,
        )  # fmt: skip
        ports[attachment.id] = switch_port(attachment, wiring, opened=opened)
    return Target(ports, ours=True, uplinks={_PATCH: 100}).all()


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
