"""Choosing names and numbers: pure functions of what is taken."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from vifd.errors import BackendError, DuplicateAddress, NameClash, NoLocalVlan
from vifd.model import Attachment
from vifd.plugin import Entry, NamingView
from vifd_ovs.bridge.wiring import segment_of

#: Characters of the port's id in its device name; the kernel allows 15 in all.
ID_CHARACTERS = 11


@dataclass
class Taken:
    """What other ports hold, as far as a new port must avoid or share it.

    :param bridge: whose numbers these are
    :param macs: (network id, MAC) to the port's id
    :param tags: local VLAN id to (network id, segment) on the bridge
    :param networks: the other way round
    :param shared: local VLAN id to the VLAN of the bridge that ports of others share with it
    :param foreign_tags: local VLAN ids on the bridge that ports of others use
    :param marked: like ``networks``, of ports that bear our mark and may be in no ledger
    """

    bridge: str
    devices: dict[str, str] = field(default_factory=dict)
    macs: dict[tuple[str, str], str] = field(default_factory=dict)
    ofports: set[int] = field(default_factory=set)
    tags: dict[int, tuple[object, ...]] = field(default_factory=dict)
    networks: dict[tuple[object, ...], int] = field(default_factory=dict)
    shared: dict[int, int] = field(default_factory=dict)
    foreign_tags: Collection[int] = frozenset()
    marked: Mapping[tuple[object, ...], int] = field(default_factory=dict)

    def add(self, port_id: str, entry: Entry) -> None:
        """One port more."""
        holding = entry.derived.get(Holding)
        if holding is None:
            holding = entry.derived[Holding] = _holding(entry)
        self.devices[holding.device] = port_id
        self.macs.setdefault(holding.mac, port_id)
        if holding.bridge == self.bridge:
            self.ofports.add(holding.ofport)
            if holding.tag is None:
                return
            self.tags[holding.tag] = holding.network
            self.networks.setdefault(holding.network, holding.tag)
            if holding.port_tag is not None:
                self.shared[holding.tag] = holding.port_tag


class Holding(NamedTuple):
    """What one port holds.

    :param bridge: empty where it has no number on one
    """

    device: str
    mac: tuple[str, str]
    bridge: str
    ofport: int
    tag: int | None
    network: tuple[object, ...]
    port_tag: int | None


def _holding(entry: Entry) -> Holding:
    details, attachment = entry.wiring.details, entry.attachment
    network = (
        details.get("network_id", ""),
        details.get("network_type", "local"),
        details.get("physical_network"),
        details.get("segmentation_id"),
    )
    bridge = (details.get("bridge") or "") if "ofport" in details else ""
    return Holding(
        entry.wiring.device, (attachment.network.id, attachment.mac), bridge,
        details.get("ofport", 0), details.get("tag"), network, details.get("port_tag"),
    )  # fmt: skip


def survey(attachment: Attachment, bridge: str, ledger: Mapping[str, Entry]) -> Taken:
    """Gather what the ports of the ledger hold. The answer is not to be changed.

    :raises DuplicateAddress: another port of the same network has the same MAC
    """
    own, mac = attachment.id, attachment.mac
    if isinstance(ledger, NamingView) and own not in ledger:
        taken = _so_far(bridge, ledger)
    else:
        taken = Taken(bridge)
        for port_id, entry in ledger.items():
            if port_id != own:
                taken.add(port_id, entry)
    other = taken.macs.get((attachment.network.id, mac))
    if other is not None:
        raise DuplicateAddress(
            facts={"kind": "MAC", "address": mac, "other": other}, port=own, stage="name"
        )
    return taken


def _so_far(bridge: str, ledger: NamingView) -> Taken:
    """The same for the ports of one batch: what was gathered for the port before is completed."""
    key = (survey, bridge)
    taken, count = ledger.derived.get(key) or (Taken(bridge), 0)
    for port_id, entry in islice(ledger.items(), count, None):
        taken.add(port_id, entry)
    ledger.derived[key] = (taken, len(ledger))
    return taken


def device(prefix: str, attachment: Attachment, taken: Taken) -> str:
    """The device's name: a prefix and the beginning of the port's id.

    :raises NameClash: a port whose id begins alike has it
    """
    name = f"{prefix}{attachment.id[:ID_CHARACTERS]}"
    holder = taken.devices.get(name)
    if holder is not None:
        raise NameClash(
            facts={
                "kind": "device name", "name": name, "have": "their ids begin alike",
                "ours": f"port {holder} of vifd",
            },
            port=attachment.id, stage="name",
        )  # fmt: skip
    return name


def ofport(port_id: str, low: int, high: int, *taken: Collection[int]) -> int:
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
        if not any(number in numbers for numbers in taken):
            return number
    raise BackendError(
        facts={"backend": "Open vSwitch", "problem": f"no free port number in {low} to {high}"},
        port=port_id, stage="name", hint="widen ofport_range in agent.conf",
    )  # fmt: skip


def local_vlan(attachment: Attachment, bridge: str, taken: Taken) -> int:
    """The local VLAN id of the network: the one that it has on the bridge, be it of a port that
    only its mark knows; else the smallest free one.

    :raises NoLocalVlan: there is none
    """
    network = (attachment.network.id, *segment_of(attachment.network.segment))
    known = taken.networks.get(network)
    if known is not None:
        return known
    marked = taken.marked.get(network)
    if marked is not None and marked not in taken.tags:
        return marked
    for tag in range(1, 4095):
        if tag not in taken.tags and tag not in taken.foreign_tags:
            return tag
    raise NoLocalVlan(facts={"bridge": bridge}, port=attachment.id, stage="name")


def generation() -> int:
    """A random number of 16 bits that is not 0."""
    return 1 + secrets.randbelow(0xFFFF)
