"""Which addresses a port may use: pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from vifd.model import Attachment


class Allowed(NamedTuple):
    """What may come from one MAC address: IPv4 and IPv6 prefixes as text."""

    mac: str
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]


@lru_cache(maxsize=4096)
def link_local(mac: str) -> str:
    """The link-local address derived from a MAC address (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes((octets[0] ^ 2,)) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + interface))


def allowed(attachment: Attachment) -> tuple[Allowed, ...]:
    """Every MAC address a port may use with its prefixes, the port's own MAC first.

    The fixed IPs go with the port's MAC, an allowed address pair with its own or else the port's.
    Each MAC also has its link-local address. A prefix that another one covers is left out.
    """
    own = attachment.mac
    prefixes: dict[str, list[str]] = {own: [ip.ip_address for ip in attachment.fixed_ips]}
    for pair in attachment.port.allowed_address_pairs:
        mac = pair.mac_address.lower() if pair.mac_address else own
        prefixes.setdefault(mac, []).append(pair.ip_address)
    return tuple(_of_mac(mac, tuple(texts)) for mac, texts in prefixes.items())


@lru_cache(maxsize=4096)
def _of_mac(mac: str, texts: tuple[str, ...]) -> Allowed:
    networks = [ipaddress.ip_network(text, strict=False) for text in texts]
    ipv4 = [net for net in networks if isinstance(net, ipaddress.IPv4Network)]
    ipv6 = [net for net in networks if isinstance(net, ipaddress.IPv6Network)]
    ipv6.append(ipaddress.IPv6Network(link_local(mac)))
    return Allowed(
        mac,
        _texts(ipaddress.collapse_addresses(ipv4) if len(ipv4) > 1 else ipv4),
        _texts(ipaddress.collapse_addresses(ipv6) if len(ipv6) > 1 else ipv6),
    )


def _texts(
    networks: Iterable[ipaddress.IPv4Network] | Iterable[ipaddress.IPv6Network],
) -> tuple[str, ...]:
    """Single addresses without their prefix length."""
    return tuple(
        str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net)
        for net in networks
    )
