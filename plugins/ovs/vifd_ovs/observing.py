"""Observe: what on this host bears the plugin's mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from vifd.drivers import Drivers, Link
from vifd.drivers.nft.objects import GUARDED, TABLE, Element
from vifd.model import Wiring
from vifd.plugin import Observed
from vifd_ovs.bridge import marks
from vifd_ovs.bridge.rows import observe_rows
from vifd_ovs.bridge.wiring import OvsWiring


def observe(drivers: Drivers, bridges: Sequence[str], plugin: str, vif_type: str) -> list[Observed]:
    """One entry per port, with names enough to remove it."""
    found = observe_rows(drivers, bridges, plugin, vif_type)
    taps = [link for link in drivers.links.marked(marks.ALIAS) if link.kind == "tun"]
    elsewhere = enslaved(drivers, [link.name for link in taps])
    for link in taps:
        port_id = marks.port_of_alias(link.alias)
        if port_id is None or link.name in elsewhere:
            continue
        # its number is unknown, and with it its flows; those are swept at the next comparison
        bare = OvsWiring(bridge=bridges[0], ofport=0, tag=0, generation=0, plugged=True)
        alone = Observed(port_id, Wiring(plugin, vif_type, link.name, bare.details()))
        entry = _with_queues(found.get(port_id, alone), link)
        found[port_id] = replace(entry, objects=(*entry.objects, f"device {link.name}"))
    return list(found.values())


def _with_queues(entry: Observed, link: Link) -> Observed:
    """The port with the kind of queues that its device has."""
    if entry.wiring.device != link.name or not link.multi_queue:
        return entry
    details = {**entry.wiring.details, "multi_queue": True}
    return replace(entry, wiring=msgspec.structs.replace(entry.wiring, details=details))


def enslaved(drivers: Drivers, names: Sequence[str]) -> set[str]:
    """The devices that are another plugin's: ports of a bridge of the kernel, and what is none only
    while it is closed, which has a guard or is in the packet filter."""
    if drivers.bridging is None or not names:
        return set()
    there = drivers.bridging.get(names)
    on_bridges = {name for name, device in there.items() if device.master is not None}
    left = [name for name in there if name not in on_bridges]
    guards = drivers.bridging.guards(left)
    filtered: set[str] = set()
    if drivers.nft is not None and left:
        asked = [Element(GUARDED, name) for name in left]
        found = drivers.nft.elements(TABLE, asked)
        filtered = {element.name for element in found if element is not None}
    return on_bridges | filtered | {name for name, guard in guards.items() if guard is not None}
