"""What was counted of the frames of ports: read for whoever asks, and summed up.

A plugin says what the host has now; that begins at zero whenever a device, a flow or a rule is made
anew. Here the sums are kept, which only grow. Each plugin has a thread for this, which takes all
that waits as one reading; nothing of it is on the way of a plug.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial

from vifd import errors
from vifd.engine.engine import Engine
from vifd.engine.sums import Sums
from vifd.model import PortRecord
from vifd.model.counted import Counters, Passage
from vifd.model.status import wants_open
from vifd.plugin import Item
from vifd.safety.steady import Steady
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Seconds between two readings for metrics, however often these are scraped.
EVERY = 10.0
_SILENT = "plugin {plugin} counts nothing"


class Counting:
    """Answers what was counted of ports.

    :param clock: seconds since the epoch
    """

    def __init__(
        self, engine: Engine, journal: Journal, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._readers: dict[str, _Reader] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._asked_at = float("-inf")
        self.sums = Sums()

    def ask(self, port_id: str) -> Future[Counters]:
        """The counters of a port, read now.

        :raises errors.PortNotFound: there is no such port
        """
        record = self._journal.get(port_id)
        if record is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        return self._ask([record])[port_id]

    def everybody(self) -> dict[str, Future[Counters]]:
        """Those of all ports, by port: one reading of each plugin."""
        return self._ask([*self._journal.records().values()])

    def _ask(self, records: Iterable[PortRecord]) -> dict[str, Future[Counters]]:
        futures: dict[str, Future[Counters]] = {}
        asked: dict[str, dict[str, Future[Counters]]] = {}
        for record in records:
            future = futures[record.id] = Future()
            if record.wiring is None or record.plugin not in self._engine.plugins:
                future.set_result(self._known(record, "nothing of it is on the host"))
            else:
                asked.setdefault(record.plugin, {})[record.id] = future
        for plugin, own in asked.items():
            self._reader(plugin).ask(own)
        return futures

    def recall(self, port_id: str, note: str) -> Counters:
        """The same from the last reading.

        :param note: why there is no new one
        :raises errors.PortNotFound: there is no such port
        """
        record = self._journal.get(port_id)
        if record is None:
            raise errors.PortNotFound(facts={"port": port_id}, port=port_id)
        return self._known(record, note)

    def refresh(self) -> None:
        """Have all ports read for the sums of metrics, unless that was asked for just now; nobody
        is kept waiting."""
        now = time.monotonic()
        if now - self._asked_at < EVERY:
            return
        self._asked_at = now
        serving = {r.plugin for r in self._journal.records().values() if r.wiring is not None}
        for name in serving & self._engine.plugins.keys():
            self._reader(name).ask_all()

    def stop(self, timeout: float) -> None:
        """End the threads; what waits is answered from memory."""
        with self._lock:
            self._stopping = True
            readers = list(self._readers.values())
        for reader in readers:
            reader.stop(timeout)

    def _reader(self, plugin: str) -> _Reader:
        with self._lock:
            if plugin not in self._readers:
                self._readers[plugin] = _Reader(plugin, partial(self._read, plugin))
                if not self._stopping:
                    self._readers[plugin].start()
            return self._readers[plugin]

    # --- on the thread of a plugin ---

    def _read(self, plugin: str, asked: Mapping[str, list[Future[Counters]]], every: bool) -> None:
        """One reading for all that waits."""
        mine = [r for r in self._journal.records().values()
                if r.plugin == plugin and r.wiring is not None]  # fmt: skip
        self.sums.only(plugin, {record.id for record in mine})
        chosen = mine if every else [r for r in mine if r.id in asked]
        note = self._count(plugin, chosen)
        for port_id, futures in asked.items():
            record = self._journal.get(port_id)
            for future in futures:
                with suppress(InvalidStateError):
                    if record is None:
                        gone = errors.PortNotFound(facts={"port": port_id}, port=port_id)
                        future.set_exception(gone)
                    else:
                        future.set_result(self._known(record, note))

    def _count(self, plugin: str, records: Iterable[PortRecord]) -> str:
        """Have ports counted; why nothing was, or nothing new."""
        items = [
            Item(r.doc.attachment, r.names or r.wiring, r.wiring, open=wants_open(r))
            for r in records if r.wiring is not None
        ]  # fmt: skip
        try:
            found = self._engine.plugins[plugin].counters(items) if items else {}
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            LOG.debug("plugin %s: its counters cannot be read: %s", plugin, error)
            return f"they cannot be read now: {error}"
        at = self._clock()
        for port_id, counted in found.items():
            self.sums.add(plugin, port_id, counted, at)
        return ""

    def _known(self, record: PortRecord, note: str) -> Counters:
        known = self.sums.of(record.id, record.plugin, note)
        if known is not None:
            return known
        note = note or _SILENT.format(plugin=record.plugin)
        return Counters(
            port=record.id, plugin=record.plugin, sent=Passage(), received=Passage(), at=0.0,
            since=0.0, note=note,
        )  # fmt: skip


class _Reader:
    """The thread of one plugin."""

    def __init__(
        self, name: str, read: Callable[[Mapping[str, list[Future[Counters]]], bool], None]
    ) -> None:
        self._read = read
        self._asked: dict[str, list[Future[Counters]]] = {}
        self._every = False
        self._stopping = False
        self._wake = threading.Condition()
        self._thread = Steady(self._run, f"counters-{name}")
        self._began = False

    def start(self) -> None:
        self._began = True
        self._thread.start()

    def ask(self, futures: Mapping[str, Future[Counters]]) -> None:
        with self._wake:
            for port_id, future in futures.items():
                self._asked.setdefault(port_id, []).append(future)
            self._wake.notify()

    def ask_all(self) -> None:
        with self._wake:
            self._every = True
            self._wake.notify()

    def stop(self, timeout: float) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._began:
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._asked or self._every)
                if self._stopping:
                    return
                asked, self._asked = self._asked, {}
                every, self._every = self._every, False
            self._read(asked, every)
