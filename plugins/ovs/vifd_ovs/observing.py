"""Observe: what on this host bears the plugin's mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vifd.drivers import Drivers, PortRow
from vifd.errors import VifError
from vifd.model import Role, Wiring
from vifd.ovs import cookies, flows, marks, tables
from vifd.ovs.wiring import OvsWiring
from vifd.plugin import Observed


def observe(drivers: Drivers, bridges: Sequence[str], plugin: str, vif_type: str) -> list[Observed]:
    """One entry per port, with names enough to remove it."""
    found: dict[str, Observed] = {}
    for bridge in bridges:
        if drivers.ovsdb.bridge(bridge) is None:
            continue
        admitted = _admitted(drivers, bridge)
        for row in drivers.ovsdb.ports(bridge):
            if row.external_ids.get(marks.PLUGIN) == plugin and row.external_ids.get(marks.PORT):
                entry = _of_row(row, plugin, vif_type, admitted)
                found[entry.port_id] = entry
    for link in drivers.links.marked(marks.ALIAS):
        port_id = marks.port_of_alias(link.alias)
        if port_id is None or link.kind != "tun":
            continue
        # its number is unknown, and with it its flows; those are swept at the next comparison
        bare = OvsWiring(bridge=bridges[0], ofport=0, tag=0, generation=0, plugged=True)
        alone = Observed(port_id, Wiring(plugin, vif_type, link.name, bare.details()))
        entry = found.get(port_id, alone)
        found[port_id] = replace(entry, objects=(*entry.objects, f"device {link.name}"))
    return list(found.values())


def _of_row(row: PortRow, plugin: str, vif_type: str, admitted: set[int]) -> Observed:
    names = marks.wiring_of(row)
    opened = cookies.port(names.generation, names.ofport) in admitted
    role = Role.ACTIVE if opened else Role.INACTIVE
    return Observed(
        row.external_ids[marks.PORT],
        Wiring(plugin, vif_type, row.name, names.details()),
        document=marks.document_of(row, role),
        objects=(f"switch port {row.name} on {row.bridge}",),
    )


def _admitted(drivers: Drivers, bridge: str) -> set[int]:
    """The cookies of ports that traffic passes."""
    try:
        present = drivers.openflow.dump(bridge, *cookies.OURS)
    except VifError:
        return set()
    return {f.cookie for f in present if (f.table, f.priority) == (tables.CLASSIFY, flows.ADMIT)}
