"""Segments and frames of the tests of tunnels."""

from __future__ import annotations

from vifd.testing import frames as f
from vifd.testing.attachments import ipv4, mac


def segment(kind: str = "vxlan", number: int = 101) -> dict[str, object]:
    """A network with tunnels."""
    return {"network_type": kind, "segmentation_id": number}


def unicast(source: int, target: int, payload: bytes = b"vifd") -> bytes:
    """A packet from one port to another."""
    return f.udp(mac(source), mac(target), ipv4(source), ipv4(target), payload)


def broadcast(source: int, payload: bytes = b"all") -> bytes:
    """A packet from a port to all."""
    return f.udp(mac(source), f.BROADCAST, ipv4(source), "255.255.255.255", payload)


def asks(source: int, target: int) -> bytes:
    """A port asks who has an address."""
    return f.arp_request(mac(source), ipv4(source), ipv4(target))
