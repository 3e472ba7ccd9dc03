"""The frames of the demonstration: what must pass, what must not, and the count of both."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vifd.drivers.nft.objects import TABLE
from vifd.testing import frames
from vifd.testing.guests import Sender, TapGuest, arrivals, equal_to, guests
from vifd.testing.machines import LinuxMachine
from vifd.testing.sandbox import PrivateOvs
from vifd.testing.wait import until

#: Frames of each kind and round; there are two rounds.
COUNT = 25
ROUNDS = 2

OVS, LINUX_BRIDGE = "ovs", "linuxbridge"


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.vifd.example"))


@dataclass(frozen=True)
class Guest:
    """A guest of the demonstration and the port it is plugged with.

    :param plugin: the one that its document asks for
    """

    name: str
    network: str
    mac: str
    ip: str
    plugin: str = OVS

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
            "plugin": self.plugin,
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


#: On the switch two guests on one network and one on another, on a Linux bridge two on a third.
#: All networks have the same subnet.
GUESTS = (
    Guest("web", "blue", "fa:16:3e:00:00:05", "10.0.0.5"),
    Guest("db", "blue", "fa:16:3e:00:00:06", "10.0.0.6"),
    Guest("spy", "green", "fa:16:3e:00:00:07", "10.0.0.7"),
    Guest("app", "red", "fa:16:3e:00:00:08", "10.0.0.8", LINUX_BRIDGE),
    Guest("cache", "red", "fa:16:3e:00:00:09", "10.0.0.9", LINUX_BRIDGE),
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


def run(ovs: PrivateOvs, devices: Mapping[str, str]) -> list[Result]:
    """Send every kind of frame, and count what arrives.

    :param devices: the device of each guest by the guest's name; those on the Linux bridge may lack
    """
    on_switch = [devices[guest.name] for guest in GUESTS if guest.plugin == OVS]
    plugged = [guest for guest in GUESTS if guest.name in devices]
    with guests(*(devices[guest.name] for guest in plugged)) as taps:
        ovs.wait_for_carrier(*on_switch)
        at = {g.name: _Plugged(g, tap) for g, tap in zip(plugged, taps, strict=True)}
        inside = _SwitchPort(ovs, devices["spy"])
        results = [*_on_switch(at, inside)]
        if "app" in at:
            _wait_for_bridge(devices["app"], devices["cache"])
            results += _on_bridge(at, inside)
        return results


def _wait_for_bridge(*devices: str) -> None:
    """Wait until the bridge has noticed that these ports have a carrier."""
    with LinuxMachine() as machine:
        bridging = machine.drivers.bridging
        assert bridging is not None
        until(
            lambda: all(device.forwarding for device in bridging.get(devices).values()),
            "the Linux bridge forwards for its ports",
        )


def port_rules() -> list[str]:
    """The chains that the Linux bridge plugin keeps for single ports."""
    with LinuxMachine() as machine:
        assert machine.drivers.nft is not None
        chains = machine.drivers.nft.list_chains(TABLE)
        return [f"chain {name}" for name, chain in chains.items() if chain.comment]


def _on_switch(at: Mapping[str, _Plugged], inside: _SwitchPort) -> Iterator[Result]:
    web, db, spy = at["web"], at["db"], at["spy"]
    yield from _neighbours(web, db)
    yield from _neighbours(db, web)
    yield from _lies(web, db)
    yield from _strangers(web, spy, inside, spy)


def _on_bridge(at: Mapping[str, _Plugged], inside: _SwitchPort) -> Iterator[Result]:
    web, db, spy, app, cache = (at[guest.name] for guest in GUESTS)
    yield from _neighbours(app, cache)
    yield from _neighbours(cache, app)
    yield from _lies(app, cache)
    yield from _strangers(app, web, db.tap, db)
    yield from _strangers(app, spy, inside, spy)
    yield from _strangers(web, app, cache.tap, cache)


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


def _strangers(src: _Plugged, dst: _Plugged, friend: Sender, named: _Plugged) -> Iterator[Result]:
    """
    :param friend: sends what is known to arrive
    :param named: the guest in whose name the friend sends
    """
    _, frame = _sentinel(named, dst)
    for what, sent in _honest(src.guest, dst.guest):
        yield _count(what, sent, (src, dst), (friend, frame), passes=False)
