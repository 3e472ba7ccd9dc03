"""Sub-ports that are looked at because their parent became another one, and their turn. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vifd.model import PortRecord
from vifd.store import Records


def woken(old: Records, new: Records) -> list[str]:
    """The sub-ports of the parents that a commit changed in what their sub-ports depend on: whom
    they name, and whether and where their own device stands open.

    A parent that is to become another one comes with them: without it they would be held against
    what it was.
    """
    found: dict[str, None] = {}
    for port_id, record in new.items():
        before = old.get(port_id)
        named = dict.fromkeys([*_named(before), *_named(record)])
        if named and _state(before) != _state(record):
            if record is not None and (before is None or before.doc is not record.doc):
                found[port_id] = None
            found |= named
    return list(found)


def turns(records: Sequence[PortRecord]) -> Iterator[list[str]]:
    """The ids of a batch's ports as they are served: sub-ports after the parents that the batch
    has as well, for they can be no more than these are."""
    behind = {i for record in records if not record.removing for i in _named(record)}
    first = [record.id for record in records if record.id not in behind]
    yield first
    if len(first) < len(records):
        yield [record.id for record in records if record.id in behind]


def _named(record: PortRecord | None) -> Iterator[str]:
    trunk = record.doc.attachment.port.trunk_details if record is not None else None
    return (sub_port.port_id for sub_port in trunk.sub_ports) if trunk is not None else iter(())


def _state(record: PortRecord | None) -> tuple[object, ...]:
    if record is None:
        return ()
    healthy = record.report is not None and record.report.clean
    trunk = record.doc.attachment.port.trunk_details
    return (trunk, record.wiring, record.open, record.removing, record.error is None, healthy)
