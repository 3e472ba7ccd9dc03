"""Tunnels between hosts: what the options say, and what the switch ports for them are. Pure.

One port per network type and IP version carries every network of that type: the flows say where a
frame goes (``remote_ip=flow``) and of which network it is (``key=flow``), so that another host or
network is a flow and no port. On the wire it is what any other program takes for a tunnel of the
type.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from oslo_config import cfg, types

from vifd.drivers import PortRow, PortSpec
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.wiring import NOWHERE

#: The network types that leave a host through a tunnel.
OVERLAYS = ("vxlan", "gre", "geneve")

LOCAL_IP = cfg.ListOpt(
    "local_ip",
    default=[],
    help="Address of this host that tunnels leave from and end at; one of each IP version at most. "
    "VXLAN, GRE and Geneve networks need it.",
)
TUNNEL_TYPES = cfg.ListOpt(
    "tunnel_types",
    default=list(OVERLAYS),
    item_type=types.String(choices=OVERLAYS),
    help="The network types that may leave this host through tunnels.",
)
VXLAN_UDP_PORT = cfg.PortOpt("vxlan_udp_port", default=4789, min=1, help="UDP port of VXLAN.")
GENEVE_UDP_PORT = cfg.PortOpt("geneve_udp_port", default=6081, min=1, help="UDP port of Geneve.")
DONT_FRAGMENT = cfg.BoolOpt(
    "dont_fragment",
    default=True,
    help="Forbid routers to fragment tunnel packets over IPv4.",
)
TUNNEL_CSUM = cfg.BoolOpt(
    "tunnel_csum",
    default=False,
    help="Send tunnel packets with a checksum over their content.",
)
OPTIONS = (LOCAL_IP, TUNNEL_TYPES, VXLAN_UDP_PORT, GENEVE_UDP_PORT, DONT_FRAGMENT, TUNNEL_CSUM)

#: Bytes between the outer IP header and the inner Ethernet header: RFC 7348 (with UDP), RFC 2890
#: with a key, RFC 8926 without options (with UDP).
_HEADERS = {"vxlan": 16, "gre": 8, "geneve": 16}
_ETHERNET, _GRE_CHECKSUM = 14, 4
_IP = {4: 20, 6: 40}


class Kind(NamedTuple):
    """What tells the tunnels of a host apart.

    :param version: of the IP that carries them
    """

    type: str
    version: int

    def __str__(self) -> str:
        return f"{self.type} over IPv{self.version}"


@dataclass(frozen=True)
class Overlay:
    """The options of one plugin, read once.

    :param local: this host's address by IP version; without any there are no tunnels
    :param udp: the UDP port by network type
    """

    types: Sequence[str] = ()
    local: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    udp: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    dont_fragment: bool = True
    checksum: bool = False

    @property
    def served(self) -> tuple[str, ...]:
        """The network types that can be carried by these options."""
        return tuple(kind for kind in OVERLAYS if kind in self.types) if self.local else ()

    def kinds(self, network_type: str) -> list[Kind]:
        """The tunnels of a network type."""
        if network_type not in self.served:
            return []
        return [Kind(network_type, version) for version in sorted(self.local)]

    def overhead(self, kind: Kind) -> int:
        """Bytes that a tunnel adds to a packet of a guest."""
        checksum = _GRE_CHECKSUM if kind.type == "gre" and self.checksum else 0
        return _IP[kind.version] + _HEADERS[kind.type] + checksum + _ETHERNET

    def spec(self, bridge: str, kind: Kind) -> PortSpec:
        """The switch port of a tunnel as it shall be. Its tag keeps it away from flows of others
        on the bridge, which would flood to it."""
        options = {
            "remote_ip": "flow", "key": "flow", "local_ip": self.local[kind.version],
            "df_default": _text(self.dont_fragment), "csum": _text(self.checksum),
        }  # fmt: skip
        if kind.type in self.udp:
            options["dst_port"] = str(self.udp[kind.type])
        if kind.type == "gre" and kind.version == 6:
            options["packet_type"] = "legacy_l2"
        return PortSpec(
            port_name(bridge, kind), tag=NOWHERE, type=interface_type(kind), options=options,
            external_ids={marks.TUNNEL: f"{kind.type}/{kind.version}"},
        )  # fmt: skip


#: Of a plugin that has none.
NO_TUNNELS = Overlay()


def overlay(conf: Any) -> Overlay:
    """Read the options.

    :raises ValueError: an address makes no sense
    """
    local: dict[int, str] = {}
    for text in conf.local_ip:
        address = _address(text)
        if address.version in local:
            raise ValueError(
                f"local_ip: {local[address.version]} and {address} are both IPv{address.version}: "
                "one address of each version is used"
            )
        local[address.version] = str(address)
    udp = {"vxlan": conf.vxlan_udp_port, "geneve": conf.geneve_udp_port}
    return Overlay(tuple(conf.tunnel_types), local, udp, conf.dont_fragment, conf.tunnel_csum)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError as error:
        raise ValueError(f"local_ip: {text!r} is no IP address") from error
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise ValueError(f"local_ip: {text} is no address that other hosts could send to")
    return address


def port_name(bridge: str, kind: Kind) -> str:
    """The name of a tunnel's port on a bridge: at most 15 characters, always the same."""
    digest = hashlib.sha256(f"{bridge} {kind.type} {kind.version}".encode()).hexdigest()[:8]
    return f"{kind.type[:6]}{kind.version}-{digest}"[:15]


def interface_type(kind: Kind) -> str:
    """The type of the port in the database; GRE over IPv6 has one of its own."""
    return "ip6gre" if kind == Kind("gre", 6) else kind.type


def kind_of(row: PortRow) -> Kind | None:
    """Which tunnel a port of ours is; ``None`` for any other port."""
    name, _, version = row.external_ids.get(marks.TUNNEL, "").partition("/")
    return Kind(name, int(version)) if name in OVERLAYS and version in ("4", "6") else None


def version_of(address: str) -> int:
    """The IP version of an address."""
    return 6 if ":" in address else 4


def _text(flag: bool) -> str:
    return "true" if flag else "false"
