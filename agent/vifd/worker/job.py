"""One port on its way through a batch."""

from __future__ import annotations

from dataclasses import dataclass

from vifd import errors
from vifd.model import PortRecord, Report, Wiring
from vifd.plugin import Item


@dataclass
class Job:
    """One port on its way through a batch."""

    record: PortRecord
    item: Item
    wiring: Wiring | None = None
    report: Report | None = None
    error: errors.VifError | None = None
    opened: bool = False

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def unproven(self) -> bool:
        """Whether it is not clean yet, and may become so."""
        hopeless = self.report is not None and (self.report.clean or self.report.beyond_repair)
        return self.error is None and not hopeless


def job_of(record: PortRecord) -> Job:
    """The way of a port from its record.

    :raises errors.InternalError: it has no names, so nothing can be made of it, or removed
    """
    names = record.names or record.wiring
    if names is None:
        raise errors.InternalError("a port without names", port=record.id)
    item = Item(record.doc.attachment, names, record.wiring, open=record.open)
    return Job(record, item, record.wiring, opened=record.open)
