"""What an attachment needs of the bridges: its physical network, the bridge of that, its MTU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vifd.drivers import Drivers
from vifd.errors import BridgeMissing, FeatureUnenforced, MtuTooLarge, VifError
from vifd.model import Attachment
from vifd.plugin import Requirement
from vifd.policy.qos import shape_of
from vifd_ovs.bridge import shaping
from vifd_ovs.bridge.bridges import Bridges, unmapped
from vifd_ovs.bridge.naming import CARRIED


def uplink_mtus(bridges: Bridges) -> dict[str, tuple[str, int]]:
    """Per physical network the device with the smallest MTU, and that MTU; where there is one."""
    found = {physnet: bridges.uplink_mtu(physnet) for physnet in bridges.mappings}
    return {physnet: mtu for physnet, mtu in found.items() if mtu is not None}


def segment_needs(
    attachment: Attachment, bridges: Bridges, mtus: Mapping[str, tuple[str, int]]
) -> Iterator[Requirement]:
    """The segment's physical network, its bridge, and its MTU.

    :param mtus: the answer of :func:`uplink_mtus`
    """
    segment = attachment.network.segment
    physnet = segment.physical_network
    if segment.network_type not in CARRIED or physnet is None:
        return
    bridge = bridges.mappings.get(physnet)
    mapped = unmapped(physnet, bridges.mappings)
    yield Requirement("physical_network", bridge is not None, mapped)
    if bridge is None:
        return
    missing = BridgeMissing(facts={"bridge": bridge, "physnet": physnet})
    there = bridges.ovsdb.bridge(bridge) is not None
    # without a database it cannot be known; the probe says that
    known = bridges.ovsdb.connected()
    yield Requirement("physical_bridge", there or not known, missing)
    device, limit = mtus.get(physnet, ("", 0))
    wanted = attachment.network.mtu
    facts = {"wanted": wanted, "have": limit, "bottleneck": device}
    yield Requirement("mtu", not limit or wanted <= limit, MtuTooLarge(facts=facts))


def meterless(drivers: Drivers, bridge: str) -> str:
    """Why a bridge has no meters; empty where it has, and where it cannot be asked."""
    if drivers.ovsdb.bridge(bridge) is None:
        return ""
    try:
        if drivers.openflow.max_meters(bridge):
            return ""
    except VifError:
        return ""
    return f"the datapath of bridge {bridge} has no meters: the kernel's has them from 4.18 on"


def meter_needs(attachment: Attachment, lacking: str, plugin: str) -> Iterator[Requirement]:
    """Meters for a port with limits: without them it would pass more than it may.

    :param lacking: why there are none
    """
    shape = shape_of(attachment)
    if shape is not None and shaping.meters(0, shape):
        facts = {"feature": "qos", "plugin": plugin, "have": lacking, "note": lacking}
        yield Requirement("meters", not lacking, FeatureUnenforced(facts=facts))
