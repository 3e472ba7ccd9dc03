"""Who uses the device of a port, whether or not anybody said so."""

from __future__ import annotations

from vifd.guests.finding import WAITING
from vifd.model import PortRecord
from vifd.safety.holders import holders


def holder(record: PortRecord) -> str:
    """The first process that has the port's tap open, or the guest at its socket as it was last
    read; empty for nobody."""
    made = record.wiring or record.names
    if made is None:
        return ""
    facts = {e.fact: str(e.have) for e in record.report.evidence} if record.report else {}
    if facts.get("guest", WAITING) != WAITING:
        return "a guest"
    return next(map(str, holders(made.device)), "")
