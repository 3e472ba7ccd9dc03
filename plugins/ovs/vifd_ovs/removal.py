"""Removing tap devices, by their mark."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.drivers import Links
from vifd.ovs import marks
from vifd.ovs.batch import Work


def remove_device(links: Links, device: str, port_id: str) -> None:
    """Remove a device if it bears the port's mark."""
    link = links.get([device]).get(device)
    if link is not None and link.alias == marks.alias(port_id):
        links.delete([device])


def remove_devices(links: Links, works: Iterable[Work]) -> None:
    """Remove the devices of several ports, as far as they bear the ports' marks."""
    ids = {work.device: work.id for work in works}
    present = links.get(list(ids))
    links.delete([n for n, link in present.items() if link.alias == marks.alias(ids[n])])
