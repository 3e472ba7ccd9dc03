"""The frames of the demonstration: what must pass, what must not, and the count of both."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vifd.testing import frames
from vifd.testing.guests import Sender, TapGuest, arrivals, equal_to, guests
from vifd.testing.sandbox import PrivateOvs

#: Frames of each kind and round; there are two rounds.
COUNT = 25
ROUNDS = 2


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.vifd.example"))


@dataclass(frozen=True)
class Guest:
    """A guest of the demonstration and the port it is plugged with."""

    name: str
    network: str
    mac: str
    ip: str

    @property
    def id(self) -> str:
        """The id of its port."""
        return _id(self.name)

    def document(self) -> dict[str, Any]:
        """Its attachment document."""
        subnet = _id(f"subnet.{self.network}")
        return {
            "version": "1.0",
            "role": "ACTIVE",
            "port": {"id": self.id, "name": self.name, "mac_address": self.mac},
            "network": {
                "id": _id(self.network),
                "name": self.network,
                "mtu": 1450,
                "segment": {"network_type": "local"},
            },
            "fixed_ips": [{"ip_address": self.ip, "subnet_id": subnet}],
            "subnets": [{"id": subnet, "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1"}],
            "instance": {"id": _id(f"instance.{self.name}"), "name": self.name},
        }


#: Two guests on one network and one on another that has the same subnet.
GUESTS = (
    Guest("web", "blue", "fa:16:3e:00:00:05", "10.0.0.5"),
    Guest("db", "blue", "fa:16:3e:00:00:06", "10.0.0.6"),
    Guest("spy", "green", "fa:16:3e:00:00:07", "10.0.0.7"),
)


@dataclass(frozen=True)
class Result:
    """What became of one kind of frame.

    :param passes: whether all must arrive; else none may
    """

    what: str
    sender: str
    receiver: str
    passes: bool
    sent: int
    arrived: int

    @property
    def as_expected(self) -> bool:
        """All or none arrived, as it must be."""
        return self.arrived == (self.sent if self.passes else 0)


class _SwitchPort:
    """Sends from inside the switch straight to one port, whatever its flows say."""

    def __init__(self, ovs: PrivateOvs, device: str) -> None:
        self.name = "switch"
        self._ovs = ovs
        self._ofport = ovs.vsctl("get", "Interface", device, "ofport").strip()

    def send(self, frame: bytes) -> None:
        """Hand the frame to the switch with the order to put it out."""
        order = f"in_port=LOCAL, packet={frame.hex()}, actions=output:{self._ofport}"
        self._ovs.ofctl("packet-out", "br-int", order)


@dataclass(frozen=True)
class _Plugged:
    """A guest with its tap open."""

    guest: Guest
    tap: TapGuest


def run(ovs: PrivateOvs, devices: Sequence[str]) -> list[Result]:
    """Send every kind of frame as guests on these devices, and count what arrives."""
    with guests(*devices, ovs=ovs) as taps:
        web, db, spy = (_Plugged(guest, tap) for guest, tap in zip(GUESTS, taps, strict=True))
        return [
            *_neighbours(web, db),
            *_neighbours(db, web),
            *_lies(web, db),
            *_strangers(web, spy, _SwitchPort(ovs, spy.tap.name)),
        ]


def _honest(src: Guest, dst: Guest) -> Iterator[tuple[str, bytes]]:
    yield "ARP request", frames.arp_request(src.mac, src.ip, dst.ip)
    yield "ping", frames.ping(src.mac, dst.mac, src.ip, dst.ip)
    yield "UDP", frames.udp(src.mac, dst.mac, src.ip, dst.ip)
    yield "UDP broadcast", frames.udp(src.mac, frames.BROADCAST, src.ip, "10.0.0.255")


def _spoofed(src: Guest, dst: Guest) -> Iterator[tuple[str, bytes]]:
    other = "fa:16:3e:00:00:66"
    inner = frames.link_local(src.mac)
    yield "foreign MAC", frames.udp(other, dst.mac, src.ip, dst.ip)
    yield "foreign IP address", frames.udp(src.mac, dst.mac, "10.0.0.66", dst.ip)
    yield "ARP: I am the gateway", frames.gratuitous_arp(src.mac, "10.0.0.1")
    yield "ARP: foreign MAC inside", frames.arp_request(other, src.ip, dst.ip, src=src.mac)
    yield "ND: I am fd00::1", frames.neighbour_advertisement(src.mac, inner, "fd00::1")
    yield "IPv6 router advertisement", frames.router_advertisement(src.mac, inner)
    yield "DHCP offer", frames.dhcp_offer(src.mac, src.ip, dst.mac, "10.0.0.99")


def _count(
    what: str,
    frame: bytes,
    ends: tuple[_Plugged, _Plugged],
    sentinel: tuple[Sender, bytes],
    passes: bool,
) -> Result:
    sender, receiver = ends
    sent = [(sender.tap, frame)] * COUNT
    got = arrivals(receiver.tap, sent=sent, sentinel=sentinel, rounds=ROUNDS)
    same = equal_to(frame)
    return Result(
        what=what,
        sender=sender.guest.name,
        receiver=receiver.guest.name,
        passes=passes,
        sent=COUNT * ROUNDS,
        arrived=sum(same(one) for one in got),
    )


def _sentinel(src: _Plugged, dst: _Plugged) -> tuple[Sender, bytes]:
    frame = frames.udp(src.guest.mac, dst.guest.mac, src.guest.ip, dst.guest.ip, b"sentinel")
    return src.tap, frame


def _neighbours(src: _Plugged, dst: _Plugged) -> Iterator[Result]:
    for what, frame in _honest(src.guest, dst.guest):
        yield _count(what, frame, (src, dst), _sentinel(src, dst), passes=True)


def _lies(src: _Plugged, dst: _Plugged) -> Iterator[Result]:
    for what, frame in _spoofed(src.guest, dst.guest):
        yield _count(what, frame, (src, dst), _sentinel(src, dst), passes=False)


def _strangers(src: _Plugged, dst: _Plugged, inside: _SwitchPort) -> Iterator[Result]:
    _, frame = _sentinel(dst, dst)
    for what, sent in _honest(src.guest, dst.guest):
        yield _count(what, sent, (src, dst), (inside, frame), passes=False)
