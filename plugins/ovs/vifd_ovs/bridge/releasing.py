"""Release: a port leaves our hand while its frames pass.

The way back of an adoption, in the reverse order. The row is another program's first, so that the
old way works; then the port's own frames are left to it, while those for it still come by ours;
then the bridges that learn are told where it is; and only then our flows go. For a moment a frame
may come twice, none is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from vifd.drivers import Drivers, Ovsdb, PortRow, PortSpec
from vifd.openflow.flow import Flow
from vifd.plugin import Entry, Host, Item
from vifd_ovs.bridge import cookies, marks, wiring
from vifd_ovs.bridge.announcing import announce_back
from vifd_ovs.bridge.batch import Batch, Work
from vifd_ovs.bridge.naming import CARRIED
from vifd_ovs.bridge.ports import Gate, SwitchPort, switch_port
from vifd_ovs.bridge.switch import Switch
from vifd_ovs.bridge.tables import CLASSIFY
from vifd_ovs.bridge.wiring import NOWHERE, Before, OvsWiring

#: External ids that other software reads, and that we set as well.
_SHARED = ("iface-id", "attached-mac", "iface-status", "vm-uuid")


def hindrance(host: Host, port_id: str, names: OvsWiring) -> str:
    """Why a port had better not be given back, or the empty string."""
    drivers = host.drivers
    bridge = drivers.ovsdb.bridge(names.bridge)
    if names.sub_port:
        return "its frames pass over its parent's device, and by flows of vifd alone"
    if names.before is None and not names.hosted:
        return "vifd made it, or adopted it before it began to keep what such a port was"
    if bridge is None:
        return f"bridge {names.bridge} is gone, and the port with it"
    if marks.BRIDGE in bridge.external_ids:
        return f"bridge {names.bridge} was made by vifd, which alone passes frames on it"
    if not any(_foreign(flow) for flow in drivers.openflow.dump(names.bridge, 0, 0)):
        return f"bridge {names.bridge} has no flow of another program that would pass its frames"
    left = names.before and _left_behind(host.ledger(), port_id, names, names.before)
    if left:
        return f"port {left[0]} of its network is in another VLAN of bridge {names.bridge}"
    return ""


def _left_behind(
    ledger: Mapping[str, Entry], port_id: str, names: OvsWiring, before: Before
) -> list[str]:
    """Ports of ours that the port reaches, and would not reach any more: those of a network that
    does not leave the bridge, which is in another VLAN than the port was."""
    if names.network_type in CARRIED or names.port_tag == (before.tag or 0):
        return []
    others = {i: wiring.read_if(e.wiring) for i, e in ledger.items() if i != port_id}
    return sorted(i for i, o in others.items()
                  if o is not None and (o.bridge, o.tag) == (names.bridge, names.tag))  # fmt: skip


def _foreign(flow: Flow) -> bool:
    return flow.table == CLASSIFY and not cookies.ours(flow.cookie)


def release(
    drivers: Drivers,
    switches: Mapping[str, Switch],
    items: Sequence[Item],
    devices: Callable[[Iterable[Work]], object],
) -> Batch:
    """Give the ports of a batch back. What is gone, or another program's already, is no error.

    :param devices: gives back what the switch ports stand on
    """
    batch = Batch.of(items)
    batch.together("device", devices)
    batch.together("ovsdb", lambda chosen: _rows(drivers.ovsdb, chosen))
    standing = [name for name in batch.bridges() if drivers.ovsdb.bridge(name) is not None]
    for name in standing:
        _hand_over(drivers, switches[name], batch)
    for name, works in batch.bridges().items():
        if name not in standing:
            switches[name].forget(w.id for w in works)
    return batch


def _hand_over(drivers: Drivers, switch: Switch, batch: Batch) -> None:
    """The flows of one bridge."""
    works = batch.bridges()[switch.bridge]
    opened = [w for w in works if w.item.open]

    def step(chosen: Sequence[Work], gate: Gate | None) -> None:
        switch.apply({w.id: _at(w, gate) for w in chosen})

    batch.together("flows", lambda chosen: step(chosen, Gate.LEAVING), opened)
    leaving = [w for w in opened if w.id not in batch.failed]
    if leaving:
        switch.settle()
    for work in leaving:
        announce_back(drivers.openflow, switch.bridge, _port(work))
    alive = [w for w in works if w.id not in batch.failed]
    batch.together("flows", lambda chosen: step(chosen, None), alive)


def _port(work: Work) -> SwitchPort:
    return switch_port(work.item.attachment, work.names, opened=work.item.open)


def _at(work: Work, gate: Gate | None) -> SwitchPort | None:
    return None if gate is None else replace(_port(work), gate=gate)


def _rows(ovsdb: Ovsdb, works: Iterable[Work]) -> None:
    """Rows as they were. The mark goes last: it says that there is something to do."""
    ours = [(w, row) for w in works if marks.belongs(row := ovsdb.port(w.device), w.id) and row]
    by_bridge: dict[str, list[PortSpec]] = {}
    for work, row in ours:
        by_bridge.setdefault(row.bridge, []).append(_spec(work, row))
    for bridge, specs in by_bridge.items():
        ovsdb.ensure_ports(bridge, specs)
    if ours:
        ovsdb.set_external_ids({row.name: _ids(work.names.before, row) for work, row in ours})


def _spec(work: Work, row: PortRow) -> PortSpec:
    """The row without what we asked for. A smaller MTU than it has now would cut off what its guest
    sends, so that one stays. A port that was in no other VLAN than one of ours is in none: there,
    flows of others would reach ports of ours past their filters."""
    before = work.names.before
    if before is None:
        shared = work.names.port_tag is not None
        tag = work.names.row_tag(opened=True) if shared else NOWHERE
        return PortSpec(row.name, tag=tag, type=row.type)
    asked, wanted = before.mtu_request, work.item.attachment.network.mtu
    return PortSpec(
        row.name, tag=before.tag, type=row.type, ofport=before.ofport_request or 0,
        mtu=None if asked is not None and asked < wanted else asked or 0,
    )  # fmt: skip


def _ids(before: Before | None, row: PortRow) -> dict[str, str | None]:
    """External ids as they were; those that another program has added since stay."""
    ids: dict[str, str | None] = {
        key: None for key in row.external_ids if key.startswith(marks.OWN)
    }
    if before is not None:
        ids |= {key: before.external_ids.get(key) for key in _SHARED}
    return ids
