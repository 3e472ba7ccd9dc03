"""Guests that announce themselves at a port that is closed for its role: they run here.

A guest that has migrated says where it is, by a reverse ARP, a gratuitous ARP or an unsolicited
neighbour advertisement: QEMU does it for the guest as soon as that runs. Where an operator wants
it, a closed port of an INACTIVE binding hands such a frame, and no other, to vifd. It goes nowhere
else; the first one is sent once more, as the guest sent it, when the port is open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from vifd.openflow import action as act
from vifd.openflow.field import ARP, ICMPV6, IPV6, RARP, UNTAGGED, Value
from vifd.openflow.flow import Flow, entry
from vifd.openflow.packetin import IDENTITY, PacketIn
from vifd.plugin import Host
from vifd.plugin.heard import HeardFrames
from vifd_ovs.bridge import wiring
from vifd_ovs.bridge.cookies import port as cookie_of
from vifd_ovs.bridge.ports import Gate, SwitchPort
from vifd_ovs.bridge.tables import CLASSIFY

LOG = logging.getLogger(__name__)

#: Above the guard of a closed port, and below everything of an open one.
PRIORITY = 94
#: The longest of these frames; more of one is not handed over.
_LONGEST = 128
_ADVERTISEMENT, _ALL_NODES = 136, "ff02::1"
_SINGLE4, _SINGLE6 = "/32", "/128"


def port_flows(port: SwitchPort) -> Iterator[Flow]:
    """What a closed port hands over; nothing where it is not closed for its role alone."""
    if port.gate is not Gate.CLOSED or not port.awaited:
        return
    for match in _announcements(port):
        here: dict[str, Value] = {"in_port": port.ofport, "vlan_vid": UNTAGGED, **match}
        hand = [act.controller_of(IDENTITY, _LONGEST)]
        yield entry(CLASSIFY, PRIORITY, port.cookie, here, hand, None)


def _announcements(port: SwitchPort) -> Iterator[dict[str, Value]]:
    for own in port.allowed:
        said: dict[str, Value] = {"eth_src": own.mac}
        yield {**said, "eth_type": RARP}
        for prefix in own.ipv4:
            # who asks for its own address: that two fields are alike no flow can say
            if "/" not in prefix or prefix.endswith(_SINGLE4):
                address = prefix.removesuffix(_SINGLE4)
                yield {**said, "eth_type": ARP, "arp_spa": address, "arp_tpa": address}
        if own.ipv6:
            yield {
                **said, "eth_type": IPV6, "ip_proto": ICMPV6, "ipv6_dst": _ALL_NODES,
                "icmpv6_type": _ADVERTISEMENT,
            }  # fmt: skip


@dataclass
class Listening:
    """What was heard at closed ports; from any thread.

    :param plugin: whose ports count
    """

    host: Host
    plugin: str
    frames: HeardFrames = field(default_factory=HeardFrames)

    def start(self) -> None:
        """Listen, where anybody wants to know."""
        if self.host.announced is not None:
            self.host.drivers.openflow.listen(self.heard)

    def heard(self, bridge: str, handed: PacketIn) -> None:
        """A flow of ours handed a frame over; on the driver's thread."""
        if handed.table != CLASSIFY:
            return
        port_id = self._port(bridge, handed.cookie)
        if port_id is None or self.host.announced is None:
            return
        if self.frames.note(port_id, handed.frame if handed.whole else b""):
            self.host.announced(port_id)

    def take(self, port_id: str) -> bytes:
        """The frame of a port that is open now, once; empty where there is none."""
        return self.frames.take(port_id)

    def _port(self, bridge: str, cookie: int) -> str | None:
        for port_id, known in self.host.ledger().items():
            if known.wiring.plugin != self.plugin or known.open:
                continue
            names = wiring.read_if(known.wiring)
            if names is None or names.bridge != bridge:
                continue
            if cookie_of(names.generation, names.ofport) == cookie:
                return port_id
        return None
