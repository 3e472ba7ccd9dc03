"""The host does not hear the taps.

With the kernel's datapath the switch takes every frame of a tap before the host's own stack sees
it. With the userspace datapath it reads a copy, by a packet socket, and the stack gets the frame as
well: it would answer ARP for its addresses, take what is sent to it, and route. So such a tap is
one that the host does not hear; the packet socket hears it still.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

from vifd.drivers import Drivers, Nft
from vifd.drivers.nft.objects import TABLE
from vifd.errors import VifError
from vifd.model import Evidence
from vifd.model.evidence import fact
from vifd.plugin import Item
from vifd.plugin.marked import Key, Marked
from vifd_ovs.bridge.kinds import Kind

#: Where the objects of a listing are.
WHERE = f"netdev {TABLE}"
_USERSPACE = "netdev"


class Names(Protocol):
    """What a port stands on."""

    @property
    def bridge(self) -> str: ...


class Tap(Protocol):
    """A port with a tap, of any plugin on a bridge of Open vSwitch, on its way through a call."""

    @property
    def id(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def names(self) -> Names: ...
    @property
    def item(self) -> Item: ...


class Hearing:
    """What the host hears of taps.

    :param drivers: without nftables of the family netdev nothing can be done, and nothing is said
    """

    def __init__(self, drivers: Drivers) -> None:
        self._ovsdb, self._links = drivers.ovsdb, drivers.links
        lacking = drivers.nft is None or drivers.nft.lacking("netdev") is not None
        self._nft: Nft | None = None if lacking else drivers.nft

    def _heard(self, bridge: str) -> bool:
        """Whether the host would hear the taps of a bridge."""
        there = self._ovsdb.bridge(bridge)
        return there is not None and there.datapath_type == _USERSPACE

    def settle(self, works: Sequence[Tap]) -> None:
        """Have the host not hear taps that are there; with the kernel's datapath it must, for the
        switch takes frames later there."""
        if self._nft is None or not works:
            return
        deaf = self._nft.deaf(TABLE, [w.device for w in works])
        shall = {w.device for w in works if self._heard(w.names.bridge)}
        for work in works:
            if work.device in shall - deaf:
                back = partial(self._nft.undeafen, TABLE, [work.device])
                work.item.undo.push("host", back)
        if shall - deaf:
            self._nft.deafen(TABLE, sorted(shall - deaf))
        if deaf - shall:
            self._nft.undeafen(TABLE, sorted(deaf - shall))

    def evidence(self, works: Sequence[Tap]) -> dict[str, list[Evidence]]:
        """Whether the host hears what it shall not, by port."""
        if self._nft is None or not works:
            return {}
        try:
            deaf = self._nft.deaf(TABLE, [w.device for w in works])
        except VifError as error:
            return {w.id: [fact("device.unheard", error.message, True, "nft")] for w in works}
        return {
            w.id: [fact("device.unheard", w.device in deaf, self._heard(w.names.bridge), "nft")]
            for w in works
            # without its bridge nobody knows which datapath reads the tap
            if self._ovsdb.bridge(w.names.bridge) is not None
        }

    def forget(self, devices: Iterable[str]) -> None:
        """Nothing is said of these devices any more."""
        if self._nft is not None:
            self._nft.undeafen(TABLE, list(devices))

    def unheard(self, devices: Iterable[str], bridges: Mapping[str, str]) -> None:
        """The host does not hear devices, but for those whose switch would not either.

        :param bridges: that devices stand on, as far as they stand on any
        """
        taking = {bridge for bridge in {*bridges.values()} if not self._heard(bridge)}
        shall = [name for name in devices if bridges.get(name) not in taking]
        if self._nft is not None and shall:
            self._nft.deafen(TABLE, shall)

    def inventory(self, owners: Mapping[str, str]) -> list[Marked]:
        """Devices of which something is said: those of the plugin, and those that are gone.

        :param owners: the ports of the plugin's devices
        """
        names = self._nft.list_deaf(TABLE) if self._nft is not None else []
        others = self._links.get([name for name in names if name not in owners])
        return [
            Marked(kind=Kind.GUARD, name=name, where=WHERE, owner=owners.get(name, ""))
            for name in names
            if name not in others
        ]


def key(device: str) -> Key:
    """What a port stands for."""
    return Key(Kind.GUARD, WHERE, device)
