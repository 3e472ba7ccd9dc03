"""What others hear of a change: events, and statuses for the network service. Pure but for time."""

from __future__ import annotations

import time

from vifd import outcome
from vifd.model import PortRecord, Status
from vifd.status import status_of
from vifd.store import Outgoing, Records
from vifd.ticket import Event


def events(old: Records, new: Records) -> list[Event]:
    """What the event stream shall say of these changes."""
    events = []
    for port_id, record in new.items():
        name = outcome.event_name(old.get(port_id), record)
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
                findings=outcome.told(record) if record and name == "degraded" else None,
            )
        )  # fmt: skip
    return events


def _cause(record: PortRecord | None, event: str) -> dict[str, object] | None:
    """Why, for the events that have a reason."""
    if record is None or record.error is not None or event != "degraded":
        return record.error if record else None
    drift = outcome.drift(record)
    return drift.to_dict() if drift else None


def statuses(old: Records, new: Records) -> list[Outgoing]:
    """Statuses that the network service must hear of."""
    mail = []
    for port_id, record in new.items():
        before = old.get(port_id)
        if record is None:
            if before is not None:
                mail.append(Outgoing(port_id, _left(before), before.revision + 1, gone=True))
        elif before is None or outcome.reportable(before) != outcome.reportable(record):
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
