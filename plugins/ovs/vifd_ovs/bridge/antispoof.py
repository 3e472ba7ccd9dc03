"""The anti-spoofing rules: what a guest may claim to be. Pure.

Every frame of a secured port enters PROTOCOL. Address resolution is judged there as a whole; other
IP goes on to SOURCE, which knows the allowed (MAC, IP) pairs; what has no IP address yet goes to
HARDWARE, which knows the allowed MACs. What none of them lets through ends in SPOOFED, in a drop
flow of the port that it came from, which counts it.

The rules that are the same for all ports are bridge flows. They stand in tables that nothing but
our own flows leads to, so they never meet the frame of a foreign port.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from vifd.openflow.field import ARP, ICMPV6, IPV4, IPV6, RARP, UDP
from vifd.openflow.flow import Flow, flow
from vifd.policy.addresses import Allowed
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.tables import DELIVER, HARDWARE, PROTOCOL, SOURCE, SPOOFED

_NEIGHBOR_SOLICITATION, _ROUTER_ADVERTISEMENT, _REDIRECT = 135, 134, 137
_NEIGHBOR_ADVERTISEMENT = 136
#: Multicast listener reports and done (RFC 2710), version 2 reports (RFC 3810).
_LISTENER_REPORTS = (131, 132, 143)
_ARP_REQUEST = 1


@lru_cache(maxsize=1)
def common_flows() -> tuple[Flow, ...]:
    """The rules that are the same for every secured port."""
    return tuple(_refused()) + tuple(_without_address()) + tuple(_rest())


def _refused() -> Iterator[Flow]:
    """What no guest may send: answers of a DHCP server, router advertisements, redirects."""

    def refuse(priority: int, **match: int) -> Flow:
        return flow(PROTOCOL, priority, cookies.BRIDGE, (), SPOOFED, **match)

    yield refuse(100, eth_type=IPV4, ip_proto=UDP, udp_src=67, udp_dst=68)
    yield refuse(100, eth_type=IPV6, ip_proto=UDP, udp_src=547, udp_dst=546)
    for kind in (_ROUTER_ADVERTISEMENT, _REDIRECT):
        yield refuse(100, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=kind)
    # the ports' own rules for allowed targets stand above this one
    yield refuse(70, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=_NEIGHBOR_ADVERTISEMENT)


def _without_address() -> Iterator[Flow]:
    """What is sent before there is an address; only the MAC can be judged.

    A hypervisor announces a migrated guest by RARP with the guest's MAC.
    """

    def hardware(**match: int | str) -> Flow:
        return flow(PROTOCOL, 60, cookies.BRIDGE, (), HARDWARE, **match)

    yield hardware(eth_type=IPV4, ipv4_src="0.0.0.0", ip_proto=UDP, udp_src=68, udp_dst=67)
    for kind in _LISTENER_REPORTS:
        yield hardware(eth_type=IPV6, ipv6_src="::", ip_proto=ICMPV6, icmpv6_type=kind)
    yield hardware(eth_type=RARP)


def _rest() -> Iterator[Flow]:
    for kind in (IPV4, IPV6):
        yield flow(PROTOCOL, 50, cookies.BRIDGE, goto=SOURCE, eth_type=kind)
    for table in (PROTOCOL, SOURCE, HARDWARE):
        yield flow(table, 0, cookies.BRIDGE, goto=SPOOFED)


def port_flows(port: SwitchPort) -> Iterator[Flow]:
    """The rules of one secured port."""
    yield flow(SPOOFED, 50, port.cookie, in_port=port.ofport)
    for pair in port.allowed:
        yield from _arp(port, pair)
        yield from _neighbor_discovery(port, pair)
        yield from _sources(port, pair)
        yield flow(HARDWARE, 50, port.cookie, goto=DELIVER, in_port=port.ofport, eth_src=pair.mac)


def _arp(port: SwitchPort, pair: Allowed) -> Iterator[Flow]:
    """ARP from its own MAC, for its own addresses; a probe (RFC 5227) has no address yet."""
    for prefix in pair.ipv4:
        yield flow(
            PROTOCOL, 80, port.cookie, goto=DELIVER, in_port=port.ofport, eth_type=ARP,
            eth_src=pair.mac, arp_sha=pair.mac, arp_spa=prefix,
        )  # fmt: skip
    yield flow(
        PROTOCOL, 90, port.cookie, goto=DELIVER, in_port=port.ofport, eth_type=ARP,
        eth_src=pair.mac, arp_sha=pair.mac, arp_spa="0.0.0.0", arp_op=_ARP_REQUEST,
    )  # fmt: skip


def _neighbor_discovery(port: SwitchPort, pair: Allowed) -> Iterator[Flow]:
    """Advertisements of its own addresses, and duplicate address detection (RFC 4862) for them."""
    for prefix in pair.ipv6:
        yield flow(
            PROTOCOL, 80, port.cookie, goto=SOURCE, in_port=port.ofport, eth_type=IPV6,
            eth_src=pair.mac, ip_proto=ICMPV6, icmpv6_type=_NEIGHBOR_ADVERTISEMENT,
            nd_target=prefix,
        )  # fmt: skip
        yield flow(
            PROTOCOL, 80, port.cookie, goto=DELIVER, in_port=port.ofport, eth_type=IPV6,
            eth_src=pair.mac, ip_proto=ICMPV6, icmpv6_type=_NEIGHBOR_SOLICITATION,
            ipv6_src="::", nd_target=prefix,
        )  # fmt: skip


def _sources(port: SwitchPort, pair: Allowed) -> Iterator[Flow]:
    for prefix in pair.ipv4:
        yield flow(
            SOURCE, 50, port.cookie, goto=DELIVER, in_port=port.ofport, eth_type=IPV4,
            eth_src=pair.mac, ipv4_src=prefix,
        )  # fmt: skip
    for prefix in pair.ipv6:
        yield flow(
            SOURCE, 50, port.cookie, goto=DELIVER, in_port=port.ofport, eth_type=IPV6,
            eth_src=pair.mac, ipv6_src=prefix,
        )  # fmt: skip
