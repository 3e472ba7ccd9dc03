"""Who has which address on this host, and who is whose sub-port. An index, so that a look costs the
same at any number of ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Self

from vifd.capabilities.kinship import Kinship
from vifd.model import Attachment
from vifd.plugin import Entry

#: An address on a network: the network's id and the address in its canonical form.
Place = tuple[str, str]


@lru_cache(maxsize=8192)
def canonical(address: str) -> str:
    """An IP address in one spelling; what is none stays as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def places(attachment: Attachment) -> Iterator[tuple[str, Place]]:
    """The addresses of a port with their kinds, ``MAC`` or ``IP``.

    Allowed address pairs are none of them: several ports may share such an address on purpose.
    """
    network = attachment.network.id
    yield "MAC", (network, attachment.mac)
    for ip in attachment.fixed_ips:
        yield "IP", (network, canonical(ip.ip_address))


class Neighbours:
    """The addresses of the ports of this host. Kept up to date port by port; not thread-safe."""

    def __init__(self, attachments: Iterable[Attachment] = ()) -> None:
        self._owners: dict[Place, list[str]] = {}
        self._places: dict[str, tuple[Place, ...]] = {}
        self.kinship = Kinship()
        for attachment in attachments:
            self.put(attachment)

    @classmethod
    def of(cls, entries: Mapping[str, Entry]) -> Self:
        """The index of a ledger."""
        return cls(entry.attachment for entry in entries.values())

    def __len__(self) -> int:
        return len(self._places)

    def put(self, attachment: Attachment) -> None:
        """Add a port, or replace what is known of it."""
        self.drop(attachment.id)
        found = tuple(place for _kind, place in places(attachment))
        self._places[attachment.id] = found
        self.kinship.put(attachment)
        for place in found:
            self._owners.setdefault(place, []).append(attachment.id)

    def drop(self, port_id: str) -> None:
        """Forget a port; one that is not known is no error."""
        self.kinship.drop(port_id)
        for place in self._places.pop(port_id, ()):
            owners = [owner for owner in self._owners.pop(place, ()) if owner != port_id]
            if owners:
                self._owners[place] = owners

    def clashes(self, attachment: Attachment) -> Iterator[tuple[str, str, str]]:
        """Kind, address and the other port for each address that another port has as well."""
        for kind, place in places(attachment):
            for owner in self._owners.get(place, ()):
                if owner != attachment.id:
                    yield kind, place[1], owner
                    break
