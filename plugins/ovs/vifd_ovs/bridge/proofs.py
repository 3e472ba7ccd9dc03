"""Proofs by trace: what the switch itself says it would do with frames of a port.

The judgement is by the flows that a frame goes through, by their cookies, not by where it comes
out: a flow of others that stands above ours is named, whatever it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from vifd.drivers import Tracer, idle
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.openflow.trace import Hop, Trace, parse
from vifd.policy.addresses import Allowed
from vifd_ovs.bridge import cookies, tables
from vifd_ovs.bridge.flows import ADMIT, NOWHERE
from vifd_ovs.bridge.ports import SwitchPort

BROADCAST = "ff:ff:ff:ff:ff:ff"
#: A MAC address that no port has by chance, and stands in for it where one has.
_STRANGERS = ("02:00:76:69:66:64", "02:00:76:69:66:65")
#: Of the documentation prefix (RFC 5737): for a port that may use every address.
ANY_ADDRESS = "192.0.2.1"
_ANY_ADDRESS6 = "2001:db8::1"
#: Stands for the gateway; where it is, is not known.
GATEWAY = "02:00:76:69:66:67"


#: How it is told that a flow of others took a frame.
FOREIGN = "a flow that is not ours took it"
#: What the switch lets pass by no flow: told by ``ovs-ofctl show``, in its words.
BLOCKED = "the switch takes nothing from the port: NO_RECV is set, or spanning tree blocks it"
#: The priority of the switch's own flow that passes everything then; no flow of others has it.
_FAIL_OPEN = 0xF0F0F0


class End(StrEnum):
    """Where a frame shall end."""

    NETWORK = "delivered within its network"
    REFUSED = "refused as spoofed"
    CLOSED = "dropped at the closed port"
    RULES = "refused by the security groups"
    PASSES = "let through by the security groups"


@dataclass(frozen=True)
class Frame:
    """A frame for the tracer, in the words of ovs-ofctl, and where it shall end when open.

    :param judged: says where it ended; :func:`judge` by default
    :param about: what it is, told where it ended elsewhere
    """

    name: str
    text: str
    end: End
    judged: Callable[[Trace, str, SwitchPort], str] | None = None
    about: str = ""


def frames(port: SwitchPort, *, thorough: bool = False) -> Iterator[Frame]:
    """A DHCP request, the resolution of the first address, and one lie.

    :param thorough: a connection to elsewhere as well
    """
    head = f"{port.entrance},dl_src={port.mac}"
    yield Frame(
        "dhcp",
        f"udp,{head},dl_dst={BROADCAST},nw_src=0.0.0.0,nw_dst=255.255.255.255,nw_ttl=64,"
        "udp_src=68,udp_dst=67",
        End.NETWORK,
    )
    own = port.allowed[0]
    yield Frame(*_resolution(port, own, port.entrance), End.NETWORK)
    if port.over and port.sub is None:
        yield Frame("own_tag", _resolution(port, own, f"{port.entrance},dl_vlan=1")[1], End.NETWORK)
    if port.secured:
        used = {pair.mac for pair in port.allowed}
        stranger = next(mac for mac in _STRANGERS if mac not in used)
        source = address(own.ipv4[0]) if own.ipv4 else ANY_ADDRESS
        yield Frame("spoofed", _arp(port.entrance, stranger, source), End.REFUSED)
    if thorough and port.groups is None:
        # with security groups it depends on rules whether there is one
        yield Frame("connection", _connection(port, own), End.NETWORK)


def _resolution(port: SwitchPort, own: Allowed, entrance: str) -> tuple[str, str]:
    """Its name, and the resolution of an address of the port's own."""
    if own.ipv4:
        return "arp", _arp(entrance, port.mac, address(own.ipv4[0]))
    target = address6(own.ipv6[0])
    return "neighbor_solicitation", (
        f"icmp6,{entrance},dl_src={port.mac},dl_dst=33:33:00:00:00:01,ipv6_src={target},"
        f"ipv6_dst=ff02::1,nw_ttl=255,icmpv6_type=135,icmpv6_code=0,nd_target={target}"
    )


def _connection(port: SwitchPort, own: Allowed) -> str:
    """The first packet of a connection to an address outside, by a gateway."""
    kind, prefix = ("ip", "nw") if own.ipv4 else ("ip6", "ipv6")
    source = address(own.ipv4[0]) if own.ipv4 else address6(own.ipv6[0])
    target = ANY_ADDRESS if own.ipv4 else _ANY_ADDRESS6
    protocol = "tcp" if kind == "ip" else "tcp6"
    return (
        f"{protocol},{port.entrance},dl_src={port.mac},dl_dst={GATEWAY},{prefix}_src={source},"
        f"{prefix}_dst={target},nw_ttl=64,tcp_src=50000,tcp_dst=443"
    )


