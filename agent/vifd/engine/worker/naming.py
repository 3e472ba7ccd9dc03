"""Names for ports, on disk before any effect."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from vifd import errors
from vifd.engine import outcome
from vifd.engine.job import Job, job_of
from vifd.engine.worker.entries import ledger
from vifd.engine.worker.sink import ResultSink
from vifd.model import PortRecord, Wiring
from vifd.model.lifecycle import Move, moved
from vifd.model.status import wants_open
from vifd.plugin import Entry, NamingView, VifPlugin
from vifd.store import Journal

LOG = logging.getLogger(__name__)

#: Seconds to wait for another plugin that chooses names.
NAMING_PATIENCE = 1.0


@dataclass(frozen=True)
class Naming:
    """Has a plugin choose names, and writes them down.

    :param lock: held meanwhile: plugins on one switch choose from the same numbers
    """

    plugin: VifPlugin
    journal: Journal
    sink: ResultSink
    lock: threading.Lock

    def named(self, records: Sequence[PortRecord]) -> list[Job]:
        """Names for those that have none, on disk before any effect."""
        # A plugin that hangs while it holds the lock may cost the others a moment, no more.
        held = self.lock.acquire(timeout=NAMING_PATIENCE)
        try:
            named, present = self._write_names(records)
        finally:
            if held:
                self.lock.release()
        jobs, overtaken = [], []
        for port_id, record in named.items():
            now = present.get(port_id)
            if now is not None and not now.removing and now.names == record.names:
                jobs.append(job_of(now))
            elif now is not None:
                overtaken.append(port_id)
        self.sink.again(overtaken)
        return jobs

    def _write_names(
        self, records: Sequence[PortRecord]
    ) -> tuple[dict[str, PortRecord], Mapping[str, PortRecord | None]]:
        """The records as they shall be, and as they then are."""
        taken = NamingView(ledger(self.journal))
        refused: dict[str, errors.VifError] = {}
        named: dict[str, PortRecord] = {}
        for record in records:
            names = record.names
            opened = record.open
            if names is None:
                try:
                    names, opened = self._choose(record, taken)
                except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                    refused[record.id] = errors.wrap(error, stage="name", port=record.id)
                    continue
                taken[record.id] = Entry(record.doc.attachment, names, opened)
            # one that is being moved passes traffic where it was, and has its status
            moving = record.wiring is None and record.origin is not None
            fresh = (record.wiring is None and not moving) or not record.open
            phase = moved(record.phase, Move.BEGIN) if fresh else record.phase
            named[record.id] = replace(record, names=names, phase=phase, open=opened)
        changes = {r.id: outcome.planned(r) for r in named.values()}
        changes |= {port_id: outcome.failed(error) for port_id, error in refused.items()}
        return named, self.sink.record(changes, refused, {r.id: r.doc for r in records})

    def _choose(self, record: PortRecord, taken: Mapping[str, Entry]) -> tuple[Wiring, bool]:
        """The names for a port that has none, and whether its traffic passes already: as it stands,
        where only its marks know it."""
        attachment = record.doc.attachment
        standing = self.plugin.recall(attachment, taken)
        if standing is None:
            return self.plugin.name(attachment, taken), False
        LOG.warning("taken over: device %s stands on the host with its marks, and the journal did "
                    "not know the port. port=%s", standing.wiring.device, record.id)  # fmt: skip
        return standing.wiring, standing.open and wants_open(record)
