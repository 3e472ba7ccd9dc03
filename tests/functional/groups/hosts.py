"""One host with a VXLAN network, as the random machine sees it: frames of its ports and of ports
behind tunnel endpoints, on the fakes of both plugins and on a real switch."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any

from functional.groups.model import ENDPOINTS, HERE
from functional.groups.rig import FakeRig, RealRig, Rig
from functional.groups.rig_bridge import FakeBridgeRig
from support.nfttracking import Bridge
from vifd.drivers.nft.objects import TABLE
from vifd.model import Attachment
from vifd.plugin.logged import LogDesk, Seen
from vifd.testing import flowkey
from vifd.testing.attachments import attachment, mac
from vifd.testing.guests import TapGuest
from vifd.testing.pipeline import Journey, Pipeline
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.tracking import Connections
from vifd_linuxbridge import telling
from vifd_linuxbridge.overlay import NOBODY
from vifd_ovs.bridge.overlay import Kind, port_name

OWN, VNI = "192.0.2.1", 101
SEGMENT = {"network_type": "vxlan", "segmentation_id": VNI}
TUNNEL = port_name("br-int", Kind("vxlan", 4))


def port(number: int, groups: tuple[str, ...] | None) -> Attachment:
    """A port of the network.

    :param groups: its security groups; ``None``: its document says nothing of groups
    """
    said: dict[str, Any] = {} if groups is None else {"security_groups": list(groups)}
    return attachment(number, segment=SEGMENT, mtu=1400, **said)


def name(number: int) -> str:
    return f"p{number}"


class History(Rig):
    """A rig whose ports are numbers, and whose frames may come from tunnel endpoints.

    :ivar seen: what was handed over for logs, which may come later than the frame is sent
    """

    seen: list[Seen]

    def left(self) -> list[str]:
        """What is there of ports and groups although no port is."""
        raise NotImplementedError

    def send(self, sender: int, frame: bytes) -> set[int | str]:
        """Whom a frame of a port reaches: numbers of ports, addresses of endpoints."""
        raise NotImplementedError

    def come(self, endpoint: str, frame: bytes) -> set[int | str]:
        """The same of a frame from a tunnel."""
        raise NotImplementedError

    def unplug(self, number: int) -> None:
        """A port goes, and its groups know it."""
        failed = self.ledger.unplug(self.names[name(number)])
        assert not failed, failed
        self.tell(*self.sets.told([attachment(number).id]))

    def there(self) -> dict[int, str]:
        """The ports that are plugged, by number, with their names."""
        return {n: name(n) for n in HERE if self.names.get(name(n)) in self.ledger.records}


def reached(journey: Journey, numbers: Mapping[int, int], tunnel: int) -> set[int | str]:
    """Where flows sent a packet."""
    assert not journey.failure, journey.failure
    found: set[int | str] = set()
    for sent in journey.sent:
        if sent.port == tunnel:
            assert sent.packet["tun_id"] == VNI
            found.add(str(IPv4Address(sent.packet["tun_dst"])))
        elif sent.port in numbers:
            found.add(numbers[sent.port])
    return found


class FakeSwitch(History, FakeRig):
    """Open vSwitch on fakes."""

    def __init__(self) -> None:
        seen = self.seen = []
        super().__init__(local_ip=[OWN], logs=LogDesk(1000, 1000, seen.append))

    def _through(self, frame: bytes, **of: int) -> set[int | str]:
        packet = {**flowkey.parse(frame), **of}
        journey = self.machine.openflow.carry("br-int", packet, len(frame), frame)
        numbers = {self.number(port): number for number, port in self.there().items()}
        return reached(journey, numbers, self._tunnel)

    @property
    def _tunnel(self) -> int:
        row = self.machine.ovsdb.port(TUNNEL)
        return row.ofport or 0 if row is not None else 0

    def send(self, sender: int, frame: bytes) -> set[int | str]:
        return self._through(frame, in_port=self.number(name(sender)))

    def come(self, endpoint: str, frame: bytes) -> set[int | str]:
        return self._through(frame, in_port=self._tunnel, tun_id=VNI)

    def left(self) -> list[str]:
        rules = [str(x) for x in self.ledger.drivers.openflow.dump("br-int", 0, 0)
                 if x.table in (180, 182, 190)]  # fmt: skip
        zones = self.machine.openflow.connections.zones.items()
        return rules + [f"zone {zone}: {known}" for zone, known in zones if known]


class RealSwitch(History, RealRig):
    """Open vSwitch; between ports of this host frames are sent, and what is for endpoints is judged
    by the flows that the switch has."""

    def __init__(self, ovs: PrivateOvs) -> None:
        seen = self.seen = []
        super().__init__(ovs, None, local_ip=[OWN], logs=LogDesk(1000, 1000, seen.append))

    def settle(self) -> None:
        if self.scene.ovs.bridges():
            super().settle()

    def unplug(self, number: int) -> None:
        guest = self.guests.pop(name(number))
        assert isinstance(guest, TapGuest)
        guest.close()
        super().unplug(number)

    def send(self, sender: int, frame: bytes) -> set[int | str]:
        to = {mac(n): n for n in HERE}.get(frame[:6].hex(":"))
        if to is not None:
            return {to} if self.arrives(name(sender), frame, name(to)) else set()
        flows = self.ledger.drivers.openflow.dump("br-int", 0, 0)
        numbers = {self.number(port): number for number, port in self.there().items()}
        tunnel = int(self.scene.ovs.vsctl("get", "Interface", TUNNEL, "ofport"))
        packet = {**flowkey.parse(frame), "in_port": self.number(name(sender))}
        journey = Pipeline({"br-int": flows}).send("br-int", packet, Connections())
        return reached(journey, numbers, tunnel)

    def left(self) -> list[str]:
        return [str(x) for x in self.ledger.drivers.openflow.dump("br-int", 0, 0)
                if x.table in (180, 182, 190)]  # fmt: skip


class FakeKernel(History, FakeBridgeRig):
    """The kernel's bridge on fakes."""

    def __init__(self) -> None:
        seen = self.seen = []
        super().__init__(local_ip=OWN, logs=LogDesk(1000, 1000, seen.append))
        self.machine.links.place("eth0", kind="", mtu=1600, up=True, carrier=True)
        self.machine.bridging.add_address("eth0", f"{OWN}/24")
        self.ledger.plugin.probe()
        self._known: Bridge | None = None

    @property
    def bridge(self) -> Bridge:
        names = [self.ledger.records[self.names[port]].names for port in self.there().values()]
        if self._known is None:
            self._known = Bridge(self.machine.nft, TABLE, str(names[0].details["bridge"]))
        return self._known

    def _towards(self, sender: str, frame: bytes) -> set[int | str]:
        devices = {self.device(port): number for number, port in self.there().items()}
        device = f"vxlan-{VNI}"
        target = frame[:6].hex(":")
        here = [d for d, n in devices.items() if mac(n) == target]
        out = self.bridge.send(frame, sender, here or [device])
        found: set[int | str] = {devices[d] for d in out if d in devices}
        if device in out and sender != device:
            entries = self.machine.bridging.tunnels(device)
            known = {e.remote for e in entries if e.mac == target}
            found |= known or {e.remote for e in entries if e.mac == NOBODY}
        return found

    def send(self, sender: int, frame: bytes) -> set[int | str]:
        return self._towards(self.device(name(sender)), frame)

    def come(self, endpoint: str, frame: bytes) -> set[int | str]:
        assert endpoint in ENDPOINTS
        return self._towards(f"vxlan-{VNI}", frame)

    def left(self) -> list[str]:
        there = [
            c for c in self.machine.nft.list_chains(TABLE) if c.startswith(("sg-", *telling.BASE))
        ]
        zones = self._known.connections.zones.items() if self._known else ()
        return there + [f"zone {zone}: {known}" for zone, known in zones if known]
