"""The tap of a port that another plugin of this daemon served until now.

With its filter and guard in force it leaves the switch at the last moment before it becomes a port
of its bridge: there is no moment at which both pass its frames, and the one without is short.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from vifd.drivers import Links, Nft, Ovsdb
from vifd.drivers.nft.objects import TABLE
from vifd.errors import BackendUnfit
from vifd.model import Attachment
from vifd.plugin import tap
from vifd_linuxbridge import wiring
from vifd_linuxbridge.batch import Work
from vifd_linuxbridge.options import Settings
from vifd_linuxbridge.wiring import LinuxWiring


def names(links: Links, settings: Settings, attachment: Attachment, device: str) -> LinuxWiring:
    """By which names a tap that stands is taken over.

    :raises BackendUnfit: it cannot be without cutting its traffic
    """
    link = links.get([device]).get(device)
    problem = tap.problem(link, attachment)
    if problem or link is None:
        facts = {"have": device or "nothing", "wanted": "linuxbridge", "problem": problem}
        raise BackendUnfit(facts=facts, port=attachment.id)
    planned = wiring.plan(attachment, settings, multi_queue=link.multi_queue)
    return replace(planned, ifindex=link.ifindex, adopted=True)


def leave(ovsdb: Ovsdb | None, nft: Nft, works: Sequence[Work]) -> None:
    """Taps leave the switch that they are on, and the host hears them again: their bridge would get
    nothing from one that it does not."""
    devices = [work.device for work in works]
    rows = [] if ovsdb is None else [ovsdb.port(device) for device in devices]
    by_bridge: dict[str, list[str]] = {}
    for row in rows:
        if row is not None:
            by_bridge.setdefault(row.bridge, []).append(row.name)
    if nft.lacking("netdev") is None:
        nft.undeafen(TABLE, devices)
    for bridge, ports in by_bridge.items():
        if ovsdb is not None:
            ovsdb.delete_ports(bridge, ports)
