"""Ports that wait for a set, and sub-ports that wait for their parent. Pure, but for what is read
from memory."""

from __future__ import annotations

from collections.abc import Iterable

from vifd import errors
from vifd.model import Attachment, Evidence, Report
from vifd.model.members import groups_of
from vifd.model.sets import SetKey
from vifd.model.values import Direction
from vifd.plugin import Advert
from vifd.policy.groups import missing
from vifd.store.shared import SharedSets

#: The fact of a port that waits for a set both ways; where it waits in one direction alone, that
#: stands behind a dot.
FACT = "security_groups"
#: The facts of a sub-port about the parent over whose device its frames pass stand behind this.
TRUNK = "trunk"
#: The feature of plugins that hold a port to its groups.
FEATURE = "security_groups"


def evidence(attachment: Attachment, advert: Advert | None, sets: SharedSets) -> list[Evidence]:
    """Of a port that is held to its groups: whether these, and the sets that their rules name, are
    here. A direction in which one is missing stays closed."""
    groups = groups_of(attachment)
    if not groups or advert is None or FEATURE not in advert.features:
        return []
    lacking = {d: _lacking(groups, d, sets) for d in Direction}
    closed = {d: keys for d, keys in lacking.items() if keys}
    if not closed:
        return [Evidence(FACT, list(groups), source="journal")]
    if len(closed) == len(lacking):
        return [_waits(FACT, dict.fromkeys(k for keys in closed.values() for k in keys))]
    return [_waits(f"{FACT}.{direction}", keys) for direction, keys in closed.items()]


def _lacking(groups: Iterable[str], direction: Direction, sets: SharedSets) -> list[SetKey]:
    found = missing(groups, direction, sets.security_group, lambda key: sets.get(key) is not None)
    return list(dict.fromkeys(found))


def _waits(fact: str, keys: Iterable[SetKey]) -> Evidence:
    have = f"waits for {', '.join(map(str, keys))}"
    return Evidence(fact, have, "every set known on this host", ok=False, source="journal",
                    repairable=False)  # fmt: skip


def refusal(report: Report | None, port: str) -> errors.VifError | None:
    """The error of a port whose first finding is that it waits for a set, or for its parent."""
    finding = report.findings[0] if report and report.findings else None
    kind = finding.fact.partition(".")[0] if finding is not None else ""
    if finding is None or kind not in (FACT, TRUNK):
        return None
    if kind == TRUNK:
        waits = f"waits for its parent: {finding.have}"
        return errors.SubPortWaits(facts={"missing": waits}, stage="verify", port=port)
    return errors.SetMissing(facts={"missing": finding.have}, stage="verify", port=port)
