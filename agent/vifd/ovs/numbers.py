"""Choosing names and numbers: pure functions of what is taken."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from vifd.errors import BackendError, DuplicateAddress, NameClash, NoLocalVlan
from vifd.model import Attachment
from vifd.ovs.wiring import segment_of
from vifd.plugin import Entry

#: Characters of the port's id in its device name; the kernel allows 15 in all.
ID_CHARACTERS = 11


@dataclass
class Taken:
    """What other ports hold, as far as a new port must avoid or share it.

    :param tags: local VLAN id to (network id, segment) on the bridge
    :param foreign_tags: local VLAN ids on the bridge that ports of others use
    """

    devices: dict[str, str] = field(default_factory=dict)
    ofports: set[int] = field(default_factory=set)
    tags: dict[int, tuple[object, ...]] = field(default_factory=dict)
    foreign_tags: set[int] = field(default_factory=set)


def survey(attachment: Attachment, bridge: str, ledger: Mapping[str, Entry]) -> Taken:
    """Gather what the ports of the ledger hold.

    :raises DuplicateAddress: another port of the same network has the same MAC
    """
    taken = Taken()
    own, mac, network = attachment.id, attachment.mac, attachment.network.id
    for port_id, entry in ledger.items():
        if port_id == own:
            continue
        other = entry.attachment
        if other.network.id == network and other.mac == mac:
            raise DuplicateAddress(
                facts={"kind": "MAC", "address": mac, "other": port_id}, port=own, stage="name"
            )
        taken.devices[entry.wiring.device] = port_id
        details = entry.wiring.details
        if details.get("bridge") == bridge and "ofport" in details:
            taken.ofports.add(details["ofport"])
            segment = tuple(
                details.get(key, "local" if key == "network_type" else None)
                for key in ("network_type", "physical_network", "segmentation_id")
            )
            taken.tags[details["tag"]] = (details.get("network_id", ""), *segment)
    return taken


def device(prefix: str, attachment: Attachment, taken: Taken) -> str:
    """The device's name: a prefix and the beginning of the port's id.

    :raises NameClash: a port whose id begins alike has it
    """
    name = f"{prefix}{attachment.id[:ID_CHARACTERS]}"
    holder = taken.devices.get(name)
    if holder is not None:
        raise NameClash(
            facts={"kind": "device name", "name": name, "have": f"the device of port {holder}"},
            port=attachment.id, stage="name",
        )  # fmt: skip
    return name


def ofport(port_id: str, low: int, high: int, taken: Collection[int]) -> int:
    """A free OpenFlow port number; where the search starts depends on the port's id, so that the
    number of a removed port is not given to the next one at once.

    :param low: first number of the range
    :param high: last number of the range
    :raises BackendError: the range is used up
    """
    span = high - low + 1
    start = zlib.crc32(port_id.encode()) % span
    for step in range(span):
        number = low + (start + step) % span
        if number not in taken:
            return number
    raise BackendError(
        facts={"backend": "Open vSwitch", "problem": f"no free port number in {low} to {high}"},
        port=port_id, stage="name", hint="widen ofport_range in agent.conf",
    )  # fmt: skip


def local_vlan(attachment: Attachment, bridge: str, taken: Taken) -> int:
    """The local VLAN id of the network: the one that it has on the bridge, else the smallest free.

    :raises NoLocalVlan: there is none
    """
    network = (attachment.network.id, *segment_of(attachment.network.segment))
    for tag, holder in taken.tags.items():
        if holder == network:
            return tag
    for tag in range(1, 4095):
        if tag not in taken.tags and tag not in taken.foreign_tags:
            return tag
    raise NoLocalVlan(facts={"bridge": bridge}, port=attachment.id, stage="name")


def generation() -> int:
    """A random number of 16 bits that is not 0."""
    return 1 + secrets.randbelow(0xFFFF)
