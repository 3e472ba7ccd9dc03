"""Two hosts and a guest that moves between them: any order of events, daemons that die, agents that
tell each other and lose each other.

A host that was told that its binding is INACTIVE opens for a guest that runs there, and for nothing
else; and once everybody was heard the guest has its port where it runs, and nowhere else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import sampled_from

from support.hypervisor import FakeHypervisor
from unit.docs import document, port_id
from unit.machine import WAIT, Machine, until
from vifd.engine import Settings
from vifd.migration.abandoned import Abandoned
from vifd.migration.arrivals import Arrivals, Departures
from vifd.migration.peers.peers import Here, Peers
from vifd.migration.peers.peers import Settings as Peering
from vifd.migration.peers.wire import Kind, Refused, Word
from vifd.model import Role
from vifd.testing.plugin import FakeBackend

ID, GUEST = port_id(1), document(1)["instance"]["id"]


@dataclass
class Side(Machine):
    """One host.

    :ivar tells: tells the other host's agent what became of the guest here
    """

    hypervisor: FakeHypervisor = field(default_factory=FakeHypervisor)
    alive: bool = False
    device: str = ""
    tells: Callable[[Kind], None] = lambda _kind: None

    def boot(self) -> None:
        super().boot()
        interfaces = lambda: self.hypervisor.interfaces().values()  # noqa: E731
        here = Here(self.journal.get, interfaces, self._opens, self._closes)
        self.peers = Peers(Peering(), here)
        self.arrivals = Arrivals(
            self.agent.migrations, self.journal.records, interfaces,
            lambda: self.hypervisor.guests().values(), self._opens,
            departures=Departures(
                lambda _record, kind, _quiet: self.tells(kind), self.engine.lanes.announce,
                self._closes,
            ),
            abandoned=Abandoned(notes=self.journal, held=lambda _device: False),
        )  # fmt: skip
        self.arrivals.start()
        self.alive = True
        # what libvirt said meanwhile is lost; how its guests are is not
        self.arrivals.changed("")

    def _opens(self, port: str, request: str) -> object:
        return self.agent.set_role(port, Role.ACTIVE, request)

    def _closes(self, port: str, request: str) -> object:
        return self.agent.set_role(port, Role.INACTIVE, request)

    def halt(self) -> None:
        if self.alive:
            self.arrivals.stop(WAIT)
            super().halt()
            self.alive = False

    def befalls(self, what: str) -> None:
        """libvirt says something; nobody hears it while the daemon is dead."""
        if self.alive:
            self.arrivals.happened(GUEST, what, 1.0)

    def is_told(self, kind: Kind) -> None:
        """The other host's agent says something."""
        if self.alive:
            with suppress(Refused):
                self.peers.take("other", Word(kind, ID, 1, ""))

    def has(self, guest: bool, *, running: bool = False, arrived: bool = False) -> None:
        """Whether libvirt has the guest here, and how it is."""
        if guest:
            made = self.hypervisor.define(GUEST, [self.device], running=running)
            self.hypervisor._guests[GUEST] = replace(made, arrived=arrived)
        elif GUEST in self.hypervisor.guests():
            self.hypervisor.undefine(GUEST)

    @property
    def passes(self) -> bool:
        made = self.backend.ports.get(ID)
        return made is not None and made.open

    def settle(self) -> None:
        # what was heard before this has been acted on once this was taken
        self.arrivals.announced("nobody")
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
        self.sides[0].tells = lambda kind: self._says(1, kind)
        self.sides[1].tells = lambda kind: self._says(0, kind)
        #: where the guest runs, or ran until it stopped for the move
        self.where = 0
        #: a guest waits for its memory on the other host; that host's vifd knows; it has stopped
        self.going = self.known = self.stopped = False
        #: whether the agents hear each other
        self.linked = True
        #: which host's binding is active, as the network service has it
        self.bound = 0
        #: what each host was told last
        self.told: list[Role | None] = [None, None]
        #: hosts at which nothing has happened since by which the port might be open
        self.closed = {1}
        #: such a host, and an agent's word may have opened it
        self.opened_on_word: set[int] = set()

    @initialize()
    def begin(self) -> None:
        for side in self.sides:
            side.boot()
        made = self.sides[0].plug(document(1)).wiring
        assert made is not None
        for side in self.sides:
            side.device = made.device
        self.sides[0].has(True, running=True)
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

    def _says(self, whom: int, kind: Kind) -> None:
        if self.linked:
            self.sides[whom].is_told(kind)

    @rule()
    def agents_lose_each_other_or_find_each_other(self) -> None:
        self.linked = not self.linked

    @precondition(lambda self: self.told[1 - self.where] is None)
    @rule()
    def a_closed_port_is_made_for_it(self) -> None:
        if self.sides[self._other()].alive:
            self.sides[self._other()].plug(document(1, role="INACTIVE"))
            self.told[self._other()] = Role.INACTIVE

    @precondition(lambda self: not self.going and self.told[1 - self.where] is not None)
    @rule()
    def a_place_is_made_for_the_guest(self) -> None:
        target = self.sides[self._other()]
        self.going, self.known = True, target.alive
        target.has(True)
        target.befalls("started: migrated")

    @precondition(lambda self: self.going and not self.stopped)
    @rule()
    def it_stops_here(self) -> None:
        source, target = self.where, self._other()
        self.stopped = True
        if target in self.closed:
            self.opened_on_word.add(target)
            self.closed.discard(target)
        self.sides[source].has(True)
        self.sides[source].befalls("suspended: migrated")

    @precondition(lambda self: self.stopped)
    @rule()
    def it_goes_on_there(self) -> None:
        source, target = self.where, self._other()
        self.where, self.going, self.stopped = target, False, False
        self.opened_on_word.clear()
        self.closed.discard(target)
        self.sides[source].has(False)
        self.sides[target].has(True, running=True, arrived=True)
        self.sides[target].befalls("resumed: migrated")
        self.sides[source].befalls("stopped: migrated")

    @precondition(lambda self: self.going)
    @rule()
    def the_migration_fails(self) -> None:
        source, target = self.where, self._other()
        self.sides[target].has(False)
        self.sides[target].befalls("stopped: failed")
        if self.stopped:
            self.sides[source].has(True, running=True)
            self.sides[source].befalls("resumed: migrated")
            self.closed.discard(source)
        if self.known:
            # what was opened on a word is closed, however many words and daemons were lost
            self.closed |= self.opened_on_word
        self.opened_on_word.clear()
        self.going = self.stopped = False

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
        self.opened_on_word.discard(which)
        self.closed = self.closed | {which} if role is Role.INACTIVE else self.closed - {which}

    @precondition(lambda self: not self.going)
    @rule(what=sampled_from(("suspended: migrated", "stopped: failed")))
    def a_late_word(self, what: str) -> None:
        self.sides[self._other()].befalls(what)

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
        for side in (*self.sides, *self.sides):
            if side.alive:
                side.settle()
        for which, side in enumerate(self.sides):
            assert not (side.alive and which in self.closed and side.passes)

    def _all_are_heard(self) -> None:
        if self.told == [None, None]:
            return
        if self.going:
            self.the_migration_fails()
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
