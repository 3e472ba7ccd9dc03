"""Recall: a port that only its marks know, so that it can be taken over in place. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from vifd.drivers import Bridging, Link, Links, Nft
from vifd.drivers.nft.objects import Element
from vifd.model import Attachment
from vifd.plugin import Entry
from vifd_linuxbridge import marks, wiring
from vifd_linuxbridge.naming import device_name
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.ruleset import OPEN, TABLE
from vifd_linuxbridge.wiring import LinuxWiring


@dataclass(frozen=True)
class Recalling:
    """One ``recall`` call."""

    links: Links
    bridging: Bridging
    nft: Nft
    settings: Settings

    def run(
        self, attachment: Attachment, taken: Mapping[str, Entry]
    ) -> tuple[str, LinuxWiring, bool] | None:
        """The device, the names, and whether traffic passes; ``None`` where no chain and no tap
        of the port is there, so that there is nothing to go on.

        :raises VifError: what it would be named stands in its way
        """
        device = device_name(attachment, taken)
        chain = self.nft.chains(TABLE, [device]).get(device)
        link = self.links.get([device]).get(device)
        if chain is None or marks.port_of(chain.comment) != attachment.id:
            return None
        if link is None or link.alias != marks.port_alias(attachment.id):
            return None
        planned = wiring.plan(attachment, self.settings, multi_queue=link.multi_queue)
        index = None if planned.sub_port else link.ifindex
        names = replace(planned, ifindex=index, plugged=planned.sub_port)
        opened = self._passes(link, names) and self._open(device)
        return device, names, opened

    def _passes(self, link: Link, names: LinuxWiring) -> bool:
        """Whether the tap is a port of the bridge that it shall be on."""
        there = self.bridging.get([link.name, names.bridge])
        device, bridge = there.get(link.name), there.get(names.bridge)
        return bool(device and bridge and device.master == bridge.link.ifindex)

    def _open(self, device: str) -> bool:
        return self.nft.elements(TABLE, [Element(OPEN, device)])[0] is not None
