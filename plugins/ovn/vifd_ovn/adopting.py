"""Adoption: the switch port of somebody else that OVN wires for the logical port of a document, and
whether it can be taken over as it stands. Reads only.

OVN goes by the row's ``iface-id``, which stays; so no flow changes, and no frame is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from vifd.drivers import Drivers, Link, PortRow
from vifd.errors import AdoptionUnfit
from vifd.model import Attachment
from vifd.plugin import Entry
from vifd_ovn.marks import GATE
from vifd_ovn.wiring import OvnWiring
from vifd_ovs.bridge import marks, numbers
from vifd_ovs.bridge.wiring import Before


def claim(
    drivers: Drivers, bridge: str, attachment: Attachment, taken: Mapping[str, Entry]
) -> tuple[str, OvnWiring] | None:
    """The device's name and the names of the port as it stands; ``None`` where there is none.

    :raises AdoptionUnfit: it cannot be taken over without cutting its traffic
    """
    rows = [r for r in drivers.ovsdb.ports(bridge) if r.external_ids.get(GATE) == attachment.id]
    if not rows:
        return None
    if len(rows) > 1:
        names = ", ".join(row.name for row in rows)
        raise _unfit(names, "several ports have its iface-id", attachment.id)
    (row,) = rows
    link = drivers.links.get([row.name]).get(row.name)
    problem = _row_problem(row, attachment) or _link_problem(link, attachment)
    if problem or link is None:
        raise _unfit(row.name, problem, attachment.id)
    holder = next((i for i, e in taken.items() if e.wiring.device == row.name), attachment.id)
    if holder != attachment.id:
        raise _unfit(row.name, f"it is the device of port {holder}", attachment.id)
    return row.name, OvnWiring(
        bridge=bridge, generation=numbers.generation(), ifindex=link.ifindex,
        multi_queue=link.multi_queue, adopted=True,
        before=_before(row, link),
    )  # fmt: skip


def _row_problem(row: PortRow, attachment: Attachment) -> str:
    mac = row.external_ids.get("attached-mac", "").lower()
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
        return f"it is a {link.kind or 'physical'} device: only taps can be adopted"
    if link.alias.startswith(marks.ALIAS) and link.alias != marks.alias(attachment.id):
        return f"it bears the mark {link.alias}"
    if link.mtu > mtu:
        return f"its MTU is {link.mtu}, the document says {mtu}: larger frames would be lost"
    return ""


def _before(row: PortRow, link: Link) -> Before | None:
    """What the port is now; what bears our mark already was perhaps something before."""
    if marks.PORT in row.external_ids:
        return marks.before_of(row.external_ids)
    return Before(
        tag=row.tag,
        ofport_request=row.ofport_request,
        mtu_request=row.mtu_request,
        external_ids={k: v for k, v in row.external_ids.items() if not _written_by_others(k)},
        alias="" if link.alias.startswith(marks.ALIAS) else link.alias,
        mac=link.mac,
    )


def _written_by_others(key: str) -> bool:
    """What OVN writes changes by itself, and is no setting to go back to."""
    return key.startswith((marks.OWN, "ovn-installed"))


def _unfit(device: str, problem: str, port_id: str) -> AdoptionUnfit:
    facts = {"device": device, "problem": problem}
    return AdoptionUnfit(facts=facts, stage="adopt", port=port_id)
