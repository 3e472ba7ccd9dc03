"""Ports that wait for a set. Pure, but for what is read from memory."""

from __future__ import annotations

from collections.abc import Iterator

from vifd import errors
from vifd.model import Attachment, Evidence, Report
from vifd.model.members import groups_of
from vifd.model.sets import SetKey, SetKind
from vifd.plugin import Advert
from vifd.store.shared import SharedSets

#: The fact of a port that refers to a set that is not here, and that of rules that do.
FACT, REMOTE = "security_groups", "security_groups.remote"
#: The feature of plugins that hold a port to its groups.
FEATURE = "security_groups"


def evidence(attachment: Attachment, advert: Advert | None, sets: SharedSets) -> list[Evidence]:
    """Of a port that is held to its groups: whether these are here.

    A port in a group that is not stays closed both ways; a rule that names a set that is not lets
    nobody pass but ports of this host.
    """
    groups = groups_of(attachment)
    if not groups or advert is None or FEATURE not in advert.features:
        return []
    keys = [SetKey(SetKind.SECURITY_GROUP, group) for group in groups]
    return [_own(keys, sets), *_remote(keys, sets)]


def _own(keys: list[SetKey], sets: SharedSets) -> Evidence:
    lacking = sets.missing(keys)
    if not lacking:
        return Evidence(FACT, [key.id for key in keys], source="journal")
    have = f"waits for {', '.join(map(str, lacking))}"
    return Evidence(FACT, have, "every group known on this host", ok=False, source="journal",
                    repairable=False)  # fmt: skip


def _remote(keys: list[SetKey], sets: SharedSets) -> Iterator[Evidence]:
    named = {other for key in keys for other in sets.references.named_by(key)}
    if lacking := sets.missing(sorted(named)):
        names = ", ".join(map(str, lacking))
        yield Evidence(REMOTE, f"rules name {names}, not known on this host: they let nobody of it "
                       "pass but ports of this host", source="journal")  # fmt: skip


def refusal(report: Report | None, port: str) -> errors.SetMissing | None:
    """The error of a port whose first finding is that it waits for a set."""
    finding = report.findings[0] if report and report.findings else None
    if finding is None or finding.fact != FACT:
        return None
    return errors.SetMissing(facts={"missing": finding.have}, stage="verify", port=port)
