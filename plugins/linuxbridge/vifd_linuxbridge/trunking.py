"""Which sub-port passes over which parent's device, by the ports as they are. Pure.

Nothing of it is stored: whatever becomes of a parent becomes of its sub-ports in the same call, and
it does not matter which of them came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from vifd.model import Attachment, Evidence
from vifd.model.trunks import Claim, claims, is_sub_port, own_vlan
from vifd.plugin import Entry, Item, Requirement, trunks


class Way(NamedTuple):
    """Where the frames of a sub-port come and go.

    :param parent: the port
    :param device: its tap
    :param carries: whether that one is open by its role; if its ``admin_state_up`` is false it
        drops frames without a tag alone, as with Neutron
    """

    parent: str
    device: str
    vlan: int
    carries: bool


class Trunks:
    """The ports of this host as one call finds or makes them.

    :param entries: the ledger
    :param plugin: whose ports may be parents
    :param items: the ports of the call, which are newer
    :param opened: whether the call opens or closes them; else an item says it itself
    :param gone: whether the call takes them away
    """

    def __init__(
        self, entries: Mapping[str, Entry], plugin: str, items: Iterable[Item] = (), *,
        opened: bool | None = None, gone: bool = False,
    ) -> None:  # fmt: skip
        self.plugin = plugin
        self.entries = dict(entries)
        self.asked = {item.id for item in items}
        for item in items:
            self.entries.pop(item.id, None)
            if not gone:
                is_open = item.open if opened is None else opened
                self.entries[item.id] = Entry(item.attachment, item.made, is_open)

    @cached_property
    def _claims(self) -> Mapping[str, list[Claim]]:
        found: dict[str, list[Claim]] = {}
        for port_id, claim in claims({i: e.attachment for i, e in self.entries.items()}):
            found.setdefault(port_id, []).append(claim)
        return found

    @cached_property
    def made(self) -> Mapping[str, Entry]:
        """The sub-ports that were plugged, or are now."""
        return {
            i: e for i, e in self.entries.items()
            if e.wiring.plugin == self.plugin and e.wiring.details.get("sub_port")
            and (i in self.asked or e.wiring.details.get("plugged"))
        }  # fmt: skip

    def way(self, port_id: str, attachment: Attachment) -> Way | Evidence:
        """Where the frames of a sub-port pass, or why they do not."""
        found = self._claims.get(port_id, [])
        if len(found) != 1:
            return trunks.unclaimed(found)
        claim = found[0]
        entry = self.entries[claim.parent]
        if entry.wiring.plugin != self.plugin:
            have = f"port {claim.parent} of plugin {entry.wiring.plugin} has no device for it"
            return trunks.lacking("trunk.parent", have, trunks.PARENT)
        vlan = claim.sub_port.segmentation_id or own_vlan(attachment)
        if vlan is None:
            return trunks.without_vlan()
        return Way(claim.parent, entry.wiring.device, vlan, entry.open)

    def tags(self, parent: str) -> dict[int, str]:
        """The sub-ports that a parent names, by VLAN."""
        entry = self.entries.get(parent)
        trunk = entry.attachment.port.trunk_details if entry is not None else None
        found = {}
        for sub_port in trunk.sub_ports if trunk is not None else ():
            child = self.entries.get(sub_port.port_id)
            vlan = sub_port.segmentation_id or (own_vlan(child.attachment) if child else None)
            if vlan is not None:
                found[vlan] = sub_port.port_id
        return found

    def passing(self, parent: str) -> frozenset[int]:
        """The VLANs of its sub-ports that are plugged and open."""
        named = self.tags(parent)
        return frozenset(
            v for v, child in named.items()
            if (entry := self.made.get(child)) is not None and entry.open
            and isinstance(self.way(child, entry.attachment), Way)
        )  # fmt: skip

    @cached_property
    def others(self) -> Mapping[str, Entry]:
        """The sub-ports that were plugged, and are no part of the call."""
        return {i: e for i, e in self.made.items() if i not in self.asked}


def needs(
    attachment: Attachment, ledger: Mapping[str, Entry], plugin: str
) -> Iterator[Requirement]:
    """Parents and sub-ports of one trunk are of one plugin: a VLAN device stands on a tap; and it
    carries no larger packets than that."""
    for other, entry in trunks.relatives(attachment, ledger):
        child = is_sub_port(attachment)
        who = "its parent" if child else "its sub-port"
        if entry.wiring.plugin != plugin:
            yield trunks.conflict(
                f"{who}, port {other}, is plugin {entry.wiring.plugin}'s; plugin {plugin} would "
                "have the port on a bridge of the kernel, and a trunk is on one bridge", other,
            )  # fmt: skip
            continue
        below, above = attachment.network.mtu, entry.attachment.network.mtu
        if child:
            below, above = above, below
        if above > below:
            yield trunks.conflict(
                f"packets of {above} bytes on the network of the sub-port, and of {below} on that "
                f"of its parent, over whose device they pass: {who} is port {other}", other,
            )  # fmt: skip


def split(batch: Iterable[Item]) -> tuple[list[Item], list[Item]]:
    """The sub-ports of a batch, and the other ports."""
    subs: list[Item] = []
    rest: list[Item] = []
    for item in batch:
        (subs if item.made.details.get("sub_port") is True else rest).append(item)
    return subs, rest


def item_of(entry: Entry) -> Item:
    """A port of the ledger as the verbs see it."""
    return Item(entry.attachment, entry.wiring, entry.wiring, open=entry.open)
