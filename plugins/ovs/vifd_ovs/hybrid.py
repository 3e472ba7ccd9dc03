"""Hybrid plugging: another program's tap on a bridge of its own, and a pair of devices from there
to the switch. The tap is moved onto the switch itself, what stood between goes, and all of it can
be put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed

from msgspec.structs import asdict, replace

from vifd.drivers import BridgePort, Bridging, Device, Drivers, HybridSpec, PortRow, PortSpec
from vifd.errors import BackendUnavailable
from vifd.model import Attachment
from vifd.plugin import Entry, Item, tap
from vifd_ovs import adopting
from vifd_ovs.bridge import claiming, marks
from vifd_ovs.bridge.announcing import announce_back
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.naming import Naming
from vifd_ovs.bridge.ports import switch_port
from vifd_ovs.bridge.removal import forget_connections, remove_row
from vifd_ovs.bridge.switch import Switch
from vifd_ovs.bridge.taps import give_back as give_back_taps
from vifd_ovs.bridge.wiring import Before, Hybrid, OvsWiring, read

#: What nova names these devices, before the beginning of the port's id.
_BRIDGE, _INNER, _OUTER = "qbr", "qvb", "qvo"
#: External ids by which other software knows the port; one row alone may have them.
_KNOWN_BY = ("iface-id", "iface-status", "attached-mac", "vm-uuid")


def claim(
    drivers: Drivers, naming: Naming, bridge: str, attachment: Attachment,
    taken: Mapping[str, Entry],
) -> tuple[str, OvsWiring] | None:  # fmt: skip
    """The tap behind the switch port that has the port's id, and the names and numbers by which it
    is moved onto the switch.

    :returns: ``None`` where no switch port has its id
    :raises AdoptionUnfit: it cannot be moved as it stands
    """
    row = adopting.find(drivers, bridge, attachment.id)
    if row is None:
        return None
    elsewhere = f"it is on bridge {row.bridge}, [ovs] integration_bridge is {bridge}"
    problem = claiming.row_problem(row, attachment)
    if problem or row.bridge != bridge:
        raise claiming.unfit(row.name, problem or elsewhere, attachment.id)
    there, guest = _behind(_bridging(drivers), row, attachment)
    holder = next((i for i, e in taken.items() if e.wiring.device == guest.link.name), None)
    if holder not in (None, attachment.id):
        raise claiming.unfit(guest.link.name, f"it is the device of port {holder}", attachment.id)
    _, chosen = naming.choose(attachment, taken, multi_queue=guest.link.multi_queue)
    shared = chosen.port_tag
    if shared is None:
        shared = adopting.shared(drivers, row, attachment)
    before = claiming.before(row, guest.link, lambda key: not key.startswith(marks.OWN))
    if before is None:
        raise claiming.unfit(row.name, "it bears a mark of vifd", attachment.id)
    names = replace(
        chosen, ifindex=guest.link.ifindex, port_tag=shared, adopted=True,
        before=replace(before, hybrid=there),
    )  # fmt: skip
    return guest.link.name, names


def _behind(bridging: Bridging, row: PortRow, attachment: Attachment) -> tuple[Hybrid, Device]:
    """What stands behind the switch port, and the tap.

    :raises AdoptionUnfit: it is not what nova makes, or something else is in it
    """
    rest = row.name.removeprefix(_OUTER)
    bridge, inner = f"{_BRIDGE}{rest}", f"{_INNER}{rest}"
    there = bridging.get([row.name, inner, bridge])
    problem = _unlike(row.name, there.get(row.name), there.get(inner), there.get(bridge))
    members = [] if problem else bridging.members(bridge)
    taps = [d for d in members if d.link.kind == "tun"]
    others = sorted(d.link.name for d in members if d not in taps and d.link.name != inner)
    if not problem and others:
        problem = f"{others[0]} is on bridge {bridge} as well, which is not nova's"
    if not problem and len(taps) != 1:
        problem = f"bridge {bridge} has {len(taps)} taps, not one"
    if not problem and (addresses := bridging.addresses(bridge)):
        problem = f"bridge {bridge} has the host's address {addresses[0]}"
    problem = problem or tap.problem(taps[0].link, attachment)
    if problem:
        raise claiming.unfit(row.name, problem, attachment.id)
    return Hybrid(bridge=bridge, inner=inner, outer=row.name, mtu=there[inner].link.mtu), taps[0]


def _unlike(name: str, outer: Device | None, inner: Device | None, bridge: Device | None) -> str:
    """Why devices are not those of a hybrid port; empty where they are."""
    if outer is not None and outer.link.kind == "tun":
        return "its tap is on the switch already: vifctl adopt takes it over without a gap"
    if not name.startswith(_OUTER) or outer is None or outer.link.kind != "veth":
        return "it is no port of hybrid plugging (qvo…, one end of a pair of devices)"
    if inner is None or outer.parent != inner.link.ifindex:
        return "its other end is not where nova puts it (qvb…)"
    if bridge is None or bridge.link.kind != "bridge" or inner.master != bridge.link.ifindex:
        return f"its other end {inner.link.name} is not on nova's bridge (qbr…)"
    return ""


def _bridging(drivers: Drivers) -> Bridging:
    if drivers.bridging is None:
        problem = "this vifd was put together without a driver for bridges"
        raise BackendUnavailable(facts={"backend": "the kernel's bridge", "problem": problem})
    return drivers.bridging


# --- onto the switch ------------------------------------------------------------------------------


def part(drivers: Drivers, works: Sequence[Work]) -> None:
    """Their other switch ports are not the ports any more: two rows with one id would be one too
    many for whoever else reads them."""
    for work in works:
        hybrid, before = work.names.hybrid, work.names.before
        if hybrid is None or before is None or not work.names.adopted:
            continue
        work.item.undo.push("hybrid", lambda w=work: rejoin(drivers, w))  # type: ignore[misc]
        if drivers.ovsdb.port(hybrid.outer) is not None:
            drivers.ovsdb.set_external_ids({hybrid.outer: dict.fromkeys(_KNOWN_BY)})


def rejoin(drivers: Drivers, work: Work) -> None:
    """The tap is a port of its bridge again, and the other switch port is the port."""
    hybrid, before = work.names.hybrid, work.names.before
    if hybrid is None or before is None:
        return
    failed = _bridging(drivers).enslave([BridgePort(work.device, hybrid.bridge)])
    if drivers.ovsdb.port(hybrid.outer) is not None:
        drivers.ovsdb.set_external_ids({hybrid.outer: dict(before.external_ids)})
    for error in failed.values():
        raise error


def announce(drivers: Drivers, works: Sequence[Work]) -> None:
    """Bridges that learn had the port behind the other switch port."""
    for work in works:
        if work.names.hybrid is not None and work.item.open:
            port = switch_port(work.item.attachment, work.names, opened=True)
            announce_back(drivers.openflow, work.names.bridge, port)


def split(batch: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """What is left of hybrid ports, and all other items."""
    left = [item for item in batch if _between(item)]
    return left, [item for item in batch if item not in left]


def _between(item: Item) -> bool:
    names = read(item.made)
    return names.adopted and names.hybrid is not None


def sweep(drivers: Drivers, items: Sequence[Item]) -> Batch:
    """Remove what stood between taps and the switch; what is gone is no error."""
    batch = Batch.of(items)

    def step(works: Sequence[Work]) -> None:
        for work in works:
            hybrid = work.names.hybrid
            if hybrid is None:
                continue
            row = drivers.ovsdb.port(hybrid.outer)
            if row is not None and row.external_ids.get("iface-id") in (None, work.id):
                drivers.ovsdb.delete_ports(row.bridge, [hybrid.outer])
            _bridging(drivers).remove_hybrid(HybridSpec(**asdict(hybrid)))

    batch.together("hybrid", step)
    return batch.left_over()


# --- and back -------------------------------------------------------------------------------------


def give_back(drivers: Drivers, switches: Mapping[str, Switch], items: Sequence[Item]) -> Batch:
    """Put back what stood between, then have taps change hands; what is there, or gone, already is
    no error. The flows go last."""
    batch = Batch.of(items)
    batch.together("hybrid", lambda works: _restore(drivers, works))
    batch.together("switch port", lambda works: _leave(drivers, works))
    batch.together("device", lambda works: give_back_taps(drivers, works))
    for name, works in batch.bridges().items():

        def flows(chosen: Sequence[Work], name: str = name) -> None:
            if drivers.ovsdb.bridge(name) is None:
                switches[name].forget(w.id for w in chosen)
            else:
                switches[name].apply(dict.fromkeys(w.id for w in chosen))

        batch.together("flows", flows, works)
    batch.together("connections", lambda works: forget_connections(drivers, works))
    return batch


def _restore(drivers: Drivers, works: Sequence[Work]) -> None:
    for work in works:
        hybrid, before = work.names.hybrid, work.names.before
        if hybrid is not None and before is not None:
            _bridging(drivers).make_hybrid(HybridSpec(**asdict(hybrid)))
            drivers.ovsdb.ensure_ports(work.names.bridge, [_row(hybrid, before)])
            drivers.ovsdb.wait_ports([hybrid.outer], _DECISION)


#: Seconds that the switch has to take a port.
_DECISION = 5.0


def _row(hybrid: Hybrid, before: Before) -> PortSpec:
    """The switch port that was the port; it has its ids once the tap is behind it."""
    ids = {k: v for k, v in before.external_ids.items() if k not in _KNOWN_BY}
    return PortSpec(hybrid.outer, tag=before.tag, ofport=before.ofport_request or 0,
                    mtu=before.mtu_request or 0, external_ids=ids)  # fmt: skip


def _leave(drivers: Drivers, works: Sequence[Work]) -> None:
    for work in works:
        remove_row(drivers.ovsdb, work.device, work.id)
        rejoin(drivers, work)
        hybrid = work.names.hybrid
        row = drivers.ovsdb.port(hybrid.outer) if hybrid is not None else None
        if row is not None and row.ofport:
            port = switch_port(work.item.attachment, work.names, opened=work.item.open)
            port = changed(port, ofport=row.ofport)
            announce_back(drivers.openflow, work.names.bridge, port)


def is_of(item: Item) -> bool:
    """Whether a port came from hybrid plugging."""
    return read(item.made).hybrid is not None
