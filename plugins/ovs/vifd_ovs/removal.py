"""Removing tap devices by their mark, and giving them back."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.drivers import Link, Links
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.wiring import Before


def remove_device(links: Links, device: str, port_id: str) -> None:
    """Remove a device if it bears the port's mark."""
    link = links.get([device]).get(device)
    if link is not None and link.alias == marks.alias(port_id):
        links.delete([device])


def remark(links: Links, works: Iterable[Work]) -> None:
    """Put the mark back on devices that were plugged, where another program changed the alias."""
    made = [w for w in works if w.names.plugged]
    known = {w.device: (w.names.ifindex, marks.alias(w.id)) for w in made}
    plugged = {name: (index, alias) for name, (index, alias) in known.items() if index}
    if plugged:
        links.remark(plugged)


def remove_devices(links: Links, works: Iterable[Work]) -> None:
    """Remove the devices of several ports, as far as they bear the ports' marks."""
    works = list(works)
    remark(links, works)
    ids = {work.device: work.id for work in works}
    present = links.get(list(ids))
    links.delete([n for n, link in present.items() if link.alias == marks.alias(ids[n])])


def give_back(links: Links, works: Iterable[Work]) -> None:
    """Give devices back that were adopted: they stay, with the alias and the MAC address that they
    had. The mark goes last: it says that there is something to do."""
    for work in works:
        link = links.get([work.device]).get(work.device)
        if link is None or not _ours(link, work):
            continue
        before = work.names.before or Before()
        if before.mac and link.mac == work.item.attachment.mac:
            links.set(work.device, mac=before.mac)
        links.unmark({work.device: (link.ifindex, before.alias)})


def _ours(link: Link, work: Work) -> bool:
    return link.ifindex == work.names.ifindex or link.alias == marks.alias(work.id)
