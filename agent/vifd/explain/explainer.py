"""From a subject to its explanation. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vifd.explain import history
from vifd.explain.explanation import Explanation, State, Step
from vifd.explain.findings import Break, Judgement, in_work, judge
from vifd.explain.steps import ON_HOST, steps
from vifd.explain.subject import Subject
from vifd.model import Phase, limited
from vifd.model.status import status_of, wants_open, why_closed


def explain(subject: Subject) -> Explanation:
    """Why the port works, or does not."""
    record, report = subject.record, subject.report
    judgement = judge(subject)
    path = list(steps(subject, judgement))
    root = judgement.root
    return Explanation(
        port=record.id,
        name=record.doc.attachment.port.name,
        device=subject.device,
        plugin=record.plugin,
        phase=record.phase.value,
        role=record.role.value,
        status=status_of(record).value,
        healthy=root is None,
        broken=root.step if root else None,
        sentence=_verdict(subject, judgement, path),
        hint=root.hint if root else "",
        action=_action(subject, root),
        asked=subject.asked,
        unasked="" if subject.asked else subject.unasked,
        read_at=report.at if report else None,
        age=max(0.0, subject.now - report.at) if report else None,
        steps=path,
        history=history.happenings(subject.events),
        trunk=subject.trunk,
    )


def _verdict(subject: Subject, judgement: Judgement, path: Sequence[Step]) -> str:
    root = judgement.root
    if root is not None:
        fresh = subject.asked or root.step not in ON_HOST or root.fresh
        old = "" if fresh else "when it was last read: "
        return f"{root.step.value}: {old}{root.sentence}"
    if subject.report is None:
        return "nothing was ever read of this port"
    if in_work(subject):
        return f"nothing is broken so far; vifd is at work on it ({subject.record.phase})"
    if not wants_open(subject.record):
        return f"nothing is broken; the port is closed, as {why_closed(subject.record)}"
    unsure = [s.sentence for s in path if s.name == "guest" and s.state is State.UNKNOWN]
    said = "nothing is broken" if subject.asked else "nothing was broken when it was last read"
    limits = limited.told(subject.report.evidence)
    meant = [f"as is asked for, it is limited: {', '.join(limits)}"] if limits else []
    return "; ".join([said, *_lame(subject), *meant, *unsure[:1]])


def _lame(subject: Subject) -> list[str]:
    """How many sub-ports of a parent are not as they shall be."""
    named = subject.trunk.sub_ports if subject.trunk is not None else []
    lame = [one for one in named if one.problem]
    verb = "is" if len(lame) == 1 else "are"
    return [f"of its {len(named)} sub-ports {len(lame)} {verb} not as wanted"] if lame else []


def _action(subject: Subject, root: Break | None) -> str:
    """What vifd does about it."""
    record = subject.record
    if root is None:
        return ""
    if not subject.running:
        return "nothing while it does not run; once it is started it reads the port back" + (
            " and repairs it" if root.repairable else ""
        )
    if subject.held:
        return "waits: it was upgraded, and `vifctl reconcile --approve` lets it change this port"
    if subject.unwritable and (root.repairable or record.removing):
        return f"changes nothing: {subject.unwritable}; free space or repair the file system"
    if record.removing:
        return _again(subject, "gives the port back" if record.released else "removes the port")
    if record.error is not None and record.phase is not Phase.DEGRADED:
        return _again(subject, "tries again")
    if root.fresh and root.step in ON_HOST:
        return "waits for an answer; then it reads the port back and repairs what differs"
    if not root.repairable:
        return "watches it: this is not for vifd to mend"
    if not subject.repair and record.applied:
        return "reports it and leaves it: repair is off ([engine] repair)"
    return _again(subject, "repairs it as soon as it looks; `vifctl port check` has it look now")


def _again(subject: Subject, what: str) -> str:
    error = subject.record.error
    text = what
    if error is not None:
        text += f"; the last attempt ended with {error.get('code')}: {error.get('message')}"
    if subject.retry_in is not None:
        text += f"; the next one is in {max(0.0, subject.retry_in):.0f} s"
    return text
