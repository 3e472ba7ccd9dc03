"""The engine with one plugin and a real journal in a directory: a daemon without API and timers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from vifd.daemon.agent import Agent
from vifd.daemon.wiring import wire
from vifd.drivers import Drivers
from vifd.engine import Engine, Settings
from vifd.engine.metrics import Metrics
from vifd.engine.ticket import Ticket
from vifd.engine.worker import ledger
from vifd.model import Attachment, PortRecord, decode
from vifd.plugin import Host, VifPlugin
from vifd.store import Journal
from vifd.testing.profile import Profile
from vifd.testing.wait import PATIENCE, until

#: Short pauses, so that a retry does not hold a test up. Whoever wants a call to hang shortens that
#: for the test: a busy machine must not look like a plugin that hangs.
SETTINGS = Settings(verify=30.0, hang=60.0, patience=0.5, retry_first=0.02, retry_longest=0.1)


class Running:
    """Start it, hand documents in, stop it. As a context manager it does the first and last.

    :param others: plugins that work beside the one under test, by name
    """

    def __init__(
        self,
        directory: Path,
        drivers: Drivers,
        profile: Profile,
        others: Sequence[VifPlugin] = (),
        settings: Settings = SETTINGS,
    ) -> None:
        self.journal = Journal.open(directory / "journal.db")
        self.name = profile.cls.plugin_name
        self.plugin = profile.plugin(
            Host(drivers, lambda: ledger(self.journal), sets=self.journal.sets)
        )
        plugins = {self.name: self.plugin, **{p.plugin_name: p for p in others}}
        self.engine = Engine(plugins, self.journal, Metrics(), settings)
        self.agent = Agent(self.engine, self.journal, self.engine.metrics, [])
        wire(self.engine, self.agent)
        self._clock = threading.Thread(target=self._tick, name="running-clock", daemon=True)
        self._closing = threading.Event()

    def _tick(self) -> None:
        while not self._closing.wait(0.005):
            self.engine.tick()

    def submit(self, wanted: Attachment) -> Ticket:
        """Want a port; does not wait."""
        document = decode(msgspec.to_builtins(wanted))
        return self.agent.plug([document], "req-test")[0]

    def plug(self, wanted: Attachment) -> PortRecord:
        """Want a port and wait for the end of the first attempt."""
        return self.submit(wanted).done.result(PATIENCE)

    def unplug(self, port_id: str) -> None:
        """Remove a port and wait until it is gone; one that fails is tried again by the engine."""
        self.agent.unplug([port_id], "req-test")
        until(lambda: self.journal.get(port_id) is None, f"port {port_id} is gone", PATIENCE)

    def settled(self, port_id: str) -> PortRecord:
        """Wait until a port is where its document wants it."""

        def there() -> PortRecord | None:
            record = self.journal.get(port_id)
            good = record is not None and record.applied and record.error is None
            return record if good and record and record.phase in ("LIVE", "READY") else None

        record = until(there, f"port {port_id} is where its document wants it", PATIENCE)
        if record is None:
            raise AssertionError("unreachable")
        return record

    def quiet(self) -> None:
        """Wait until no lane works or has work."""
        lanes = self.engine.lanes.values()
        until(
            lambda: all(lane.busy is None and not lane.waiting for lane in lanes),
            "the lanes are quiet", PATIENCE,
        )  # fmt: skip

    def __enter__(self) -> Running:
        self.engine.start()
        self._clock.start()
        until(lambda: self.engine.ready, "the engine is ready", PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._clock.join()
        self.engine.stop(PATIENCE)
        self.journal.close()
