"""Unplug: close, switch port, what the plugin made besides, flows.

The order avoids two races: the guard flow stays until the port has left the switch, so that on a
bridge of others no frame of the guest meets their flows; and a port number is free for another port
only once its flows are gone, because names are given on the same lane that removes. The device goes
while the switch is at work on its port: each takes longer than all the rest, and whoever asks the
switch for flows waits for that work. Who waits for the port to be closed and gone from kernel and
database is told before that: what is left are flows that nothing meets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from vifd.drivers import Drivers, Ovsdb
from vifd.plugin import Item
from vifd_ovs.bridge import marks, ownership
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.ownership import Ends
from vifd_ovs.bridge.ports import Gate, SwitchPort, switch_port
from vifd_ovs.bridge.switch import Switch


def remove_row(ovsdb: Ovsdb, device: str, port_id: str) -> None:
    """Remove a port from the switch if it bears the port's mark."""
    row = ovsdb.port(device)
    if row is not None and marks.belongs(row, port_id):
        ovsdb.delete_ports(row.bridge, [device])


def unplug(
    drivers: Drivers,
    switches: dict[str, Switch],
    items: Sequence[Item],
    rest: Callable[[Sequence[Work]], object],
    ends: Callable[[Sequence[Work]], Ends] = lambda _works: Ends(),
) -> Batch:
    """Remove the ports of a batch. What is gone already is no error; a port of which something is
    left says so, and can be removed again.

    :param rest: takes away what is neither a row nor a flow
    :param ends: what the rows stand on, so that one that another program made anew is known
    """
    batch = Batch.of(items)
    standing = {name for name in batch.bridges() if drivers.ovsdb.bridge(name) is not None}

    def flows(chosen: Iterable[Work], *, gate: Gate | None) -> None:
        for name in standing:
            ports = {w.id: _guarded(w, gate) for w in chosen if w.names.bridge == name}
            if ports:
                switches[name].apply(ports)
        if gate is None:
            for name in switches.keys() - standing:
                switches[name].forget(w.id for w in chosen if w.names.bridge == name)

    batch.together("flows", lambda chosen: flows(chosen, gate=Gate.GUARDED))
    batch.together("ovsdb", lambda chosen: _rows(drivers.ovsdb, chosen, ends))
    batch.together("device", rest)
    for work in batch.works:
        work.item.detached()
    batch.together("flows", lambda chosen: flows(chosen, gate=None))
    batch.together("connections", lambda chosen: forget_connections(drivers, chosen))
    return batch.left_over()


def forget_connections(drivers: Drivers, works: Sequence[Work]) -> None:
    """Forget the connections in the zones of ports, which have the ports' numbers: the next port
    with that number knows nothing of them."""
    zones: dict[str, list[int]] = {}
    for work in works:
        if drivers.ovsdb.bridge(work.names.bridge) is not None:
            zones.setdefault(work.names.bridge, []).append(work.names.ofport)
    for bridge, numbers in zones.items():
        drivers.openflow.flush_zones(bridge, numbers)


def _guarded(work: Work, gate: Gate | None) -> SwitchPort | None:
    if gate is None:
        return None
    return replace(switch_port(work.item.attachment, work.names, opened=False), gate=gate)


def _rows(ovsdb: Ovsdb, works: Sequence[Work], ends: Callable[[Sequence[Work]], Ends]) -> None:
    """Where the port stands now decides, not where it was put."""
    by_bridge: dict[str, list[str]] = {}
    rows = {work.id: row for work in works if (row := ovsdb.port(work.device)) is not None}
    unmarked = [w for w in works if w.id in rows and not marks.belongs(rows[w.id], w.id)]
    known = ends(unmarked) if unmarked else Ends()
    for work in works:
        row = rows.get(work.id)
        if row is not None and ownership.belongs(row, work, known):
            by_bridge.setdefault(row.bridge, []).append(work.device)
    for bridge, devices in by_bridge.items():
        ovsdb.delete_ports(bridge, devices)
