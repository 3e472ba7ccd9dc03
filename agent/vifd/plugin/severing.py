"""Whether a report says that nothing of a port passes any more, whoever may mend it. Pure.

What cuts a port off is a matter of its back end: the plugin declares its facts, as part of what its
facts mean. What could not be read says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from vifd.model import Evidence, Report

#: Whether a fact that is not as wanted cuts the port off, from what was read.
Judge = Callable[[Any], bool]


def always(_: Any) -> bool:
    return True


def absent(have: Any) -> bool:
    return have in ("missing", None, False)


def dropping(have: Any) -> bool:
    """Of chains of other software, in the words of :class:`vifd.drivers.FilterChain`."""
    return any("drops what no rule accepts" in str(text) for text in have or ())


#: Facts that read the same of every device, and of every port with groups.
_OF_ALL: Mapping[str, Judge] = MappingProxyType(
    {"device": absent, "device.ifindex": always, "device.up": always, "security_groups": always}
)


@dataclass(frozen=True)
class Severing:
    """Facts by which a port is cut off.

    :param facts: each alone, where it is not as wanted and its judge says so
    :param frames: of frames that every port sends: where all of them were lost, nothing passes
    """

    facts: Mapping[str, Judge] = field(default_factory=dict)
    frames: tuple[str, ...] = ()

    def besides(self, other: Severing) -> Severing:
        """These and those of a library that the plugin stands on; its own go first."""
        return Severing({**other.facts, **self.facts}, (*self.frames, *other.frames))

    def first(self, report: Report) -> str:
        """The first fact that says that nothing passes, or the empty string."""
        for finding in report.findings:
            judge = self.facts.get(finding.fact) or _OF_ALL.get(finding.fact)
            if judge is not None and judge(finding.have):
                return finding.fact
        traced = [e for e in report.evidence if e.fact in self.frames]
        lost = [e for e in traced if _lost(e)]
        return lost[0].fact if lost and lost == traced else ""


def joined(report: Report, more: Sequence[Evidence]) -> Report:
    """A plugin's report with what the daemon itself has to say of the port."""
    if not more:
        return report
    severed = report.severed or Severing().first(Report([*more]))
    return replace(report, evidence=[*report.evidence, *more], severed=severed)


def _lost(trace: Evidence) -> bool:
    return not trace.ok and not str(trace.have).startswith("no trace")
