"""What a worker may do."""

from __future__ import annotations

from dataclasses import dataclass

from vifd.model import Report


@dataclass(frozen=True)
class Limits:
    """What a worker may do.

    :param verify: seconds that a port may take from made to proven
    :param repair: whether what another program changed is brought back
    :param restore: whether a port that was found to pass nothing is brought back although nothing
        else is repaired
    """

    verify: float = 10.0
    repair: bool = True
    restore: bool = False

    def repairs(self, report: Report | None) -> bool:
        """Whether what this report tells of is repaired."""
        stopped = report is not None and report.passing is False
        return self.repair or (self.restore and stopped)
