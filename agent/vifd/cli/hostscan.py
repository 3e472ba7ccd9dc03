"""Attachment documents for ports that other programs plugged, from what this host knows. Pure.

What a host cannot know is said as a hint: the addresses of a port are its network service's.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vifd.cli import switchrows

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: What vifd writes on a switch port, and into the alias of a device.
_MARK, _ALIAS = "vifd-", "vifd:"
#: Networks of hosts that say only a VLAN get ids that follow from bridge and VLAN.
_NAMES = uuid.UUID("0f4b7e0a-5a0c-5d0e-8f0b-7c1d2e3f4a5b")

#: What is read of the switch.
TABLES: Mapping[str, Mapping[str, switchrows.Kind]] = {
    "Bridge": {"name": switchrows.text, "ports": switchrows.references},
    "Port": {
        "_uuid": switchrows.reference, "name": switchrows.text,
        "interfaces": switchrows.references, "tag": switchrows.number,
        "other_config": switchrows.words,
    },
    "Interface": {
        "_uuid": switchrows.reference, "name": switchrows.text, "type": switchrows.text,
        "external_ids": switchrows.words,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Guest:
    """A network card of a guest, as libvirt has it."""

    id: str
    name: str
    device: str
    mac: str


@dataclass(frozen=True)
class Link:
    """A network device of this host.

    :ivar bridge: the bridge of the kernel that it is a port of; empty without
    """

    name: str
    mtu: int
    alias: str = ""
    bridge: str = ""
    tap: bool = False


@dataclass
class Scan:
    """What was found.

    :ivar ports: documents
    :ivar places: by port id, where it is
    :ivar hints: what must be added or known, most important first
    :ivar ours: how many ports vifd has already
    """

    ports: list[dict[str, Any]] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    ours: int = 0


@dataclass(frozen=True)
class _Row:
    """A switch port with an id of a port."""

    port: str
    device: str
    bridge: str
    tag: int | None
    external: Mapping[str, str]
    other: Mapping[str, str]


def scan(
    tables: Mapping[str, Sequence[Any]],
    links: Iterable[Link],
    guests: Iterable[Guest],
    known: Mapping[str, dict[str, Any]] | None = None,
) -> Scan:
    """Documents of what is plugged here and not vifd's.

    :param tables: rows of the switch, see :data:`TABLES`
    :param known: documents by port id that a network service's answers made; they are whole
    """
    found, devices = Scan(), {link.name: link for link in links}
    cards = {guest.device: guest for guest in guests}
    known = known or {}
    bare: list[str] = []
    nameless: list[str] = []
    for row in _rows(tables):
        if any(key.startswith(_MARK) for key in row.external):
            found.ours += 1
            continue
        if row.port in found.places:
            found.hints.append(
                f"port {row.port}: {row.device} on {row.bridge} names it as well as "
                f"{found.places[row.port]}. Next: take iface-id from the one that is stale"
            )
            continue
        link, guest = devices.get(row.device), cards.get(row.device)
        document = known.get(row.port)
        if document is None:
            document = _document(row, link, guest)
            (bare if "port" in document else nameless).append(row.port)
        if "port" not in document:
            continue
        found.places[row.port] = f"{row.device} on {row.bridge}"
        found.ports.append(_with_instance(document, row, guest))
    found.hints += _hints(bare, nameless, found, known)
    found.hints += _elsewhere(devices.values(), cards)
    return found


def _rows(tables: Mapping[str, Sequence[Any]]) -> list[_Row]:
    bridges = {port: b["name"] for b in tables["Bridge"] for port in b["ports"]}
    interfaces = {i["_uuid"]: i for i in tables["Interface"]}
    rows = []
    for port in tables["Port"]:
        # between two tables nothing can have changed, yet a row may be nobody's
        for interface in filter(None, map(interfaces.get, port["interfaces"])):
            wanted = interface["external_ids"].get("iface-id", "").lower()
            if _UUID.fullmatch(wanted):
                rows.append(
                    _Row(wanted, interface["name"], bridges.get(port["_uuid"], "?"), port["tag"],
                         interface["external_ids"], port["other_config"])
                )  # fmt: skip
    return sorted(rows, key=lambda row: (row.bridge, row.device))


def _document(row: _Row, link: Link | None, guest: Guest | None) -> dict[str, Any]:
    """What this host knows of a port; without its MAC address nothing can be said."""
    mac = row.external.get("attached-mac", "") or (guest.mac if guest else "")
    if not mac:
        return {}
    return {
        "version": "1.0",
        "role": "ACTIVE",
        # who may send what was decided elsewhere, by somebody who knows the addresses
        "port": {"id": row.port, "mac_address": mac.lower(), "port_security_enabled": False},
        "network": _network(row, link),
    }


def _network(row: _Row, link: Link | None) -> dict[str, Any]:
    """As neutron's agent notes it beside the port, else a local one on its VLAN."""
    network = row.other.get("net_uuid", "").lower()
    segment: dict[str, Any] = {"network_type": "local"}
    if _UUID.fullmatch(network) and row.other.get("network_type"):
        segment = {"network_type": row.other["network_type"]}
        if row.other.get("physical_network") not in (None, "", "None"):
            segment["physical_network"] = row.other["physical_network"]
        if row.other.get("segmentation_id", "").isdigit():
            segment["segmentation_id"] = int(row.other["segmentation_id"])
    else:
        network = str(uuid.uuid5(_NAMES, f"{row.bridge} {row.tag}"))
    made: dict[str, Any] = {"id": network, "segment": segment}
    return {**made, "mtu": link.mtu} if link else made


