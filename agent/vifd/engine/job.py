"""One port on its way through a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from vifd import errors
from vifd.model import PortRecord, Report, Wiring
from vifd.model.lifecycle import Step
from vifd.plugin import Item


@dataclass
class Job:
    """One port on its way through a batch, or through several where its proof takes long.

    :param step: what is being done
    :param begun: when it was made, and by when it must be proven, on the worker's clock
    :param since: since when its present state is read back
    :param again_at: when it is plugged once more, unless it is clean by then
    :param opening: opened by this attempt, and not proven since
    :param deferred: it was set aside before, because others waited
    """

    record: PortRecord
    item: Item
    wiring: Wiring | None = None
    report: Report | None = None
    error: errors.VifError | None = None
    opened: bool = False
    step: Step = Step.PLUG
    begun: float = 0.0
    deadline: float = math.inf
    since: float = math.inf
    patience: float = 0.0
    again_at: float = math.inf
    opening: bool = False
    deferred: bool = False
    #: The port's.
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = self.record.id

    @property
    def unproven(self) -> bool:
        """Whether it is not clean yet, and may become so."""
        hopeless = self.report is not None and (self.report.clean or self.report.beyond_repair)
        return self.error is None and not hopeless

    @property
    def proven(self) -> bool:
        """Whether it was read back as wanted."""
        return self.error is None and not self.unproven

    @property
    def arrived(self) -> bool:
        """Whether it was just plugged, and another back end served it until then."""
        return self.record.origin is not None and self.error is None

    @property
    def beside(self) -> bool:
        """Whether something that no plug mends was wrong when it was last read."""
        report = self.record.report
        return report is not None and any(not finding.repairable for finding in report.findings)

    def make(self, step: Step, now: float, seconds: float) -> None:
        """It was made just now, and has so many seconds to be proven."""
        self.step, self.begun, self.deadline = step, now, now + seconds


def job_of(record: PortRecord) -> Job:
    """The way of a port from its record.

    :raises errors.InternalError: it has no names, so nothing can be made of it, or removed
    """
    names = record.names or record.wiring
    if names is None:
        raise errors.InternalError("a port without names", port=record.id)
    item = Item(record.doc.attachment, names, record.wiring, open=record.open)
    return Job(record, item, record.wiring, opened=record.open)
