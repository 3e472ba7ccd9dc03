"""What other software put on a tap, and on what the network leaves the host by: devices, addresses,
programs, filters, limits."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from vifd.drivers import Drivers, FilterChain, passing
from vifd.drivers.nft.objects import TABLE
from vifd.errors import VifError
from vifd.model import Evidence


def filters(drivers: Drivers, device: str, ways: Sequence[str] = ()) -> list[Evidence]:
    """Filters of others on devices; the driver reads them again only when somebody changed one."""
    if drivers.nft is None:
        return []
    try:
        chains = drivers.nft.others(TABLE)
    except VifError:
        return []
    own = [str(chain) for chain in _on(chains, (device,))]
    outside = [f"{way}: {chain}" for way in ways for chain in _on(chains, (way,))]
    facts = [Evidence("device.filters", own, [], not own, "nft", repairable=False)]
    if ways:
        facts.append(Evidence("uplink.filters", outside, [], not outside, "nft", repairable=False))
    return facts


def _on(chains: Sequence[FilterChain], devices: Collection[str]) -> list[FilterChain]:
    return [chain for chain in chains if not set(chain.devices).isdisjoint(devices)]


def evidence(drivers: Drivers, device: str) -> list[Evidence]:
    """What hangs on a device that exists, for who asks why."""
    if drivers.bridging is None:
        return []
    try:
        limits = drivers.bridging.limits([device]).get(device, [])
        texts = drivers.bridging.hindrances([device]).get(device, [])
    except VifError:
        return []
    return [
        Evidence("device.others", texts, [], not texts, "netlink", repairable=False),
        Evidence("device.limits", limits, [], not limits, "netlink", repairable=False),
    ]


def way_evidence(drivers: Drivers, ways: Sequence[str]) -> list[Evidence]:
    """The same of the cards by which the physical network leaves the host, for who asks why."""
    if drivers.bridging is None or not ways:
        return []
    try:
        found = drivers.bridging.hindrances(ways)
    except VifError:
        return []
    texts = [f"{name}: {text}" for name in ways for text in passing(found.get(name, []))]
    return [Evidence("uplink.others", texts, [], not texts, "netlink", repairable=False)]
