"""The flows of networks that leave the host through tunnels: pure functions of who is where.

A frame from a tunnel bears that in a register, and no flow sends it to a tunnel again: the sender
has sent a copy to every endpoint that shall have one. Where a MAC address is stands in the
network's forwarding; nothing is learned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from vifd.model.sets import Endpoint, Forwarding
from vifd.openflow import action as act
from vifd.openflow.field import ARP, ICMPV6, IPV6, PRIORITY_TAG, UNTAGGED, Value
from vifd.openflow.flow import Flow, flow
from vifd_ovs.bridge import cookies, subflows
from vifd_ovs.bridge.overlay import version_of
from vifd_ovs.bridge.tables import ANSWER, CLASSIFY, DELIVER, LEAST, SOLICITED, TUNNELS

#: The register of :mod:`vifd_ovs.bridge.flows`, and that which says where a frame comes from.
_NETWORK, ORIGIN = "reg6", "reg7"
#: Values of that: this host; a tunnel; this host, and nobody here can answer what it asks.
HERE, TUNNEL, UNANSWERED = 0, 1, 2

_ENTRANCE = 100  #: in CLASSIFY, as high as that of a port
REMOTE, ASK = 90, 60  #: in DELIVER: below what is here, above what is unknown
_PROBE, _ANNOUNCEMENT, _KNOWN = 70, 60, 50  #: in ANSWER
_BACK, _SHARED, _FLOOD = 100, 20, 10  #: in TUNNELS

#: What of one flow fits an OpenFlow message: 40 bytes at most for each endpoint.
ENDPOINTS_PER_FLOW = 1500
_BROADCAST = "ff:ff:ff:ff:ff:ff"
#: Solicited-node multicast (RFC 4291, 2.7.1; RFC 2464, 7).
_SOLICITED_NODE = "33:33:ff:00:00:00/ff:ff:ff:00:00:00"
#: Flags of an answer (RFC 4861, 4.4): solicited, override. Not a router: see
#: :func:`vifd.policy.answering.answering`.
_SOLICITED_OVERRIDE = 0x6000_0000
_TARGET_LINK_LAYER = 2


@dataclass(frozen=True, slots=True)
class Overlaid:
    """How a network leaves a bridge.

    :param number: its segmentation id: VNI, or key of GRE
    :param exits: OpenFlow port of the tunnel port by IP version; those that are there
    :param own: addresses of this host, which are no endpoints
    :param tagged: it carries tags that its guests set themselves
    :param advertises: the datapath can make a neighbour advertisement of a solicitation
    """

    number: int
    exits: tuple[tuple[int, int], ...] = ()
    own: tuple[str, ...] = ()
    forwarding: Forwarding | None = None
    tagged: bool = False
    advertises: bool = True

    def alike(self, other: Overlaid) -> bool:
        """Whether the two differ by their forwarding at most."""
        return replace(self, forwarding=None) == replace(other, forwarding=None)

    def answers(self, address: str) -> bool:
        """Whether who asks for an address can be answered on this host."""
        return self.advertises or version_of(address) == 4

    def exit(self, address: str) -> int | None:
        """The port by which an endpoint is reached; ``None`` where there is none."""
        return dict(self.exits).get(version_of(address))

    @property
    def endpoints(self) -> list[Endpoint]:
        """Those that can be reached, IPv6 first: an IPv4 destination that was set is the one that
        counts, whatever the IPv6 one is."""
        return sorted(self._usable(), key=lambda e: (-version_of(e.address), e.address))

    @property
    def reaches(self) -> bool:
        """Whether there is any."""
        return next(self._usable(), None) is not None

    @property
    def told(self) -> tuple[Endpoint, ...]:
        """Those that the forwarding names."""
        return self.forwarding.endpoints if self.forwarding is not None else ()

    def _usable(self) -> Iterator[Endpoint]:
        return (e for e in self.told if self.usable(e))

    def usable(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint can be reached."""
        return endpoint.address not in self.own and self.exit(endpoint.address) is not None


# --- the bridge -----------------------------------------------------------------------------------


