"""A new vifd on a host whose ports it may not touch yet: what it changes of a bridge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.ovs.test_switch import BRIDGE, Scene, entry, port
from vifd_ovs.bridge.switch import Switch


class Careful(Scene):
    """Two networks with flows on the switch; the next switch is careful while ``care`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.care = True
        self.put(port(1), port(2, tag=2))
        self.good = self.flows
        self.entries = {e.attachment.id: e for e in (entry(1), entry(2, tag=2))}
        self.host = replace(self.host, careful=lambda: self.care)
        self.switch = Switch(self.host, BRIDGE)

    def lose(self, number: int) -> set[Any]:
        """Take flows of a port away; which they were."""
        own = port(number, tag=number).cookie
        lost = [f for f in self.flows.values() if f.cookie == own]
        self.machine.openflow.apply(BRIDGE, delete=lost)
        return {f.key for f in lost}


@pytest.fixture
def scene() -> Careful:
    return Careful()


def test_what_differs_of_others_stays_until_care_ends(scene: Careful) -> None:
    lost = scene.lose(2)
    assert scene.put(port(1, opened=False)) == 1
    assert not lost & scene.flows.keys()
    assert scene.put(port(1)) == 1
    assert scene.flows.keys() == scene.good.keys() - lost
    scene.care = False
    assert scene.switch.sync() is True
    assert scene.flows == scene.good


def test_what_differs_of_its_own_is_mended(scene: Careful) -> None:
    lost = scene.lose(1)
    assert lost
    assert scene.put(port(1)) == 1
    assert scene.flows == scene.good


def test_what_is_asked_for_no_port_changes_nothing(scene: Careful) -> None:
    scene.lose(1)
    before = scene.flows
    scene.injector.arm()
    assert scene.switch.sync() is False
    assert scene.injector.writes == []
    assert scene.flows == before


def test_each_change_reads_its_own_anew(scene: Careful) -> None:
    """With care nothing is known to be there because it was sent."""
    assert scene.put(port(1)) == 0
    lost = scene.lose(1)
    assert scene.put(port(1)) == 1
    assert lost <= scene.flows.keys()
