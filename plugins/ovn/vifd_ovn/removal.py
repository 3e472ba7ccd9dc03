"""Unplug and release: the row goes first, so that OVN lets go of the port, and the device last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vifd.drivers import Drivers, Link, Links, Ovsdb, PortSpec
from vifd.errors import BackendError, UnplugPartial, VifError
from vifd.plugin import Item, guest
from vifd_ovn.batch import Batch, Work
from vifd_ovn.marks import GATE
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.wiring import Before


def remove_row(ovsdb: Ovsdb, device: str, port_id: str) -> None:
    """Remove a port from the switch if it bears the port's mark."""
    row = ovsdb.port(device)
    if row is not None and marks.belongs(row, port_id):
        ovsdb.delete_ports(row.bridge, [device])


def remove_device(links: Links, device: str, port_id: str) -> None:
    """Remove a device if it bears the port's mark."""
    link = links.get([device]).get(device)
    if link is not None and link.alias == marks.alias(port_id):
        links.delete([device])


def unplug(drivers: Drivers, items: Sequence[Item]) -> Batch:
    """Remove the ports of a batch. What is gone already is no error; a port of which something is
    left says so, and can be removed again."""
    batch = Batch.of(items)
    batch.together("ovsdb", lambda works: _rows(drivers.ovsdb, works))
    batch.together("device", lambda works: _devices(drivers, works))
    batch.failed = {port_id: _partial(error) for port_id, error in batch.failed.items()}
    return batch


def release(drivers: Drivers, items: Sequence[Item]) -> Batch:
    """Give ports back in place: OVN goes on as it did, because the row names the logical port from
    before the first mark goes until after the last."""
    batch = Batch.of(items)
    batch.together("ovsdb", lambda works: _rows_back(drivers.ovsdb, works))
    batch.together("device", lambda works: _devices_back(drivers, works))
    return batch


def _rows(ovsdb: Ovsdb, works: Iterable[Work]) -> None:
    by_bridge: dict[str, list[str]] = {}
    for work in works:
        row = ovsdb.port(work.device)
        if row is not None and marks.belongs(row, work.id):
            by_bridge.setdefault(row.bridge, []).append(work.device)
    for bridge, devices in by_bridge.items():
        ovsdb.delete_ports(bridge, devices)


def _devices(drivers: Drivers, works: Iterable[Work]) -> None:
    """As far as they bear the ports' marks, or are the very devices that were plugged."""
    links = drivers.links
    wanted = {w.device: w for w in works}
    present = links.get(list(wanted))
    marked = {n: link for n, link in present.items() if _ours(link, wanted[n])}
    links.remark({n: (k.ifindex, marks.alias(wanted[n].id)) for n, k in marked.items()})
    if marked:
        links.delete(sorted(marked))
    Hearing(drivers).forget(n for n in wanted if n in marked or n not in present)


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


def _devices_back(drivers: Drivers, works: Iterable[Work]) -> None:
    """The device keeps its MAC address; its alias is what it was. The mark goes last: it says that
    there is something to do."""
    works, links = list(works), drivers.links
    Hearing(drivers).forget(w.device for w in works)
    for work in works:
        link = links.get([work.device]).get(work.device)
        if link is None or not _ours(link, work):
            continue
        before = work.names.before or Before()
        own = work.item.attachment.mac
        if before.mac and link.mac in (own, guest.tap_mac(own)):
            links.set(work.device, mac=before.mac)
        links.unmark({work.device: (link.ifindex, before.alias)})


def _ours(link: Link, work: Work) -> bool:
    return link.alias == marks.alias(work.id) or (
        work.names.plugged and link.ifindex == work.names.ifindex and link.kind == "tun"
    )


def _partial(error: VifError) -> VifError:
    if isinstance(error, BackendError):
        return error
    partial = UnplugPartial(facts={"problem": error.message}, stage=error.stage, port=error.port)
    partial.__cause__ = error
    return partial
