"""An address that several ports may use, here and on other hosts (VRRP, take-over of an address):
who has it now is their business alone, so frames for it go to all that may have it, the wire
included; on Open vSwitch and on a bridge of the kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from functional.linux_scene import LinuxScene
from functional.scene import Scene
from vifd.model import Attachment
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat, ipv4, mac, vlan
from vifd.testing.guests import Guest, PacketGuest, Sender, TapGuest, assert_reaches
from vifd.testing.netns import Namespace
from vifd.testing.sandbox import OF_DATAPATH, PrivateOvs
from vifd.testing.wait import Expired, until

VIRTUAL, VIRTUAL_4, VIRTUAL_6 = "00:00:5e:00:01:07", "10.0.0.7", "fd00::7"
PAIRS = [
    {"ip_address": VIRTUAL_4, "mac_address": VIRTUAL},
    {"ip_address": VIRTUAL_6, "mac_address": VIRTUAL},
]
FAR = "02:00:00:00:00:fa"


@dataclass
class Place:
    """A client, a port that may use the address as well, and the wire to where it may be."""

    client: TapGuest
    backup: TapGuest
    wire: PacketGuest
    vid: int | None

    def client_sends(self) -> Iterator[bytes]:
        yield f.udp(mac(1), VIRTUAL, ipv4(1), VIRTUAL_4, b"to the address")
        yield f.udp(mac(1), VIRTUAL, "fd00::1", VIRTUAL_6, b"to the address")

    def from_far(self, target: str, payload: bytes) -> Iterator[bytes]:
        yield f.udp(FAR, target, "10.0.0.250", VIRTUAL_4, payload, vlan=self.vid)
        yield f.udp(FAR, target, "fd00::fa", VIRTUAL_6, payload, vlan=self.vid)


def like(frame: bytes) -> Callable[[bytes], bool]:
    return lambda other: f.untagged(other)[: len(frame)] == f.untagged(frame)


def ports(segment: dict[str, Any]) -> list[Attachment]:
    more = [{"ip_address": "fd00::1"}]
    return [
        attachment(1, segment=segment, allowed_address_pairs=more),
        attachment(2, segment=segment, allowed_address_pairs=PAIRS),
    ]


@pytest.fixture(params=["ovs flat", "ovs vlan", "linuxbridge flat"])
def place(request: pytest.FixtureRequest, ovs: PrivateOvs, far: Namespace) -> Iterator[Place]:
    plugin, kind = request.param.split()
    segment = flat() if kind == "flat" else vlan(101)
    far.veth("eth-phys", "wire")
    vid = segment.get("segmentation_id")
    with far.run(PacketGuest, "wire") as wire:
        if plugin == "ovs":
            ovs.vsctl("add-br", "br-phys", "--", "set", "Bridge", "br-phys", OF_DATAPATH)
            ovs.vsctl("add-port", "br-phys", "eth-phys")
            ovs.wait_for_carrier("eth-phys")
            with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
                one, two = scene.guests(*ports(segment))
                yield Place(one, two, wire, vid)
            ovs.vsctl("del-port", "br-phys", "eth-phys")
        else:
            with LinuxScene(physical_interface_mappings=["physnet1:eth-phys"]) as host:
                one, two = host.guests(*ports(segment))
                host.forwards("eth-phys")
                yield Place(one, two, wire, vid)


def test_the_address_is_reached_where_it_is_elsewhere(place: Place) -> None:
    """The backup here is silent, the master is on another host: it has never been heard either."""
    for frame in place.client_sends():
        arrived = assert_reaches(place.client, place.wire, frame, expect=like(frame))
        assert f.vlan_of(arrived) == place.vid


def announcements() -> list[bytes]:
    every = f.multicast_mac("ff02::1")
    return [
        f.gratuitous_arp(VIRTUAL, VIRTUAL_4),
        f.udp(VIRTUAL, every, VIRTUAL_6, "ff02::1", b"I have it"),
    ]


def soon(sender: Sender, receiver: Guest, frame: bytes) -> float:
    """Frames arrive: a physical switch that learns goes by an announcement a moment after it.

    :returns: after how many seconds the first one did
    """
    began = time.monotonic()

    def arrives() -> bool:
        sender.send(frame)
        try:
            receiver.recv(0.05, like(frame))
        except Expired:
            return False
        return True

    until(arrives, f"{sender.name} reaches {receiver.name}")
    return time.monotonic() - began


def test_a_take_over_holds_in_both_directions(
    place: Place, record_property: Callable[[str, object], None]
) -> None:
    here: list[float] = []
    there: list[float] = []
    for _ in range(2):
        # it comes here
        for frame in announcements():
            assert_reaches(place.backup, place.wire, frame, expect=like(frame))
        for frame in place.client_sends():
            assert_reaches(place.client, place.backup, frame)
        for frame in place.from_far(VIRTUAL, b"in"):
            here.append(soon(place.wire, place.backup, frame))
        # and goes to another host
        for frame in announcements():
            tagged = frame if place.vid is None else _tagged(frame, place.vid)
            assert_reaches(place.wire, place.client, tagged, expect=like(frame))
        for frame in place.client_sends():
            there.append(soon(place.client, place.wire, frame))
    for way, seconds in (("to here", here), ("away", there)):
        record_property(f"seconds, {way}", max(seconds))
        print(f"after a take-over {way} the first frame arrived within {max(seconds):.3f} s")


def _tagged(frame: bytes, vid: int) -> bytes:
    return frame[:12] + b"\x81\x00" + vid.to_bytes(2) + frame[12:]
