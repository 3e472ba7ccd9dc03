"""What the row of a port bears: what OVN and others read, and our marks.

``iface-id`` is the gate: ovn-controller wires the port that has it, and takes everything away from
one that has not. So a closed port is one without it, but for one that OVN holds closed by itself.
"""

from __future__ import annotations

from vifd.drivers import PortRow
from vifd.model import Attachment
from vifd_ovn.wiring import OvnWiring
from vifd_ovs.bridge import marks

#: Names the logical port.
GATE = "iface-id"
#: Written by ovn-controller once all flows of the port are in the switch.
INSTALLED = "ovn-installed"
INSTALLED_AT = "ovn-installed-ts"


def external_ids(attachment: Attachment, names: OvnWiring, plugin: str) -> dict[str, str]:
    """The external ids of a port's Interface row, but for the gate and the document."""
    ids = {
        "attached-mac": attachment.mac,
        "iface-status": "active",
        marks.PORT: attachment.id,
        marks.PLUGIN: plugin,
        marks.GENERATION: f"{names.generation:#06x}",
        marks.NETWORK: attachment.network.id,
    }
    if names.before is not None:
        ids |= marks.before_ids(names.before)
    if attachment.instance_id:
        ids["vm-uuid"] = attachment.instance_id
    return ids


def wiring_of(row: PortRow, ifindex: int | None) -> OvnWiring:
    """The names of a port, rebuilt from its row: enough to remove it, or to take it back."""
    ids = row.external_ids
    return OvnWiring(
        bridge=row.bridge,
        generation=_number(ids.get(marks.GENERATION, "")),
        ifindex=ifindex,
        plugged=True,
        before=marks.before_of(ids),
    )


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def opened(row: PortRow | None, port_id: str) -> bool:
    """Whether the row tells OVN which logical port it is."""
    return row is not None and row.external_ids.get(GATE) == port_id
