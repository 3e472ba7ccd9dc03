"""Parents and sub-ports as documents."""

from __future__ import annotations

from typing import Any

import msgspec

from vifd.model import Attachment
from vifd.model.trunks import SUB_PORT_OWNER
from vifd.testing.attachments import attachment, port_id

#: Port number and VLAN; the VLAN of one that inherits it is ``None``.
Sub = tuple[int, int | None]


def details(number: int, *subs: Sub) -> dict[str, Any]:
    """The trunk of parent ``number``, as the Networking API has it."""
    return {
        "trunk_id": port_id(0xF000 + number),
        "sub_ports": [
            {"port_id": port_id(n)}
            | ({"segmentation_type": "inherit"} if v is None
               else {"segmentation_id": v, "segmentation_type": "vlan"})
            for n, v in subs
        ],
    }  # fmt: skip


def parent(number: int, *subs: Sub, **changes: Any) -> Attachment:
    """A port with a trunk."""
    return attachment(number, trunk_details=details(number, *subs), **changes)


def sub_port(number: int, network: int, **changes: Any) -> Attachment:
    """A sub-port, on a network of its own."""
    return attachment(number, network=network, device_owner=SUB_PORT_OWNER, **changes)


def told_apart(wanted: Attachment) -> Attachment:
    """On a network whose bridge has a name of its own: those are named by how ids begin."""
    own = f"{wanted.network.id[-8:]}-0000-4000-8000-000000000000"
    return msgspec.structs.replace(wanted, network=msgspec.structs.replace(wanted.network, id=own))
