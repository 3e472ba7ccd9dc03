"""The option group ``[linuxbridge]`` of agent.conf."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from vifd.plugin import apart, mappings
from vifd.plugin.guest.options import MAX_QUEUES, TAP_OWNER

OPTIONS = (
    cfg.ListOpt(
        "physical_interface_mappings",
        default=[],
        help="physical_network:interface pairs. Flat networks leave the host by the interface "
        "itself, VLAN networks by a sub-interface of it.",
    ),
    cfg.ListOpt(
        "bridge_mappings",
        default=[],
        help="physical_network:bridge pairs, for flat networks: guests are plugged into that "
        "bridge. It must exist; vifd adds ports to it and changes nothing else. A physical "
        "network is mapped here or in physical_interface_mappings, never in both.",
    ),
    cfg.BoolOpt(
        "enslave_addressed_interfaces",
        default=False,
        help="Make a mapped interface a bridge port even if it has IP addresses of the host. They "
        "are not moved: the host can no longer be reached by them.",
    ),
    cfg.BoolOpt(
        "serve_local",
        default=False,
        help="Take ports of local networks that ask for no plugin. Without it only those that ask "
        "for this plugin, or for the VIF type bridge: a port shall not land here because the "
        "plugin that it was meant for is unavailable just now.",
    ),
    cfg.BoolOpt(
        "vlan_aware",
        default=False,
        help="Use one VLAN-aware bridge per physical network instead of one bridge per VLAN "
        "network. Needs a kernel with bridge VLAN filtering.",
    ),
    cfg.StrOpt(
        "local_ip",
        default="",
        help="Address of this host that VXLAN tunnels leave from; VXLAN networks need it.",
    ),
    cfg.StrOpt(
        "vxlan_group",
        default="",
        help="Multicast group for frames of VXLAN networks that go to many hosts.",
    ),
    cfg.ListOpt(
        "vxlan_remotes",
        default=[],
        help="Without a group: addresses of the other hosts, which get these frames one by one.",
    ),
    cfg.PortOpt("vxlan_port", default=4789, min=1, help="UDP port of VXLAN tunnels."),
    cfg.IntOpt(
        "vxlan_ttl",
        default=0,
        min=0,
        max=255,
        help="TTL of VXLAN packets; 0 leaves it to the kernel, which sends multicast ones with 1.",
    ),
    cfg.BoolOpt(
        "arp_responder",
        default=False,
        help="Answer ARP and neighbour discovery of guests on VXLAN networks here, where the "
        "network's forwarding knows the address. What it does not know, address detection and "
        "announcements go to the network's endpoints as without it. Ports without port security "
        "are not answered.",
    ),
    cfg.BoolOpt(
        "guests_reach_host",
        default=False,
        help="Let guests send frames to addresses that this host has on their bridge.",
    ),
    TAP_OWNER,
    MAX_QUEUES,
)


@dataclass(frozen=True)
class Settings:
    """The options, read once."""

    interfaces: dict[str, str]
    bridges: dict[str, str]
    enslave_addressed: bool
    serve_local: bool
    vlan_aware: bool
    local_ip: str
    group: str
    remotes: tuple[str, ...]
    port: int
    ttl: int
    arp_responder: bool
    guests_reach_host: bool
    tap_owner: int | None
    max_queues: int

    @property
    def physnets(self) -> list[str]:
        """Every physical network that is mapped."""
        return sorted({*self.interfaces, *self.bridges})

    @property
    def overhead(self) -> int:
        """Bytes that VXLAN adds to a packet: the outer IP, UDP and VXLAN headers, and the inner
        Ethernet header (RFC 7348)."""
        return 70 if ":" in self.local_ip else 50


def settings(conf: Any) -> Settings:
    """Read the option group.

    :raises ValueError: a value makes no sense
    """
    option = "physical_interface_mappings"
    interfaces = mappings(option, conf.physical_interface_mappings, "interface")
    bridges = mappings("bridge_mappings", conf.bridge_mappings, "bridge")
    apart(option, interfaces, "bridge_mappings", bridges)
    return Settings(
        interfaces=interfaces,
        bridges=bridges,
        enslave_addressed=conf.enslave_addressed_interfaces,
        serve_local=conf.serve_local,
        vlan_aware=conf.vlan_aware,
        local_ip=_address("local_ip", conf.local_ip),
        group=_address("vxlan_group", conf.vxlan_group, multicast=True),
        remotes=tuple(_address("vxlan_remotes", text) for text in conf.vxlan_remotes),
        port=conf.vxlan_port,
        ttl=conf.vxlan_ttl,
        arp_responder=conf.arp_responder,
        guests_reach_host=conf.guests_reach_host,
        tap_owner=conf.tap_owner,
        max_queues=conf.max_queues,
    )


def _address(option: str, text: str, *, multicast: bool = False) -> str:
    text = text.strip()
    if not text:
        return ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f"{option}: {text!r} is no IP address") from error
    if address.is_multicast != multicast:
        kind = "a multicast" if multicast else "a unicast"
        raise ValueError(f"{option}: {text} is not {kind} address")
    return str(address)
