"""Feels whether what plugins work through still answers.

A process that hangs makes no event, and neither does one that goes on. Who notices only tells; what
is true of a port is found by looking at it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from vifd.engine.engine import Engine
from vifd.safety.steady import Steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Seconds between two beats, and for an answer.
PAUSE, PATIENCE = 2.0, 1.0
#: Seconds after which a beat will not end any more.
STUCK = 120.0


class Heartbeat:
    """A native thread.

    :param changed: called when a plugin's means fell silent, or answer again
    :param pause: seconds between two beats
    """

    def __init__(
        self, engine: Engine, journal: Journal, changed: Callable[[], None], *,
        pause: float = PAUSE,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._journal = journal
        self._changed = changed
        self._pause = pause
        #: what gave no answer, by plugin
        self._silent: dict[str, dict[str, str]] = {}
        self._stopping = threading.Event()
        self._thread = Steady(self._run, "heartbeat", patience=STUCK)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            with self._thread.turn():
                self.beat()

    def beat(self) -> None:
        """Ask what serves ports, and tell where something changed."""
        serving = {record.plugin for record in self._journal.records().values()}
        before, self._silent = (
            self._silent,
            {
                name: silent
                for name in serving & self._engine.plugins.keys()
                if (silent := self._feel(name))
            },
        )
        for name in sorted(before.keys() | self._silent.keys()):
            self._tell(name, before.get(name, {}), self._silent.get(name, {}))
        facts = {name: set(found) for name, found in self._silent.items()}
        if facts != {name: set(found) for name, found in before.items()}:
            self._changed()

    def _feel(self, name: str) -> dict[str, str]:
        try:
            return {e.fact: str(e.have) for e in self._engine.plugins[name].pulse(PATIENCE)}
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            LOG.debug("plugin %s: its pulse cannot be felt: %s", name, error)
            return {}

    def _tell(self, name: str, before: dict[str, str], now: dict[str, str]) -> None:
        if before.keys() == now.keys():
            return
        who = self._who(name)
        for fact in now.keys() - before.keys():
            LOG.warning("plugin %s: %s gives no answer: %s; its ports are looked at, and nothing "
                        "that needs an answer is repaired until there is one", name,
                        who.get(fact, fact), now[fact])  # fmt: skip
        for fact in before.keys() - now.keys():
            LOG.info("plugin %s: %s answers again", name, who.get(fact, fact))

    def _who(self, name: str) -> Mapping[str, str]:
        """By fact, who it is that answers, as the plugin calls it."""
        try:
            return self._engine.plugins[name].meanings().through
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, or be gone
            LOG.debug("plugin %s: what it works through has no name: %r", name, error)
            return {}
