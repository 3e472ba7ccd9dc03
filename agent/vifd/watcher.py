"""Turns events of the host into ports to look at, and keeps the engine's clock.

Events only mark; the engine looks. A port is looked at when an event about it is newer than its
last report and has settled for a moment, so that the echo of our own work costs nothing.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from vifd.drivers import Drivers
from vifd.engine import Engine
from vifd.model import PortRecord
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: How long an event must be old before its port is looked at, in seconds.
SETTLE = 0.3


class Watcher:
    """A native thread: engine's ticks, driver events, the periodic check.

    :param interval: seconds between two checks of every port, read anew each time; 0 for never
    :param reassert: called every ``reassert_interval()`` seconds
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        interval: Callable[[], float],
        reassert: Callable[[], None],
        reassert_interval: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._interval = interval
        self._reassert = reassert
        self._reassert_interval = reassert_interval
        self._suspects: dict[str, float] = {}
        self._all_since: float | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self, drivers: Drivers) -> None:
        drivers.links.subscribe(self._link)
        drivers.ovsdb.subscribe(self._ovsdb)
        drivers.openflow.subscribe(self._openflow)
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    # --- events, on the drivers' threads ---

    def _link(self, name: str, _exists: bool) -> None:
        self._device_changed(name)

    def _ovsdb(self, kind: str, name: str) -> None:
        self._poke_verifiers()
        if kind == "port":
            self._suspect(name)
        elif kind in ("connected", "disconnected"):
            LOG.info("the switch database is %s", kind)
            self._engine.probe_all()
            self._suspect_all()
        else:
            self._engine.probe_all()

    def _openflow(self, bridge: str, connected: bool) -> None:
        level = logging.INFO if connected else logging.WARNING
        LOG.log(level, "bridge %s: flow connection %s", bridge, "up" if connected else "lost")
        self._poke_verifiers()
        self._suspect_all()

    def _device_changed(self, name: str) -> None:
        self._poke_verifiers()
        if name:
            self._suspect(name)
        else:
            self._suspect_all()

    def _poke_verifiers(self) -> None:
        for lane in self._engine.lanes.values():
            lane.changed.set()

    def _suspect(self, device: str) -> None:
        with self._lock:
            first = not self._suspects
            self._suspects[device] = time.time()
        if first:
            self._wake.set()

    def _suspect_all(self) -> None:
        with self._lock:
            self._all_since = time.time()
        self._wake.set()

    # --- the thread ---

    def _run(self) -> None:
        checked = asserted = time.monotonic()
        spread = random.random() / 4
        while not self._stopping:
            pause = self._engine.tick()
            now = time.monotonic()
            interval, again = self._interval() * (1 + spread), self._reassert_interval()
            if interval and now - checked >= interval:
                checked, spread = now, random.random() / 4
                self._engine.probe_all()
                self._engine.again(self._journal.records())
            if again and now - asserted >= again:
                asserted = now
                self._safely(self._reassert)
            self._look()
            self._wake.wait(self._pause(pause))
            self._wake.clear()

    def _pause(self, due: float) -> float:
        """Seconds until there may be something to do."""
        with self._lock:
            waiting = bool(self._suspects) or self._all_since is not None
        busy = any(lane.busy is not None for lane in self._engine.lanes.values())
        return min(due, SETTLE if waiting else 1.0 if busy else 5.0) + 0.001

    def _look(self) -> None:
        """Mark the ports whose events have settled."""
        limit = time.time() - SETTLE
        with self._lock:
            ripe = {d: at for d, at in self._suspects.items() if at <= limit}
            for device in ripe:
                del self._suspects[device]
            all_since = self._all_since if (self._all_since or limit + 1) <= limit else None
            if all_since is not None:
                self._all_since = None
        if not ripe and all_since is None:
            return
        suspects = [
            port_id
            for port_id, record in self._journal.records().items()
            if _older(record, ripe.get(_device(record), all_since or 0.0))
        ]
        self._engine.again(suspects)

    def _safely(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            LOG.exception("periodic work failed")


def _device(record: PortRecord) -> str:
    made = record.wiring or record.names
    return made.device if made else ""


def _older(record: PortRecord, event_at: float) -> bool:
    """Whether the port's last report was made before the event."""
    return event_at > 0 and (record.report is None or record.report.at < event_at)
