"""A tap on the switch is a port of nothing else.

With the userspace datapath the switch reads a copy of what a tap receives, so another program can
make the tap a port of a kernel's bridge, a bond or a VRF as well, and the guest's frames go there
beside every rule. The device is ours, so it is taken out again; what it was put into stays.
"""

from __future__ import annotations

from collections.abc import Iterable

from vifd.drivers import Drivers, Link
from vifd.model import Evidence
from vifd.model.evidence import fact

#: What a tap is a port of with the kernel's datapath.
_SWITCH = "openvswitch"
_NONE = "none"


def _elsewhere(link: Link) -> bool:
    return link.within not in ("", _SWITCH)


def evidence(link: Link | None) -> list[Evidence]:
    """Whether a tap is a port of the switch alone."""
    if link is None:
        return []
    have = link.within if _elsewhere(link) else _NONE
    return [fact("device.master", have, _NONE, "netlink")]


def leave(drivers: Drivers, taps: Iterable[Link]) -> None:
    """Take taps, as they were just read, out of whatever others have made them a port of."""
    strayed = [link.name for link in taps if _elsewhere(link)]
    if strayed and drivers.bridging is not None:
        drivers.bridging.release(strayed)
