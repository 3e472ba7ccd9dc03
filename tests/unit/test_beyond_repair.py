"""What lies with the guest or an operator is watched and told, and not plugged again and again."""

from __future__ import annotations

import threading

import pytest
from msgspec.structs import replace

from unit.docs import document
from vifd.engine import outcome, verify
from vifd.engine.plan import next_step
from vifd.model import Evidence, Phase, PortRecord, Report, Wiring, decode
from vifd.model.lifecycle import Step

GUEST = Evidence("guest.memory", "private", "shared", ok=False, repairable=False)
DRIFT = Evidence("flows.port", 1, 2, ok=False)
CLEAN = Report([Evidence("guest.memory", "shared", "shared")])
OURS, BOTH, THEIRS = Report([DRIFT]), Report([GUEST, DRIFT]), Report([GUEST])


def record(report: Report, phase: Phase = Phase.DEGRADED, **changes: object) -> PortRecord:
    base = PortRecord(
        doc=decode(document(1)), plugin="x", vif_type="x", wiring=Wiring("x", "x", "vhu1"),
        applied=True, phase=phase, open=True, report=report,
    )  # fmt: skip
    return replace(base, **changes)


def test_a_report_knows():
    assert THEIRS.beyond_repair
    assert not any(report.beyond_repair for report in (CLEAN, OURS, BOTH))


@pytest.mark.parametrize(
    ("report", "step"), [(THEIRS, Step.CHECK), (OURS, Step.PLUG), (BOTH, Step.PLUG)]
)
def test_only_what_plugging_mends_is_plugged(report, step):
    assert next_step(record(report)) is step
    assert outcome.unfinished(record(report)) is (step is Step.PLUG)


def test_a_change_of_the_document_is_applied_all_the_same():
    assert next_step(record(THEIRS, applied=False)) is Step.PLUG
    assert next_step(record(THEIRS, open=False)) is Step.PLUG
    assert next_step(record(THEIRS, removing=True)) is Step.UNPLUG


def test_the_port_is_live_again_once_the_guest_is_mended():
    failed = record(THEIRS, error={"code": "E_WIRE_TIMEOUT"})
    mended = outcome.checked(CLEAN, 1.0)(failed)
    assert mended is not None
    assert (mended.phase, mended.error, mended.open) == (Phase.LIVE, None, True)
    still = outcome.checked(THEIRS, 1.0)(failed)
    assert still is not None
    assert (still.phase, still.error) == (Phase.DEGRADED, failed.error)


def test_a_clean_check_does_not_excuse_what_plug_could_not_repair():
    after = outcome.checked(CLEAN, 1.0)(record(OURS))
    assert after is not None
    assert after.phase is Phase.DEGRADED


def test_nobody_waits_for_what_waiting_does_not_mend():
    class Plugin:
        asked = 0

        def check(self, items):
            self.asked += 1
            return {item.id: THEIRS for item in items}

    class Item:
        id = "1"

    plugin = Plugin()
    found = verify.until_clean(plugin, [Item()], 1e12, threading.Event())  # type: ignore[arg-type,list-item]
    assert found == {"1": THEIRS}
    assert plugin.asked == 1
