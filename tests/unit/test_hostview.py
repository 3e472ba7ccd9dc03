"""The host in one answer: the plugins' probes are part of a refresh."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vifd.capabilities import names
from vifd.capabilities.host import HostCapabilities
from vifd.capabilities.probes.networks import Networks
from vifd.daemon.hostview import HostView
from vifd.engine import Engine
from vifd.engine.metrics import Metrics
from vifd.plugin import Health, Probe, Uplink
from vifd.store import Journal
from vifd.testing.plugin import FakeBackend, FakePlugin
from vifd.testing.wait import PATIENCE


@dataclass
class Scene:
    engine: Engine
    plugin: FakePlugin
    view: HostView
    answer: Probe = field(default_factory=lambda: Probe(Health.READY))
    before: Callable[[], object] = lambda: None

    def probe(self) -> Probe:
        self.before()
        return self.answer


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    journal = Journal.open(tmp_path / "journal.db")
    plugin = FakePlugin(FakeBackend())
    engine = Engine({"fake": plugin}, journal, Metrics())
    host = HostCapabilities([Networks(engine.probes.answered, lambda: engine.adverts)], patience=1)
    engine.hooks.health_changed = lambda: host.suspect("plugins")
    scene = Scene(engine, plugin, HostView(engine, host, lambda: {"more": 1}, patience=0.2))
    plugin.probe = scene.probe  # type: ignore[method-assign]
    engine.start()
    scene.view.start()
    yield scene
    scene.view.stop(60)
    engine.stop(60)
    journal.close()


def network(mtu: int) -> Probe:
    return Probe(Health.READY, physical_networks={"one": Uplink("br-ex", True, mtu)})


def test_a_refresh_probes_the_plugins_first(scene):
    for mtu in (1500, 9000):
        scene.answer = network(mtu)
        shown = scene.view.refresh().result(PATIENCE)
        assert shown["plugins"]["fake"]["physical_networks"]["one"]["mtu"] == mtu
        found = {c.name: c for c in shown["inventory"].capabilities}
        assert found[names.physnet("one")].value["fake"]["mtu"] == mtu
        assert shown["more"] == 1


def test_a_plugin_that_hangs_is_not_waited_for(scene):
    scene.answer = network(1500)
    scene.view.refresh().result(PATIENCE)
    go = threading.Event()
    scene.before = lambda: go.wait(PATIENCE)
    scene.answer = network(9000)
    shown = scene.view.refresh().result(PATIENCE)
    go.set()
    assert shown["plugins"]["fake"]["physical_networks"]["one"]["mtu"] == 1500


def test_a_view_of_nothing_answers_as_well(scene):
    shown = HostView(scene.engine).show()
    assert (shown["inventory"].traits, shown["inventory"].at) == ([], 0)
