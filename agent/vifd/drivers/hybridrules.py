"""Decisions about a bridge and a pair of another program, without I/O; the driver and its fake
share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vifd.drivers import MARK, Device, HybridSpec
from vifd.drivers.linkrules import clash, other_name
from vifd.errors import NameClash


def in_the_way(spec: HybridSpec, there: Mapping[str, Device]) -> NameClash | None:
    """A device that has a name of it and is none of it: of another kind, or ours, or one that only
    answers to the name as its altname."""
    kinds = {spec.bridge: "bridge", spec.inner: "veth", spec.outer: "veth"}
    for name, kind in kinds.items():
        device = there.get(name)
        if device is not None and device.link.name != name:
            return other_name(name, device.link)
        if device is not None and (
            device.link.kind != kind or device.link.alias.startswith(MARK)
        ):  # fmt: skip
            return clash(device.link)
    return None


def occupied(spec: HybridSpec, members: Sequence[Device]) -> NameClash | None:
    """A port of the bridge that does not belong to it."""
    others = [device.link for device in members if device.link.name != spec.inner]
    return clash(others[0], [link.name for link in others[1:]]) if others else None