def bridge_flows(tunnels: Collection[int]) -> list[Flow]:
    """What belongs to no network; nothing where there are no tunnels.

    :param tunnels: ofports of our tunnel ports: of what comes by them only known networks come in
    """
    if not tunnels:
        return []
    guards = [flow(CLASSIFY, LEAST, cookies.BRIDGE, in_port=n) for n in sorted(tunnels)]
    return [*guards, *_common()]


@lru_cache(maxsize=1)
def _common() -> tuple[Flow, ...]:
    unanswered = [act.set_field(ORIGIN, UNANSWERED), act.resubmit(None, DELIVER)]
    solicitation: dict[str, Value] = {"eth_type": IPV6, "ip_proto": ICMPV6, "icmpv6_type": 135}
    return (
        flow(ANSWER, _PROBE, cookies.BRIDGE, unanswered, eth_type=ARP, arp_spa="0.0.0.0"),
        flow(ANSWER, _PROBE, cookies.BRIDGE, unanswered, None, **solicitation, ipv6_src="::"),
        flow(ANSWER, 0, cookies.BRIDGE, unanswered),
        flow(SOLICITED, 0, cookies.BRIDGE, [act.move("eth_src", "nd_tll"), act.in_port()], None,
             **{**solicitation, "icmpv6_type": 136}),
        flow(TUNNELS, _BACK, cookies.BRIDGE, (), None, **{ORIGIN: TUNNEL}),
    )  # fmt: skip


# --- a network ------------------------------------------------------------------------------------


def fixed_flows(tag: int, network: Overlaid) -> Iterator[Flow]:
    """The flows by which a network with ports here comes in, is asked and is flooded: all but those
    of single MAC addresses and IP addresses."""
    for _, number in network.exits:
        yield from _entrance(tag, network.number, number, network.tagged)
    endpoints = network.endpoints
    if endpoints:
        yield from _asking(tag, network.tagged)
        yield from _flood(tag, network, [e.address for e in endpoints])


def remote_flows(
    tag: int, network: Overlaid, mac: str, address: str, shared: Collection[str]
) -> Iterator[Flow]:
    """The flows of a MAC address behind an endpoint.

    :param shared: MACs that local ports may share with others
    """
    out = network.exit(address) or 0
    yield _unicast(tag, mac, network.number, out, address)
    if mac in shared:
        yield _unicast(tag, mac, network.number, out, address, True)


@lru_cache(maxsize=4096)
def _entrance(tag: int, number: int, in_port: int, tagged: bool) -> tuple[Flow, ...]:
    """A priority tag is none (IEEE 802.1Q, 6.9), and comes off; any other tag is refused, unless
    the network carries those of its guests: then each stays as it is."""
    known = [act.set_field(_NETWORK, tag), act.set_field(ORIGIN, TUNNEL)]
    match = {"in_port": in_port, "tun_id": number}
    cookie = cookies.network(tag)
    if tagged:
        return (flow(CLASSIFY, _ENTRANCE, cookie, known, DELIVER, **match),)
    return (
        flow(CLASSIFY, _ENTRANCE, cookie, known, DELIVER, **match, vlan_vid=UNTAGGED),
        flow(CLASSIFY, _ENTRANCE, cookie, [act.pop_vlan(), *known], DELIVER, **match,
             vlan_vid=PRIORITY_TAG),
    )  # fmt: skip


@lru_cache(maxsize=65536)
def _unicast(tag: int, mac: str, number: int, out: int, address: str, shared: bool = False) -> Flow:
    """One MAC address is behind one endpoint."""
    actions = [act.set_field("tun_id", number), *_send(out, address)]
    cookie, network = cookies.network(tag), {_NETWORK: tag}
    if shared:
        return flow(TUNNELS, _SHARED, cookie, actions, **network, eth_dst=mac)
    return flow(DELIVER, REMOTE, cookie, actions, **network, **{ORIGIN: HERE}, eth_dst=mac)


def _send(out: int, address: str) -> list[act.Action]:
    name = "tun_ipv6_dst" if version_of(address) == 6 else "tun_dst"
    return [act.set_field(name, address), act.output(out)]


