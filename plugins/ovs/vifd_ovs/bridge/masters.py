"""A tap on the switch is a port of nothing else.

With the userspace datapath the switch reads a copy of what a tap receives, so another program can
make the tap a port of a kernel's bridge, a bond or a VRF as well, and the guest's frames go there
beside every rule. The device is ours, so it is taken out again; what it was put into stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vifd.drivers import Drivers, Link
from vifd.model import Evidence
from vifd.model.evidence import fact

#: What a tap is a port of with the kernel's datapath.
_SWITCH = "openvswitch"
_NONE = "none"


class Tap(Protocol):
    """A port with a tap, on its way through a call."""

    @property
    def device(self) -> str: ...


def _elsewhere(link: Link) -> bool:
    return link.within not in ("", _SWITCH)


def evidence(link: Link | None) -> list[Evidence]:
    """Whether a tap is a port of the switch alone."""
    if link is None:
        return []
    have = link.within if _elsewhere(link) else _NONE
    return [fact("device.master", have, _NONE, "netlink")]


def leave(drivers: Drivers, taps: Sequence[Tap]) -> None:
    """Take taps out of whatever another program has made them a port of."""
    if drivers.bridging is None:
        return
    links = drivers.links.get([tap.device for tap in taps])
    if strayed := [name for name, link in links.items() if _elsewhere(link)]:
        drivers.bridging.release(strayed)
