"""The whole table as real frames through a Linux bridge, to a port beside and over the uplink."""

from __future__ import annotations

import pytest
from pyroute2 import IPRoute

from functional.linux_scene import LinuxScene
from functional.spoofing import incoming
from functional.spoofing.case import FABRIC, FREE, PEER, attachments
from functional.spoofing.sending import assert_no_difference
from functional.spoofing.table import cases
from vifd.testing.attachments import flat
from vifd.testing.guests import PacketGuest


@pytest.fixture
def wire(far, leaks):
    """The far end of a cable whose near end is ``eth1``."""
    far.veth("eth1", "wire")
    guest = far.run(PacketGuest, "wire")
    yield guest
    guest.close()
    with IPRoute() as netlink:
        netlink.link("del", index=netlink.link_lookup(ifname="eth1")[0])


@pytest.fixture
def scene(wire):
    with LinuxScene(physical_interface_mappings=["physnet1:eth1"]) as scene:
        yield scene


def test_no_difference(scene, wire):
    ports = attachments(segment=flat())
    guests = dict(zip(ports, scene.guests(*ports.values()), strict=True))
    scene.forwards("eth1")
    assert_no_difference(cases(PEER), guests, guests[PEER.mac])
    assert_no_difference(cases(FABRIC), guests, wire)
    assert not scene.findings()


def test_what_comes_from_the_fabric_is_delivered(scene, wire):
    ports = attachments(segment=flat())
    chosen = [ports[PEER.mac], ports[FREE.mac]]
    secured, free = scene.guests(*chosen)
    scene.forwards("eth1")
    for guest, station in ((secured, PEER), (free, FREE)):
        table = incoming.cases(station)
        assert_no_difference(table, {FABRIC.mac: wire}, guest)
