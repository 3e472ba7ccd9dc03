"""Recall: a port that only its marks know, so that it can be taken over in place. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from vifd.drivers import Drivers, Link, PortRow
from vifd.errors import VifError
from vifd.model import Attachment
from vifd.plugin import Entry
from vifd_ovs.bridge import cookies, marks, standing
from vifd_ovs.bridge.flows import ADMIT
from vifd_ovs.bridge.naming import Naming
from vifd_ovs.bridge.tables import CLASSIFY
from vifd_ovs.bridge.wiring import OvsWiring


@dataclass(frozen=True)
class Found:
    """A port as it stands.

    :param open: whether its flows let traffic pass
    """

    device: str
    names: OvsWiring
    open: bool


def recall(
    drivers: Drivers, naming: Naming, plugin: str, attachment: Attachment,
    taken: Mapping[str, Entry], *, multi_queue: bool,
) -> Found | None:  # fmt: skip
    """The port on the integration bridge whose row bears the marks of this port and plugin.

    Where the device is the one that was plugged, nothing of the port is made anew; where it is not,
    or nobody can tell, its numbers are kept and the rest is.

    :param multi_queue: of a port that has no device of the kernel
    :raises VifError: what it would be named stands in its way
    """
    device = naming.marked(attachment.id)
    row = drivers.ovsdb.port(device) if device else None
    if row is None or not marks.belongs(row, attachment.id):
        return None
    if row.external_ids.get(marks.PLUGIN) != plugin:
        return None
    link = None if row.type else drivers.links.get([row.name]).get(row.name)
    several = link.multi_queue if link is not None else multi_queue
    _, chosen = naming.choose(attachment, taken, multi_queue=several)
    names = standing.joined(marks.wiring_of(row), chosen, naming.held(attachment, taken))
    same = (names.ofport, names.generation) == (row.ofport, _generation(row))
    index = _plugged(row, link, attachment.id)
    intact = same and (bool(row.type) or index is not None)
    names = replace(names, ifindex=index if intact else None, adopted=intact)
    return Found(row.name, names, intact and _admitted(drivers, names))


def _plugged(row: PortRow, link: Link | None, port_id: str) -> int | None:
    """The ifindex of the device, if it is the one that the switch was given."""
    if link is None or link.alias != marks.alias(port_id):
        return None
    return link.ifindex if row.external_ids.get(marks.INDEX) == str(link.ifindex) else None


def _generation(row: PortRow) -> int:
    return marks.wiring_of(row).generation


def _admitted(drivers: Drivers, names: OvsWiring) -> bool:
    cookie = cookies.port(names.generation, names.ofport)
    try:
        flows = drivers.openflow.dump_each(names.bridge, [cookie])[cookie]
    except VifError:
        return False
    return any((flow.table, flow.priority) == (CLASSIFY, ADMIT) for flow in flows)
