"""The lanes of all plugins, and the urgent tasks that are done on them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial

from vifd import errors
from vifd.engine.job import job_of
from vifd.engine.lane import Lane
from vifd.engine.ticket import Ticket
from vifd.engine.worker import Limits, Worker
from vifd.engine.worker.tracing import Tracer
from vifd.model import PortRecord
from vifd.plugin.inspection import Inspection, inspect
from vifd.store import Journal

LOG = logging.getLogger(__name__)


def lane_settled(lane: Lane, settled: Callable[[], bool], patience: float) -> None:
    """Wait on a lane until the drivers have what they need, so many seconds at most."""
    deadline = time.monotonic() + patience
    while not settled() and (left := deadline - time.monotonic()) > 0:
        lane.changed.clear()
        lane.changed.wait(min(left, 0.02))


class Lanes(dict[str, Lane]):
    """The lanes by plugin, each with its worker."""

    def __init__(self, workers: Mapping[str, Worker], journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self._workers = workers
        for name, worker in workers.items():
            lane = self[name] = Lane(name, worker)
            worker.changed = lane.changed
            worker.others, worker.later = lane.others, lane.later

    def limit(self, limits: Limits) -> None:
        """Take other limits, from the next batch on."""
        for worker in self._workers.values():
            worker.limits = limits

    def trace(self, tracer: Tracer | None) -> None:
        """Tell who traces of each port that is served, from the next batch on."""
        for worker in self._workers.values():
            worker.telling.tracer = tracer

    def again(self, port_ids: Iterable[str]) -> None:
        """Have ports served by their lanes."""
        by_lane: dict[str, list[str]] = {}
        for port_id in port_ids:
            record = self._journal.get(port_id)
            if record is not None and record.plugin in self:
                by_lane.setdefault(record.plugin, []).append(port_id)
        for name, ids in by_lane.items():
            self[name].mark(ids)

    def open_first(self, ticket: Ticket) -> None:
        """Open a port that is ready, while the request of this ticket is being written; where that
        comes to nothing, it is closed again."""
        port_id = ticket.port_id
        record = self._journal.get(port_id)
        if record is None or record.plugin not in self or record.removing:
            return
        lane, worker = self[record.plugin], self._workers[record.plugin]

        def refused(done: Future[PortRecord]) -> None:
            if (error := done.exception()) is not None:
                worker.noted(port_id, "failed", time.time(), str(error))
                lane.urgent(f"close {port_id}", partial(worker.close_again, port_id, error))

        lane.urgent(f"open {port_id}", partial(worker.open_first, port_id, ticket))
        ticket.accepted.add_done_callback(refused)

    def held(self, port_id: str) -> bool:
        """Whether a port may be open although its record says that it is closed."""
        return any(worker.ahead.holds(port_id) for worker in self._workers.values())

    def plug_now(self, port_id: str, done: Callable[[PortRecord | None], None]) -> None:
        """Bring one port to its document, whatever is restrained.

        :param done: called on its lane with the record afterwards; ``None`` where it is gone
        """
        record = self._journal.get(port_id)
        if record is None or record.plugin not in self:
            done(None)
            return
        worker = self._workers[record.plugin]

        def work() -> None:
            present = self._journal.get(port_id)
            try:
                if present is not None and not present.removing:
                    worker.plug([present], patient=True)
            finally:
                done(self._journal.get(port_id))

        self[record.plugin].urgent(f"plug {port_id}", work)

    def serve(self, plugin: str, stage: str, ticket: Ticket, work: Callable[[], None]) -> None:
        """Do something for a caller on a plugin's lane, before its next batch; what is raised ends
        his ticket.

        :param stage: what it is, for the task and the error
        """

        def surely() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                refusal = errors.wrap(error, stage=stage, port=ticket.port_id)
                LOG.warning("refused: %s: %s. Next: %s. port=%s", refusal.code, refusal.message,
                            refusal.hint, ticket.port_id)  # fmt: skip
                ticket.fail(refusal)

        self[plugin].urgent(f"{stage} {ticket.port_id} {id(ticket)}", surely)

    def inspect(self, plugin: str) -> Future[Inspection]:
        """Have a plugin held against its contract, without touching a port."""
        return self[plugin].ask("inspection", partial(inspect, self._workers[plugin].plugin))

    def announce(self, record: PortRecord) -> None:
        """Have the networks told once more where an open port is."""
        plugin = self._workers[record.plugin].plugin

        def work() -> None:
            now = self._journal.get(record.id)
            if now is not None and now.open and now.wiring is not None:
                plugin.announce([job_of(now).item])

        self[record.plugin].urgent("announcement", work)

    def reconnected(self, bridge: str) -> None:
        """A switch restarted: have each plugin bring back at once what it lost."""
        for name, lane in self.items():
            lane.urgent(f"return of {bridge}", partial(self._workers[name].reconnected, bridge))

    def probe_all(self) -> None:
        """Have every plugin's health read."""
        for name in self:
            self.probe(name)

    def probe(self, plugin: str) -> None:
        """Have a plugin's health read."""
        self[plugin].urgent("probe", self._workers[plugin].probe)

    def probe_now(self) -> list[Future[None]]:
        """Have every plugin's health read; each future is done once a lane has done it."""
        self.probe_all()
        return [lane.ask("probed", lambda: None) for lane in self.values()]
