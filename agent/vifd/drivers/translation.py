"""Rules of other software that give connections other addresses or ports (``masquerade``, ``snat``,
``dnat``, ``redirect``), and whose frames they can be about. Pure.

Every host with containers or a network of libvirt's has some. They are about what the host routes,
and meet the frames of a port only where bridged frames are handed to the host's filters, and only
those that the rule's own conditions let through.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

#: The bits of an address, by the version of IP.
BITS = {4: 32, 6: 128}


@dataclass(frozen=True)
class AddressCondition:
    """That an address is in one of some ranges.

    :param source: of the sender, else of the receiver
    :param version: of IP
    :param ranges: first and last address of each
    :param inverted: that it is in none of them
    """

    source: bool
    version: int
    ranges: tuple[tuple[int, int], ...]
    inverted: bool = False

    def allows(self, network: IPv4Network | IPv6Network) -> bool:
        """Whether some address of a network meets it."""
        first, last = int(network.network_address), int(network.broadcast_address)
        if self.inverted:
            return not any(low <= first and last <= high for low, high in self.ranges)
        return any(low <= last and first <= high for low, high in self.ranges)


@dataclass(frozen=True)
class DeviceCondition:
    """That a packet comes or goes by a device; of a bridged frame that is its bridge.

    :param name: of the device, or how it begins
    :param begins: the latter
    :param index: where the rule has the number and no name
    """

    name: str = ""
    begins: bool = False
    index: int = 0
    inverted: bool = False

    def allows(self, name: str, index: int) -> bool:
        if self.index:
            return (self.index == index) != self.inverted
        same = name.startswith(self.name) if self.begins else name == self.name
        return same != self.inverted


@dataclass(frozen=True)
class Translation:
    """One rule, by those of its conditions that are known here; others count as met.

    :param versions: of IP that the rule sees
    """

    versions: tuple[int, ...]
    addresses: tuple[AddressCondition, ...] = ()
    devices: tuple[DeviceCondition, ...] = ()

    def meets(
        self, own: Collection[IPv4Network | IPv6Network], versions: Collection[int],
        bridge: str, index: int,
    ) -> bool:  # fmt: skip
        """Whether a frame from or to a port can come to it.

        A peer is taken to have an address like the port's, or one that a rule rules out: a rule for
        another network's guests is not about this one.

        :param own: the port's addresses
        :param versions: of IP, whose bridged frames are handed to the host's filters
        :param bridge: the port's, and its number
        """
        if not all(condition.allows(bridge, index) for condition in self.devices):
            return False
        return any(self._meets(own, v) for v in self.versions if v in versions)

    def _meets(self, own: Collection[IPv4Network | IPv6Network], version: int) -> bool:
        if any(condition.version != version for condition in self.addresses):
            return False
        mine = [network for network in own if network.version == version]
        if not mine:
            # without addresses, a port sends what it likes; with those of the other version, none
            return not own
        sent = [c for c in self.addresses if c.source]
        got = [c for c in self.addresses if not c.source]
        return any(all(c.allows(one) for c in sent) for one in mine) or (
            any(all(c.allows(one) for c in got) for one in mine)
            and all(c.inverted or any(c.allows(one) for one in mine) for c in sent)
        )
