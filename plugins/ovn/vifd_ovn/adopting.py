"""Adoption: the switch port of somebody else that OVN wires for the logical port of a document, and
whether it can be taken over as it stands. Reads only.

OVN goes by the row's ``iface-id``, which stays; so no flow changes, and no frame is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from vifd.drivers import Drivers
from vifd.model import Attachment
from vifd.plugin import Entry
from vifd_ovn.marks import GATE
from vifd_ovn.wiring import OvnWiring
from vifd_ovs.bridge import claiming, marks, numbers


def claim(
    drivers: Drivers, bridge: str, attachment: Attachment, taken: Mapping[str, Entry]
) -> tuple[str, OvnWiring] | None:
    """The device's name and the names of the port as it stands; ``None`` where there is none.

    :raises AdoptionUnfit: it cannot be taken over without cutting its traffic
    """
    rows = [r for r in drivers.ovsdb.ports(bridge) if r.external_ids.get(GATE) == attachment.id]
    row = claiming.only(rows, attachment.id)
    if row is None:
        return None
    link = drivers.links.get([row.name]).get(row.name)
    link = claiming.fit(row, link, attachment, taken)
    return row.name, OvnWiring(
        bridge=bridge, generation=numbers.generation(), ifindex=link.ifindex,
        multi_queue=link.multi_queue, adopted=True,
        before=claiming.before(row, link, _kept),
    )  # fmt: skip


def _kept(key: str) -> bool:
    """What OVN writes changes by itself, and is no setting to go back to."""
    return not key.startswith((marks.OWN, "ovn-installed"))
