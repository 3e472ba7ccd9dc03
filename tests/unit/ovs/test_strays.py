"""Ports with our mark that the ledger does not know: their flows stay, their networks go on."""

from __future__ import annotations

from typing import Any

import pytest

from unit.ovs.test_switch import BRIDGE, Scene, entry, port
from vifd.drivers import PortSpec
from vifd.openflow.flow import Flow, flow
from vifd.testing.attachments import attachment, mac
from vifd_ovs.bridge import cookies, marks


class Forgetful(Scene):
    """A scene that remembers the flows of before."""

    before: dict[Any, Flow]


@pytest.fixture
def scene():
    """A switch with three ports; the journal forgot the second and the third, which has another
    network."""
    scene = Forgetful()
    made = [port(1), port(2, ofport=5002), port(3, tag=2)]
    scene.put(*made)
    for number in (2, 3):
        ids = {marks.PORT: attachment(number).id, marks.PLUGIN: "ovs"}
        name = f"tap{number}"
        scene.machine.links.create_taps([_tap(name, number)])
        spec = PortSpec(name, ofport=5000 + number, tag=1, external_ids=ids)
        scene.machine.ovsdb.ensure_ports(BRIDGE, [spec])
    scene.entries = {attachment(1).id: entry(1)}
    scene.before = scene.flows
    scene.restart()
    return scene


def _tap(name, number):
    from vifd.drivers import Tap

    return Tap(name, mac(number), 1400, marks.alias(attachment(number).id))


def test_they_stay_as_they_are(scene):
    assert not scene.switch.sync(), "nothing is to be changed"
    assert scene.flows == scene.before


def test_nothing_is_held_against_their_network_before_the_first_comparison(scene):
    wanted = {f.key: f for f in scene.switch.wanted({}).network(1)}
    have = {k: f for k, f in scene.flows.items() if f.cookie == cookies.network(1)}
    assert wanted == have


def test_a_neighbour_that_comes_and_goes_leaves_them_reached(scene):
    scene.put(port(4))
    flood = _flood(scene, 1)
    assert "output:5002" in flood
    assert "output:5004" in flood
    scene.put_out(4)
    scene.put_out(1)
    assert "output:5002" in _flood(scene, 1)
    assert "output:5001" not in _flood(scene, 1), "whose number may be given to another"


def test_one_that_is_plugged_again_by_its_numbers_changes_nothing(scene):
    scene.switch.sync()
    assert scene.put(port(2, ofport=5002)) == 0
    assert scene.flows == scene.before


def test_one_that_is_plugged_under_another_number_leaves_nothing(scene):
    scene.switch.sync()
    scene.put(port(2, ofport=6000, generation=77))
    assert not [f for f in scene.flows.values() if f.cookie == cookies.port(9, 5002)]
    assert "output:5002" not in _flood(scene, 1)


def test_garbage_takes_them_with_what_their_network_had_of_them(scene):
    scene.switch.sync()
    assert scene.switch.sweep([cookies.port(9, 5002)]) == set()
    assert not [f for f in scene.flows.values() if f.cookie == cookies.port(9, 5002)]
    assert "output:5002" not in _flood(scene, 1)
    assert scene.switch.sweep([cookies.network(2)]) == {cookies.network(2)}, "it serves a port"
    assert scene.switch.sweep([cookies.port(9, 5003), cookies.network(2)]) == set()
    assert not _flood(scene, 2)


def test_a_switch_that_restarts_gets_them_back(scene):
    scene.switch.sync()
    scene.machine.openflow.stop()
    scene.machine.openflow.start()
    scene.switch.sync()
    assert scene.flows == scene.before


def test_an_earlier_life_of_a_known_port_is_none(scene):
    stale = flow(0, 100, cookies.port(5, 5001), in_port=5001)
    scene.machine.openflow.apply(BRIDGE, add=[stale])
    scene.switch.sync()
    assert stale.key not in scene.flows


def test_flows_without_a_port_go(scene):
    scene.machine.ovsdb.delete_ports(BRIDGE, ["tap2"])
    scene.switch.sync()
    assert not [f for f in scene.flows.values() if f.cookie == cookies.port(9, 5002)]


def _flood(scene, tag):
    found = [str(f) for f in scene.flows.values()
             if f.cookie == cookies.network(tag) and "01:00:00:00:00:00" in str(f)]  # fmt: skip
    return found[0] if found else ""
