"""Attachments for tests: valid, different from each other, and as unusual as asked for."""

from __future__ import annotations

import uuid
from typing import Any

from vifd.model import Attachment, decode


def port_id(number: int) -> str:
    """A port's id; ids of different numbers differ in their first eleven characters."""
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def mac(number: int) -> str:
    """The MAC address of port ``number``."""
    return f"fa:16:3e:00:{number >> 8 & 255:02x}:{number & 255:02x}"


def ipv4(number: int) -> str:
    """The IPv4 address of port ``number``."""
    return f"10.0.{number >> 8 & 255}.{number & 255}"


def ipv6(number: int) -> str:
    """The IPv6 address of port ``number``."""
    return f"fd00::{number:x}"


def vlan(number: int, physnet: str = "physnet1") -> dict[str, Any]:
    """A VLAN segment."""
    return {
        "network_type": "vlan",
        "physical_network": physnet,
        "segmentation_id": number,
    }


def flat(physnet: str = "physnet1") -> dict[str, Any]:
    """A flat segment."""
    return {"network_type": "flat", "physical_network": physnet}


def attachment(
    number: int,
    *,
    network: int = 1,
    segment: dict[str, Any] | None = None,
    mtu: int = 1450,
    ips: list[str] | None = None,
    instance: dict[str, Any] | None = None,
    **port: Any,
) -> Attachment:
    """Port ``number`` on network ``network``, with an IPv4 and an IPv6 address.

    :param segment: the network's segment; of type ``local`` by default
    :param ips: its fixed IPs instead of the usual two
    :param port: fields of the document's ``port``
    """
    addresses = [ipv4(number), ipv6(number)] if ips is None else ips
    document = {
        "version": "1.0",
        "port": {"id": port_id(number), "mac_address": mac(number), **port},
        "network": {
            "id": str(uuid.UUID(int=network)),
            "mtu": mtu,
            "segment": segment or {"network_type": "local"},
        },
        "fixed_ips": [{"ip_address": ip} for ip in addresses],
        "instance": {"id": str(uuid.UUID(int=1 << 64 | number)), **(instance or {})},
    }
    return decode(document).attachment
