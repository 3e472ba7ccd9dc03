"""Sub-ports that are looked at because their parent became another one. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from vifd.model import PortRecord
from vifd.store import Records


def woken(old: Records, new: Records) -> set[str]:
    """The sub-ports of the parents that a commit changed in what their sub-ports depend on: whom
    they name, and whether and where their own device stands open."""
    found: set[str] = set()
    for port_id, record in new.items():
        before = old.get(port_id)
        named = {*_named(before), *_named(record)}
        if named and _state(before) != _state(record):
            found |= named
    return found


def _named(record: PortRecord | None) -> Iterator[str]:
    trunk = record.doc.attachment.port.trunk_details if record is not None else None
    return (sub_port.port_id for sub_port in trunk.sub_ports) if trunk is not None else iter(())


def _state(record: PortRecord | None) -> tuple[object, ...]:
    if record is None:
        return ()
    healthy = record.report is not None and record.report.clean
    trunk = record.doc.attachment.port.trunk_details
    return (trunk, record.wiring, record.open, record.removing, record.error is None, healthy)
