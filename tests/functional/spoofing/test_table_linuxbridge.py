"""The whole table as real frames through a Linux bridge, to a port beside and over the uplink."""

from __future__ import annotations

import pytest

from functional.linux_scene import LinuxScene
from functional.spoofing import incoming
from functional.spoofing.case import FABRIC, FREE, PEER, attachments
from functional.spoofing.sending import assert_no_difference
from functional.spoofing.table import cases
from support import cables
from vifd.testing.attachments import flat


@pytest.fixture
def wire(far, leaks):
    """The far end of a cable whose near end is ``eth1``."""
    with cables.cable(far, "eth1") as guest:
        yield guest


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
