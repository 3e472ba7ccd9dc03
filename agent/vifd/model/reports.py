"""What a report says of a port besides what differs. Pure."""

from __future__ import annotations

from vifd.model.evidence import Report


def without_its_guest(report: Report) -> bool:
    """Whether the guest that runs with the port holds a device that is no more: whatever passes
    the port, nothing reaches the guest, and no plug mends that."""
    return any(finding.fact == "guest.device" for finding in report.findings)


def unread(report: Report) -> bool:
    """Whether what lets a port's frames pass could not be read, so that nobody knows."""
    return any(finding.fact == "flows" for finding in report.findings)


def unanswered(report: Report) -> bool:
    """Whether nothing differs but that the switch's database gives no answer: what was read of the
    rest is as wanted."""
    return bool(report.findings) and all(f.fact == "ovsdb.connected" for f in report.findings)
