"""Adoption: which switch port of others is the one that a document describes, and whether it can be
taken over as it stands. Reads only."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from vifd.drivers import Drivers, Link, PortRow
from vifd.errors import AdoptionUnfit
from vifd.model import Attachment
from vifd.plugin import Entry
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.naming import CARRIED, Naming
from vifd_ovs.bridge.neighbours import neighbours
from vifd_ovs.bridge.wiring import Before, OvsWiring

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
    row = _find(drivers, bridge, attachment.id)
    if row is None:
        return None
    if row.ofport is None and not row.error:
        # plugged a moment ago: the row comes first, what the switch makes of it later
        row = drivers.ovsdb.wait_ports([row.name], _DECISION)[row.name]
    link = drivers.links.get([row.name]).get(row.name)
    problem = _row_problem(row, bridge, attachment) or _link_problem(link, attachment)
    if problem or link is None:
        raise _unfit(row.name, problem, attachment.id)
    holder = next((i for i, e in taken.items() if e.wiring.device == row.name), attachment.id)
    if holder != attachment.id:
        raise _unfit(row.name, f"it is the device of port {holder}", attachment.id)
    _, names = naming.choose(attachment, taken, multi_queue=link.multi_queue)
    shared = names.port_tag if names.port_tag is not None else _shared(drivers, row, attachment)
    made = replace(
        names, ofport=row.ofport or 0, ifindex=link.ifindex, port_tag=shared, adopted=True,
        before=_before(row, link),
    )  # fmt: skip
    return row.name, made


def _find(drivers: Drivers, bridge: str, port_id: str) -> PortRow | None:
    """By its iface-id, on any bridge; the integration bridge first."""
    others = [name for name in drivers.ovsdb.bridges() if name != bridge]
    found = [
        row
        for name in (bridge, *others)
        for row in drivers.ovsdb.ports(name)
        if row.external_ids.get("iface-id") == port_id
    ]
    if len(found) > 1:
        names = ", ".join(row.name for row in found)
        raise _unfit(names, "several ports have its iface-id", port_id)
    return found[0] if found else None


def _row_problem(row: PortRow, bridge: str, attachment: Attachment) -> str:
    mac = row.external_ids.get("attached-mac", "").lower()
    if row.bridge != bridge:
        return f"it is on bridge {row.bridge}, [ovs] integration_bridge is {bridge}"
    if row.external_ids.get(marks.PORT, attachment.id) != attachment.id:
        return f"it bears the mark of port {row.external_ids[marks.PORT]}"
    if row.type:
        return f"it is a port of type {row.type}, only taps can be adopted"
    if row.error or (row.ofport or 0) <= 0:
        return f"the switch does not have it: {row.error or 'no port number'}"
    if mac and mac != attachment.mac:
        return f"its attached-mac is {mac}, the document says {attachment.mac}"
    return ""


def _link_problem(link: Link | None, attachment: Attachment) -> str:
    mtu = attachment.network.mtu
    if link is None:
        return "there is no such device"
    if link.kind != "tun":
        kind = link.kind or "physical"
        return f"it is a {kind} device, the guest's tap is behind it: only taps can be adopted"
    if link.alias.startswith(marks.ALIAS) and link.alias != marks.alias(attachment.id):
        return f"it bears the mark {link.alias}"
    if link.mtu > mtu:
        return f"its MTU is {link.mtu}, the document says {mtu}: larger frames would be lost"
    return ""


def _before(row: PortRow, link: Link) -> Before | None:
    """What the port is in the other hand; what bears our mark already is in no other hand, and was
    perhaps in one."""
    if marks.PORT in row.external_ids:
        return marks.before_of(row.external_ids)
    return Before(
        tag=row.tag,
        ofport_request=row.ofport_request,
        mtu_request=row.mtu_request,
        external_ids={k: v for k, v in row.external_ids.items() if not k.startswith(marks.OWN)},
        alias="" if link.alias.startswith(marks.ALIAS) else link.alias,
        mac=link.mac,
    )


def _shared(drivers: Drivers, row: PortRow, attachment: Attachment) -> int | None:
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


def _unfit(device: str, problem: str, port_id: str) -> AdoptionUnfit:
    facts = {"device": device, "problem": problem}
    return AdoptionUnfit(facts=facts, stage="adopt", port=port_id)
