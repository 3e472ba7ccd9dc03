"""Unplug and release: the row goes first, so that OVN lets go of the port, and the device last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vifd.drivers import Drivers, Ovsdb, PortSpec
from vifd.plugin import Item
from vifd_ovn.batch import Batch, Work
from vifd_ovn.marks import GATE
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.taps import give_back, remove_devices
from vifd_ovs.bridge.wiring import Before


def unplug(drivers: Drivers, items: Sequence[Item]) -> Batch:
    """Remove the ports of a batch. What is gone already is no error; a port of which something is
    left says so, and can be removed again."""
    batch = Batch.of(items)
    batch.together("ovsdb", lambda works: _rows(drivers.ovsdb, works))
    batch.together("device", lambda works: remove_devices(drivers, works))
    return batch.left_over()


def release(drivers: Drivers, items: Sequence[Item]) -> Batch:
    """Give ports back in place: OVN goes on as it did, because the row names the logical port from
    before the first mark goes until after the last."""
    batch = Batch.of(items)
    batch.together("ovsdb", lambda works: _rows_back(drivers.ovsdb, works))
    batch.together("device", lambda works: give_back(drivers, works))
    return batch


def _rows(ovsdb: Ovsdb, works: Iterable[Work]) -> None:
    by_bridge: dict[str, list[str]] = {}
    for work in works:
        row = ovsdb.port(work.device)
        if row is not None and marks.belongs(row, work.id):
            by_bridge.setdefault(row.bridge, []).append(work.device)
    for bridge, devices in by_bridge.items():
        ovsdb.delete_ports(bridge, devices)


def _rows_back(ovsdb: Ovsdb, works: Iterable[Work]) -> None:
    gone: dict[str, dict[str, str | None]] = {}
    for work in works:
        row = ovsdb.port(work.device)
        if row is None or not marks.belongs(row, work.id):
            continue
        before = work.names.before or Before()
        if before.tag is not None:
            ovsdb.ensure_ports(row.bridge, [PortSpec(work.device, tag=before.tag)])
        ours = {key: None for key in row.external_ids if key.startswith(marks.OWN)}
        gate = row.external_ids.get(GATE) or work.id
        gone[work.device] = {**ours, **before.external_ids, GATE: gate}
    if gone:
        ovsdb.set_external_ids(gone)
