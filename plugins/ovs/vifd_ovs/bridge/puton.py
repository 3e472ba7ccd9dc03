"""What other software put on a tap, read for who asks why: devices, addresses, filters, limits."""

from __future__ import annotations

from vifd.drivers import Drivers
from vifd.drivers.nft.objects import TABLE
from vifd.errors import VifError
from vifd.model import Evidence


def evidence(drivers: Drivers, device: str) -> list[Evidence]:
    """What hangs on a device that exists, filters of the packet filter included."""
    bridging, nft = drivers.bridging, drivers.nft
    texts: list[str] = []
    limits: list[str] = []
    try:
        if bridging is not None:
            limits = bridging.limits([device]).get(device, [])
            texts += bridging.hindrances([device]).get(device, [])
        if nft is not None:
            texts += [str(chain) for chain in nft.others(TABLE) if device in chain.devices]
    except VifError:
        return []
    return [
        Evidence("device.others", texts, [], not texts, "netlink", repairable=False),
        Evidence("device.limits", limits, [], not limits, "netlink", repairable=False),
    ]
