"""The status of a port as a conclusion from what is recorded of it. Pure."""

from __future__ import annotations

from vifd.model import Phase, PortRecord, Role, Status
from vifd.model.lifecycle import TABLE


def status_of(record: PortRecord) -> Status:
    """The port status for the network service.

    ACTIVE needs more than the phase: the port must be open and its last report clean, or degraded
    by a later check that found it open. Anything that does not add up is BUILD, never ACTIVE. One
    that is open and that nothing passes is DOWN until somebody has mended it. What cannot be read
    is not claimed either: where the switch gives no answer about its flows, that is BUILD. A port
    whose running guest lost its device is ERROR: it takes a hand to mend that.
    """
    status = TABLE[record.phase].status
    report = record.report
    if status is not Status.ACTIVE:
        return status
    if not record.open or report is None or report.passing is False:
        return Status.BUILD
    if report.without_its_guest:
        return Status.ERROR
    if report.cut:
        return Status.DOWN
    return Status.BUILD if report.unread else status


def wants_open(record: PortRecord) -> bool:
    """Whether traffic shall pass: the role is ACTIVE, the port is up, somebody uses it, and it is
    not being removed."""
    return (
        record.role is Role.ACTIVE
        and record.doc.attachment.port.admin_state_up
        and not record.doc.attachment.prewired
        and not record.removing
    )


def why_closed(record: PortRecord) -> str:
    """Why traffic shall not pass, as the end of a sentence; empty where it shall."""
    if wants_open(record):
        return ""
    if record.removing:
        return "it is being removed"
    if record.role is Role.INACTIVE:
        return "its role on this host is INACTIVE"
    if record.doc.attachment.prewired:
        return "it was made ahead, and no instance uses it yet"
    return "its admin_state_up is false"


def settled(record: PortRecord) -> bool:
    """Whether the port is where its document wants it."""
    if record.removing:
        return False
    if wants_open(record):
        return record.phase in (Phase.LIVE, Phase.DEGRADED) and record.open
    return record.phase in (Phase.READY, Phase.QUIESCED) and not record.open


def untouched(record: PortRecord) -> bool:
    """Whether nothing of the port can be on the host, so that its names may be given up."""
    if record.wiring is not None or record.open:
        return False
    if record.names is None:
        return True
    return record.phase is Phase.FAILED and not not_undone(record)


def hosted(record: PortRecord) -> bool:
    """Whether another program made the port, and keeps it."""
    return record.doc.attachment.hosted is not None


def not_undone(record: PortRecord) -> list[str]:
    """What an attempt that failed could not take back."""
    facts = (record.error or {}).get("facts") or {}
    return list(facts.get("not_undone") or ())
