"""Traces beyond the integration bridge: from the guest to the card, and from there, or from a
neighbour, to the guest. For somebody who asks why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vifd.drivers import PortRow, Tracer
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.openflow import datapath
from vifd.openflow.trace import Hop, Trace, parse
from vifd.policy.addresses import Allowed
from vifd_ovs.bridge import cookies, tables
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.proofs import (
    ANY_ADDRESS,
    BROADCAST,
    GATEWAY,
    address,
    address6,
    foreign_text,
    frames,
)

#: How a finding begins that lies on the physical bridge.
_LOST = "lost on bridge"
#: So many remarks of the switch are told.
_REMARKS = 3


@dataclass(frozen=True)
class Way:
    """The way of a port to its physical network.

    :param device: the port's own name on the switch
    :param physical: the bridge of the physical network
    :param uplinks: ports of that one that lead out of the host, with a number
    """

    port: SwitchPort
    device: str
    bridge: str
    physical: str = ""
    uplinks: Sequence[PortRow] = ()

    @property
    def vlan(self) -> int | None:
        """The VLAN id on the wire."""
        return self.port.segment[2] if self.port.segment[0] == "vlan" else None


def evidence(tracer: Tracer, way: Way, neighbour: SwitchPort | None) -> list[Evidence]:
    """What the switch says of frames that leave the host, and of such that come to the port.

    :param neighbour: another open port of the network
    """
    if not way.port.is_open:
        return []
    try:
        numbers = datapath.ports(tracer.call("dpif/show"))
        facts = _outside(tracer, way, numbers) if way.uplinks else []
        return facts + (_inside(tracer, way, neighbour, numbers) if neighbour else [])
    except VifError:
        return []  # the traces of every check have said it


def broadcasts(tracer: Tracer, way: Way) -> list[Evidence]:
    """Of those alone that leave the host, and that come in: what may happen to frames of one guest
    is not in it; nothing where the switch does not say."""
    try:
        return _outside(tracer, way, datapath.ports(tracer.call("dpif/show")))[:2]
    except VifError:
        return []


def _outside(tracer: Tracer, way: Way, numbers: dict[str, int]) -> list[Evidence]:
    dhcp = next(frames(way.port)).text
    nic = way.uplinks[0]
    tag = f",dl_vlan={way.vlan}" if way.vlan is not None else ""
    head = f"in_port={nic.ofport},dl_src={GATEWAY}{tag}"
    arp = f"arp,{head},dl_dst={BROADCAST},arp_op=1,arp_sha={GATEWAY},arp_spa={ANY_ADDRESS}"
    (leaving,) = tracer.traces(way.bridge, [dhcp])
    broadcast, unicast = tracer.traces(way.physical, [arp, _to(way.port, head)])
    out = f"leaves by {nic.name}" + (f" in VLAN {way.vlan}" if way.vlan is not None else "")
    given = f"given to {way.device}"
    return [
        _fact("leaving", out, _judged(leaving, way, lambda t: _left(t, way, numbers), out)),
        _fact("arriving", given, _judged(broadcast, way, lambda t: _got(t, way, numbers), given)),
        _fact("arriving_unicast", given,
              _judged(unicast, way, lambda t: _got(t, way, numbers), given)),
    ]  # fmt: skip


def _inside(
    tracer: Tracer, way: Way, neighbour: SwitchPort, numbers: dict[str, int]
) -> list[Evidence]:
    own = neighbour.allowed[0]
    head = f"{neighbour.entrance},dl_src={neighbour.mac}"
    (answer,) = tracer.traces(way.bridge, [_to(way.port, head, own)])
    given = f"given to {way.device}"
    have = _judged(answer, way, lambda t: _got(t, way, numbers), given)
    ok = have == given
    return [Evidence("trace.neighbour", have, given, ok, "trace", repairable=False)]


def _to(port: SwitchPort, head: str, source: Allowed | None = None) -> str:
    """A packet to a port, from outside or from an address of a neighbour."""
    own = port.allowed[0]
    if port.groups is not None:
        return _asking(own, head, port.mac, source)
    four = bool(own.ipv4) and (source is None or bool(source.ipv4))
    kind, prefix = ("udp", "nw") if four else ("udp6", "ipv6")
    if four:
        sender = address(source.ipv4[0]) if source else ANY_ADDRESS
        target = address(own.ipv4[0])
    else:
        sender = address6(source.ipv6[0]) if source else "2001:db8::1"
        target = address6(own.ipv6[0])
    return (
        f"{kind},{head},dl_dst={port.mac},{prefix}_src={sender},{prefix}_dst={target},nw_ttl=64,"
        "udp_src=50000,udp_dst=50000"
    )


def _asking(own: Allowed, head: str, mac: str, source: Allowed | None) -> str:
    """Address resolution, which passes whatever security groups say."""
    sender = source.mac if source is not None else GATEWAY
    if own.ipv4 and (source is None or source.ipv4):
        said = address(source.ipv4[0]) if source is not None else ANY_ADDRESS
        return (
            f"arp,{head},dl_dst={mac},arp_op=1,arp_sha={sender},arp_spa={said},"
            f"arp_tha=00:00:00:00:00:00,arp_tpa={address(own.ipv4[0])}"
        )
    said = address6(source.ipv6[0]) if source is not None else "fe80::1"
    target = address6(own.ipv6[0])
    return (
        f"icmp6,{head},dl_dst={mac},ipv6_src={said},ipv6_dst={target},nw_ttl=255,"
        f"icmpv6_type=135,icmpv6_code=0,nd_target={target}"
    )


def _fact(name: str, wanted: str, have: str) -> Evidence:
    # plugging again mends what is ours of it, and the other evidence says so
    where = "uplink" if have == wanted or have.startswith(_LOST) else "trace"
    return Evidence(f"{where}.{name}", have, wanted, have == wanted, "trace", repairable=False)


def _judged(answer: str | VifError, way: Way, passes: Callable[[Trace], bool], wanted: str) -> str:
    try:
        if isinstance(answer, VifError):
            raise answer
        trace = parse(answer)
    except (VifError, ValueError) as error:
        return f"no trace: {error}"
    foreign = next((h for h in trace.hops if _foreign(h, way)), None)
    if foreign is not None:
        return foreign_text(foreign)
    return wanted if passes(trace) else _lost(trace, way)


def _foreign(hop: Hop, way: Way) -> bool:
    """A flow of others on our bridge. Where a copy comes back over the physical bridge to patch
    ports of others it meets theirs, in the lower half of the table: that is not in our way."""
    above = hop.table != tables.CLASSIFY or (hop.priority or 0) >= tables.LEAST
    return hop.bridge == way.bridge and not hop.missed and above and not cookies.ours(hop.cookie)


def _left(trace: Trace, way: Way, numbers: dict[str, int]) -> bool:
    sent = datapath.outputs(trace.datapath)
    nics = {numbers[n] for row in way.uplinks for n in row.interfaces if n in numbers}
    # a card whose port takes tags off, or puts one on, is judged by that
    plain = any(row.tag is not None or row.vlan_mode for row in way.uplinks)
    return any(port in nics and (plain or vlan == way.vlan) for port, vlan in sent)


def _got(trace: Trace, way: Way, numbers: dict[str, int]) -> bool:
    sent = {port for port, _ in datapath.outputs(trace.datapath)}
    return numbers.get(way.device) in sent


def _lost(trace: Trace, way: Way) -> str:
    """Where a frame ended that did not come where it should."""
    if trace.failure:
        return f"the switch gave up: {trace.failure}"
    there = [hop for hop in trace.hops if hop.bridge == way.physical]
    entered = [hop for hop in trace.hops if hop.bridge == way.bridge]
    beyond = bool(there) and (trace.hops[0].bridge == way.bridge or not entered)
    last = (there if beyond else entered or there or list(trace.hops))[-1:]
    if not last:
        return "it met no flow: the switch takes nothing from that port"
    remarks = "; ".join(last[0].actions[:_REMARKS])
    where = f"{_LOST} {way.physical}" if beyond else f"ended on bridge {way.bridge}"
    return f"{where}: {last[0]}" + (f" ({remarks})" if remarks else "")
