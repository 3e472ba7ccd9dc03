"""Connection tracking without a switch: a model that keeps state, for the evaluator of flows.

What the datapaths of Open vSwitch agree on (ovs-fields(7), "Connection Tracking Fields"), as far as
a :data:`~vifd.testing.pipeline.Packet` tells it: a connection is known by its addresses, protocol
and ports (of ICMP, the type) in its zone, whoever sent first began it, a packet of the other side
establishes it, and an ICMP error is related to the connection that it quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vifd.openflow import field as fd
from vifd.testing.flowkey import FLAGS

Packet = Mapping[str, int]

#: What cannot begin a connection unless it asks for something: type asked, type answered.
_ECHOES = {fd.ICMP: {8: 0, 13: 14, 15: 16, 17: 18}, fd.ICMPV6: {128: 129}}
_ERRORS = {fd.ICMP: {3, 4, 5, 11, 12}, fd.ICMPV6: {1, 2, 3, 4}}
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
#: Fields of a packet that tell its tracking, in the order in which they are cleared.
FIELDS = (
    "ct_state", "ct_zone", "ct_mark", "ct_nw_src", "ct_nw_dst", "ct_ipv6_src", "ct_ipv6_dst",
    "ct_nw_proto", "ct_tp_src", "ct_tp_dst",
)  # fmt: skip


#: Protocols that have ports; the userspace datapath knows those of no other.
_PORTED = {fd.TCP: "tcp", fd.UDP: "udp"}


class Ends(NamedTuple):
    """Who speaks to whom, and how."""

    kind: int
    protocol: int
    src: int
    dst: int
    sport: int
    dport: int

    @property
    def back(self) -> Ends:
        """The same for an answer."""
        sport, dport = self.dport, self.sport
        echoes = _ECHOES.get(self.protocol)
        if echoes is not None:
            other = echoes | {answer: asked for asked, answer in echoes.items()}
            sport, dport = other.get(self.sport, self.sport), self.dport
        return Ends(self.kind, self.protocol, self.dst, self.src, sport, dport)


class Connections:
    """The connections of all zones.

    :param ported: the protocols whose ports are known, by number, with the names of their fields
    """

    def __init__(self, ported: Mapping[int, str] = _PORTED) -> None:
        self._ported = ported
        #: by zone: how each began, and whether it was answered
        self.zones: dict[int, dict[Ends, bool]] = {}
        #: by zone and how it began: the mark of a connection, where it has one
        self.marks: dict[tuple[int, Ends], int] = {}

    def ends(self, packet: Packet) -> Ends:
        """Who sends a packet to whom."""
        return _ends(packet, self._ported)

    def flush(self, zone: int) -> None:
        """Forget those of a zone."""
        self.zones.pop(zone, None)
        self.marks = {key: mark for key, mark in self.marks.items() if key[0] != zone}

    def clear(self) -> None:
        """The datapath is gone."""
        self.zones.clear()
        self.marks.clear()

    def commit(self, zone: int, packet: Packet, mark: int | None = None) -> None:
        """Remember the connection that a packet begins.

        :param mark: what it is marked with, also one that is known; ``None``: nothing is said of it
        """
        ends = self.ends(packet)
        known = self.zones.setdefault(zone, {})
        if ends not in known and ends.back not in known:
            known[ends] = False
        if mark is not None:
            self.marks[zone, ends if ends in known else ends.back] = mark

    def track(self, zone: int, packet: Packet) -> dict[str, int]:
        """What is known of a packet: the fields that tracking writes."""
        found, began = self._known(zone, packet)
        mark = self.marks.get((zone, began)) if began is not None else None
        return found if mark is None else {**found, "ct_mark": mark}

    def _known(self, zone: int, packet: Packet) -> tuple[dict[str, int], Ends | None]:
        """What is known of a packet but for the mark, and how its connection began."""
        known = self.zones.setdefault(zone, {})
        ends = self.ends(packet)
        if ends.protocol in _ERRORS and ends.sport in _ERRORS[ends.protocol]:
            return _error(zone, known, packet, ends)
        if ends in known:
            state = fd.CT_ESTABLISHED if known[ends] else fd.CT_NEW
            return _told(zone, state, ends), ends
        if ends.back in known:
            known[ends.back] = True
            return _told(zone, fd.CT_ESTABLISHED | fd.CT_REPLY, ends.back), ends.back
        echoes = _ECHOES.get(ends.protocol)
        if (echoes is not None and ends.sport not in echoes) or _begins_nothing(packet):
            return {"ct_state": fd.CT_INVALID | fd.CT_TRACKED, "ct_zone": zone}, None
        return _told(zone, fd.CT_NEW, ends), None


def _begins_nothing(packet: Packet) -> bool:
    """Whether a TCP segment without a connection is none that could begin one, or go on in one that
    began elsewhere: it answers, or its flags contradict each other."""
    flags = packet.get(FLAGS, 0)
    return bool(flags & _SYN and flags & (_ACK | _FIN | _RST))


def _error(
    zone: int, known: Mapping[Ends, bool], packet: Packet, ends: Ends
) -> tuple[dict[str, int], Ends | None]:
    """An ICMP error belongs to the connection whose packet it quotes, and goes the other way."""
    quoted = Ends(
        ends.kind, packet.get("quoted_proto", 0), packet.get("quoted_src", 0),
        packet.get("quoted_dst", 0), packet.get("quoted_sport", 0), packet.get("quoted_dport", 0),
    )  # fmt: skip
    if quoted in known:
        return _told(zone, fd.CT_RELATED | fd.CT_REPLY, quoted), quoted
    if quoted.back in known:
        return _told(zone, fd.CT_RELATED, quoted.back), quoted.back
    return {"ct_state": fd.CT_INVALID | fd.CT_TRACKED, "ct_zone": zone}, None


def _told(zone: int, state: int, began: Ends) -> dict[str, int]:
    name = "ct_nw" if began.kind == fd.IPV4 else "ct_ipv6"
    return {
        "ct_state": state | fd.CT_TRACKED, "ct_zone": zone, f"{name}_src": began.src,
        f"{name}_dst": began.dst, "ct_nw_proto": began.protocol, "ct_tp_src": began.sport,
        "ct_tp_dst": began.dport,
    }  # fmt: skip


def _ends(packet: Packet, ported: Mapping[int, str]) -> Ends:
    kind, protocol = packet.get("eth_type", 0), packet.get("ip_proto", 0)
    version = "ipv4" if kind == fd.IPV4 else "ipv6"
    name = ported.get(protocol)
    sport, dport = f"{name}_src", f"{name}_dst"
    if protocol in _ECHOES:
        of = "icmpv4" if kind == fd.IPV4 else "icmpv6"
        sport, dport = f"{of}_type", f"{of}_code"
    return Ends(
        kind, protocol, packet.get(f"{version}_src", 0), packet.get(f"{version}_dst", 0),
        packet.get(sport, 0), packet.get(dport, 0),
    )  # fmt: skip
