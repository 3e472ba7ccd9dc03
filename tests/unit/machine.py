"""A daemon without API: a fake host, a real journal, the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unit.docs import port_id
from vifd.daemon.agent import Agent
from vifd.daemon.wiring import wire
from vifd.engine import Engine, Settings
from vifd.engine.metrics import Metrics
from vifd.engine.ticket import Ticket
from vifd.model import PortRecord, decode
from vifd.store import Journal
from vifd.testing.plugin import FakeBackend, FakePlugin

WAIT = 60.0


@dataclass
class Machine:
    """A daemon without API: a fake host, a journal, an engine."""

    path: Path
    backend: FakeBackend
    settings: Settings
    wait_ready: bool = True
    make: Callable[[FakeBackend], FakePlugin] = FakePlugin

    def boot(self) -> None:
        self.journal = Journal.open(self.path / "journal.db")
        self.plugin = self.make(self.backend)
        self.metrics = Metrics()
        self.engine = Engine({"fake": self.plugin}, self.journal, self.metrics, self.settings)
        self.agent = Agent(self.engine, self.journal, self.metrics, [])
        wire(self.engine, self.agent)
        self.engine.start(recover=self.journal.set_aside is not None)
        if self.wait_ready:
            until(lambda: self.engine.ready)

    def halt(self) -> None:
        self.backend.gate.set()
        self.engine.stop(WAIT)
        self.journal.close()

    def put(self, doc: dict[str, Any], request: str = "req-1") -> Ticket:
        return self.agent.plug([decode(doc)], request)[0]

    def plug(self, doc: dict[str, Any]) -> PortRecord:
        return self.put(doc).done.result(WAIT)

    def drop(self, number: int) -> Ticket:
        return self.agent.unplug([port_id(number)], "req-2")[0]

    def record(self, number: int) -> PortRecord:
        return self.agent.port(port_id(number))

    def waits(self, ticket: Ticket) -> bool:
        """Whether the request waits for the end of a removal."""
        pending = self.engine.intake.pending
        rooms = [*pending._waiting.values(), *pending._freed.values()]
        return any(r.ticket is ticket for room in rooms for r in list(room))

    def quiet(self) -> None:
        """Let the engine's clock go on until nothing waits, runs or is due, and nobody waits."""
        until(self._idle)

    def _idle(self) -> bool:
        self.engine.tick()
        lanes = self.engine.lanes.values()
        resting = all(lane.busy is None and not lane.waiting for lane in lanes)
        return resting and not self.engine.retries.pending and not self.engine.tickets.waiting

    def names(self) -> list[str]:
        return [e.event for e in self.agent.events(0) if e.port]


def until(condition: Callable[[], object]) -> None:
    """Wait on a condition; the deadline only ends a test that has failed."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.001)
