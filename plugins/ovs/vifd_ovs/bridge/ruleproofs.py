"""Proofs by trace that security groups have their effect: in each direction one packet that passes
and one that does not, where the rules have such. Pure.

A rule's flow may be there byte for byte, and a flow of others stand above it. A trace asks no
connection tracking: every packet is the first of its connection, and what that began with is said
in the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from vifd.openflow.trace import Hop, Trace
from vifd.policy.groups import Packet
from vifd.policy.rule import ICMP, ICMPV6, TCP, UDP, Direction
from vifd_ovs.bridge import cookies, tables
from vifd_ovs.bridge.admission import COMMIT, JOINT, PASS, TOLD, stateless_pass
from vifd_ovs.bridge.flows import QUESTION
from vifd_ovs.bridge.ports import SwitchPort
from vifd_ovs.bridge.proofs import GATEWAY, End, Frame, address, address6, foreign_text, judge

_STAGES = {
    Direction.EGRESS: (tables.EGRESS, tables.EGRESS_STATELESS, tables.EGRESS_VERDICT),
    Direction.INGRESS: (tables.INGRESS, tables.INGRESS_STATELESS, tables.INGRESS_VERDICT),
}
_KEYWORDS = {TCP: ("tcp", "tcp"), UDP: ("udp", "udp"), 132: ("sctp", "sctp")}
_NAMES = {ICMP: "ICMP", ICMPV6: "ICMPv6", TCP: "TCP", UDP: "UDP"}


class Probe(NamedTuple):
    """A packet, and whether the groups of the port let it pass."""

    packet: Packet
    passes: bool


def frames(port: SwitchPort, probes: Sequence[Probe]) -> Iterator[Frame]:
    """The questions for the switch; a closed port has none."""
    for probe in probes if port.is_open else ():
        direction = probe.packet.direction
        what = "allowed" if probe.passes else "refused"
        yield Frame(
            f"{direction}_{what}", _text(port, probe.packet),
            End.PASSES if probe.passes else End.RULES, partial(_judged, direction),
            _told(probe.packet),
        )  # fmt: skip


def _text(port: SwitchPort, packet: Packet) -> str:
    """A packet in the words of ovs-ofctl. What comes to the port begins where frames are
    delivered."""
    own = port.allowed[0]
    four = packet.version == 4
    mine = address(own.ipv4[0]) if four else address6(own.ipv6[0])
    inward = packet.direction is Direction.INGRESS
    source, target = (packet.remote, mine) if inward else (mine, packet.remote)
    if inward:
        head = f"in_port=CONTROLLER,metadata={QUESTION:#x},{tables.NETWORK_REGISTER}={port.tag}"
        head += f",dl_src={GATEWAY},dl_dst={port.mac}"
    else:
        head = f"{port.entrance},dl_src={port.mac},dl_dst={GATEWAY}"
    prefix, tracked = ("nw", "ct_nw") if four else ("ipv6", "ct_ipv6")
    kind, transport, ends = _transport(packet)
    return (
        f"{kind},{head},{prefix}_src={source},{prefix}_dst={target},nw_ttl=64{transport},"
        f"ct_state=trk|new,{tracked}_src={source},{tracked}_dst={target},"
        f"ct_nw_proto={packet.protocol},ct_tp_src={ends[0]},ct_tp_dst={ends[1]}"
    )


def _transport(packet: Packet) -> tuple[str, str, tuple[int, int]]:
    """The keyword of a packet's protocol, its fields, and what tracking calls its ports."""
    six = "6" if packet.version == 6 else ""
    if packet.protocol in _KEYWORDS:
        keyword, name = _KEYWORDS[packet.protocol]
        fields = f",{name}_src={packet.sport},{name}_dst={packet.dport}"
        return keyword + six, fields, (packet.sport, packet.dport)
    if packet.icmp_type is not None:
        kind, code = packet.icmp_type, packet.icmp_code or 0
        name = "icmpv6" if six else "icmp"
        return f"icmp{six}", f",{name}_type={kind},{name}_code={code}", (kind, code)
    return f"ip{'v6' if six else ''},nw_proto={packet.protocol}", "", (0, 0)


def _told(packet: Packet) -> str:
    name = _NAMES.get(packet.protocol, f"protocol {packet.protocol}")
    what = f" type {packet.icmp_type}" if packet.icmp_type is not None else ""
    what = f" to port {packet.dport}" if packet.dport else what
    side = "from" if packet.direction is Direction.INGRESS else "to"
    return f"{name}{what} {side} {packet.remote}"


def _judged(direction: Direction, trace: Trace, bridge: str, port: SwitchPort) -> str:
    """Whether the rules of the port let a packet pass, or what happened instead."""
    # a copy that leaves by the uplink goes through another bridge before this one is judged
    hops = [hop for hop in trace.hops if hop.bridge == bridge]
    first, stateless, verdict = _STAGES[direction]
    asked = False
    for hop in hops:
        if not hop.missed and not cookies.ours(hop.cookie):
            return foreign_text(hop)
        asked |= hop.cookie == port.cookie and hop.table in (tables.POLICY, first)
        if asked and hop.table in (stateless, verdict):
            end = _end(hop, verdict)
            if end is not None:
                return end
    return judge(trace, bridge, port)


def _end(hop: Hop, verdict: int) -> End | None:
    """What a verdict is; ``None`` where it is left to the next."""
    if hop.table != verdict:
        return End.PASSES if hop.priority in (stateless_pass(), stateless_pass() + TOLD) else None
    passes = (JOINT, COMMIT, PASS, JOINT + TOLD, COMMIT + TOLD)
    return End.PASSES if hop.priority in passes else End.RULES
