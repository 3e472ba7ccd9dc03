"""After an upgrade: what would change is known before it is changed, and somebody is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd import errors
from vifd.engine import Settings
from vifd.engine.upgrade import options
from vifd.engine.upgrade.guard import Guard
from vifd.engine.upgrade.installed import InstalledVersions, Made, differences, present
from vifd.engine.upgrade.view import UpgradeView
from vifd.model import Evidence, Phase, Role
from vifd.testing.plugin import FakeBackend, FakePlugin

FAST = Settings(verify=2.0, hang=5.0, patience=0.2, retry_first=0.02, retry_longest=0.05)
OTHER = "0d1e0000-0000-4000-8000-00000000000f"


class Upgraded(FakePlugin):
    """A later version: the ports that the earlier one made are not as it wants them."""

    plugin_version = "2.0"
    #: ports that it made itself, and those of the earlier version that it cannot bring over
    stubborn: frozenset[str] = frozenset()

    def __init__(self, backend: FakeBackend) -> None:
        super().__init__(backend)
        self.renewed: set[str] = set()

    def _plug(self, item: Any) -> Any:
        if item.id not in self.stubborn:
            self.renewed.add(item.id)
        return super()._plug(item)

    def _evidence(self, item: Any) -> list[Evidence]:
        new = item.id in self.renewed
        found = Evidence("flows", "new" if new else "old", wanted="new", ok=new)
        return [*super()._evidence(item), found]


class Guarded(Machine):
    """A machine whose engine is guarded."""

    make: Callable[[FakeBackend], FakePlugin] = FakePlugin
    limits = options.Settings(max_ports=1, max_percent=0.0)

    def boot(self) -> None:
        from vifd.daemon.agent import Agent
        from vifd.daemon.wiring import wire
        from vifd.engine import Engine
        from vifd.engine.metrics import Metrics
        from vifd.store import Journal

        self.journal = Journal.open(self.path / "journal.db")
        self.plugin = type(self).make(self.backend)
        plugins: Mapping[str, Any] = {"fake": self.plugin}
        self.metrics = Metrics()
        self.engine = Engine(plugins, self.journal, self.metrics, self.settings)
        self.guard = Guard(self.engine, self.journal, self.limits, present("9", plugins))
        self.agent = Agent(self.engine, self.journal, self.metrics, [], guard=self.guard)
        wire(self.engine, self.agent, guard=self.guard)
        self.guard.begin()
        self.backend.calls.clear()
        self.engine.start(recover=False)
        until(lambda: self._judged())

    def _judged(self) -> bool:
        self.engine.tick()
        return self.engine.ready and not self.guard.measuring

    def upgrade(self, kind: Callable[[FakeBackend], FakePlugin] = Upgraded) -> None:
        self.halt()
        type(self).make = staticmethod(kind)
        self.boot()

    def effects(self) -> list[tuple[str, tuple[str, ...]]]:
        return [c for c in self.backend.calls if c[0] not in ("probe", "check", "observe")]

    def live(self, *numbers: int) -> bool:
        self.engine.tick()
        return all(
            (r := self.journal.get(port_id(n))) is not None
            and r.phase is Phase.LIVE and r.report is not None and r.report.clean
            for n in numbers
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Guarded]:
    Guarded.make = FakePlugin
    Upgraded.stubborn = frozenset()
    made = Guarded(tmp_path, FakeBackend(), FAST)
    made.boot()
    for number in (1, 2, 3, 4):
        made.plug(document(number))
    yield made
    made.halt()


def ids(view: UpgradeView) -> list[str]:
    return [a.port for a in view.affected]


def test_nothing_is_asked_where_nothing_was_upgraded(machine: Guarded) -> None:
    machine.upgrade(FakePlugin)
    assert machine.guard.view() == UpgradeView("none", [], 4, 1)
    assert machine.effects() == []


def test_above_the_limit_nothing_is_touched_and_the_difference_is_shown(
    machine: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    machine.upgrade()
    view = machine.guard.view()
    assert view.state == "held"
    assert view.upgraded == ["plugin fake 1.2 became 2.0"]
    assert sorted(ids(view)) == [port_id(n) for n in (1, 2, 3, 4)]
    change = view.affected[0].changes[0]
    assert (change.fact, change.have, change.wanted) == ("flows", "old", "new")
    assert machine.effects() == []
    assert machine.agent.status()["ready"], "what passes traffic goes on, and the host is told"
    assert machine.agent.status()["upgrade"] == "held"
    assert "E_REC_APPROVAL" in caplog.text
    assert "vifctl reconcile --approve" in caplog.text
    machine.engine.again([port_id(1)])
    machine.quiet()
    assert machine.effects() == [], "the periodic check changes nothing either"


def test_within_the_limit_it_goes_on_by_itself(machine: Guarded) -> None:
    machine.limits = options.Settings(max_ports=4, max_percent=0.0)
    machine.upgrade()
    until(lambda: machine.live(1, 2, 3, 4))
    assert machine.guard.view().state == "none"
    machine.upgrade()
    assert machine.guard.view().upgraded == [], "it is remembered"


def test_a_share_of_the_ports_counts_as_well() -> None:
    limits = options.Settings(max_ports=2, max_percent=10.0)
    assert [limits.allow(n, 50) for n in (2, 5, 6)] == [True, True, False]
    assert [limits.allow(n, 10) for n in (2, 3)] == [True, False]


def test_approved_one_port_is_first_and_then_all_others(machine: Guarded) -> None:
    machine.upgrade()
    view = machine.agent.upgrades.approve()
    assert view.first in [port_id(n) for n in (1, 2, 3, 4)]
    until(lambda: machine.live(1, 2, 3, 4))
    plugs = [ports for verb, ports in machine.effects() if verb == "plug"]
    assert plugs[0] == (view.first,)
    assert sorted(p for ports in plugs[1:] for p in ports) == sorted(
        {port_id(n) for n in (1, 2, 3, 4)} - {view.first}
    )
    assert machine.guard.view().state == "none"
    assert all(made.open for made in machine.backend.ports.values())
    machine.upgrade()
    assert machine.guard.view().state == "none"


def test_a_first_port_that_fails_stops_it_again_with_the_finding(machine: Guarded) -> None:
    Upgraded.stubborn = frozenset({port_id(1)})
    machine.settings = Settings(verify=0.05, hang=5.0, patience=0.2, retry_first=5.0)
    machine.upgrade()
    assert machine.agent.upgrades.approve().first == port_id(1)
    until(lambda: machine.guard.view().error is not None)
    view = machine.guard.view()
    assert (view.state, view.first) == ("held", port_id(1))
    assert view.error is not None
    assert view.error["code"] == "E_WIRE_TIMEOUT"
    assert {p for verb, ports in machine.effects() if verb == "plug" for p in ports} == {port_id(1)}


def test_a_first_port_that_is_removed_has_a_successor(machine: Guarded) -> None:
    machine.upgrade()
    machine.backend.gate.clear()
    first = machine.agent.upgrades.approve().first
    assert first == port_id(1)
    gone = machine.drop(1)
    gone.accepted.result(WAIT)
    machine.backend.gate.set()
    until(lambda: machine.live(2, 3, 4))
    gone.done.result(WAIT)
    assert machine.guard.view().state == "none"


def test_a_restart_while_it_waits_asks_again(machine: Guarded) -> None:
    machine.upgrade()
    machine.upgrade()
    assert machine.guard.view().state == "held"
    assert machine.effects() == []


def test_what_passes_nothing_has_nothing_to_lose(machine: Guarded) -> None:
    """A reboot with a new version: every port is made, nobody is asked."""
    machine.backend.ports.clear()
    machine.upgrade()
    until(lambda: machine.live(1, 2, 3, 4))
    assert machine.guard.view().state == "none"


def test_a_port_that_stops_while_it_waits_is_brought_back(machine: Guarded) -> None:
    machine.upgrade()
    del machine.backend.ports[port_id(2)]
    machine.engine.again([port_id(2)])
    until(lambda: machine.live(2))
    assert {p for verb, ports in machine.effects() if verb == "plug" for p in ports} == {port_id(2)}
    assert machine.guard.view().state == "held"


def test_ports_of_other_networks_are_served_meanwhile(machine: Guarded) -> None:
    machine.upgrade()
    machine.plug(document(7, network__id=OTHER))
    with pytest.raises(errors.ApprovalNeeded) as caught:
        machine.plug(document(8))
    assert caught.value.retryable
    assert caught.value.facts["ports"] == 4
    with pytest.raises(errors.ApprovalNeeded):
        machine.plug(document(1, network__mtu=1400))
    assert machine.journal.get(port_id(8)) is None


def test_roles_removals_and_repeated_requests_are_served_meanwhile(machine: Guarded) -> None:
    machine.upgrade()
    assert machine.plug(document(1)).phase is Phase.DEGRADED, "it stands, and passes traffic"
    machine.drop(3).done.result(WAIT)
    machine.agent.set_role(port_id(2), Role.INACTIVE, "r").done.result(WAIT)
    assert not machine.backend.ports[port_id(2)].open
    assert port_id(3) not in machine.backend.ports
    assert machine.guard.view().state == "held"


def test_what_could_not_be_read_is_not_taken_for_right(machine: Guarded) -> None:
    """The switch is away when the new version starts: it is no reason to go on."""
    machine.backend.faults[("check", "*")] = errors.BackendUnavailable()
    machine.upgrade()
    view = machine.guard.view()
    assert (view.state, len(view.unread)) == ("held", 4)
    with pytest.raises(errors.ApprovalNeeded):
        machine.plug(document(8))
    machine.backend.faults.clear()
    until(lambda: machine.engine.tick() is not None and not machine.guard.view().unread)
    assert len(machine.guard.view().affected) == 4
    assert [v for v, _ in machine.effects() if v in ("plug", "activate")] == []


def test_without_the_guard_an_upgrade_goes_on(machine: Guarded) -> None:
    machine.limits = options.Settings(guard=False)
    machine.upgrade()
    until(lambda: machine.live(1, 2, 3, 4))


def test_what_counts_as_an_upgrade() -> None:
    old = InstalledVersions("1", {"a": Made("1", "x"), "b": Made("1")})
    assert differences(old, old, ["a", "b"]) == []
    assert differences(old, replace(old, vifd="2"), ["a"]) == ["vifd 1 became 2"]
    new = InstalledVersions("1", {"a": Made("1", "y"), "c": Made("3")})
    assert differences(old, new, ["a"]) == ["plugin a makes ports in another way"]
    assert differences(old, new, ["b", "c"]) == ["plugin c (unknown) became 3"]
    assert differences(None, new, ["a"]) != []


def test_a_recipe_that_raises_is_none() -> None:
    class Bad(FakePlugin):
        def fingerprint(self) -> str:
            raise RuntimeError("no")

    assert present("1", {"fake": Bad(FakeBackend())}).plugins["fake"] == Made("1.2", "")
