"""The ports of a plugin as the database still tells them: the first half of ``observe``."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.drivers import Drivers, PortRow
from vifd.errors import VifError
from vifd.model import Role, Wiring
from vifd.plugin import Host, Observed
from vifd_ovs.bridge import cookies, flows, marks, tables, wiring


def bridges_of(host: Host, integration: str) -> list[str]:
    """The integration bridge and every bridge that the ledger names."""
    bridges = {integration}
    for entry in host.ledger().values():
        names = wiring.read_if(entry.wiring)
        if names is not None:
            bridges.add(names.bridge)
    return sorted(bridges)


def observe_rows(
    drivers: Drivers, bridges: Iterable[str], plugin: str, vif_type: str
) -> dict[str, Observed]:
    """The ports whose rows bear the plugin's mark, by id, with names enough to remove them."""
    found: dict[str, Observed] = {}
    for bridge in bridges:
        if drivers.ovsdb.bridge(bridge) is None:
            continue
        admitted = _admitted(drivers, bridge)
        for row in drivers.ovsdb.ports(bridge):
            if row.external_ids.get(marks.PLUGIN) == plugin and row.external_ids.get(marks.PORT):
                entry = _of_row(row, plugin, vif_type, admitted)
                found[entry.port_id] = entry
    return found


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