def _arp(entrance: str, mac: str, sender: str) -> str:
    return (
        f"arp,{entrance},dl_src={mac},dl_dst={BROADCAST},arp_op=1,arp_sha={mac},"
        f"arp_spa={sender},arp_tha=00:00:00:00:00:00,arp_tpa={ANY_ADDRESS}"
    )


def address(prefix: str) -> str:
    """An address of a prefix; a usual one where it stands for all."""
    found, _, length = prefix.partition("/")
    return ANY_ADDRESS if length == "0" else found


def address6(prefix: str) -> str:
    """The same for IPv6. The unspecified address is nobody's: address detection sends from it."""
    found, _, length = prefix.partition("/")
    return _ANY_ADDRESS6 if length == "0" or found == "::" else found


class Once:
    """Something that is done by the first call alone."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work

    def __call__(self) -> None:
        work, self._work = self._work, idle
        work()


def traces(
    tracer: Tracer, bridge: str, ports: Iterable[tuple[SwitchPort, Iterable[Frame]]],
    meanwhile: Callable[[], None] = idle,
) -> dict[str, list[Evidence]]:  # fmt: skip
    """Trace the frames of ports, all in one exchange, and judge what the switch says of each.

    :param ports: each with its frames
    :param meanwhile: called once, while the switch is at work
    :returns: the evidence by port id
    """
    asked = [(port, frame) for port, wanted in ports for frame in wanted]
    once, answers = Once(meanwhile), list[str | VifError]()
    try:
        answers += tracer.traces(bridge, [frame.text for _, frame in asked], once) if asked else []
    except VifError as error:
        answers = [error] * len(asked)
    once()
    proofs: dict[str, list[Evidence]] = {}
    for (port, frame), answer in zip(asked, answers, strict=True):
        proofs.setdefault(port.id, []).append(_prove(bridge, port, frame, answer))
    return proofs


def _prove(bridge: str, port: SwitchPort, frame: Frame, answer: str | VifError) -> Evidence:
    wanted = frame.end if port.is_open else End.CLOSED
    try:
        if isinstance(answer, VifError):
            raise answer
        have = (frame.judged or judge)(parse(answer), bridge, port)
    except (VifError, ValueError) as error:
        have = f"no trace: {error}"
    if have != wanted and frame.about:
        have = f"{have} ({frame.about})"
    return Evidence(
        f"trace.{frame.name}", have=str(have), wanted=str(wanted), ok=have == wanted,
        source="trace",
    )  # fmt: skip


def judge(trace: Trace, bridge: str, port: SwitchPort) -> str:
    """Where a frame of a port ended: an :class:`End`, or what happened instead. Pure.

    What counts is its way through the bridge until it leaves: flooded on a physical bridge, a copy
    may come back by a patch port of others, whose flows it then meets.
    """
    hops = list(takewhile(lambda hop: hop.bridge == bridge, trace.hops))
    foreign = next((h for h in hops if not h.missed and not cookies.ours(h.cookie)), None)
    if foreign is not None and (foreign.priority or 0) == _FAIL_OPEN:
        return "the bridge fails open: its controller is lost, and its fail_mode is not secure"
    if foreign is not None:
        return foreign_text(foreign)
    if trace.failure:
        return f"the switch gave up: {trace.failure}"
    if not hops:
        return f"it never met a flow of bridge {bridge}"
    # a copy for a log says nothing of the packet
    hops = [hop for hop in hops if hop.table != tables.LOGGED] or hops
    # what receivers with security groups do with it comes behind
    delivered = [hop for hop in hops if tables.DELIVER <= hop.table <= tables.DELIVER_LAST]
    return _end((delivered or hops)[-1], port)


def foreign_text(hop: Hop) -> str:
    """What is said of a flow of others that took a frame."""
    return f"{FOREIGN}: {hop}"


def _end(last: Hop, port: SwitchPort) -> str:
    if last.missed:
        return f"no flow took it in table {tables.name(last.table)}"
    if last.cookie == port.cookie and last.table == tables.CLASSIFY:
        return BLOCKED if last.priority == ADMIT else End.CLOSED
    if last.cookie == port.cookie and last.table == tables.SPOOFED:
        return End.REFUSED
    nowhere = (port.cookie, tables.DELIVER, NOWHERE)
    if (last.cookie, last.table, last.priority) == nowhere:
        return End.NETWORK
    if last.cookie == cookies.network(port.tag) and last.table >= tables.DELIVER:
        return End.NETWORK
    if last.cookie == port.cookie and last.table == tables.EGRESS_REFUSED:
        return End.RULES
    where = tables.name(last.table)
    return f"it ended in table {where}, in a flow of {cookies.describe(last.cookie)}"
