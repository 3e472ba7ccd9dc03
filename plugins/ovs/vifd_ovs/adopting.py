"""Adoption: which switch port of others is the one that a document describes, and whether it can be
taken over as it stands. Reads only."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from vifd.drivers import Drivers, PortRow
from vifd.model import Attachment
from vifd.plugin import Entry
from vifd_ovs.bridge import claiming, marks
from vifd_ovs.bridge.naming import CARRIED, Naming
from vifd_ovs.bridge.neighbours import neighbours
from vifd_ovs.bridge.wiring import OvsWiring

#: Seconds that the switch has to say what it makes of a port that somebody has just plugged.
_DECISION = 2.0


def claim(
    drivers: Drivers, naming: Naming, bridge: str, attachment: Attachment,
    taken: Mapping[str, Entry],
) -> tuple[str, OvsWiring] | None:  # fmt: skip
    """The device's name, and the names and numbers of the port as it stands.

    :returns: ``None`` where no port has its id
    :raises AdoptionUnfit: it cannot be taken over without cutting its traffic
    :raises BackendUnavailable: the switch does not say what it makes of the port
    """
    row = find(drivers, bridge, attachment.id)
    if row is None:
        return None
    if row.ofport is None and not row.error:
        # plugged a moment ago: the row comes first, what the switch makes of it later
        row = drivers.ovsdb.wait_ports([row.name], _DECISION)[row.name]
    link = drivers.links.get([row.name]).get(row.name)
    elsewhere = f"it is on bridge {row.bridge}, [ovs] integration_bridge is {bridge}"
    link = claiming.fit(row, link, attachment, taken, elsewhere if row.bridge != bridge else "")
    _, names = naming.choose(attachment, taken, multi_queue=link.multi_queue)
    vlan = names.port_tag if names.port_tag is not None else shared(drivers, row, attachment)
    made = replace(
        names, ofport=row.ofport or 0, ifindex=link.ifindex, port_tag=vlan, adopted=True,
        before=claiming.before(row, link, _kept),
    )  # fmt: skip
    return row.name, made


def find(drivers: Drivers, bridge: str, port_id: str) -> PortRow | None:
    """By its iface-id, on any bridge; the integration bridge first."""
    others = [name for name in drivers.ovsdb.bridges() if name != bridge]
    found = [
        row
        for name in (bridge, *others)
        for row in drivers.ovsdb.ports(name)
        if row.external_ids.get("iface-id") == port_id
    ]
    return claiming.only(found, port_id)


def shared(drivers: Drivers, row: PortRow, attachment: Attachment) -> int | None:
    """The port's present VLAN, where ports of others are on it and have no other way to the port:
    networks with a physical network are joined there."""
    bridge = drivers.ovsdb.bridge(row.bridge)
    if attachment.network.segment.network_type in CARRIED:
        return None
    if bridge is None or marks.BRIDGE in bridge.external_ids:
        return None
    vlan = row.tag or 0
    rows = [r for r in drivers.ovsdb.ports(row.bridge) if r.name != row.name]
    return vlan if neighbours(rows, vlan) else None


def _kept(key: str) -> bool:
    return not key.startswith(marks.OWN)