def _flood(tag: int, network: Overlaid, addresses: Sequence[str]) -> Iterator[Flow]:
    """To every endpoint of the network; where they exceed a message, a chain of flows."""
    step = ENDPOINTS_PER_FLOW
    chunks = [addresses[i : i + step] for i in range(0, len(addresses), step)]
    for i, chunk in enumerate(chunks):
        sent = (a for address in chunk for a in _send(network.exit(address) or 0, address))
        actions = [act.set_field("tun_id", network.number), *sent]
        goto = TUNNELS + i + 1 if i + 1 < len(chunks) else None
        yield flow(
            TUNNELS + i, _FLOOD, cookies.network(tag), actions, goto, **{_NETWORK: tag}
        )  # fmt: skip


# --- answering ------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _asking(tag: int, tagged: bool) -> tuple[Flow, ...]:
    """What is asked of all, by ports of this host. What a guest asks in a VLAN of its own is asked
    of its likes there: the addresses that are known are those of the network itself."""
    cookie = cookies.network(tag)
    asked: dict[str, Value] = {_NETWORK: tag, ORIGIN: HERE}
    if tagged:
        asked["vlan_vid"] = UNTAGGED
    return (
        flow(DELIVER, ASK, cookie, (), ANSWER, **asked, eth_type=ARP, eth_dst=_BROADCAST,
             arp_op=1),
        flow(DELIVER, ASK, cookie, (), ANSWER, **asked, eth_type=IPV6, eth_dst=_SOLICITED_NODE,
             ip_proto=ICMPV6, icmpv6_type=135, icmpv6_code=0),
    )  # fmt: skip


@lru_cache(maxsize=65536)
def answer_flows(
    tag: int, address: str, mac: str, announced: bool, trunked: bool = False
) -> tuple[Flow, ...]:  # fmt: skip
    """The answer for one address.

    :param announced: a port here may announce any address as its own (a request for the address it
        comes from): that is for everybody
    :param trunked: who asked may be a sub-port of a trunk
    """
    cookie, network = cookies.network(tag), {_NETWORK: tag}
    if version_of(address) == 6:
        return (
            flow(ANSWER, _KNOWN, cookie, _advertisement(address, mac), SOLICITED, **network,
                 eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=135, nd_target=address),
        )  # fmt: skip
    known = flow(
        ANSWER, _KNOWN, cookie, _arp_reply(address, mac, trunked), None, **network, eth_type=ARP,
        arp_op=1, arp_tpa=address,
    )  # fmt: skip
    if not announced:
        return (known,)
    unanswered = [act.set_field(ORIGIN, UNANSWERED), act.resubmit(None, DELIVER)]
    return (
        known,
        flow(ANSWER, _ANNOUNCEMENT, cookie, unanswered, None, **network, eth_type=ARP, arp_op=1,
             arp_tpa=address, arp_spa=address),
    )  # fmt: skip


def _arp_reply(address: str, mac: str, trunked: bool) -> list[act.Action]:
    """RFC 826: the asker's addresses become the target's, ours the sender's."""
    return [
        act.move("eth_src", "eth_dst"), act.set_field("eth_src", mac), act.set_field("arp_op", 2),
        act.move("arp_sha", "arp_tha"), act.move("arp_spa", "arp_tpa"),
        act.set_field("arp_sha", mac), act.set_field("arp_spa", address),
        subflows.BACK if trunked else act.in_port(),
    ]  # fmt: skip


def _advertisement(address: str, mac: str) -> list[act.Action]:
    """RFC 4861, 4.4. The source link-layer option becomes the target's, whose value only a packet
    that is an advertisement already may be given: in SOLICITED."""
    return [
        act.move("eth_src", "eth_dst"), act.set_field("eth_src", mac),
        act.move("ipv6_src", "ipv6_dst"), act.set_field("ipv6_src", address),
        act.set_field("icmpv6_type", 136), act.set_field("nd_reserved", _SOLICITED_OVERRIDE),
        act.set_field("nd_options_type", _TARGET_LINK_LAYER),
    ]  # fmt: skip
