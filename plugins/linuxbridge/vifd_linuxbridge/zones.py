"""The zones of connection tracking that networks have.

A number is chosen once and stands in the table: a restart finds it there. It is made of what it is
for, so that it is most likely the same again where the table was lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from vifd.drivers.nft.objects import Chain
from vifd.errors import ResourcesExhausted
from vifd_linuxbridge import groupbase
from vifd_linuxbridge.groupbase import FIRST_ZONE, LAST_ZONE
from vifd_linuxbridge.wiring import LinuxWiring

#: A network on this host: its bridge, and its VLAN on a VLAN-aware one.
Place = tuple[str, int | None]


def place(names: LinuxWiring) -> Place:
    """Where a port's network is."""
    return names.bridge, names.vlan


class Zones:
    """Which network has which zone."""

    def __init__(self) -> None:
        self._numbers: dict[Place, int] = {}
        #: bridges of which something is said
        self.bridges: set[str] = set()

    def learn(self, chains: Iterable[Chain]) -> None:
        """Take what stands in the table."""
        for chain in chains:
            told = groupbase.zones_of(chain)
            if told is not None:
                bridge, zones = told
                self.bridges.add(bridge)
                for vlan, number in zones.items():
                    self._numbers.setdefault((bridge, vlan), number)

    def number(self, network: Place) -> int:
        """The zone of a network, its own alone.

        :raises ResourcesExhausted: every number is taken
        """
        known = self._numbers.get(network)
        if known is not None:
            return known
        taken = set(self._numbers.values())
        count = LAST_ZONE - FIRST_ZONE + 1
        digest = hashlib.blake2b(repr(network).encode(), digest_size=4).digest()
        start = int.from_bytes(digest, "big") % count
        for step in range(count):
            number = FIRST_ZONE + (start + step) % count
            if number not in taken:
                self._numbers[network] = number
                return number
        problem = f"more than {count} networks have ports with security groups"
        raise ResourcesExhausted(facts={"problem": problem}, stage="nft")

    def known(self, network: Place) -> int | None:
        """The zone that a network has."""
        return self._numbers.get(network)

    def networks(self) -> set[Place]:
        """The networks that have one."""
        return {*self._numbers}

    def free(self, network: Place) -> None:
        """A network needs none any more."""
        self._numbers.pop(network, None)

    def chain(self, bridge: str, tracked: Iterable[Place]) -> Chain:
        """What says the zones of a bridge."""
        self.bridges.add(bridge)
        own: Mapping[int | None, int] = {
            vlan: self.number((at, vlan)) for at, vlan in tracked if at == bridge
        }
        return groupbase.zone_chain(bridge, own)
