"""Removing tap devices by their mark, and giving them back."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.drivers import Drivers, Link, Links
from vifd.plugin import guest
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.hearing import Hearing
from vifd_ovs.bridge.ownership import Ends
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


def remove_devices(drivers: Drivers, works: Iterable[Work]) -> None:
    """Remove the devices of several ports, as far as they bear the ports' marks, and what was said
    of them to the host."""
    works, links = list(works), drivers.links
    remark(links, works)
    ids = {work.device: work.id for work in works}
    present = links.get(list(ids))
    ours = {n for n, link in present.items() if link.alias == marks.alias(ids[n])}
    links.delete(sorted(ours))
    Hearing(drivers).forget(n for n in ids if n in ours or n not in present)


def give_back(drivers: Drivers, works: Iterable[Work]) -> None:
    """Give devices back that were adopted: they stay, with the alias and the MAC address that they
    had, and the host hears them. The mark goes last: it says that there is something to do."""
    works, links = list(works), drivers.links
    Hearing(drivers).forget(work.device for work in works)
    for work in works:
        link = links.get([work.device]).get(work.device)
        if link is None or not _ours(link, work):
            continue
        before = work.names.before or Before()
        own = work.item.attachment.mac
        if before.mac and link.mac in (own, guest.tap_mac(own)):
            links.set(work.device, mac=before.mac)
        links.unmark({work.device: (link.ifindex, before.alias)})


def _ours(link: Link, work: Work) -> bool:
    return link.ifindex == work.names.ifindex or link.alias == marks.alias(work.id)


def ends(links: Links, works: Iterable[Work]) -> Ends:
    """Which ports have the tap that was made for them, and which have none."""
    works = list(works)
    present = links.get([w.device for w in works])
    there = {w.id: present.get(w.device) for w in works}
    ours = {w.id for w in works if (link := there[w.id]) is not None and _ours(link, w)}
    return Ends(ours, {port_id for port_id, link in there.items() if link is None})
