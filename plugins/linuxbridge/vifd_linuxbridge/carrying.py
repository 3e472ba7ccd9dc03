"""The verbs of trunks: sub-ports of a call, and those that follow their parents in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vifd.drivers import Bridging, Links, Nft
from vifd.model import Evidence
from vifd.plugin import Item, trunks
from vifd.plugin.identity import Identity
from vifd_linuxbridge import marks, subports
from vifd_linuxbridge.answering import Answering
from vifd_linuxbridge.batch import Batch
from vifd_linuxbridge.grouping import Grouping
from vifd_linuxbridge.networks import Networks
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.plugging import close_gates, open_gates
from vifd_linuxbridge.removal import unplug
from vifd_linuxbridge.subports import SubPlugging, Tags, Waiting
from vifd_linuxbridge.trunking import Trunks, Way, item_of


@dataclass(frozen=True)
class Tools:
    """What a call works with.

    :param own: who makes it, for the mark that one daemon alone does
    """

    links: Links
    bridging: Bridging
    nft: Nft
    settings: Settings
    networks: Networks
    own: Identity | None
    grouping: Grouping | None
    answering: Answering


class Carrying:
    """The sub-ports of one call.

    :param batch: makes works of items
    """

    def __init__(
        self, tools: Tools, trunks: Trunks, batch: Callable[[Sequence[Item], Trunks], Batch]
    ) -> None:
        self._tools = tools
        self._trunks = trunks
        self._batch = batch
        guarding = tools.networks.guarding
        self._tags = Tags(tools.bridging, trunks, self._parents, guarding=guarding)

    def _parents(self, ids: Iterable[str]) -> Batch:
        entries = self._trunks.entries
        return self._batch([item_of(entries[i]) for i in ids if i in entries], self._trunks)

    def works(self, items: Sequence[Item]) -> Batch:
        """The works of sub-ports; one whose parent's device is not there yet waits for it."""
        found = self._batch(items, self._trunks)
        ways = [(w, w.way) for w in found if isinstance(w.way, Way)]
        below = sorted({way.device for _, way in ways})
        there = self._tools.links.get(below) if below else {}
        for work, way in ways:
            link = there.get(way.device)
            if link is None or link.alias != marks.port_alias(way.parent):
                work.way = _no_device(way.device)
        return found

    def dependent(self, parents: Sequence[Item]) -> list[Item]:
        """The sub-ports that follow these ports: theirs, those that have lost their parent and
        still have a device, and those that have one again and none yet."""
        known = [i for i in parents if i.wiring is not None or i.attachment.port.trunk_details]
        if not known or not self._trunks.others:
            return []
        ids = {item.id for item in known}
        devices = [entry.wiring.device for entry in self._trunks.others.values()]
        there = self._tools.links.get(devices)
        found = []
        for port_id, entry in self._trunks.others.items():
            way = self._trunks.way(port_id, entry.attachment)
            mine = isinstance(way, Way) and way.parent in ids
            if mine or isinstance(way, Way) != (entry.wiring.device in there):
                found.append(item_of(entry))
        return found

    # --- the verbs ---

    def plug(self, items: Sequence[Item]) -> Batch:
        """Make sub-ports, each as far as its parent is there."""
        tools = self._tools
        standing, waiting = subports.stand(self.works(items))
        for kind, works in ((Waiting, waiting), (SubPlugging, standing)):
            if works.works:
                kind(
                    tools.links, tools.bridging, tools.nft, tools.settings, tools.networks, works,
                    own=tools.own, grouping=tools.grouping, answering=tools.answering,
                    tags=self._tags,
                ).run()  # fmt: skip
        return _together(standing, waiting)

    def follow(self, items: Sequence[Item]) -> None:
        """Parents were made, or have gone: these, which follow them, come to what they are then."""
        if items:
            subports.told(self.plug(items))

    def activate(self, items: Sequence[Item], parents: Sequence[Item]) -> Batch:
        """Open sub-ports, and those that are open themselves whose parents were opened."""
        tools = self._tools
        works = self.works(items)
        open_gates(tools.bridging, tools.nft, works, guarding=tools.networks.guarding)
        works.together("trunk", self._tags.settle)
        if following := self.dependent(parents):
            own = self.works(following)
            guarding = tools.networks.guarding
            subports.open_with(tools.bridging, own, self._tags, guarding=guarding)
            subports.told(own)
        return works

    def deactivate(self, items: Sequence[Item], parents: Sequence[Item]) -> Batch:
        """Close sub-ports, and those whose parents are about to be closed."""
        tools = self._tools
        if following := self.dependent(parents):
            own = self.works(following)
            subports.close_with(tools.bridging, own, guarding=tools.networks.guarding)
            subports.told(own)
        works = self.works(items)
        works.together("trunk", lambda chosen: self._tags.settle((), without=chosen))
        return close_gates(tools.bridging, tools.nft, works, guarding=tools.networks.guarding)

    def unplug(self, items: Sequence[Item]) -> Batch:
        """Remove sub-ports."""
        tools, works = self._tools, self.works(items)
        works.together("trunk", lambda chosen: self._tags.settle((), without=chosen))
        return unplug(tools.links, tools.bridging, tools.nft, tools.networks, works,
                      tools.grouping, tools.answering)  # fmt: skip


def _no_device(device: str) -> Evidence:
    return trunks.lacking("trunk.device", f"{device} does not exist", f"{device} stands")


def _together(one: Batch, other: Batch) -> Batch:
    return Batch([*one.works, *other.works], {**one.failed, **other.failed})
