"""A start is over once every port of the journal was proven or has its error, also one that had its
error before."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document
from vifd import errors
from vifd.engine.unsettled import Unsettled
from vifd.model import Evidence, Phase, PortRecord, Report, Wiring, decode

ERROR = errors.SubPortWaits(facts={"missing": "its parent"})
#: What another program has to mend, and what the next step does.
OTHERS = Report([Evidence("trunk.parent", "none", "one", ok=False, repairable=False)])
OURS = Report([Evidence("device", "missing", "tap1", ok=False)])
CLEAN = Report([Evidence("device", "tap1")])


def record(**changes: Any) -> PortRecord:
    base = PortRecord(
        doc=decode(document(1)), plugin="fake", vif_type="fake", phase=Phase.LIVE, open=True,
        applied=True, wiring=Wiring("fake", "fake", "tap1"), report=Report(list(CLEAN.evidence)),
    )  # fmt: skip
    return replace(base, **changes)


FAILED = {"phase": Phase.DEGRADED, "error": ERROR.to_dict()}

CASES = {
    "clean": ({}, {"report": CLEAN}, None, True),
    "for others to mend": ({}, {"phase": Phase.DEGRADED, "report": OTHERS}, None, True),
    "to be mended": ({}, {"phase": Phase.DEGRADED, "report": OURS}, None, False),
    "failed now": (FAILED, {**FAILED, "report": OURS}, ERROR, True),
    "failed before, for others to mend": (FAILED, {**FAILED, "report": OTHERS}, None, True),
    "failed before, to be mended": (FAILED, {**FAILED, "report": OURS}, None, False),
    "failed before, not read": ({**FAILED, "report": OTHERS}, {**FAILED, "report": OTHERS}, None,
                                False),
    "failed before, closed": (FAILED, {**FAILED, "report": OTHERS, "open": False}, None, False),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "error", "settled"), CASES.values(), ids=CASES)
def test_a_port_counts_as_settled(
    before: dict[str, Any], after: dict[str, Any], error: errors.VifError | None, settled: bool
) -> None:
    done: list[bool] = []
    unsettled = Unsettled(lambda _report: True, lambda: done.append(True))
    old, new = record(**before), record(**after)
    unsettled.expect([old.id])
    unsettled.seen(old.id, old, new, error)
    assert (not unsettled, done) == (settled, [True] if settled else [])


def test_where_nothing_is_repaired_no_repair_is_waited_for() -> None:
    unsettled = Unsettled(lambda _report: False, lambda: None)
    old = record(**FAILED)
    unsettled.expect([old.id])
    unsettled.seen(old.id, old, record(**FAILED, report=OURS), None)
    assert not unsettled


def test_one_that_went_is_settled() -> None:
    unsettled = Unsettled(lambda _report: True, lambda: None)
    unsettled.expect([record().id])
    unsettled.seen(record().id, record(), None, None)
    assert not unsettled
