"""Who is behind which tunnel endpoint of a VXLAN network, as entries of its device. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from dataclasses import replace

from vifd.drivers import FdbEntry
from vifd.model.sets import Forwarding
from vifd_linuxbridge.options import Settings

#: The address of frames to all, and to whom nobody knows: every endpoint gets one.
NOBODY = "00:00:00:00:00:00"
#: So many differences are written out.
_SHOWN = 8


def settings_of(settings: Settings, forwarding: Forwarding | None) -> Settings:
    """The options as they count for a network: where its forwarding is known, frames to all go to
    its endpoints alone, and to no group or host of the configuration."""
    return settings if forwarding is None else replace(settings, group="", remotes=())


def entries(device: str, forwarding: Forwarding | None, settings: Settings) -> frozenset[FdbEntry]:
    """The entries that a VXLAN device shall have."""
    if forwarding is None:
        remotes = () if settings.group else settings.remotes
        return frozenset(FdbEntry(device, NOBODY, remote) for remote in remotes)
    return frozenset(_entries(device, forwarding, settings.local_ip))


def _entries(device: str, forwarding: Forwarding, own: str) -> Iterator[FdbEntry]:
    """Endpoints of the other IP version cannot be reached; this host's own is none of others."""
    for endpoint in forwarding.endpoints:
        address = endpoint.address
        if address == own or _version(address) != _version(own):
            continue
        yield FdbEntry(device, NOBODY, address)
        for port in endpoint.ports:
            yield FdbEntry(device, port.mac_address, address)


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version


def moves(
    have: Collection[FdbEntry], wanted: Collection[FdbEntry]
) -> tuple[list[FdbEntry], list[FdbEntry]]:
    """What to add and what to remove. An address that moves to another endpoint is put in its place
    by its new entry: removing the old one first would have its frames go to all."""
    there, shall = frozenset(have), frozenset(wanted)
    add = sorted(shall - there, key=_order)
    placed = {entry.mac for entry in add if entry.mac != NOBODY}
    gone = sorted((e for e in there - shall if e.mac not in placed), key=_order)
    return add, gone


def _order(entry: FdbEntry) -> tuple[str, str]:
    return entry.mac, entry.remote


def difference(have: Collection[FdbEntry], wanted: Collection[FdbEntry]) -> list[str]:
    """In words, how entries differ from what is wanted."""
    texts = [f"{_who(e)} not by {e.remote}" for e in sorted({*wanted} - {*have}, key=_order)]
    texts += [f"{_who(e)} by {e.remote}" for e in sorted({*have} - {*wanted}, key=_order)]
    more = len(texts) - _SHOWN
    return [*texts[:_SHOWN], f"and {more} more"] if more > 0 else texts


def _who(entry: FdbEntry) -> str:
    return "frames to all" if entry.mac == NOBODY else entry.mac
