"""A host whose ports with security groups reach the other side by a tunnel: what is ``wire`` in
other rigs is a port behind a tunnel endpoint here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from functional.groups.packets import Station
from functional.groups.rig import FakeRig, Sending
from functional.groups.table import WIRE
from functional.tunnels.hosts import Fabric, VifdHost, behind, network, underlay_ip
from vifd.model import Attachment
from vifd.model.sets import Endpoint, Forwarding, Reachable, SetKey, SetKind
from vifd.plugin.sets import SetChange
from vifd.testing import flowkey
from vifd.testing.attachments import attachment
from vifd.testing.sets import MemorySets
from vifd_ovs.bridge.overlay import Kind, port_name

VNI, MTU = 101, 1400
FAR = 2


def port(kind: str, number: int, **said: Any) -> Attachment:
    """A port of a network of a tunnel type."""
    segment = {"network_type": kind, "segmentation_id": VNI}
    return attachment(number, segment=segment, mtu=MTU, **said)


def forwarding(version: int, *, behind: Station = WIRE) -> Forwarding:
    """Who is behind the endpoint."""
    there = Reachable(mac_address=behind.mac, ip_addresses=(behind.ip4, behind.ip6))
    endpoint = Endpoint(address=underlay_ip(FAR, version), ports=(there,))
    return Forwarding(id=network(), endpoints=(endpoint,))


class FakeTunnelRig(FakeRig):
    """On fakes.

    :param version: of the IP that carries the tunnel
    """

    def __init__(self, kind: str, version: int) -> None:
        super().__init__(local_ip=[underlay_ip(1, version)])
        self._kind = Kind(kind, version)
        self.sets.change(SetKey(SetKind.FORWARDING, network()), forwarding(version))

    def number(self, name: str) -> int:
        if name != "wire":
            return super().number(name)
        row = self.machine.ovsdb.port(port_name("br-int", self._kind))
        assert row is not None
        return row.ofport or 0

    def arrives(self, sender: str, frame: bytes, receiver: str) -> bool:
        openflow, far = self.machine.openflow, underlay_ip(FAR, self._kind.version)
        packet: dict[str, int] = {**flowkey.parse(frame), "in_port": self.number(sender)}
        name = "tun_dst" if self._kind.version == 4 else "tun_ipv6_dst"
        if sender == "wire":
            packet["tun_id"] = VNI
        journey = openflow.pipeline().send("br-int", packet, openflow.connections)
        assert not journey.failure, journey.failure
        sent = [s.packet for s in journey.sent if s.port == self.number(receiver)]

        def right(packet: Mapping[str, int]) -> bool:
            there = packet.get("tun_id"), packet.get(name)
            return receiver != "wire" or there == (VNI, int(ip_address(far)))

        assert all(right(packet) for packet in sent), sent
        return bool(sent)


class GroupHost(VifdHost):
    """A host of vifd whose ports have security groups."""

    def _sets(self) -> MemorySets:
        return MemorySets()


class TunnelRig(Sending):
    """Two hosts on an underlay; the port behind the tunnel is the other host's, without groups."""

    def __init__(self, kind: str, version: int) -> None:
        super().__init__()
        fabric = self.enter_context(Fabric())
        self.here, there = GroupHost(fabric, 1, version), VifdHost(fabric, FAR, version)
        fabric.host(self.here)
        fabric.host(there)
        assert isinstance(self.here.sets, MemorySets)
        self.sets, self.names = self.here.sets, {}
        self.sets.change(SetKey(SetKind.FORWARDING, network()), forwarding(version))
        there.know(behind(1, 1, version=version))
        # who it is behind its tunnel is for the frames to say
        (wire,) = there.guests(port(kind, 9, port_security_enabled=False))
        self.guests = {"wire": wire}
        self.ledger = self.here.ledger

    def plug(self, **ports: Attachment) -> None:
        self.names |= {name: a.id for name, a in ports.items()}
        self.here.plug(*ports.values())
        self.tell(*self.sets.told(self.ledger.records))
        for name, a in ports.items():
            if name not in self.guests:
                self.guests[name] = self.here.guest(a.id)

    def tell(self, *changes: SetChange) -> None:
        self.here.space.run(self.ledger.plugin.refresh, changes)
        self.settle()

    def settle(self) -> None:
        self.here.settle()

    def forget(self) -> None:
        self.here.space.run(super().forget)

    def findings(self) -> dict[str, Any]:
        """What a check finds."""
        return self.here.findings()

    def connections(self, name: str) -> Callable[[], list[str]]:
        raise NotImplementedError