def _with_instance(
    document: dict[str, Any], row: _Row, guest: Guest | None
) -> dict[str, Any]:  # fmt: skip
    if "instance" in document:
        return document
    instance = guest.id if guest else row.external.get("vm-uuid", "").lower()
    if not _UUID.fullmatch(instance):
        return document
    return {**document, "instance": {"id": instance, **({"name": guest.name} if guest else {})}}


def _hints(
    bare: Sequence[str], nameless: Sequence[str], found: Scan, known: Mapping[str, Any]
) -> list[str]:
    hints = []
    if bare:
        hints.append(
            f"{len(bare)} ports have no addresses here, so they are taken over without "
            "anti-spoofing (port_security_enabled: false). Next: give what the network service "
            "answers with --neutron FILE (ports, networks, subnets, security groups), or add "
            f"fixed_ips and take the line out: {_few(bare)}"
        )
    if nameless:
        hints.append(
            f"{len(nameless)} ports say no MAC address and no guest of libvirt has their device, "
            "so they are left out. Next: set external_ids:attached-mac of their interfaces: "
            f"{_few(nameless)}"
        )
    local = [
        str(doc["port"]["id"]) for doc in found.ports
        if doc["network"]["segment"]["network_type"] == "local" and doc["port"]["id"] not in known
    ]  # fmt: skip
    if local:
        hints.append(
            f"{len(local)} ports say no network, so each VLAN is a local network of its own, which "
            "keeps the VLAN as it is. Next: where it leaves the host by a provider network, write "
            f"its segment (network_type, physical_network, segmentation_id): {_few(local)}"
        )
    absent = sorted(set(known) - set(found.places))
    if absent:
        hints.append(
            f"{len(absent)} ports of the files are not plugged here, or vifd's already, and left "
            f"out: {_few(absent)}"
        )
    return hints


def _elsewhere(links: Iterable[Link], cards: Mapping[str, Guest]) -> list[str]:
    """Ports on bridges of the kernel: nothing there names a port, and none is taken over."""
    return [
        f"{link.name} on the Linux bridge {link.bridge}"
        + (f", of guest {cards[link.name].name}," if link.name in cards else "")
        + " cannot be taken over in place: nothing there says which port it is. Next: plug it "
        "anew while its guest is off (vifctl guest wire, or its network service)"
        for link in sorted(links, key=lambda link: link.name)
        if link.bridge and link.tap and not link.alias.startswith(_ALIAS)
    ]


def _few(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
