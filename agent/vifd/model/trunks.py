"""Trunks: a parent port whose device carries tagged frames, and its sub-ports, each a port of its
own that has no device. Pure.

As the Networking API has it (extensions ``trunk`` and ``trunk-details``): the parent's document
names the sub-ports with their VLANs, and each sub-port has a document of its own, by whose
``device_owner`` it is known to be one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from vifd.model.attachment import Attachment
from vifd.model.extensions import SubPort, Trunk

#: The ``device_owner`` that the Networking API gives a sub-port when it is bound to a host.
SUB_PORT_OWNER = "trunk:subport"
VLAN, INHERIT = "vlan", "inherit"
#: What may stand as a sub-port's ``segmentation_type``.
SEGMENTATION_TYPES = (VLAN, INHERIT)


class Claim(NamedTuple):
    """What a parent says of one of its sub-ports."""

    parent: str
    sub_port: SubPort


def is_sub_port(attachment: Attachment) -> bool:
    """Whether a port is reached through another one's device."""
    return attachment.port.device_owner == SUB_PORT_OWNER


def own_vlan(attachment: Attachment) -> int | None:
    """The VLAN that a sub-port of type ``inherit`` has: its network's."""
    segment = attachment.network.segment
    return segment.segmentation_id if segment.network_type == "vlan" else None


def claims(attachments: Mapping[str, Attachment]) -> Iterator[tuple[str, Claim]]:
    """The sub-ports that ports name, each with who names it."""
    for port_id, attachment in attachments.items():
        if attachment.port.trunk_details is not None:
            for sub_port in attachment.port.trunk_details.sub_ports:
                yield sub_port.port_id, Claim(port_id, sub_port)


def check(attachment: Attachment, trunk: Trunk, fail: Callable[[str, str], None]) -> None:
    """The rules of a parent's document that a schema cannot say.

    :param fail: told of a field's path and what is wrong with it; raises
    """
    if is_sub_port(attachment):
        fail("port.trunk_details", "a sub-port is no parent: trunks are not nested")
    if attachment.network.vlan_transparent or attachment.network.qinq:
        fail("port.trunk_details", "the VLANs of a transparent network are the guest's own: its "
             "ports are no parents")  # fmt: skip
    tags: set[int] = set()
    ids: set[str] = {attachment.id}
    for i, sub_port in enumerate(trunk.sub_ports):
        path = f"port.trunk_details.sub_ports[{i}]"
        if sub_port.segmentation_type not in SEGMENTATION_TYPES:
            wrong = f"{sub_port.segmentation_type!r:.64} is none of {', '.join(SEGMENTATION_TYPES)}"
            fail(f"{path}.segmentation_type", wrong)
        tag = sub_port.segmentation_id
        if tag is None and sub_port.segmentation_type == VLAN:
            fail(f"{path}.segmentation_id", "is required for a sub-port of type vlan")
        if tag is not None and tag in tags:
            fail(f"{path}.segmentation_id", f"{tag} occurs twice")
        if sub_port.port_id in ids:
            fail(f"{path}.port_id", "is the parent port, or occurs twice")
        tags |= {tag} if tag is not None else set()
        ids.add(sub_port.port_id)
