"""What was read of ports while the journal could not be written: from memory, so that the status
that is shown is what is true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from vifd.model import Phase, PortRecord, Report
from vifd.model.lifecycle import Move, moved
from vifd.store import Change, Journal


class Unwritten:
    """The last report of each port that could not be put on disk, with the revision it is of."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._reports: dict[str, tuple[int, Report]] = {}

    def note(self, changes: Mapping[str, Change]) -> None:
        """These changes could not be committed."""
        for port_id, change in changes.items():
            present = self._journal.get(port_id)
            wanted = change(present) if present is not None else None
            if present is None or wanted is None or wanted.report is None:
                continue
            if wanted.report is not present.report:
                self._reports[port_id] = (present.revision, wanted.report)

    def forget(self, port_ids: Iterable[str]) -> None:
        """These were committed."""
        for port_id in port_ids:
            self._reports.pop(port_id, None)

    def shown(self, record: PortRecord) -> PortRecord:
        """A record as it is to be shown."""
        revision, report = self._reports.get(record.id, (-1, None))
        if report is None or revision != record.revision:
            return record
        drifted = record.phase is Phase.LIVE and not report.clean
        phase = moved(record.phase, Move.DRIFT) if drifted else record.phase
        return replace(record, phase=phase, report=replace(report, mending=False))
