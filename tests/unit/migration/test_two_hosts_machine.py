"""Two hosts and a guest that moves between them: any order of events, daemons that die.

A host that was told that its binding is INACTIVE opens for a guest that runs there, and for nothing
else; and once everybody was heard the guest has its port where it runs, and nowhere else.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import sampled_from

from support.hypervisor import FakeHypervisor
from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd.engine import Settings
from vifd.migration.arrivals import Arrivals
from vifd.model import Role
from vifd.testing.plugin import FakeBackend

ID, GUEST = port_id(1), document(1)["instance"]["id"]


@dataclass
class Side(Machine):
    """One host."""

    hypervisor: FakeHypervisor = field(default_factory=FakeHypervisor)
    alive: bool = False

    def boot(self) -> None:
        super().boot()
        self.arrivals = Arrivals(
            self.agent.migrations, self.journal.records,
            lambda: self.hypervisor.interfaces().values(),
            lambda: self.hypervisor.guests().values(),
            lambda port, request: self.agent.set_role(port, Role.ACTIVE, request),
        )  # fmt: skip
        self.arrivals.start()
        self.alive = True
        # what libvirt said meanwhile is lost; how its guests are is not
        self.arrivals.changed("")

    def halt(self) -> None:
        if self.alive:
            self.arrivals.stop(WAIT)
            super().halt()
            self.alive = False

    def befalls(self, what: str) -> None:
        """libvirt says something; nobody hears it while the daemon is dead."""
        if self.alive:
            self.arrivals.happened(GUEST, what, 1.0)

    def runs(self, arrived: bool) -> None:
        made = self.hypervisor.define(GUEST, ["tap1"], running=arrived)
        self.hypervisor._guests[GUEST] = replace(made, arrived=arrived)

    @property
    def passes(self) -> bool:
        made = self.backend.ports.get(ID)
        return made is not None and made.open

    def settle(self) -> None:
        until(lambda: self.arrivals._queue.empty())
        self.quiet()


class Cloud(RuleBasedStateMachine):
    """A guest that runs on host 0 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        times = Settings(verify=1.0, retry_first=0.01, retry_longest=0.05)
        self.sides = []
        for name in ("here", "there"):
            path = Path(self.scratch.name, name)
            path.mkdir()
            side = Side(path, FakeBackend(), replace(times, intents=path / "opening"))
            self.sides.append(side)
        self.where = 0
        #: which host's binding is active, as the network service has it
        self.bound = 0
        #: what each host was told last
        self.told: list[Role | None] = [None, None]
        #: hosts at which nothing has happened since by which the port might be open
        self.closed = {1}

    @initialize()
    def begin(self) -> None:
        for side in self.sides:
            side.boot()
        self.sides[0].plug(document(1))
        self.told[0] = Role.ACTIVE

    def teardown(self) -> None:
        try:
            self._all_are_heard()
        finally:
            for side in self.sides:
                side.halt()
            self.scratch.cleanup()

    # --- what happens ---

    def _other(self) -> int:
        return 1 - self.where

    @precondition(lambda self: self.told[1 - self.where] is None)
    @rule()
    def a_closed_port_is_made_for_it(self) -> None:
        if self.sides[self._other()].alive:
            self.sides[self._other()].plug(document(1, role="INACTIVE"))
            self.told[self._other()] = Role.INACTIVE

    @precondition(lambda self: self.told[1 - self.where] is not None)
    @rule()
    def the_guest_moves(self) -> None:
        source, target = self.where, self._other()
        self.where = target
        self.closed.discard(target)
        self.sides[source].runs(False)
        self.sides[target].runs(True)
        self.sides[source].befalls("suspended: migrated")
        self.sides[target].befalls("resumed: migrated")

    @precondition(lambda self: self.told[1 - self.where] is not None)
    @rule()
    def the_migration_is_aborted(self) -> None:
        self.sides[self._other()].befalls("stopped: failed")
        self.sides[self.where].befalls("resumed: migrated")
        self.closed.discard(self.where)

    @precondition(lambda self: self.told[1 - self.bound] is not None)
    @rule()
    def the_binding_moves(self) -> None:
        self.bound = 1 - self.bound

    @rule(which=sampled_from((0, 1)))
    def a_host_hears_of_its_binding(self, which: int) -> None:
        side = self.sides[which]
        if self.told[which] is None or not side.alive:
            return
        role = Role.ACTIVE if self.bound == which else Role.INACTIVE
        side.agent.set_role(ID, role, "neutron").done.result(WAIT)
        self.told[which] = role
        self.closed = self.closed | {which} if role is Role.INACTIVE else self.closed - {which}

    @rule(which=sampled_from((0, 1)), what=sampled_from(("suspended: migrated", "stopped: failed")))
    def a_late_word(self, which: int, what: str) -> None:
        self.sides[which].befalls(what)

    @rule(which=sampled_from((0, 1)))
    def a_daemon_dies(self, which: int) -> None:
        self.sides[which].halt()

    @rule(which=sampled_from((0, 1)))
    def a_daemon_starts(self, which: int) -> None:
        if not self.sides[which].alive:
            self.sides[which].boot()

    # --- what must hold ---

    @invariant()
    def a_closed_port_stays_closed(self) -> None:
        for which, side in enumerate(self.sides):
            if side.alive:
                side.settle()
                assert not (which in self.closed and side.passes)

    def _all_are_heard(self) -> None:
        if self.told == [None, None]:
            return
        self.bound = self.where
        for which, side in enumerate(self.sides):
            if not side.alive:
                side.boot()
            self.a_host_hears_of_its_binding(which)
            side.settle()
        assert self.sides[self.where].passes
        assert not self.sides[self._other()].passes


Cloud.TestCase.settings = settings(
    max_examples=int(os.environ.get("VIFD_EXAMPLES", "15")),
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestCloud = Cloud.TestCase
