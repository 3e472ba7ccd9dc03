"""What others hear of a change: events, and statuses for the network service. Pure but for time."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec.structs import replace

from vifd import errors
from vifd.model import Evidence, Phase, PortRecord, Status
from vifd.model.event import Event
from vifd.model.setrecord import SetUpdate
from vifd.model.status import status_of
from vifd.store import Outgoing, Records

#: So many findings, of so many characters, are told in an event.
_TOLD, _TEXT = 4, 240


def events(old: Records, new: Records) -> list[Event]:
    """What the event stream shall say of these changes."""
    events = []
    for port_id, record in new.items():
        name = event_name(old.get(port_id), record)
        known = record or old.get(port_id)
        if not name or known is None:
            continue
        events.append(
            Event(
                id=0, event=name, at=time.time(), port=port_id,
                instance=known.doc.attachment.instance_id, plugin=known.plugin,
                phase=record.phase.value if record else "", role=known.role.value,
                status=status_of(record).value if record else _left(known), revision=known.revision,
                request_id=known.request_id, error=_cause(record, name),
                findings=told(record) if record and name == "degraded" else None,
            )
        )  # fmt: skip
    return events


def set_events(updates: Sequence[SetUpdate]) -> list[Event]:
    """What the event stream shall say of changes of shared sets."""
    return [
        Event(
            id=0, event=_set_event(u), at=time.time(), detail=f"{u.key.kind}/{u.key.id}",
            revision=u.revision,
            request_id=u.after.request_id if u.after else "",
        )
        for u in updates
    ]  # fmt: skip


def _set_event(update: SetUpdate) -> str:
    if update.after is None:
        return "set-gone"
    if update.after.going:
        return "set-going"
    return "set-new" if update.before is None else "set-changed"


def _cause(record: PortRecord | None, event: str) -> dict[str, object] | None:
    """Why, for the events that have a reason."""
    if record is None or record.error is not None or event != "degraded":
        return record.error if record else None
    found = drift(record)
    return found.to_dict() if found else None


def statuses(old: Records, new: Records) -> list[Outgoing]:
    """Statuses that the network service must hear of."""
    mail = []
    for port_id, record in new.items():
        before = old.get(port_id)
        if record is None:
            if before is not None:
                mail.append(Outgoing(port_id, _left(before), before.revision + 1, gone=True))
        elif before is None or reportable(before) != reportable(record):
            mail.append(outgoing(record))
    return mail


def _left(record: PortRecord) -> str:
    """The last word about a port: one that was given back goes on passing traffic."""
    given_back = record.removing and record.released
    return status_of(record).value if given_back else Status.DOWN.value


def outgoing(record: PortRecord) -> Outgoing:
    """The status of a port as it goes to the network service."""
    made = record.wiring or record.names
    return Outgoing(
        port_id=record.id, status=status_of(record).value, revision=record.revision,
        error=record.error, network_id=record.doc.attachment.network.id,
        device=made.device if made else "", role=record.role.value,
    )  # fmt: skip


def drift(record: PortRecord) -> errors.Drift | None:
    """The error of a port that is degraded by what was read back of it, the first finding."""
    findings = record.report.findings if record.report else []
    if not findings:
        return None
    first = findings[0]
    doing = f"that is {'' if first.repairable else 'not '}for vifd to repair"
    facts = {"fact": first.fact, "have": _short(first.have), "wanted": _short(first.wanted),
             "next": doing, "findings": [f.fact for f in findings]}  # fmt: skip
    return errors.Drift(facts=facts, stage="check", port=record.id)


def told(record: PortRecord) -> list[Evidence] | None:
    """What an event says of a port that is not as wanted."""
    findings = record.report.findings if record.report else []
    return [
        replace(f, have=_short(f.have), wanted=_short(f.wanted)) for f in findings[:_TOLD]
    ] or None


def _short(value: object) -> object:
    text = value if isinstance(value, str) else str(value)
    return value if len(text) <= _TEXT else f"{text[:_TEXT]}…"


def event_name(old: PortRecord | None, new: PortRecord | None) -> str:
    """What to call the change from one record to the next, or the empty string for none."""
    if new is None:
        return _ended(old)
    if old is not None and old.phase is new.phase and old.open == new.open:
        if new.error is not None and _code(new) != _code(old):
            return "failed" if new.phase is not Phase.DEGRADED else "degraded"
        if new.phase is Phase.DEGRADED and _differing(old) != _differing(new):
            return "degraded"
        return "updated" if old.doc is not new.doc else ""
    return new.phase.value.lower()


def _ended(old: PortRecord | None) -> str:
    if old is None:
        return ""
    return "released" if old.removing and old.released else "unplugged"


def _differing(record: PortRecord) -> set[str]:
    return {f.fact for f in record.report.findings} if record.report else set()


def _code(record: PortRecord) -> str:
    return str((record.error or {}).get("code", ""))


def reportable(record: PortRecord) -> tuple[str, str]:
    """What the network service must hear of: when it changes, a new status goes out."""
    code = _code(record) if record.phase is Phase.FAILED else ""
    return status_of(record).value, code
