"""Our marks on the host, written and read side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from vifd.drivers import MARK, PortRow
from vifd.model import Attachment, Role
from vifd.plugin import packing
from vifd.plugin.packing import DOCUMENT, from_text
from vifd_ovs.bridge.wiring import NOWHERE, Before, OvsWiring

#: The alias of every device of ours begins so; the port's id follows.
ALIAS = MARK

PORT, PLUGIN, GENERATION = "vifd-port", "vifd-plugin", "vifd-generation"
NETWORK, SEGMENT = "vifd-network", "vifd-segment"
#: The local VLAN id of the network where it is not the port's tag.
TAG = "vifd-tag"
#: The ifindex of the device that was plugged: what tells it from one that was made anew.
INDEX = "vifd-ifindex"
#: What an adopted port was before, packed, so that it can be given back without a journal.
BEFORE = "vifd-before"
#: What our own external ids begin with.
OWN = "vifd-"
#: A packed document longer than this is left out of the database, in characters.
DOCUMENT_LIMIT = 8192
#: On a patch port of ours: the bridge that it leads to.
PATCH = "vifd-patch"
#: On a tunnel port of ours: its network type and the version of the IP that carries it.
TUNNEL = "vifd-tunnel"
#: On the far end of a pair of patch ports: by which ports its bridge led out of the host.
UPLINKS = "vifd-uplinks"
#: On a bridge that we made.
BRIDGE = "vifd-bridge"


def alias(port_id: str) -> str:
    """The interface alias of a port's device."""
    return f"{ALIAS}{port_id}"


def port_of_alias(text: str) -> str | None:
    """The port's id in an alias of ours."""
    return text.removeprefix(ALIAS) if text.startswith(ALIAS) else None


def external_ids(attachment: Attachment, wiring: OvsWiring, plugin: str) -> dict[str, str]:
    """The external ids of a port's Interface row: those that other software reads, and ours."""
    ids = {
        "iface-id": attachment.id,
        "attached-mac": attachment.mac,
        "iface-status": "active",
        PORT: attachment.id,
        PLUGIN: plugin,
        GENERATION: f"{wiring.generation:#06x}",
        NETWORK: wiring.network_id,
        SEGMENT: "/".join("" if part is None else str(part) for part in wiring.segment),
    }
    if wiring.port_tag is not None:
        ids[TAG] = str(wiring.tag)
    if wiring.before is not None:
        ids |= before_ids(wiring.before)
    if attachment.instance_id:
        ids["vm-uuid"] = attachment.instance_id
    return ids


def row_ids(attachment: Attachment, names: OvsWiring, plugin: str) -> dict[str, str]:
    """What a port's row bears: what other software reads, our mark, and the document."""
    return external_ids(attachment, names, plugin) | document_ids(attachment)


def document_ids(attachment: Attachment) -> dict[str, str]:
    """The external id that holds the document; its value is empty where that is too long."""
    packed = pack(attachment)
    return {DOCUMENT: packed if len(packed) <= DOCUMENT_LIMIT else ""}


def pack(attachment: Attachment) -> str:
    """An attachment document as text without spaces; equal documents give equal text.

    The role is left out: it changes without a change of the database, and the flows tell it.
    """
    return packing.as_text(packing.pack(attachment))


def document_of(row: PortRow, role: Role) -> dict[str, Any] | None:
    """The attachment document in a row of ours, or ``None`` where there is none to be read."""
    document = from_text(row.external_ids.get(DOCUMENT, ""))
    return None if document is None else {**document, "role": role.value}


def before_ids(before: Before) -> dict[str, str]:
    """The external id that keeps what an adopted port was."""
    return {BEFORE: packing.as_text(packing.pack_value(msgspec.to_builtins(before)))}


def before_of(ids: Mapping[str, str]) -> Before | None:
    """What an adopted port was, as its external ids still tell it."""
    found = from_text(ids.get(BEFORE, ""))
    try:
        return None if found is None else msgspec.convert(found, Before)
    except msgspec.ValidationError:
        return None


def belongs(row: PortRow | None, port_id: str) -> bool:
    """Whether a row bears the mark of this port."""
    return row is not None and row.external_ids.get(PORT) == port_id


def known(row: PortRow, names: OvsWiring) -> bool:
    """Whether a row whose marks another program took away is known all the same: it asks for the
    number that we chose, and has the very device that we plugged."""
    return (
        names.plugged
        and names.ifindex is not None
        and (row.bridge, row.ofport_request) == (names.bridge, names.ofport)
        and row.ifindex == names.ifindex
    )


def is_ours(ids: Mapping[str, str]) -> bool:
    """Whether a row bears any mark of ours."""
    return PORT in ids or PATCH in ids or TUNNEL in ids


def ours(row: PortRow | None) -> dict[str, str]:
    """For the facts of a refusal: what of vifd's a row is, where it is; no hint may call that
    foreign."""
    owner = row.external_ids.get(PORT, "") if row is not None else ""
    if owner:
        return {"ours": f"port {owner[:36]} of vifd"}
    mine = row is not None and (is_ours(row.external_ids) or BRIDGE in row.external_ids)
    return {"ours": "vifd itself"} if mine else {}


def wiring_of(row: PortRow) -> OvsWiring:
    """The names and numbers of a port, rebuilt from its row: enough to remove it.

    A port that is taken up again from this is judged by its ifindex as unknown, so it is plugged
    anew.
    """
    ids = row.external_ids
    tag = ids.get(TAG, "")
    network_type, physical, number = _segment(ids.get(SEGMENT, ""))
    return OvsWiring(
        bridge=row.bridge,
        ofport=row.ofport_request or row.ofport or 0,
        tag=_local_vlan(row),
        port_tag=(0 if row.tag == NOWHERE else row.tag or 0) if tag else None,
        generation=_number(ids.get(GENERATION, "")),
        network_id=ids.get(NETWORK, ""),
        network_type=network_type,
        physical_network=physical,
        segmentation_id=number,
        interface_type=row.type,
        socket=row.options.get("vhost-server-path", ""),
        plugged=True,
        before=before_of(ids),
    )


def network_of(row: PortRow) -> tuple[tuple[object, ...], int]:
    """A port's network with its segment, and its local VLAN id, as its row tells them: the part of
    :func:`wiring_of` that is asked of every port of a bridge."""
    ids = row.external_ids
    return (ids.get(NETWORK, ""), *_segment(ids.get(SEGMENT, ""))), _local_vlan(row)


def _local_vlan(row: PortRow) -> int:
    tag = row.external_ids.get(TAG, "")
    return int(tag) if tag.isdecimal() else row.tag or 0


@lru_cache(maxsize=1024)
def _segment(text: str) -> tuple[str, str | None, int | None]:
    """Network type, physical network and segmentation id."""
    kind_, physical, number = [*text.split("/"), "", "", ""][:3]
    return kind_ or "local", physical or None, int(number) if number.isdecimal() else None


def kind(interface_type: str) -> str:
    """An interface's type by one of its names: the empty one stands for ``system``."""
    return interface_type or "system"


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def patch_names(bridge: str, physical_bridge: str) -> tuple[str, str]:
    """The names of the patch ports between two bridges: on the first, and on the second."""
    pair = f"{bridge} {physical_bridge}".encode()
    digest = hashlib.sha256(pair).hexdigest()[:10]
    return f"int-{digest}", f"phy-{digest}"


def far_end(near: str) -> str:
    """The name of the other end of a patch port of ours on an integration bridge."""
    return f"phy-{near.removeprefix('int-')}"
