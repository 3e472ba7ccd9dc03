"""What is wrong, judged once: the findings of a report with their roots, and what the daemon, the
hypervisor and the last attempt say beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vifd.explain import causes
from vifd.explain.explanation import Name
from vifd.explain.subject import Subject
from vifd.model import Evidence, Report
from vifd.model.status import wants_open


@dataclass(frozen=True)
class Break:
    """One thing that is broken.

    :param because: the step that explains it
    :param repairable: whether vifd mends it by itself
    :param fresh: whether it was measured for this answer, whatever else was not
    """

    step: Name
    sentence: str
    hint: str
    because: Name | None = None
    repairable: bool = True
    fresh: bool = False


@dataclass(frozen=True)
class Judgement:
    """Everything that is broken, by step; the first of a step is its gravest.

    :ivar root: the first break on the path that no other one explains
    """

    breaks: dict[Name, list[Break]] = field(default_factory=dict)
    root: Break | None = None

    def of(self, step: Name) -> Break | None:
        found = self.breaks.get(step)
        return found[0] if found else None


def judge(subject: Subject) -> Judgement:
    """Sort what is wrong by step, and find the first cause."""
    breaks: dict[Name, list[Break]] = {}
    own = list(_of_report(subject, subject.report)) if subject.report else []
    for found in (*_of_daemon(subject), *own, *_of_guest(subject, own), *_of_service(subject)):
        breaks.setdefault(found.step, []).append(found)
    failure = _of_attempt(subject)
    if failure is not None and not own:
        breaks.setdefault(failure.step, []).append(failure)
    for found_there in breaks.values():
        found_there.sort(key=lambda b: b.because is not None)
    first = (b for step in Name for b in breaks.get(step, []) if b.because is None)
    return Judgement(breaks, next(first, None))


# --- the report -----------------------------------------------------------------------------------


def _of_report(subject: Subject, report: Report) -> Iterator[Break]:
    findings = [f for f in report.findings if not _of_no_concern(f, subject)]
    table = causes.of(subject.record.plugin)
    leading = table.roots(findings)
    for finding in sorted(findings, key=table.rank):
        row, also = table.of(finding), table.also_of(finding)
        because = table.explanation_of(finding, findings)
        # what is not explained and stands behind a root of its step is another break of that step
        yield Break(
            Name(row.step),
            causes.said(row, finding, subject),
            row.hint,
            None if finding in leading or because is None else Name(table.of(because).step),
            finding.repairable,
            finding.source == "pulse",
        )
        if also is not None:
            sentence = causes.said(also, finding, subject)
            yield Break(Name(also.step), sentence, also.hint, Name(row.step))


def _of_no_concern(finding: Evidence, subject: Subject) -> bool:
    """Whether a removed port was read: what is gone of it is as wanted."""
    return subject.record.removing and finding.have in ("missing", None)


# --- beside the report ----------------------------------------------------------------------------


def _of_daemon(subject: Subject) -> Iterator[Break]:
    """The wish itself, and the plugin that shall carry it out."""
    record, serving = subject.record, subject.serving
    if record.removing and record.released:
        yield Break(Name.INTENT, "the port is being given back to another program, as was asked",
                    "adopt it again if vifd shall serve it")  # fmt: skip
    elif record.removing:
        yield Break(Name.INTENT, "the port is being removed, as was asked for",
                    "plug it again if it shall stay")  # fmt: skip
    if serving.refusal is not None:
        text = f"plugin {record.plugin} is not there: {serving.refusal.get('message')}"
        yield Break(Name.CHOICE, text, str(serving.refusal.get("remediation") or ""),
                    repairable=False)  # fmt: skip
    elif serving.hangs:
        text = f"plugin {record.plugin} hangs {serving.hangs}; nobody is served by it meanwhile"
        hint = "vifd's log and `vifctl plugin list` say in what; restart vifd if it never answers"
        yield Break(Name.CHOICE, text, hint, repairable=False)


def _of_guest(subject: Subject, own: list[Break]) -> Iterator[Break]:
    """What the hypervisor says, held against what was read."""
    guest, record = subject.guest, subject.record
    if guest is None or not guest.running:
        return
    device = next((b.step for b in own if b.step is Name.DEVICE), None)
    mac = record.doc.attachment.mac
    who = guest.name or guest.guest
    if guest.mac and guest.mac != mac:
        text = f"the interface of guest {who} has the MAC address {guest.mac}, wanted {mac}"
        yield Break(Name.GUEST, text, "correct the guest's XML: frames with another source are "
                    "refused as spoofed", repairable=False)  # fmt: skip
    known = any(b.step is Name.GUEST for b in own)
    if subject.asked and not known and fact_of(subject, "device.carrier") is False:
        text = f"guest {who} runs with {subject.device}, but does not hold it open"
        hint = "detach and attach the guest's interface, or restart the guest"
        yield Break(Name.GUEST, text, hint, because=device, repairable=False)


def _of_service(subject: Subject) -> Iterator[Break]:
    if not subject.waiting or not subject.unreachable:
        return
    text = (
        f"the network service {subject.service!r} has not taken the status {subject.waiting}: "
        f"{subject.unreachable}"
    )
    hint = "look at the network service; vifd tells it again until it takes it"
    yield Break(Name.REPORT, text, hint)


# --- the last attempt -----------------------------------------------------------------------------

_BY_CLASS = {"segment": Name.UPLINK, "journal": Name.STATUS}


def _of_attempt(subject: Subject) -> Break | None:
    """The error of the last attempt, where nothing that was read says it better."""
    error = subject.record.error
    if not error:
        return None
    text = f"the last attempt failed: {error.get('code')}: {error.get('message')}"
    step, hint = _step_of_error(subject.record.plugin, error), str(error.get("remediation") or "")
    return Break(step, text, hint, repairable=bool(error.get("retryable")))


def _step_of_error(plugin: str, error: dict[str, Any]) -> Name:
    """The step at which an attempt ended; a proof that failed ended at what it found."""
    table, stage = causes.of(plugin), str(error.get("stage") or "")
    facts = error.get("facts") or {}
    if stage == "verify" and facts.get("findings"):
        found = Evidence(str(facts["findings"][0]), have=facts.get("finding"), ok=False)
        return Name(table.of(found).step)
    step = table.step_of_stage(stage)
    return step or _BY_CLASS.get(str(error.get("class") or ""), Name.CHOICE)


def fact_of(subject: Subject, name: str) -> Any:
    """What was read of a fact, or ``None``."""
    evidence = subject.report.evidence if subject.report else []
    return next((e.have for e in evidence if e.fact == name), None)


def in_work(subject: Subject) -> bool:
    """Whether vifd is in the middle of bringing the port to its document."""
    record = subject.record
    return wants_open(record) and not record.open and record.error is None
