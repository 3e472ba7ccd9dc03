"""The whole table as real frames through Open vSwitch, to a port beside and over the uplink."""

from __future__ import annotations

from contextlib import closing

import pytest

from functional.scene import Scene
from functional.spoofing import incoming
from functional.spoofing.case import FABRIC, FREE, PEER, attachments
from functional.spoofing.sending import Untagging, assert_no_difference
from functional.spoofing.table import cases
from vifd.testing import frames as f
from vifd.testing.attachments import attachment, flat, vlan
from vifd.testing.machines import RealMachine
from vifd.testing.wait import until


@pytest.fixture
def scene(ovs, wire):
    with Scene(ovs, bridge_mappings=["physnet1:br-phys"]) as scene:
        yield scene


def test_no_difference(scene, wire):
    ports = attachments(segment=flat())
    guests = dict(zip(ports, scene.guests(*ports.values()), strict=True))
    here, out = cases(PEER), cases(FABRIC)
    assert_no_difference(here, guests, guests[PEER.mac])
    assert_no_difference(out, guests, wire)
    refused = [c for c in (*here, *out) if not c.passes and c.sender is not FREE]
    # frames with a VLAN are dropped before they are judged
    judged = [c for c in refused if f.vlan_of(c.frame) in (None, 0)]
    secured = [a.id for mac, a in ports.items() if mac != FREE.mac]
    until(lambda: sum(map(scene.counted, secured)) == len(judged), "every refused frame is counted")
    assert not scene.findings()


def test_fragments_are_shown_whole_again_after_a_restart_and_by_a_repair(scene):
    mine = attachment(1)
    scene.plug(mine)
    assert scene.machine.drivers.openflow.fragments("br-int") == "nx-match"
    scene.ovs.ofctl("set-frags", "br-int", "normal")
    found = scene.findings()
    assert set(found) == {"flows.fragments"}, found
    scene.heal()
    assert scene.machine.drivers.openflow.fragments("br-int") == "nx-match"


def test_a_new_connection_leaves_the_mode_as_it_is(scene):
    """The message that asks for news of ports sets the mode as well."""
    scene.plug(attachment(1))
    with closing(RealMachine(scene.ovs)) as other:
        other.drivers.openflow.watch(lambda *_: None)
        assert other.drivers.openflow.dump("br-int", 0, 0)
        assert other.drivers.openflow.fragments("br-int") == "nx-match"


def test_what_comes_from_the_fabric_is_delivered(scene, wire):
    ports = attachments(segment=flat())
    chosen = [ports[PEER.mac], ports[FREE.mac]]
    secured, free = scene.guests(*chosen)
    for guest, station in ((secured, PEER), (free, FREE)):
        table = incoming.cases(station)
        assert_no_difference(table, {FABRIC.mac: wire}, guest)


def test_no_difference_over_a_vlan(scene, wire):
    ports = attachments(segment=vlan(101))
    guests = dict(zip(ports, scene.guests(*ports.values()), strict=True))
    cable = Untagging(wire, 101)
    assert_no_difference(cases(FABRIC), guests, cable)
    # a second tag below that of the network is no priority of the network's
    coming = [case for case in incoming.cases(PEER) if not case.stripped]
    assert_no_difference(coming, {FABRIC.mac: cable}, guests[PEER.mac])
