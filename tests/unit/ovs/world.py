"""Ports on one bridge, as flows in the evaluator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vifd.model import Attachment
from vifd.openflow.field import BY_NAME, parse
from vifd.testing import packet
from vifd.testing.pipeline import Journey, Pipeline
from vifd_ovs.bridge import cookies
from vifd_ovs.bridge.ports import Gate, SwitchPort, switch_port
from vifd_ovs.bridge.roster import Roster
from vifd_ovs.bridge.target import Target
from vifd_ovs.bridge.wiring import OvsWiring, segment_of

BRIDGE = "br-int"
UPLINK = 900
PATCH = "int-physnet1"


def port(
    attachment: Attachment, *, tag: int = 1, opened: bool = True, gate: Gate | None = None
) -> SwitchPort:
    """A port whose ofport is 1000 plus the number in its id."""
    network_type, physnet, vid = segment_of(attachment.network.segment)
    names = OvsWiring(
        bridge=BRIDGE,
        ofport=1000 + int(attachment.id[-12:], 16),
        tag=tag,
        generation=7,
        network_id=attachment.network.id,
        network_type=network_type,
        physical_network=physnet,
        segmentation_id=vid,
        patch=PATCH if physnet else "",
    )
    made = switch_port(attachment, names, opened=opened)
    return made if gate is None else replace(made, gate=gate)


class World:
    """A bridge with the flows of these ports."""

    def __init__(self, ports: Iterable[SwitchPort], *, ours: bool = True) -> None:
        self.ports = {p.id: p for p in ports}
        self.target = Target(Roster(self.ports), ours, {PATCH: UPLINK})
        self.flows = list(self.target.all())
        self.pipeline = Pipeline({BRIDGE: self.flows})

    def journey(self, source: SwitchPort | int, text: str) -> Journey:
        """Send a packet, in the words of ovs-ofctl, from a port."""
        number = source if isinstance(source, int) else source.ofport
        journey = self.pipeline.send(BRIDGE, {**packet.parse(text), "in_port": number})
        assert not journey.failure
        return journey

    def reaches(self, source: SwitchPort | int, text: str) -> set[int]:
        """The numbers of the ports that a packet leaves by."""
        return {sent.port for sent in self.journey(source, text).sent}

    def passes(self, source: SwitchPort, text: str) -> bool:
        """Whether a packet gets past the filters of its port."""
        path = self.journey(source, text).path
        return any(visit.table >= 160 for visit in path)

    def spoofed(self, source: SwitchPort, text: str) -> bool:
        """Whether a packet ends in the port's own flow for spoofed ones, and nowhere else."""
        journey = self.journey(source, text)
        last = journey.path[-1].flow
        counted = last is not None and last.cookie == cookies.port(7, source.ofport)
        return counted and journey.path[-1].table == 140 and not journey.sent


def mac_number(text: str) -> int:
    """A MAC address as a number."""
    return parse(BY_NAME["eth_src"], text)[0]
