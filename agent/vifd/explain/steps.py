"""The steps of an explanation, each as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vifd.explain import causes
from vifd.explain.explanation import Name, State, Step
from vifd.explain.findings import Judgement, fact_of, in_work
from vifd.explain.subject import Subject
from vifd.model import Evidence, Report
from vifd.model.status import status_of, wants_open, why_closed
from vifd.model.trunks import is_sub_port
from vifd.plugin.meanings import Unsure, gate, value

#: Steps that every port has; the others are shown where the plugin has facts of them.
_ALWAYS = (
    Name.INTENT, Name.CHOICE, Name.NAMES, Name.DEVICE, Name.GUEST, Name.STATUS, Name.REPORT,
)  # fmt: skip
#: Steps that are on the host.
ON_HOST = (
    Name.DEVICE, Name.SWITCH, Name.PORT, Name.FLOWS, Name.WIRING, Name.FILTER, Name.UPLINK,
    Name.TRACE, Name.GUEST,
)  # fmt: skip


#: What a sub-port of a trunk has not got itself.
_OF_PARENT = {
    Name.DEVICE: "none of its own: its frames pass tagged over the device of its parent",
    Name.GUEST: "its guest is that of its parent, whose explanation tells of it",
}
#: So much of the reason why another candidate lost is told; the record has all of it.
_REASON = 110


def steps(subject: Subject, judgement: Judgement) -> Iterator[Step]:
    """Every step that this port has, in the order of the path."""
    table = causes.of(subject.record.plugin)
    facts = _by_step(table, subject.report)
    has = {*_ALWAYS, *facts, *_by_step(table, subject.record.report), *judgement.breaks}
    order = list(Name)
    root = judgement.root
    for name in Name:
        if name not in has:
            continue
        behind = root is not None and order.index(name) > order.index(root.step)
        yield _step(name, subject, judgement, facts.get(name, []), behind=behind)


def _by_step(table: causes.Causes, report: Report | None) -> dict[Name, list[Evidence]]:
    found: dict[Name, list[Evidence]] = {}
    for fact in report.evidence if report else []:
        found.setdefault(table.step_of(fact), []).append(fact)
    return found


def _step(
    name: Name, subject: Subject, judgement: Judgement, facts: list[Evidence], *, behind: bool
) -> Step:
    found = judgement.of(name)
    if found is not None:
        more = sum(b.because is None for b in judgement.breaks[name][1:])
        sentence = found.sentence + (f" (and {more} more)" if more else "")
        return Step(
            name=name, state=State.BROKEN, sentence=sentence, hint=found.hint,
            because=found.because, facts=facts,
        )  # fmt: skip
    if name in _OF_PARENT and is_sub_port(subject.attachment):
        return Step(name=name, state=State.OK, sentence=_OF_PARENT[name], facts=facts)
    if name in ON_HOST and name is not Name.GUEST and not facts:
        state = State.SKIPPED if behind or _unmade(subject) else State.UNKNOWN
        text = "nothing was made yet" if _unmade(subject) else "nothing was read of it"
        return Step(name=name, state=state, sentence=text)
    own = causes.of(subject.record.plugin).told(name, subject, facts)
    if own is not None:
        state = State.UNKNOWN if isinstance(own, Unsure) else State.OK
        return Step(name=name, state=state, sentence=own, facts=facts)
    state, sentence = _SAYS[name](subject, facts)
    return Step(name=name, state=state, sentence=sentence, facts=facts)


def _unmade(subject: Subject) -> bool:
    return subject.record.wiring is None


# --- what each step is when it is not broken ------------------------------------------------------

_Said = tuple[State, str]


def _intent(subject: Subject, _: list[Evidence]) -> _Said:
    attachment = subject.record.doc.attachment
    segment = attachment.network.segment
    kind = [segment.network_type, segment.physical_network, segment.segmentation_id]
    where = " ".join(str(part) for part in kind if part is not None)
    addresses = ", ".join([attachment.mac, *(ip.ip_address for ip in attachment.fixed_ips)])
    text = f"{addresses} on network {attachment.network.id} ({where})"
    return State.OK, f"{text}; {_wish(subject)}"


def _wish(subject: Subject) -> str:
    why = why_closed(subject.record)
    return f"closed, because {why}" if why else "open"


def _choice(subject: Subject, _: list[Evidence]) -> _Said:
    record, serving = subject.record, subject.serving
    text = f"plugin {record.plugin}, VIF type {record.vif_type}"
    if serving.health and serving.health != "ready":
        text += f" (now {serving.health}: {'; '.join(serving.reasons) or 'no reason given'})"
    selection = record.selection
    lost = [_lost(refused) for refused in selection.refused] if selection else []
    notes = selection.notes if selection else []
    idle = ", ".join(subject.unenforced)
    vain = [f"asked for and enforced by nothing here: {idle}"] if idle else []
    return State.OK, "; ".join([text, *vain, *notes, *lost])


def _lost(refused: Mapping[str, Any]) -> str:
    """Why another candidate was not chosen."""
    error = refused.get("error") or {}
    who = "/".join(filter(None, (refused.get("plugin"), refused.get("vif_type"))))
    message = str(error.get("message"))
    short = message if len(message) <= _REASON else f"{message[:_REASON].rstrip()}…"
    return f"not {who}: {error.get('code')}: {short}"


def _names(subject: Subject, _: list[Evidence]) -> _Said:
    if not subject.device and not subject.details:
        return State.UNKNOWN, "none were chosen yet"
    shown = causes.of(subject.record.plugin).names
    parts = [f"{k} {subject.details[k]}" for k in shown if subject.details.get(k)]
    no_device = is_sub_port(subject.attachment)
    own = "no device" if no_device else f"device {subject.device or '-'}"
    return State.OK, ", ".join([own, *parts])


def _device(subject: Subject, facts: list[Evidence]) -> _Said:
    shown = {"device.mtu": "MTU", "device.mac": "MAC", "device.ifindex": "interface"}
    have = {f.fact: f.have for f in facts}
    parts = [f"{word} {have[k]}" for k, word in shown.items() if k in have]
    up = ["up"] if have.get("device.up") else []
    there = subject.device or "-"
    return State.OK, " ".join([there, ", ".join([*up, *parts])]).strip()


def _switch(subject: Subject, _: list[Evidence]) -> _Said:
    return State.OK, f"{subject.bridge} answers"


def _filter(subject: Subject, _: list[Evidence]) -> _Said:
    return State.OK, f"rules: as wanted; {gate(subject, 'not known whether open')}"


def _uplink(subject: Subject, facts: list[Evidence]) -> _Said:
    physnet = subject.record.doc.attachment.network.segment.physical_network
    state = "; ".join(f"{f.fact} {value(f.have)}" for f in facts)
    return State.OK, f"physical network {physnet}: {state}" if physnet else state


def _trace(_: Subject, facts: list[Evidence]) -> _Said:
    return State.OK, "; ".join(f"{f.fact.partition('.')[2]}: {value(f.have)}" for f in facts)


def _guest(subject: Subject, facts: list[Evidence]) -> _Said:
    guest = subject.guest
    who = f"guest {guest.name or guest.guest}" if guest is not None else "a guest"
    carrier = fact_of(subject, "device.carrier")
    if carrier is True:
        return State.OK, f"{who} holds {subject.device} open"
    if guest is not None and not guest.running:
        return State.UNKNOWN, f"{who} is defined with {subject.device} and does not run"
    if carrier is False:
        known = "no guest of the hypervisor uses it" if subject.hypervisor else "no guest runs yet"
        return State.UNKNOWN, f"nobody holds {subject.device} open: {known}"
    said = "; ".join(f"{f.fact} {value(f.have)}" for f in facts if f.have not in (None, ""))
    return (State.OK, said) if said else (State.UNKNOWN, "nothing is known of the guest")


def _status(subject: Subject, _: list[Evidence]) -> _Said:
    record = subject.record
    text = f"{status_of(record)} ({record.phase}, role {record.role})"
    if in_work(subject):
        return State.UNKNOWN, f"{text}: vifd is at work on it"
    if not wants_open(record) and record.open:
        return State.UNKNOWN, f"{text}: it is about to be closed"
    return State.OK, text


def _report(subject: Subject, _: list[Evidence]) -> _Said:
    status = status_of(subject.record)
    to = f"the network service {subject.service!r}" if subject.service else "the network service"
    if subject.waiting:
        return State.UNKNOWN, f"{subject.waiting} waits for {to} to take it"
    return State.OK, f"{to} has taken {status}"


def _generic(_: Subject, facts: list[Evidence]) -> _Said:
    return State.OK, "; ".join(f"{f.fact} {value(f.have)}" for f in facts[:6]) or "as wanted"


_SAYS = {
    Name.INTENT: _intent,
    Name.CHOICE: _choice,
    Name.NAMES: _names,
    Name.DEVICE: _device,
    Name.SWITCH: _switch,
    Name.PORT: _generic,
    Name.FLOWS: _generic,
    Name.WIRING: _generic,
    Name.FILTER: _filter,
    Name.UPLINK: _uplink,
    Name.TRACE: _trace,
    Name.GUEST: _guest,
    Name.STATUS: _status,
    Name.REPORT: _report,
}
