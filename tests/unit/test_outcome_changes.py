"""What each end of a step makes of a record: what no way through the engine tells apart."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from unit.docs import document
from vifd import errors
from vifd.engine import outcome
from vifd.engine.job import Job
from vifd.model import Evidence, Phase, PortRecord, Report, Vif, Wiring, decode
from vifd.plugin import Item
from vifd.store import Change

NAMES = Wiring("fake", "fake", "tap1")
OTHER = Wiring("fake", "fake", "tap2")
ERROR = errors.WaitTimeout(facts={"wanted": "x", "seconds": 1, "phase": "LIVE"})
LEFT = {"facts": {"not_undone": ["device tap1"]}}
LIES_ELSEWHERE = Evidence("guest.memory", "private", "shared", ok=False, repairable=False)
DIFFERS = Evidence("device.mtu", 1300, 1450, ok=False)


def record(**changes: Any) -> PortRecord:
    made = PortRecord(doc=decode(document(1)), plugin="fake", vif_type="fake")
    return replace(made, **changes)


def job(port: PortRecord, **changes: Any) -> Job:
    made = Job(port, Item(port.doc.attachment, NAMES), NAMES)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def after(change: Change, present: PortRecord) -> PortRecord:
    found = change(present)
    assert found is not None
    return found


# --- names ---


def test_names_of_another_document_are_not_taken() -> None:
    present = record()
    assert outcome.planned(record(names=NAMES))(present) is present
    removing = replace(present, removing=True)
    assert outcome.planned(replace(present, names=NAMES))(removing) is removing


@pytest.mark.parametrize(
    "differs", [{"names": OTHER, "phase": Phase.PLUGGING}, {"names": NAMES, "phase": Phase.LIVE}]
)
def test_one_that_differs_is_written(differs: dict[str, Any]) -> None:
    present = record(names=NAMES, phase=Phase.PLUGGING)
    wanted = replace(present, **differs)
    assert after(outcome.planned(wanted), present) == wanted


def test_whether_it_is_open_is_taken_with_the_first_names_alone() -> None:
    """What passes already is so from the first names on; later only what is done to it counts."""
    fresh, wanted = record(), record(names=NAMES, open=True)
    doc = fresh.doc
    first = after(outcome.planned(replace(wanted, doc=doc)), fresh)
    assert (first.names, first.open) == (NAMES, True)
    named = replace(fresh, names=NAMES)
    again = after(outcome.planned(replace(wanted, doc=doc, names=OTHER)), named)
    assert (again.names, again.open) == (OTHER, False)


# --- attempts that failed ---


@pytest.mark.parametrize(
    ("removing", "released", "phase"),
    [(True, True, Phase.LIVE), (True, False, Phase.UNPLUGGING), (False, True, Phase.FAILED),
     (False, False, Phase.FAILED)],
)  # fmt: skip
def test_the_phase_of_an_attempt_that_failed(removing: bool, released: bool, phase: Phase) -> None:
    """One that is to be given back stays what it is."""
    port = record(phase=Phase.LIVE, removing=removing, released=released, open=True, names=NAMES)
    assert after(outcome.failed(ERROR), port).phase is phase


@pytest.mark.parametrize(
    ("port", "left"),
    [(record(), None),
     (record(names=NAMES, phase=Phase.FAILED), None),
     (record(names=NAMES, phase=Phase.PLUGGING), ["an attempt whose end is not known"]),
     (record(names=NAMES, wiring=NAMES, phase=Phase.PLUGGING), None),
     (record(names=NAMES, phase=Phase.FAILED, error=LEFT), ["device tap1"])],
    ids=["nothing", "failed and undone", "in between", "made", "not undone"],
)  # fmt: skip
def test_what_an_attempt_may_have_left(port: PortRecord, left: list[str] | None) -> None:
    error = after(outcome.failed(ERROR), port).error
    assert error is not None
    assert error["facts"].get("not_undone") == left
    assert error["facts"]["wanted"] == "x"


# --- attempts to plug ---

PASSES = Report([LIES_ELSEWHERE], passing=True)
BROKEN = Report([DIFFERS], passing=True)
SILENT = Report([Evidence("ovsdb.connected", False, True, ok=False)])


@pytest.mark.parametrize(
    ("before", "known", "read", "opened", "phase"),
    [
        (Phase.LIVE, None, None, True, Phase.DEGRADED),
        (Phase.LIVE, None, None, False, Phase.FAILED),
        (Phase.PLUGGING, None, PASSES, True, Phase.DEGRADED),
        (Phase.PLUGGING, None, PASSES, False, Phase.FAILED),
        (Phase.PLUGGING, None, SILENT, True, Phase.DEGRADED),
        (Phase.PLUGGING, None, BROKEN, True, Phase.FAILED),
        (Phase.PLUGGING, None, None, True, Phase.FAILED),
        # what was read before counts of one that had drifted, and of no other
        (Phase.DEGRADED, PASSES, None, True, Phase.DEGRADED),
        (Phase.DEGRADED, BROKEN, None, True, Phase.FAILED),
        (Phase.DEGRADED, PASSES, BROKEN, True, Phase.FAILED),
        (Phase.PLUGGING, PASSES, None, True, Phase.FAILED),
    ],
)
def test_a_port_that_still_passes_is_degraded_and_any_other_failed(
    before: Phase, known: Report | None, read: Report | None, opened: bool, phase: Phase
) -> None:
    port = record(names=NAMES, wiring=NAMES, phase=before, report=known, open=opened)
    ended = job(port, error=ERROR, opened=opened, report=read)
    assert after(outcome.plugged(ended, None, 1.0), port).phase is phase


def test_the_error_of_a_port_that_is_cut_says_so() -> None:
    port = record(names=NAMES, wiring=NAMES, phase=Phase.LIVE, open=True)
    cut = Report([DIFFERS], passing=True, severed="device")
    done = after(outcome.plugged(job(port, error=ERROR, opened=True, report=cut), None, 2.0), port)
    assert done.report is not None
    assert (done.report.cut, done.report.at) == (True, 2.0)


# --- checks ---


@pytest.mark.parametrize(
    ("findings", "repair", "mending"),
    [([DIFFERS], True, True), ([DIFFERS], False, False), ([LIES_ELSEWHERE], True, False),
     ([LIES_ELSEWHERE], False, False), ([], True, False), ([DIFFERS, LIES_ELSEWHERE], True, True)],
)  # fmt: skip
def test_what_is_about_to_be_mended(findings: list[Evidence], repair: bool, mending: bool) -> None:
    port = record(names=NAMES, wiring=NAMES, phase=Phase.LIVE, open=True, applied=True)
    report = Report(findings, passing=True, severed="x" if findings else "")
    seen = after(outcome.checked(report, 1.0, repair=repair), port).report
    assert seen is not None
    assert (seen.mending, seen.cut) == (mending, bool(findings) and not mending)


@pytest.mark.parametrize(
    ("opened", "passing", "repair", "after_it"),
    [(True, True, True, True), (True, False, True, False), (True, False, False, True),
     (True, None, True, True), (False, True, True, False), (False, False, False, False)],
)  # fmt: skip
def test_whether_it_counts_as_open(
    opened: bool, passing: bool | None, repair: bool, after_it: bool
) -> None:
    """One that was found closed is proven again first, where it is repaired at all."""
    port = record(names=NAMES, wiring=NAMES, phase=Phase.LIVE, open=opened, applied=True)
    change = outcome.checked(Report([DIFFERS], passing=passing), 1.0, repair=repair)
    assert after(change, port).open is after_it


# --- removals ---


def test_what_was_given_back_is_forgotten_and_what_shall_go_stays() -> None:
    released = record(removing=True, released=True)
    assert outcome.given_back(released) is None
    wanted = record(removing=True)
    assert outcome.given_back(wanted) is wanted


@pytest.mark.parametrize(
    "known",
    [errors.BackendError(facts={"backend": "x", "problem": "y"}),
     errors.UnplugPartial(facts={"problem": "y"})],
    ids=["back end", "partial"],
)  # fmt: skip
def test_an_error_of_a_removal_stays_what_it_is(known: errors.VifError) -> None:
    seen = outcome.unplug_error(known, "a-port")
    assert type(seen) is type(known)
    assert (seen.stage, seen.port) == ("unplug", "a-port")


def test_any_other_error_of_a_removal_is_that_something_is_left() -> None:
    seen = outcome.unplug_error(ERROR, "a-port")
    assert isinstance(seen, errors.UnplugPartial)
    assert seen.__cause__ is ERROR


def test_what_could_not_be_removed_is_closed_and_what_was_not_given_back_stays_open() -> None:
    port = record(names=NAMES, wiring=NAMES, phase=Phase.LIVE, open=True)
    assert after(outcome.unplug_failed(ERROR), port).open is False
    assert after(outcome.release_failed(ERROR), port).open is True


# --- what stays of an attempt ---

CLASH = errors.NameClash(facts={"device": "tap1", "have": "another's"})


@pytest.mark.parametrize(
    ("error", "wiring", "before", "kept"),
    [(CLASH, None, None, False), (CLASH, NAMES, None, True), (ERROR, None, None, True),
     (CLASH, None, LEFT, True)],
    ids=["taken", "made", "another error", "something is left"],
)  # fmt: skip
def test_names_that_are_taken_are_chosen_anew(
    error: errors.VifError, wiring: Wiring | None, before: dict[str, Any] | None, kept: bool
) -> None:
    port = record(names=NAMES, phase=Phase.PLUGGING, error=before)
    ended = after(outcome.plugged(job(port, error=error, wiring=wiring), None, 1.0), port)
    assert ended.names == (NAMES if kept else None)


@pytest.mark.parametrize(
    ("answer", "vif"), [(Vif("ethernet", "tap2"), "tap2"), (None, "tap1"), ("nonsense", "tap1")]
)
def test_what_compute_is_told_stays_until_there_is_something_new(answer: object, vif: str) -> None:
    port = record(names=NAMES, phase=Phase.PLUGGING, vif=Vif("ethernet", "tap1"))
    ended = after(outcome.plugged(job(port, opened=True), answer, 1.0), port)
    assert ended.vif is not None
    assert ended.vif.device == vif


# --- what a check changes ---


@pytest.mark.parametrize(
    ("before", "findings", "phase"),
    [(Phase.LIVE, [DIFFERS], Phase.DEGRADED), (Phase.LIVE, [], Phase.LIVE),
     (Phase.PLUGGING, [DIFFERS], Phase.PLUGGING), (Phase.DEGRADED, [DIFFERS], Phase.DEGRADED)],
)  # fmt: skip
def test_only_what_was_proven_drifts(before: Phase, findings: list[Evidence], phase: Phase) -> None:
    port = record(names=NAMES, wiring=NAMES, phase=before, open=True, applied=True)
    assert after(outcome.checked(Report(findings, passing=True), 1.0), port).phase is phase


@pytest.mark.parametrize(("at", "kept"), [(0.0, 7.0), (3.0, 3.0)])
def test_a_report_has_the_time_it_was_read_at(at: float, kept: float) -> None:
    port = record(names=NAMES, wiring=NAMES, phase=Phase.LIVE, open=True)
    seen = after(outcome.checked(Report([], at=at), 7.0), port).report
    assert seen is not None
    assert seen.at == kept


# --- whether there is more to do ---

DONE: dict[str, Any] = {
    "names": NAMES, "wiring": NAMES, "phase": Phase.LIVE, "open": True, "applied": True,
    "report": Report([], passing=True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "more"),
    [({}, False), ({"removing": True}, True), ({"applied": False}, True), ({"open": False}, True),
     ({"phase": Phase.READY}, True), ({"phase": Phase.FAILED, "open": False}, False),
     ({"error": {"code": "x"}, "applied": False}, False),
     ({"phase": Phase.DEGRADED, "report": Report([DIFFERS])}, True),
     ({"phase": Phase.DEGRADED, "report": Report([LIES_ELSEWHERE])}, False)],
    ids=["settled", "to go", "another document", "closed", "never opened", "failed", "an error",
         "to be mended", "beyond repair"],
)  # fmt: skip
def test_whether_another_step_can_be_taken(changes: dict[str, Any], more: bool) -> None:
    assert outcome.unfinished(record(**{**DONE, **changes})) is more


def test_nothing_can_be_done_for_a_port_that_is_gone() -> None:
    assert outcome.unfinished(None) is False
