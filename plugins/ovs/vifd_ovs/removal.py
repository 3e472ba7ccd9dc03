"""What is known of the taps that rows stand on."""

from __future__ import annotations

from collections.abc import Iterable

from vifd.drivers import Links
from vifd.plugin import tap
from vifd_ovs.bridge.batch import Work
from vifd_ovs.bridge.ownership import Ends


def ends(links: Links, works: Iterable[Work]) -> Ends:
    """Which ports have the tap that was made for them, and which have none."""
    works = list(works)
    present = links.get([w.device for w in works])
    there = {w.id: present.get(w.device) for w in works}
    ours = {w.id for w in works if (link := there[w.id]) is not None and tap.owns(link, w)}
    return Ends(ours, {port_id for port_id, link in there.items() if link is None})
