"""Observe: what on this host bears the plugin's mark."""

from __future__ import annotations

from collections.abc import Iterator

from vifd.drivers import Drivers, PortRow
from vifd.model import Role, Wiring
from vifd.plugin import Observed
from vifd_ovn.marks import opened, wiring_of
from vifd_ovs.bridge import marks


def rows(drivers: Drivers, plugin: str) -> Iterator[PortRow]:
    """The rows that bear the plugin's mark, on any bridge."""
    for bridge in drivers.ovsdb.bridges():
        for row in drivers.ovsdb.ports(bridge):
            ids = row.external_ids
            if ids.get(marks.PLUGIN) == plugin and ids.get(marks.PORT):
                yield row


def observe(drivers: Drivers, plugin: str, vif_type: str) -> list[Observed]:
    """One entry per port, with names enough to remove it or to take it back."""
    found = list(rows(drivers, plugin))
    links = drivers.links.get([row.name for row in found])
    entries = []
    for row in found:
        port_id = row.external_ids[marks.PORT]
        role = Role.ACTIVE if opened(row, port_id) else Role.INACTIVE
        link = links.get(row.name)
        names = wiring_of(row, link.ifindex if link else None)
        objects = [f"switch port {row.name} on {row.bridge}"]
        if link is not None and link.alias == marks.alias(port_id):
            objects.append(f"device {row.name}")
        entries.append(
            Observed(
                port_id, Wiring(plugin, vif_type, row.name, names.details()),
                document=marks.document_of(row, role), objects=tuple(objects),
            )
        )  # fmt: skip
    return entries
