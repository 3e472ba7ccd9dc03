"""Whether the binding of a port can be carried out on this host by one candidate. Pure.

What the candidate does not know is not held against it: a probe without physical networks says
nothing of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vifd.capabilities import names
from vifd.capabilities.enforcement import unenforced, unmet
from vifd.capabilities.inventory import Inventory
from vifd.capabilities.neighbours import Neighbours
from vifd.errors import (
    AddressesUnresolved,
    DuplicateAddress,
    FeatureUnenforced,
    L2Required,
    MtuTooLarge,
    PhysnetDown,
    PhysnetUnmapped,
    SegmentTypeUnsupported,
    TrunkConflict,
    VifError,
    WrongSegment,
)
from vifd.model import Attachment
from vifd.model.trunks import is_sub_port
from vifd.plugin import Advert, Probe, Uplink

#: Network types that leave the host by a physical network, and those that leave it by a tunnel.
PHYSICAL = ("flat", "vlan")
TUNNELLED = ("vxlan", "gre", "geneve")


def check(
    attachment: Attachment,
    advert: Advert,
    probe: Probe,
    inventory: Inventory,
    neighbours: Neighbours | Iterable[Attachment],
    *,
    plugin: str = "",
    vif_type: str = "",
    strict: bool = False,
) -> list[VifError]:
    """Why the port cannot be bound here, in the order of the checks; empty if it can.

    :param neighbours: the other ports of this host; attachments are indexed first, which takes
        some microseconds for each
    :param plugin: the candidate's name, for the errors
    :param vif_type: the one that would be used; the plugin's first if empty
    :param strict: a feature that is asked for and would not be enforced is a refusal
    """
    index = neighbours if isinstance(neighbours, Neighbours) else Neighbours(neighbours)
    found = [*_way_out(attachment, advert, probe, inventory, plugin), *_addresses(attachment)]
    found += _connectivity(attachment, advert, plugin)
    found += _duplicates(attachment, index)
    found += _trunks(attachment, advert, index, plugin)
    found += unmet(attachment, advert, plugin=plugin, vif_type=vif_type)
    if strict:
        found += unenforced(attachment, advert, plugin=plugin, vif_type=vif_type)
    return [error.at(port=attachment.id) for error in found]


# --- the way out of the host ----------------------------------------------------------------------


def _way_out(
    attachment: Attachment, advert: Advert, probe: Probe, inventory: Inventory, plugin: str
) -> Iterator[VifError]:
    kind = attachment.network.segment.network_type
    if kind in PHYSICAL:
        yield from _physical(attachment, probe, plugin)
    elif kind in TUNNELLED:
        yield from _tunnelled(attachment, advert, probe, inventory, plugin)


def _physical(attachment: Attachment, probe: Probe, plugin: str) -> Iterator[VifError]:
    wanted = attachment.network.segment.physical_network or ""
    if not probe.physical_networks:
        return  # nothing is mapped, or the plugin does not tell: its own needs decide
    uplink = probe.physical_networks.get(wanted)
    if uplink is None:
        have = sorted(probe.physical_networks)
        facts = {"wanted": wanted, "have": have, "plugin": plugin}
        yield PhysnetUnmapped(facts=facts, stage="segment")
        return
    if uplink.up is False:
        yield _down(wanted, uplink)
    yield from _mtu(attachment, uplink)


def _down(physnet: str, uplink: Uplink) -> PhysnetDown:
    problem = uplink.problem or "its link is down"
    facts = {"wanted": physnet, "device": uplink.device, "problem": problem}
    return PhysnetDown(facts=facts, stage="segment")


def _tunnelled(
    attachment: Attachment, advert: Advert, probe: Probe, inventory: Inventory, plugin: str
) -> Iterator[VifError]:
    kind = attachment.network.segment.network_type
    uplink = probe.tunnels.get(kind)
    if uplink is None:
        # Whether anybody has an endpoint is only known where some plugin tells.
        if probe.tunnels or inventory.lacks(names.tunnel(kind)):
            facts = {"wanted": kind, "have": sorted(probe.tunnels), "plugin": plugin,
                     "served": list(advert.network_types)}  # fmt: skip
            text = f"plugin {plugin!r} has no tunnel endpoint for network type {kind!r}"
            yield SegmentTypeUnsupported(text, facts=facts, stage="segment")
        return
    if uplink.up is False:
        yield _down(f"{kind} underlay", uplink)
    yield from _mtu(attachment, uplink)


def _mtu(attachment: Attachment, uplink: Uplink) -> Iterator[VifError]:
    wanted = attachment.network.mtu
    if uplink.mtu is not None and wanted > uplink.mtu:
        # one of several is not told apart here; then it is the bridge that they are in
        bottleneck = uplink.devices[0] if len(uplink.devices) == 1 else uplink.device
        facts = {"wanted": wanted, "have": uplink.mtu, "bottleneck": bottleneck}
        yield MtuTooLarge(facts=facts, stage="segment")


# --- addresses ------------------------------------------------------------------------------------


def _addresses(attachment: Attachment) -> Iterator[VifError]:
    """The subnets of the fixed IPs are of the bound segment; what is deferred is resolved."""
    bound = attachment.network.segment.id
    subnets = {subnet.id: subnet for subnet in attachment.subnets}
    for ip in attachment.fixed_ips:
        subnet = subnets.get(ip.subnet_id or "")
        wanted = subnet.segment_id if subnet is not None else None
        if subnet is not None and bound and wanted and wanted != bound:
            facts = {"address": ip.ip_address, "subnet": subnet.id, "wanted": wanted, "have": bound}
            yield WrongSegment(facts=facts, stage="addresses")
    if attachment.port.ip_allocation == "deferred" and not attachment.fixed_ips:
        yield AddressesUnresolved(stage="addresses", retry_after=2.0)


def _connectivity(attachment: Attachment, advert: Advert, plugin: str) -> Iterator[VifError]:
    """A port that never has an address gets nothing from a plugin that routes to addresses."""
    without = attachment.port.ip_allocation == "none" and not attachment.fixed_ips
    if without and advert.connectivity != "l2":
        facts = {"plugin": plugin, "have": advert.connectivity}
        yield L2Required(facts=facts, stage="addresses")


def _duplicates(attachment: Attachment, neighbours: Neighbours) -> Iterator[VifError]:
    for kind, address, other in neighbours.clashes(attachment):
        facts = {"kind": kind, "address": address, "other": other}
        yield DuplicateAddress(facts=facts, stage="addresses")


# --- trunks ---------------------------------------------------------------------------------------


def _trunks(
    attachment: Attachment, advert: Advert, neighbours: Neighbours, plugin: str
) -> Iterator[VifError]:
    """A sub-port without a trunk would be given a device that nobody asked for."""
    if is_sub_port(attachment) and "trunk" not in advert.features:
        note = advert.lacking.get("trunk", "a sub-port has no device of its own")
        facts = {"feature": "trunk", "plugin": plugin, "have": sorted(advert.features),
                 "requested": "sub-port", "note": note}  # fmt: skip
        yield FeatureUnenforced(facts=facts, stage="features")
    for problem, other in neighbours.kinship.clashes(attachment):
        yield TrunkConflict(facts={"problem": problem, "other": other}, stage="trunk")
